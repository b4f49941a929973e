"""The command line: transcribe, synthesize, complete; evaluate, bench, train, reproduce and import-llama.

Exit codes: 0 done, 1 a defect of ours, 2 wrong input or options (one line on stderr), 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from zipper import __version__, limits, startup, terminal, weights
from zipper.errors import AudioError, LimitError, OptionError, StorageError, ZipperError
from zipper.inference import arguments

if TYPE_CHECKING:
    from zipper.api import Zipper
    from zipper.audio.io import Samples

PROGRAM = os.environ.get("ZIPPER_COMMAND", "zipper")  # as people type it; the script `run` sets it
FORMATS = ("txt", "srt", "vtt", "json")
JOINED = ("txt", "json")  # formats of which several can stand in one stream
# Commands with a parser of their own: name -> (module with main(argv), what it does)
DELEGATED = {
    "evaluate": ("zipper.evaluation.cli", "measure recognition, synthesis, word times, text"),
    "bench": ("zipper.evaluation.bench", "measure speed and memory"),
    "train": ("zipper.training.cli", "run one stage of the training"),
    "reproduce": ("zipper.studies.cli", "repeat the paper's studies"),
}
PAGE = f"""\
usage: {PROGRAM} COMMAND ...

Turn recordings into text and text into speech, on this computer, in English.

commands
  transcribe FILE...     what is said in recordings, as text, subtitles or JSON
  synthesize TEXT        speak a text into a WAV file
  complete TEXT          go on with a text, as the model would

  evaluate, bench        measure how well and how fast all of this works
  train                  train a model of your own, stage by stage
  reproduce              repeat the paper's studies and draw their figures
  import-llama           use a Llama checkpoint as the part that knows text

examples
  {PROGRAM} transcribe talk.mp3                       print what is said
  {PROGRAM} transcribe talk.mp3 -o talk.srt           subtitles; .vtt, .json and .txt are written too
  {PROGRAM} transcribe *.wav -o texts/                a text for each recording
  ffmpeg -i film.mkv -f wav - | {PROGRAM} transcribe -
  {PROGRAM} synthesize "Hello there." -o hello.wav    add --voice NAME for another voice
  {PROGRAM} synthesize - -o - <letter.txt | aplay     - is standard input, and standard output
  {PROGRAM} complete "Once upon a"

{PROGRAM} COMMAND --help explains a command and its options. The app in the browser, without any command
line, is started by ./run alone, or python -m app; ./run --port 8000 sets its options, python -m app --help lists them.
The first ./run installs 1.2 GB into .venv; 5.2 GB with CUDA, where there is a GPU or an index is set for pip or uv.
"""


class Parser(argparse.ArgumentParser):
    """Tells a wrong option in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """Raise what `main` prints."""
        raise OptionError(f"{message}; {self.prog} --help explains the options.")


