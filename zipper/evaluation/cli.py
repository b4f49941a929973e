"""`python -m zipper evaluate`: one subcommand for each kind of measurement; prints tables, writes JSON."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from zipper.alignment.heads import save_heads
from zipper.api import Zipper
from zipper.errors import ZipperError
from zipper.evaluation import report
from zipper.evaluation.alignment import choose, evaluate_forced, evaluate_recognition
from zipper.evaluation.asr import evaluate_recognizers, zipper_recognizer
from zipper.evaluation.detection import evaluate_detection
from zipper.evaluation.doubt import evaluate_doubt
from zipper.evaluation.language import evaluate_language, read_lines
from zipper.evaluation.manifest import read_recordings
from zipper.evaluation.peers import Recognizer, hibari_voice, load_mos, load_recognizer
from zipper.evaluation.sets import SETS, Normal, read_said
from zipper.evaluation.silence import PAIRS, PAUSES, evaluate_pauses
from zipper.evaluation.tts import (
    Spoken,
    SynthesisResult,
    as_recorded,
    from_tokens,
    judge,
    recorded,
    save_all,
    speak_all,
    zipper_voice,
)
from zipper.evaluation.vocoder import mels_of_recordings, mels_of_sentences, row_of, speak_mels
from zipper.model.checkpoint import load_tower
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.vocoder import load_vocoder

HIBARI = "hibari"
MAX_PAUSE = 120.0  # s, so that a pair stays within the longest recording
Report = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one evaluation; 2 and one line on stderr for an error that people can cause."""
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        if args.limit is not None and args.limit < 1:
            raise ZipperError("--limit must be at least 1.")
        results = args.run(args)
        if args.json:
            report.write_json(args.json, {"evaluation": args.command, "input": str(args.input), **results})
    except ZipperError as error:
        print(f"zipper: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line, see `python -m zipper evaluate --help`."""
    parser = argparse.ArgumentParser(prog="zipper evaluate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    asr = _command(commands, "asr", run_asr, "MANIFEST", "word error rate of recognition")
    _folders(asr, "--peer", "Whisper model folders that transcribe the same recordings")
    silence = _command(commands, "silence", run_silence, "MANIFEST", "what pauses between two recordings do to them")
    silence.add_argument("--pauses", type=float, nargs="+", default=PAUSES, metavar="S", help="in seconds")
    detection = _command(commands, "detection", run_detection, "MANIFEST", "detection of speech in noise")
    detection.add_argument("--noise", type=Path, metavar="MANIFEST", help="recordings without speech")
    _command(commands, "doubt", run_doubt, "MANIFEST", "how sure the model is of English and of other languages")
    spoken = f"what judges understand of synthesized sentences: a file, or {', '.join(SETS)}"
    tts = _command(commands, "tts", run_tts, "SENTENCES", spoken)
    tts.add_argument("--peer", default=None, help="'hibari', or a folder with one recording a sentence, by name")
    oracle = _command(commands, "oracle", run_oracle, "MANIFEST", "the same of recordings spoken from their tokens")
    vocoder = _command(commands, "vocoder", run_vocoder, "INPUT", "two vocoders on the same mels")
    vocoder.add_argument("--other", type=Path, required=True, metavar="FOLDER", help="of the vocoder to compare")
    vocoder.add_argument("--recordings", action="store_true", help="INPUT is a manifest; its own mels are spoken")
    for command in (tts, oracle, vocoder):
        _folders(command, "--judges", "Whisper model folders that listen")
        command.add_argument("--voice", default=None, help="voice of the speech (default: the first)")
        command.add_argument("--no-mos", action="store_true", help="leave DistillMOS out")
        command.add_argument("--out", type=Path, help="folder for the speech as WAV files")
    align = _command(commands, "align", run_align, "MANIFEST", "errors of word times where true ones are known")
    align.add_argument(
        "--choose-heads",
        type=Path,
        help="choose heads on every other recording, write them here, and measure on the rest",
    )
    text = _command(commands, "text", run_text, "FILE", "perplexity of the text tower, alone and fused")
    text.add_argument("--tower", type=Path, help="folder of the text tower from before the fusion")
    return parser


def run_asr(args: argparse.Namespace) -> Report:
    """Zipper and its peers on the recordings of a manifest."""
    recordings = read_recordings(args.input, args.limit)
    recognizers = {"zipper": zipper_recognizer(load_zipper(args)), **_recognizers(args.peer, args.threads)}
    results = evaluate_recognizers(recognizers, recordings)
    print(report.table([result.row() for result in results]))
    for result in results:
        print("\n" + report.worst(result.name, result.rates.worst))
    return {"results": [asdict(result) for result in results]}


def run_silence(args: argparse.Namespace) -> Report:
    """Pairs of recordings with room noise before, between and behind them; --limit counts recordings, not pairs."""
    if any(not 0 < pause <= MAX_PAUSE for pause in args.pauses):
        raise ZipperError(f"--pauses must be over 0 and at most {MAX_PAUSE:g} seconds.")
    recordings = read_recordings(args.input, args.limit or 2 * PAIRS)
    results = evaluate_pauses(load_zipper(args), recordings, args.pauses)
    print(report.table([result.row() for result in results]))
    for result in results:
        print(
            "\n"
            + report.worst(
                f"pauses of {result.pause:g} s" if result.pause else "the recordings alone", result.rates.worst
            )
        )
    return {"results": [asdict(result) for result in results]}


def run_detection(args: argparse.Namespace) -> Report:
    """Speech alone, quiet and over noise, and sounds that are no speech, by both detectors."""
    noises = read_recordings(args.noise) if args.noise else []
    results = evaluate_detection(read_recordings(args.input, args.limit), noises)
    print(report.table([result.row() for result in results]))
    for result in results:
        if result.wrong:
            print(f"\nWrong by zipper, {result.kind}: {', '.join(result.wrong)}")
    return {"results": [asdict(result) for result in results]}


def run_doubt(args: argparse.Namespace) -> Report:
    """Mean confidence of English recordings and of other languages, and how many fall under which threshold."""
    results = evaluate_doubt(load_zipper(args), read_recordings(args.input, args.limit))
    print(report.table([result.row() for result in results]))
    return {"results": [asdict(result) for result in results]}


def run_tts(args: argparse.Namespace) -> Report:
    """Zipper and a peer speaking sentences, and the peer's speech from its tokens.

    SENTENCES is a text file with one a line, a table (.tsv) with the columns typed and said, or the name of a set
    that comes with the package: long, calls or signs.
    """
    lines = read_said(args.input, args.limit)
    zipper = load_zipper(args)
    spoken = [speak_all("zipper", zipper_voice(zipper, args.voice), lines, args.out)]
    if args.peer == HIBARI:
        spoken.append(speak_all(HIBARI, hibari_voice(args.threads), lines, args.out))
    elif args.peer:
        spoken.append(recorded(Path(args.peer), lines.said))
    spoken += [_from_tokens(peer, zipper, args, f"{peer.name}, from its tokens") for peer in spoken[1:]]
    return _judge_all(spoken, args, lines.normal())


def run_oracle(args: argparse.Namespace) -> Report:
    """Recordings resynthesized from their own tokens, beside the recordings themselves."""
    recordings = as_recorded(read_recordings(args.input, args.limit))
    return _judge_all([_from_tokens(recordings, load_zipper(args), args, "oracle"), recordings], args)


def run_vocoder(args: argparse.Namespace) -> Report:
    """The model's vocoder and another one on the same mels: those that the model makes of sentences, or of recordings.

    INPUT is what `evaluate tts` takes or, with --recordings, a manifest.
    """
    other, zipper = load_vocoder(args.other), load_zipper(args)
    detokenizer = cast(Detokenizer, zipper.detokenizer)
    if args.recordings:
        mels, normal = mels_of_recordings(read_recordings(args.input, args.limit)), None
    else:
        lines = read_said(args.input, args.limit)
        mels, normal = mels_of_sentences(zipper, detokenizer, lines, args.voice), lines.normal()
    spoken = [speak_mels("model", detokenizer.vocoder, mels), speak_mels(args.other.name, other, mels)]
    if args.out:
        for one in spoken:
            save_all(one, args.out / one.name)
    results = _judged(spoken, args, normal)
    rows = [row_of(result, mels) for result in results]
    _print_judged(results, rows)
    return {"results": [result.as_dict() | row for result, row in zip(results, rows, strict=True)]}


def _from_tokens(spoken: Spoken, zipper: Zipper, args: argparse.Namespace, name: str) -> Spoken:
    """Speech made again from its own tokens, in the voice asked for."""
    detokenizer = zipper.detokenizer
    voice = args.voice or detokenizer.voices[0]
    return from_tokens(spoken, zipper.speech_tokenizer, detokenizer, voice, name, args.out)


def run_align(args: argparse.Namespace) -> Report:
    """Errors of word times; with --choose-heads, first the choice of the heads, on recordings of its own."""
    zipper, recordings = load_zipper(args), read_recordings(args.input, args.limit)
    if args.choose_heads:
        if len(recordings) < 2:
            raise ZipperError("Choosing heads needs at least two recordings: some to choose on, some to measure.")
        chosen_on, recordings = recordings[1::2], recordings[::2]
        zipper.heads = tuple(choose(zipper, chosen_on))
        save_heads(zipper.heads, args.choose_heads)
    heads = [asdict(head) for head in zipper.heads]
    if heads:
        print(report.table(heads) + "\n")
    errors = {
        "recognition": evaluate_recognition(zipper, recordings),
        "recognition, text given": evaluate_forced(zipper, recordings, "text_from_speech"),
        "synthesis, speech given": evaluate_forced(zipper, recordings, "speech_from_text"),
    }
    rows = [{"direction": name, **asdict(error)} for name, error in errors.items()]
    print(report.table(rows))
    return {"heads": heads, "results": rows}


def run_text(args: argparse.Namespace) -> Report:
    """Perplexity on a text file; an error if fusing changed a single logit of a model that keeps its text tower."""
    zipper = load_zipper(args)
    tower = load_tower(args.tower) if args.tower else None
    result = asdict(evaluate_language(zipper.model, zipper.text_tokenizer, read_lines(args.input, args.limit), tower))
    print(report.table([result]))
    if zipper.model.keeps_text and not result["identical"]:
        raise ZipperError("The fused model's text logits differ from the text tower's.")
    return {"results": [result]}


def _judge_all(spoken: Sequence[Spoken], args: argparse.Namespace, normal: Normal | None = None) -> Report:
    """Table, worst utterances and JSON of speech under the judges of the command line."""
    results = _judged(spoken, args, normal)
    _print_judged(results, [result.row() for result in results])
    return {"results": [result.as_dict() for result in results]}


def _judged(spoken: Sequence[Spoken], args: argparse.Namespace, normal: Normal | None) -> list[SynthesisResult]:
    """Speech under the judges of the command line."""
    if not args.judges and args.no_mos:
        raise ZipperError("There is nothing to judge by: name Whisper folders with --judges, or drop --no-mos.")
    judges = _recognizers(args.judges, args.threads)
    mos = None if args.no_mos else load_mos()
    return [judge(one, judges, mos, normal) for one in spoken]


def _print_judged(results: Sequence[SynthesisResult], rows: Sequence[dict[str, Any]]) -> None:
    """The table, and the worst utterances of each judge."""
    print(report.table(rows))
    for result in results:
        for name, rates in result.rates.items():
            print("\n" + report.worst(f"{result.spoken.name} by {name}", rates.worst))


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Report], given: str, summary: str
) -> argparse.ArgumentParser:
    """A subcommand with the options that all share."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=run.__doc__)
    parser.add_argument("input", metavar=given, type=Path)
    parser.add_argument("--model", type=Path, help="folder of Zipper's weights (default: the shipped ones)")
    parser.add_argument("--limit", type=int, help="only so many: recordings evenly spread, the first of lines")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.set_defaults(run=run)
    return parser


def _folders(parser: argparse.ArgumentParser, option: str, summary: str) -> None:
    parser.add_argument(option, type=Path, nargs="+", default=[], metavar="FOLDER", help=summary)


def load_zipper(args: argparse.Namespace) -> Zipper:
    """The weights of the command line, or the shipped ones."""
    return Zipper.from_pretrained(args.model)


def _recognizers(folders: Sequence[Path], threads: int) -> dict[str, Recognizer]:
    """Whisper models under the names of their folders."""
    return {folder.name: load_recognizer(folder, threads) for folder in folders}
