"""Pack what a job on another machine needs, in parts that are small enough to travel one by one.

python -m zipper.training.one_card.pack tokenizer --tokenizer assets/speech_tokenizer --whisper whisper-base \\
    --corpus english.txt --sentences sentences.tsv --wheels WHEELS --speech SPEECH/*.tar --out .pack
python -m zipper.training.one_card.pack fusion --tokenizer OUT --bundles OUT/*.npz --text WORK/text --out .pack
python -m zipper.training.one_card.pack vocoder --clips WORK/vocoder_clips --out .pack

Writes .pack/part-NN, which joined are a tar (`cat part-* | tar x`), and for `tokenizer` also .pack/first/: what the
generation of speech needs, so that it can begin while the rest travels.
"""

import argparse
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from zipper.data.manifest import read_source
from zipper.data.truecase import CASE_LINES, Truecaser
from zipper.errors import DataError
from zipper.training.tokenizer_asr import END, PROMPT
from zipper.training.whisper_decoder import decoder_from_hugging_face

PART_BYTES = 61_000_000
PIECE_LINES = 60_000  # lines of the corpus whose pieces the decoder keeps


def styles(sources: Sequence[Path], corpus: Sequence[str]) -> dict[str, str]:
    """Transcripts in small letters but for the words that are always written with capitals."""
    forms = Truecaser.learn(corpus[:CASE_LINES]).forms
    return {
        utterance.id: " ".join(forms.get(word, word) for word in utterance.text.lower().split())
        for source in sources
        for utterance in read_source(source)
    }


def kept_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    """Pieces that English texts use, every single byte, and the marks of the prompt; sorted ids."""
    used: Counter[int] = Counter()
    for text in texts:
        used.update(tokenizer.encode(" " + text, add_special_tokens=False).ids)
    marks = (tokenizer.token_to_id(mark) for mark in (*PROMPT, END))
    return sorted({*range(256), *used, *(mark for mark in marks if mark is not None)})


def write_decoder(whisper: Path, kept: Sequence[int], out: Path) -> None:
    """The decoder with the kept pieces, in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    decoder = decoder_from_hugging_face(load_file(whisper / "model.safetensors"), torch.tensor(kept))
    save_file({name: weight.half() for name, weight in decoder.state_dict().items()}, out / "decoder.safetensors")
    (out / "kept.json").write_text(json.dumps(list(kept)))
    shutil.copy(whisper / "tokenizer.json", out / "tokenizer.json")


def split(whole: Path, out: Path) -> list[Path]:
    """Cut a file into parts of PART_BYTES."""
    parts: list[Path] = []
    with whole.open("rb") as file:
        while data := file.read(PART_BYTES):
            parts.append(out / f"part-{len(parts):02d}")
            parts[-1].write_bytes(data)
    return parts


def pack_tokenizer(a: argparse.Namespace) -> None:
    """What the tokenizer's job needs."""
    first, rest = a.out / "first", a.out / "rest"
    shutil.copytree(a.wheels, first / "wheels")
    shutil.copy(a.sentences, first / "sentences.tsv")
    write_quantizer(a.tokenizer, first)
    with a.corpus.open(encoding="utf-8") as file:
        corpus = [line.strip() for line, _ in zip(file, range(CASE_LINES), strict=False)]
    styled = styles(a.speech, corpus)
    rows = (f"{name}\t{text}\n" for name, text in styled.items())
    (first / "styles.tsv").write_text("".join(rows), encoding="utf-8")
    pieces = Tokenizer.from_file(str(a.whisper / "tokenizer.json"))
    written = (line.split("\t")[1] for line in a.sentences.read_text(encoding="utf-8").splitlines())
    kept = kept_pieces(pieces, [*corpus[:PIECE_LINES], *styled.values(), *written])
    write_decoder(a.whisper, kept, rest / "whisper")
    shutil.copy(a.tokenizer / "encoder.safetensors", rest / "encoder.safetensors")
    parts = join_and_split(rest, a.out, {f"speech/{source.name}": source for source in a.speech})
    size = sum(file.stat().st_size for file in first.rglob("*") if file.is_file())
    print(f"{len(kept)} pieces; first {size / 1e6:.1f} MB, then {len(parts)} parts")


def pack_fusion(a: argparse.Namespace) -> None:
    """What the job of towers and fusion needs."""
    rest = a.out / "rest"
    write_quantizer(a.tokenizer, rest / "speech_tokenizer")
    (rest / "text").mkdir()
    for name in ("text_tokenizer.json", "ids.npy"):
        shutil.copy(a.text / name, rest / "text" / name)
    parts = join_and_split(rest, a.out, {f"bundles/{bundle.name}": bundle for bundle in a.bundles})
    print(f"{len(parts)} parts")


def pack_vocoder(a: argparse.Namespace) -> None:
    """What the job of the vocoder needs; with `start` also a vocoder to go on from."""
    rest = a.out / "rest"
    rest.mkdir(parents=True)
    if a.start:
        shutil.copytree(a.start, rest / "vocoder")
    files = sorted(path for path in a.clips.rglob("*") if path.is_file())
    if not files:
        raise DataError(f"{a.clips} holds no prepared clips; run `train vocoder prepare` first.")
    parts = join_and_split(rest, a.out, {f"clips/{path.relative_to(a.clips).as_posix()}": path for path in files})
    print(f"{len(parts)} parts")


def write_quantizer(tokenizer: Path, out: Path) -> None:
    """quantizer.json and quantizer.safetensors, of a speech tokenizer or of what the job of the tokenizer wrote."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(tokenizer / "quantizer.safetensors", out / "quantizer.safetensors")
    if (tokenizer / "quantizer.json").exists():
        shutil.copy(tokenizer / "quantizer.json", out / "quantizer.json")
    else:
        values = json.loads((tokenizer / "config.json").read_text(encoding="utf-8"))["quantizer"]
        (out / "quantizer.json").write_text(json.dumps(values), encoding="utf-8")


def join_and_split(folder: Path, out: Path, more: Mapping[str, Path]) -> list[Path]:
    """A tar of a folder and of more files, cut into parts; the folder goes."""
    whole = out / "rest.tar"
    with tarfile.open(whole, "w") as tar:
        tar.add(folder, ".")
        for name, path in more.items():
            tar.add(path, name)
    parts = split(whole, out)
    shutil.rmtree(folder)
    whole.unlink()
    return parts


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    tokenizer = jobs.add_parser("tokenizer", help="what train_tokenizer needs")
    fusion = jobs.add_parser("fusion", help="what train_text_tower and train_fusion need")
    vocoder = jobs.add_parser("vocoder", help="what train_vocoder needs")
    for name in ("tokenizer", "whisper", "corpus", "sentences", "wheels", "out"):
        tokenizer.add_argument(f"--{name}", type=Path, required=True)
    for name in ("tokenizer", "text", "out"):
        fusion.add_argument(f"--{name}", type=Path, required=True)
    tokenizer.add_argument("--speech", type=Path, nargs="+", required=True)
    fusion.add_argument("--bundles", type=Path, nargs="+", required=True)
    for name in ("clips", "out"):
        vocoder.add_argument(f"--{name}", type=Path, required=True)
    vocoder.add_argument("--start", type=Path, help="folder of a vocoder to go on from")
    vocoder.set_defaults(run=pack_vocoder)
    tokenizer.set_defaults(run=pack_tokenizer)
    fusion.set_defaults(run=pack_fusion)
    a = parser.parse_args(argv)
    shutil.rmtree(a.out, ignore_errors=True)
    a.run(a)


if __name__ == "__main__":
    main()
