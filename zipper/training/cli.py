"""`python -m zipper train STAGE`: one command per stage, each goes on where it stopped with --resume."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from zipper.data.augment import AugmentConfig, Augmenter
from zipper.data.features import extract
from zipper.data.labels import label_source, label_view, train_classifier
from zipper.data.manifest import read_source, source_name
from zipper.data.punctuation import Punctuator, punctuate
from zipper.data.sentences import LENGTHS, choose_sentences, draw_sentences
from zipper.data.store import Store
from zipper.data.truecase import CASE_LINES, Truecaser
from zipper.errors import DataError, DependencyError
from zipper.evaluation.metrics import normalizer
from zipper.evaluation.report import table
from zipper.model.checkpoint import load_tower
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.text.tokenizer import TextTokenizer
from zipper.training import detokenizer, pair_stages, stages, vocoder
from zipper.training.assemble import MODEL, assemble
from zipper.training.config import (
    CONFIGS,
    FusionConfig,
    PretrainConfig,
    SingleConfig,
    TokenizerConfig,
    add_run_options,
    add_training_options,
    load_stage_config,
)
from zipper.training.quantization_cost import measure_cost
from zipper.training.schedule import LoopConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["detokenizer"]:
        detokenizer.main(given[1:])
    elif given[:1] == ["vocoder"]:
        vocoder.main(given[1:])
    else:
        arguments = parser().parse_args(given)
        arguments.run(arguments)
    return 0


class _Commands:
    """The parser of all stages while they are added to it."""

    def __init__(self) -> None:
        self.top = argparse.ArgumentParser(prog="zipper train", description=__doc__)
        self.parsers = self.top.add_subparsers(dest="stage", required=True, metavar="STAGE")

    def add(self, name: str, text: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        """A stage that works in a work folder."""
        stage = self.parsers.add_parser(name, help=text, description=text)
        stage.add_argument("--work", type=Path, required=True, help="folder of prepared data, runs and results")
        stage.set_defaults(run=run)
        return stage

    def add_training(self, name: str, text: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        """A stage that trains by a configuration."""
        stage = self.add(name, text, run)
        add_training_options(stage, CONFIGS / f"{name}.yaml")
        return stage


def parser() -> argparse.ArgumentParser:
    """Every stage with its options."""
    commands = _Commands()
    _add_data_stages(commands)
    _add_text_stages(commands)
    tokenizer = commands.add_training("tokenizer", "train the speech quantizer", _tokenizer)
    tokenizer.add_argument("--whisper", type=Path, required=True, help="Hugging Face folder of Whisper base")
    _add_token_stages(commands)
    commands.add_training("pretrain-text", "pre-train the text tower", _pretrain_text)
    commands.add_training("pretrain-speech", "pre-train the speech tower", _pretrain_speech)
    commands.add_training("zip", "fuse the towers", _zip)
    commands.add_training("single", "tune the paper's baseline, one decoder of text and speech", _single)
    commands.parsers.add_parser("detokenizer", help="prepare mels, and train tokens to sound", add_help=False)
    commands.parsers.add_parser("vocoder", help="prepare sounds, and train a small vocoder on them", add_help=False)
    finished = commands.add("assemble", "copy finished parts into a model folder", _assemble)
    finished.add_argument("--out", type=Path, required=True)
    finished.add_argument(
        "--model", default=MODEL, help="folder of WORK that becomes the model, such as single (default: %(default)s)"
    )
    finished.add_argument(
        "--share", type=float, default=1.0, help="of the new weights in the mean with those of OUT (default: 1)"
    )
    return commands.top


def _add_data_stages(commands: _Commands) -> None:
    features = commands.add("features", "recordings to Whisper features", _features)
    features.add_argument("sources", type=Path, nargs="+", help="tars or folders with manifest.tsv and audio/")
    features.add_argument("--whisper", type=Path, required=True, help="Hugging Face folder of Whisper base")
    features.add_argument("--augment", type=int, metavar="SEED", help="change each recording as microphones would")
    labels = commands.add("labels", "text style, phones and word times", _labels)
    labels.add_argument("sources", type=Path, nargs="+", help="the same sources, generated ones first")
    either = labels.add_mutually_exclusive_group(required=True)
    either.add_argument("--corpus", type=Path, help="text from which the case of words is learned")
    views = "label the views of `features --augment SEED` after the sources, which have labels"
    either.add_argument("--augment", type=int, metavar="SEED", help=views)
    labels.add_argument("--steps", type=int, default=1200, help="of the phone classifier (default %(default)s)")
    marks = commands.add("punctuate", "commas and full stops for labels that have none", _punctuate)
    marks.add_argument("sources", nargs="+", help="names of labeled sources without punctuation")
    marks.add_argument("--like", nargs="+", required=True, help="names of labeled sources with punctuation")


def _add_text_stages(commands: _Commands) -> None:
    text = commands.add("text", "learn the text pieces and write the ids of the corpus", _text)
    text.add_argument("corpus", type=Path)
    text.add_argument("--pieces", type=int, default=1024, help="default %(default)s")
    text.add_argument("--pieces-of", type=Path, metavar="MODEL", help="keep the pieces of a model folder")
    text.add_argument("--lines", type=int, default=330_000, help="default %(default)s")
    chosen = commands.parsers.add_parser(
        "sentences", help="choose sentences to have spoken", description="Lines of id, tab, sentence."
    )
    chosen.set_defaults(run=_sentences)
    chosen.add_argument("corpus", type=Path)
    chosen.add_argument("--out", type=Path, required=True)
    chosen.add_argument("--count", type=int, default=4800, help="default %(default)s")
    how = chosen.add_mutually_exclusive_group()
    how.add_argument("--known", type=Path, nargs="*", help="texts that are spoken already")
    how.add_argument("--random", type=int, metavar="SEED", help="any sentences, not those with new words")
    chosen.add_argument(
        "--characters",
        type=int,
        nargs=2,
        default=LENGTHS,
        metavar=("MIN", "MAX"),
        help="length of a sentence (default: 25 120); 2 12 draws words and calls",
    )
    chosen.add_argument("--prefix", default="s", help="of the ids (default %(default)s)")


def _add_token_stages(commands: _Commands) -> None:
    tokens = commands.add("tokens", "features to speech tokens", _tokens)
    tokens.add_argument("sources", nargs="+", help="names of prepared sources")
    tokens.add_argument(
        "--tokenizer", type=Path, metavar="FOLDER", help="another speech tokenizer than the one of WORK"
    )
    tokens.add_argument(
        "--suffix", default="", help="of the names of the tokens, so that those of two tokenizers lie side by side"
    )
    cost = commands.add("quantization-cost", "how many word errors the quantizer adds", _quantization_cost)
    cost.add_argument("sources", type=Path, nargs="+", help="prepared tars or folders of recordings")
    cost.add_argument("--whisper", type=Path, required=True, help="Hugging Face folder of Whisper base")
    cost.add_argument("--steps", type=int, default=500, help="of each recognizer (default %(default)s)")
    cost.add_argument("--held-out", type=int, default=20, help="recordings of each source to read")
    add_run_options(cost)


def _features(a: argparse.Namespace) -> None:
    encoder = stages.whisper_encoder(a.whisper)
    augmenter = None if a.augment is None else Augmenter(AugmentConfig(), a.augment)
    suffix = "" if a.augment is None else f".augmented-{a.augment}"
    for source in a.sources:
        extract(source, encoder, a.work / "features" / (source_name(source) + suffix), augmenter)


def _label_views(a: argparse.Namespace) -> None:
    speed = Augmenter(AugmentConfig(), a.augment).speed
    for name in map(source_name, a.sources):
        view = f"{name}.augmented-{a.augment}"
        label_view(a.work / "labels" / name, Store(a.work / "features" / view), a.work / "labels" / view, speed)


def _labels(a: argparse.Namespace) -> None:
    if a.augment is not None:
        _label_views(a)
        return
    try:
        from hibari import Hibari
    except ImportError as error:
        raise DependencyError(
            "Labels need the package hibari-tts, which writes text as phonemes; install it."
        ) from error
    with a.corpus.open(encoding="utf-8") as file:
        style = Truecaser.learn(line for line, _ in zip(file, range(CASE_LINES), strict=False))
    utterances_of = {source: read_source(source) for source in a.sources}
    stores = {source: Store(a.work / "features" / source_name(source)) for source in a.sources}
    generated = next((s for s, utterances in utterances_of.items() if any(u.phones for u in utterances)), None)
    if generated is None:
        raise DataError("Labels need at least one source of generated speech, whose phone durations are known.")
    classifier = train_classifier(stores[generated], utterances_of[generated], a.steps, seed=0)
    phonemize = Hibari(threads=1).phonemize
    for source, utterances in utterances_of.items():
        label_source(utterances, stores[source], a.work / "labels" / source_name(source), classifier, phonemize, style)


def _punctuate(a: argparse.Namespace) -> None:
    """Needs the stages `text` and `pretrain-text`, and no finished model."""
    tower = load_tower(a.work / "pretrain-text").float()
    punctuator = Punctuator(tower, TextTokenizer.from_pretrained(a.work / "text"))
    print(table([punctuate(a.work, a.like, a.sources, punctuator)]))


def _text(a: argparse.Namespace) -> None:
    stages.prepare_text(a.corpus, a.work, a.pieces, a.lines, a.pieces_of)
    logging.info("%d pieces", TextTokenizer.from_pretrained(a.work / "text").vocab_size)


def _sentences(a: argparse.Namespace) -> None:
    lines = a.corpus.read_text(encoding="utf-8").splitlines()
    known = [line for path in a.known or () for line in path.read_text(encoding="utf-8").splitlines()]
    lengths = (a.characters[0], a.characters[1])
    if a.random is not None:
        chosen = draw_sentences(lines, a.count, a.random, lengths)
    else:
        chosen = choose_sentences(lines, a.count, known, lengths=lengths)
    rows = (f"{a.prefix}{number:05d}\t{sentence}\n" for number, sentence in enumerate(chosen))
    a.out.write_text("".join(rows), encoding="utf-8")
    logging.info("%d sentences", len(chosen))


def _tokenizer(a: argparse.Namespace) -> None:
    config = load_stage_config(TokenizerConfig, a)
    stages.train_tokenizer(config, a.work, stages.whisper_encoder(a.whisper), a.resume)


def _tokens(a: argparse.Namespace) -> None:
    if a.tokenizer and not a.suffix:
        raise DataError("Tokens of another tokenizer need a --suffix, or they would be taken for those of WORK's own.")
    quantizer = SpeechTokenizer.from_pretrained(a.tokenizer or a.work / "speech_tokenizer").quantizer
    stages.tokenize(quantizer, a.work, a.sources, a.suffix)


def _quantization_cost(a: argparse.Namespace) -> None:
    rows = measure_cost(
        a.work,
        a.sources,
        stages.whisper_encoder(a.whisper),
        SpeechTokenizer.from_pretrained(a.work / "speech_tokenizer").quantizer.eval(),
        TextTokenizer.from_pretrained(a.work / "text"),
        normalizer(),
        LoopConfig(a.steps, warmup=40, profile=a.profile),
        a.held_out,
        a.resume,
    )
    if not rows:  # another process than the main one
        return
    figures = [asdict(row) for row in rows]
    print(table(figures))
    (a.work / "quantization-cost.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _pretrain_text(a: argparse.Namespace) -> None:
    stages.pretrain_text(load_stage_config(PretrainConfig, a), a.work, a.resume)


def _pretrain_speech(a: argparse.Namespace) -> None:
    stages.pretrain_speech(load_stage_config(PretrainConfig, a), a.work, a.resume)


def _zip(a: argparse.Namespace) -> None:
    pair_stages.train_fusion(load_stage_config(FusionConfig, a), a.work, a.resume)


def _single(a: argparse.Namespace) -> None:
    pair_stages.train_single(load_stage_config(SingleConfig, a), a.work, a.resume)


def _assemble(a: argparse.Namespace) -> None:
    assemble(a.work, a.out, a.share, a.model)
