"""The command line: transcribe, synthesize, complete; evaluate, bench, train and import-llama.

Exit codes: 0 done, 1 a defect of ours, 2 wrong input or options (one line on stderr), 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from zipper import __version__
from zipper.errors import OptionError, StorageError, ZipperError

if TYPE_CHECKING:
    from zipper.api import Zipper

FORMATS = ("txt", "srt", "vtt", "json")
# Commands with a parser of their own: name -> (module with main(argv), what it does)
DELEGATED = {
    "evaluate": ("zipper.evaluation.cli", "measure recognition, synthesis, word times, text"),
    "bench": ("zipper.evaluation.bench", "measure speed and memory"),
    "train": ("zipper.training.cli", "run one stage of the training"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in DELEGATED:
            return int(import_module(DELEGATED[arguments[0]][0]).main(arguments[1:]) or 0)
        options = build_parser().parse_args(arguments)
        options.run(options)
    except ZipperError as error:
        print(f"zipper: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "zipper").partition(".")[0] == "zipper":
            raise
        print(
            f"zipper: this command needs the package {error.name}, see requirements-train.txt.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands but the delegated ones, which it only lists."""
    parser = argparse.ArgumentParser(prog="zipper", description="Text and speech decoders zipped together.")
    parser.add_argument("--version", action="version", version=f"zipper {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_transcribe(commands.add_parser("transcribe", help="recording to text"))
    _add_synthesize(commands.add_parser("synthesize", help="text to speech"))
    _add_complete(commands.add_parser("complete", help="continue a text or a recording"))
    _add_import(commands.add_parser("import-llama", help="read a Llama checkpoint as a tower"))
    for name, (_, description) in DELEGATED.items():
        commands.add_parser(name, help=description)
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", metavar="FILE", help="WAV, FLAC, OGG, MP3; with ffmpeg WebM, M4A")
    parser.add_argument(
        "--format", choices=FORMATS, default="txt", help="of the output (default: %(default)s)"
    )
    parser.add_argument("--beams", type=int, metavar="N", help="of the search for the likeliest text; 1 is greedy")
    _add_output(parser, required=False, help="write there (default: standard output)")
    parser.set_defaults(run=_transcribe)


def _add_synthesize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what to say; - reads standard input")
    _add_output(parser, required=True, help="WAV file to write")
    parser.add_argument("--words", choices=FORMATS, help="print when each word is spoken, in this format")
    parser.add_argument("--voice", help="one of the model's voices (default: the first)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same speech")
    parser.set_defaults(run=_synthesize)


def _add_complete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", help="the text, or with --modality speech the recording, to continue")
    parser.add_argument("--modality", choices=("text", "speech"), default="text")
    parser.add_argument("--tokens", type=int, default=60, metavar="N", help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same continuation")
    _add_output(parser, required=False, help="WAV file to write, for speech")
    parser.set_defaults(run=_complete)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", help="folder with config.json and safetensors, or the one safetensors file"
    )
    parser.add_argument("folder", help="folder to write the tower to")
    parser.set_defaults(run=_import_llama, model=None)


def _add_output(parser: argparse.ArgumentParser, required: bool, help: str) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", required=required, help=help)
    parser.add_argument("--model", metavar="FOLDER", help="model folder (default: the one that comes along)")


def _load(options: argparse.Namespace) -> "Zipper":
    from zipper.api import Zipper

    return Zipper.from_pretrained(options.model) if options.model else Zipper.from_pretrained()


def _transcribe(options: argparse.Namespace) -> None:
    from zipper.audio import load_audio
    from zipper.export import export
    from zipper.rates import SPEECH_RATE

    samples = load_audio(options.recording)  # a bad file is told before the model is loaded
    chosen = {} if options.beams is None else {"beams": options.beams}
    transcript = _load(options).transcribe((samples, SPEECH_RATE), **chosen)
    _write(export(transcript, options.format), options.output)
    if not transcript.complete:
        print(
            "zipper: part of the recording was not understood to its end; words may be missing.",
            file=sys.stderr,
        )


def _synthesize(options: argparse.Namespace) -> None:
    from zipper.audio import write_wav
    from zipper.export import export
    from zipper.text.normalize import normalize

    text = sys.stdin.buffer.read().decode(errors="replace") if options.text == "-" else options.text
    normalize(text)  # bad text is told before the model is loaded
    speech = _load(options).synthesize(text, voice=options.voice, seed=options.seed)
    write_wav(options.output, speech.samples, speech.sample_rate)
    if options.words:
        _write(export(speech, options.words), None)


def _complete(options: argparse.Namespace) -> None:
    from zipper.audio import write_wav

    if options.modality == "speech":
        if not options.output:
            raise OptionError("Continued speech needs a file to be written to: -o FILE.")
        speech = _load(options).complete(
            options.prompt, "speech", max_tokens=options.tokens, seed=options.seed
        )
        write_wav(options.output, speech.samples, speech.sample_rate)
    else:
        text = _load(options).complete(options.prompt, max_tokens=options.tokens, seed=options.seed)
        _write(options.prompt.rstrip() + text + "\n", options.output)


def _import_llama(options: argparse.Namespace) -> None:
    from zipper.model.checkpoint import save_tower
    from zipper.model.llama import import_llama

    tower = import_llama(options.checkpoint)
    save_tower(tower, options.folder)
    size = sum(parameter.numel() for parameter in tower.parameters())
    print(
        f"{Path(options.folder)}: a tower of {tower.config.depth} blocks, {size / 1e6:.1f} million parameters"
    )


def _write(text: str, output: str | None) -> None:
    from zipper.files import save

    if output:
        save(output, text.encode())
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again as it exits
        if not isinstance(error, BrokenPipeError):  # that is a reader, such as head, which has seen enough
            raise StorageError(f"Could not write the output: {error.strerror}.") from error