class Target(NamedTuple):
    """Where the result of one recording goes; path: None for standard output."""

    path: str | None
    format: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # no table may end in a traceback where é is unknown
    try:
        if not arguments:
            terminal.tell(f"a command is missing; {PROGRAM} --help lists them all.")
            return 2
        if arguments[0] in DELEGATED:
            with startup.importing():
                command = import_module(DELEGATED[arguments[0]][0])
            return int(command.main(arguments[1:]) or 0)
        options = build_parser().parse_args(arguments)
        return int(options.run(options) or 0)
    except ZipperError as error:
        terminal.tell(str(error))
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "zipper").partition(".")[0] == "zipper":
            raise
        terminal.tell(f"this command needs the package {error.name}: install requirements-train.txt, the extra train.")
        return 2
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands but the delegated ones, of which it only knows the names."""
    parser = Parser(prog=PROGRAM)
    parser.format_help = lambda: PAGE  # type: ignore[method-assign]
    parser.add_argument("--version", action="version", version=f"zipper {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, description=text)

    _add_transcribe(add("transcribe", "Write down what is said in recordings; progress of several goes to stderr."))
    _add_synthesize(add("synthesize", "Speak a text. The same text, voice and seed give the same sound."))
    _add_complete(add("complete", "Continue a text, or a recording, by the model that knows only text, or only sound."))
    _add_import(add("import-llama", "Make a tower, one half of a model, of a Llama checkpoint."))
    for name in DELEGATED:
        add(name, "")
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recordings",
        nargs="+",
        metavar="FILE",
        help="WAV, FLAC, OGG, MP3; with ffmpeg WebM, M4A and more; - is standard input",
    )
    parser.add_argument("--format", choices=FORMATS, help="of the output (default: by the name of -o, else txt)")
    parser.add_argument(
        "--beams",
        type=_whole("The number of beams", 1, limits.MAX_BEAMS),
        metavar="N",
        help=f"of the search for the likeliest text, from 1, the fastest, to {limits.MAX_BEAMS}",
    )
    _add_output(parser, required=False, help="file to write; a folder for one file each (default: standard output)")
    parser.set_defaults(run=_transcribe)


def _add_synthesize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    _add_output(parser, required=True, help="WAV file to write; - is standard output")
    parser.add_argument("--words", choices=FORMATS, help="print when each word is spoken, in this format")
    parser.add_argument("--voice", metavar="NAME", help="of the model; a wrong one lists all (default: the first)")
    _add_seed(parser, "speech")
    speeds = f"from {limits.MIN_SPEED:g} to {limits.MAX_SPEED:g}; the pitch stays (default: %(default)g)"
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help=speeds)
    semitones = f"semitones up or down, at most {limits.MAX_PITCH:g}; the pace stays (default: %(default)g)"
    parser.add_argument("--pitch", type=float, default=0.0, metavar="X", help=semitones)
    parser.set_defaults(run=_synthesize)


def _add_complete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "prompt", metavar="TEXT", help="what to continue; with --modality speech a recording; - reads standard input"
    )
    parser.add_argument("--modality", choices=("text", "speech"), default="text", help="(default: %(default)s)")
    parser.add_argument(
        "--tokens",
        type=_whole("The number of tokens", 1, limits.MAX_COMPLETION_TOKENS),
        default=60,
        metavar="N",
        help="at most; 25 of speech are a second (default: %(default)s)",
    )
    _add_seed(parser, "continuation")
    _add_output(parser, required=False, help="file to write, WAV for speech (default for text: standard output)")
    parser.set_defaults(run=_complete)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="folder with config.json and safetensors, or the one safetensors file")
    parser.add_argument("folder", help="folder to write the tower to")
    parser.set_defaults(run=_import_llama, model=None)


def _add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--seed",
        type=_whole("The seed", -(2**63), 2**63 - 1),
        default=0,
        metavar="N",
        help=f"whole number; the same one gives the same {what} (default: %(default)s)",
    )


def _add_output(parser: argparse.ArgumentParser, required: bool, help: str) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", required=required, help=help)
    parser.add_argument(
        "--model",
        metavar="FOLDER",
        help=f"model folder (default: {weights.HOME_VARIABLE}, else the one that comes along)",
    )


def _whole(name: str, low: int, high: int) -> Callable[[str], int]:
    """A type of argparse: a whole number in a range."""

    def read(value: str) -> int:
        try:
            number: object = int(value)
        except ValueError:
            number = value
        return arguments.whole(number, name, low, high)

    return read


def _load(options: argparse.Namespace) -> "Zipper":
    with startup.importing():
        from zipper.api import Zipper

    return Zipper.from_pretrained(options.model or None)


def _transcribe(options: argparse.Namespace) -> int:
    """One recording after the other; one of several that fails is reported and does not stop the others."""
    from zipper.audio.io import load_audio

    output = None if options.output == terminal.STANDARD else options.output
    targets = _targets(options.recordings, output, options.format or _format(output))
    model: Zipper | None = None
    failed = 0
    for number, (name, target) in enumerate(targets.items(), start=1):
        if len(targets) > 1:
            terminal.tell(f"{number} of {len(targets)}: {name}")
        try:
            with terminal.recording(name) as path:
                samples = load_audio(path)  # a bad file is reported before the model is loaded
            model = model or _load(options)
            _transcribe_one(model, samples, target, options)
        except (AudioError, LimitError, StorageError) as error:
            if len(targets) == 1:
                raise
            failed += 1
            terminal.tell(str(error))
    return 2 if failed else 0


def _transcribe_one(model: "Zipper", samples: "Samples", target: Target, options: argparse.Namespace) -> None:
    from zipper.export import export
    from zipper.rates import SPEECH_RATE

    chosen = {} if options.beams is None else {"beams": options.beams}
    transcript = model.transcribe((samples, SPEECH_RATE), **chosen)
    terminal.write(export(transcript, target.format), target.path)
    for warning in transcript.warnings:
        terminal.tell(warning)


def _targets(recordings: Sequence[str], output: str | None, file_format: str) -> dict[str, Target]:
    """Where the result of each recording goes, by its name; the folder of several is made. Raises OptionError."""
    names = list(dict.fromkeys(recordings))
    if output is None or not _is_folder(output):
        if len(names) > 1 and (output is not None or file_format not in JOINED):
            raise OptionError("Results of several recordings need a folder to be written to: -o FOLDER/.")
        return dict.fromkeys(names, Target(output, file_format))
    stems = {name: "standard input" if name == terminal.STANDARD else Path(name).stem for name in names}
    if len(set(stems.values())) < len(stems):
        raise OptionError("Two of the recordings have the same name, so their results would overwrite each other.")
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise StorageError(f"The folder {output} cannot be made: {getattr(error, 'strerror', error)}.") from error
    return {name: Target(str(Path(output) / f"{stem}.{file_format}"), file_format) for name, stem in stems.items()}


def _is_folder(output: str | None) -> bool:
    return bool(output) and (str(output).endswith(os.sep) or Path(str(output)).is_dir())


def _format(output: str | None) -> str:
    """The format that the name of a file asks for; OptionError for one that cannot be written."""
    ending = "" if output is None or _is_folder(output) or terminal.flows(output) else Path(output).suffix[1:].lower()
    if ending and ending not in FORMATS:
        raise OptionError(
            f"A transcript cannot be written as .{ending}: name the file .txt, .srt, .vtt or .json, or give --format."
        )
    return ending or FORMATS[0]


def _check_wav(output: str) -> None:
    """OptionError where the name of a file asks for another format than WAV."""
    ending = "" if output == terminal.STANDARD or terminal.flows(output) else Path(output).suffix[1:].lower()
    if ending not in ("", "wav", "wave"):
        raise OptionError(f"Speech cannot be written as .{ending}, only as WAV: name the file .wav.")


def _synthesize(options: argparse.Namespace) -> None:
    with startup.importing():
        from zipper.audio.io import wav_bytes
        from zipper.export import export
        from zipper.inference.components import read_voices
        from zipper.text.normalize import normalize

    _check_wav(options.output)
    if options.words and options.output == terminal.STANDARD:
        raise OptionError("The speech and the times of its words cannot both go to standard output: -o FILE.")
    text = terminal.argument_text(options.text)
    normalize(text)  # bad text, a speed out of range and an unknown voice are reported before the model is loaded
    arguments.delivery(options.speed, options.pitch)
    arguments.voice(options.voice, read_voices(weights.find(options.model or None)))
    delivery = {"speed": options.speed, "pitch": options.pitch}
    speech = _load(options).synthesize(text, voice=options.voice, seed=options.seed, **delivery)
    terminal.write(wav_bytes(speech.samples, speech.sample_rate), options.output)
    if options.words:
        terminal.write(export(speech, options.words), None)


def _complete(options: argparse.Namespace) -> None:
    if options.modality == "speech":
        _complete_speech(options)
        return
    prompt = terminal.argument_text(options.prompt)
    text = _load(options).complete(prompt, max_tokens=options.tokens, seed=options.seed)
    terminal.write(prompt.rstrip() + text + "\n", options.output)


def _complete_speech(options: argparse.Namespace) -> None:
    from zipper.audio.io import load_audio, wav_bytes
    from zipper.rates import SPEECH_RATE

    if not options.output:
        raise OptionError("Continued speech needs a file to be written to: -o FILE.")
    _check_wav(options.output)
    with terminal.recording(options.prompt) as path:
        samples = load_audio(path)
    sound = (samples, SPEECH_RATE)
    speech = _load(options).complete(sound, "speech", max_tokens=options.tokens, seed=options.seed)
    terminal.write(wav_bytes(speech.samples, speech.sample_rate), options.output)


def _import_llama(options: argparse.Namespace) -> None:
    from zipper.model.checkpoint import save_tower
    from zipper.model.llama import import_llama

    tower = import_llama(options.checkpoint)
    save_tower(tower, options.folder)
    size = sum(parameter.numel() for parameter in tower.parameters())
    print(f"{Path(options.folder)}: a tower of {tower.config.depth} blocks, {size / 1e6:.1f} million parameters")
