"""Pack what a job on another machine needs, in parts that are small enough to travel one by one.

python -m zipper.training.one_card.pack --tokenizer assets/speech_tokenizer --whisper whisper-base \\
    --corpus english.txt --lines lines.tsv --wheels WHEELS --speech SPEECH/*.tar --out .pack

Writes .pack/first/ (what generated speech needs, so that it can begin while the rest travels) and .pack/part-NN, which
joined are a tar of the rest.
"""

import argparse
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from zipper.training.hearing import END, PROMPT
from zipper.training.manifest import read_source
from zipper.training.style import Truecaser
from zipper.training.whisper_decoder import decoder_from_hugging_face

PART_BYTES = 61_000_000
CASE_LINES = 120_000  # lines of the corpus that the case of words is learnt from
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tokenizer", "whisper", "corpus", "lines", "wheels", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--speech", type=Path, nargs="+", required=True)
    a = parser.parse_args()
    first, rest = a.out / "first", a.out / "rest"
    shutil.rmtree(a.out, ignore_errors=True)
    shutil.copytree(a.wheels, first / "wheels")
    shutil.copy(a.lines, first / "lines.tsv")
    quantizer = load_file(a.tokenizer / "quantizer.safetensors")
    save_file(quantizer, first / "quantizer.safetensors")
    values = json.loads((a.tokenizer / "config.json").read_text())["quantizer"]
    (first / "quantizer.json").write_text(json.dumps(values))
    with a.corpus.open(encoding="utf-8") as file:
        corpus = [line.strip() for line, _ in zip(file, range(CASE_LINES), strict=False)]
    styled = styles(a.speech, corpus)
    rows = (f"{name}\t{text}\n" for name, text in styled.items())
    (first / "styles.tsv").write_text("".join(rows), encoding="utf-8")
    pieces = Tokenizer.from_file(str(a.whisper / "tokenizer.json"))
    written = (line.split("\t")[1] for line in a.lines.read_text(encoding="utf-8").splitlines())
    texts = [*corpus[:PIECE_LINES], *styled.values(), *written]
    kept = kept_pieces(pieces, texts)
    write_decoder(a.whisper, kept, rest / "whisper")
    shutil.copy(a.tokenizer / "encoder.safetensors", rest / "encoder.safetensors")
    with tarfile.open(a.out / "rest.tar", "w") as tar:
        tar.add(rest, ".")
        for source in a.speech:
            tar.add(source, f"speech/{source.name}")
    parts = split(a.out / "rest.tar", a.out)
    shutil.rmtree(rest)
    (a.out / "rest.tar").unlink()
    size = sum(file.stat().st_size for file in first.rglob("*") if file.is_file())
    print(f"{len(kept)} pieces; first {size / 1e6:.1f} MB, then {len(parts)} parts")


if __name__ == "__main__":
    main()
