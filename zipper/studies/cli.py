"""Repeat the paper's studies: train what is missing, measure it, and draw a page of claims and figures.

A study that was stopped goes on. Its runs are shared with the other studies; a measure whose inputs are not named is
left out, and the page says that it is missing.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zipper import weights
from zipper.errors import OptionError
from zipper.studies.measures import Inputs, Measuring
from zipper.studies.page import write_page
from zipper.studies.prepare import code_levels, prepare, sources_of
from zipper.studies.results import read_results
from zipper.studies.running import Places, complete, standing
from zipper.studies.study import STUDIES, Run, Sizes, Study, check_variants, read_sizes, read_study, runs_of
from zipper.studies.toy import make_data, make_towers

SIZED = ("seconds", "tower_seconds", "recordings")  # sizes that are options too
PATHS = ("readers", "tests", "sentences", "spoken", "text", "judge")


def main(argv: Sequence[str] | None = None) -> int:
    """Run studies; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments = build_parser().parse_args(argv)
    studies = {Path(name).name: read_study(name) for name in arguments.studies or STUDIES}
    check_variants(studies)
    results = arguments.results or arguments.out / "results"
    if not arguments.draw:
        _run_all(studies, arguments, results)
    if not arguments.list:
        page = write_page(read_results(results), arguments.page or arguments.out / "paper.md")
        print(f"The page is {page}.")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line, see `./run reproduce --help`."""
    parser = argparse.ArgumentParser(prog="zipper reproduce", description=__doc__)
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help=f"{', '.join(STUDIES)} (default: all), or a YAML file"
    )
    parser.add_argument("--work", type=Path, help="folder with tokens, labels and text of the sources; it is only read")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/reproduce"), help="of models and results (default: %(default)s)"
    )
    parser.add_argument(
        "--parts", type=Path, help="model folder with text tower, tokenizer and voices (default: assets)"
    )
    parser.add_argument("--results", type=Path, help="folder of the JSON files (default: OUT/results)")
    parser.add_argument("--page", type=Path, help="file to draw, beside its folder pictures (default: OUT/paper.md)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="a toy, to see that all works")
    size.add_argument(
        "--gpu", dest="size", action="store_const", const="gpu", help="sizes for one card (default: for a CPU)"
    )
    parser.set_defaults(size="cpu")
    parser.add_argument("--seconds", type=float, metavar="N", help="of training each run")
    parser.add_argument("--tower-seconds", type=float, metavar="N", help="of pre-training the speech tower, once")
    parser.add_argument("--recordings", type=int, metavar="N", help="of each manifest, evenly spread")
    parser.add_argument("--asr", nargs="+", default=[], metavar="SOURCE", help="of recognition (default: all of WORK)")
    parser.add_argument(
        "--tts", nargs="+", default=[], metavar="SOURCE", help="of synthesis (default: those of zip.yaml)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of every run")
    _add_inputs(parser)
    parser.add_argument("--threads", type=int, default=1, help="of the judge (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="say what is done and what is missing, and end")
    parser.add_argument("--draw", action="store_true", help="draw the page from the results that there are, and end")
    parser.add_argument("--train-only", action="store_true", help="leave measuring to a later call")
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("what is measured on")
    inputs.add_argument(
        "--readers", type=Path, nargs="+", default=[], metavar="MANIFEST", help="their held-out people are heard"
    )
    inputs.add_argument(
        "--tests", type=Path, nargs="+", default=[], metavar="MANIFEST", help="test-clean, test-other: heard as a whole"
    )
    inputs.add_argument("--sentences", type=Path, metavar="FILE", help="held-out sentences to speak")
    inputs.add_argument(
        "--spoken", type=Path, metavar="MANIFEST", help="recordings to speak again, from their text and tokens"
    )
    inputs.add_argument("--text", type=Path, metavar="FILE", help="held-out text whose perplexity is measured")
    inputs.add_argument("--judge", type=Path, metavar="FOLDER", help="Whisper model that listens to synthesis")


def _run_all(studies: dict[str, Study], arguments: argparse.Namespace, results: Path) -> None:
    """Train and measure every run of every study, or list them."""
    for path in [*arguments.readers, *arguments.tests, *filter(None, (getattr(arguments, n) for n in PATHS[2:]))]:
        if not path.exists():
            raise OptionError(f"There is no {path}.")
    if arguments.threads < 1:
        raise OptionError("--threads must be at least 1.")
    sizes, parts = _sizes(arguments), weights.find(arguments.parts)
    weights.check_folder(parts)
    work = _work(arguments, parts)
    asr, tts = sources_of(work, arguments.asr, arguments.tts)
    common = (f"asr={json.dumps(asr)}", f"tts={json.dumps(tts)}", code_levels(parts), *arguments.set)
    places = Places(arguments.out / "work", arguments.out / "models", results, parts)
    measuring = Measuring(_inputs(arguments), sizes, arguments.threads)
    todo = {name: runs_of(study, sizes, common) for name, study in studies.items()}
    if arguments.list:
        _list(studies, todo, places, measuring)
        return
    if sizes.toy:
        make_towers(places.work, work, parts)
    prepare(work, places.work, parts, asr, sizes)
    for name, runs in todo.items():
        command = _command(name, arguments)
        for run in runs:
            complete(run, studies[name].measures, places, measuring, command, arguments.train_only)


def _sizes(arguments: argparse.Namespace) -> Sizes:
    """Sizes by their name, with what the options change. Raises ConfigError."""
    given = {name: getattr(arguments, name) for name in SIZED}
    return replace(read_sizes(arguments.size), **{name: value for name, value in given.items() if value is not None})


def _work(arguments: argparse.Namespace, parts: Path) -> Path:
    """The folder of data; that of a toy is made where none is named."""
    if arguments.work is not None:
        return Path(arguments.work)
    if arguments.size != "quick":
        raise OptionError("--work is missing: the folder with tokens, labels and text that the training stages made.")
    made = Path(arguments.out) / "toy"
    make_data(made, parts)
    return made


def _inputs(arguments: argparse.Namespace) -> Inputs:
    named = {name: getattr(arguments, name) for name in PATHS}
    return Inputs(tuple(named.pop("readers")), tuple(named.pop("tests")), **named)


def _list(studies: dict[str, Study], todo: dict[str, list[Run]], places: Places, measuring: Measuring) -> None:
    """Print what is done and what is missing."""
    for name, runs in todo.items():
        found = [standing(run, studies[name].measures, places, measuring) for run in runs]
        done = sum(one.trained and not one.missing and not one.left_out for one in found)
        print(f"{name}: {done} of {len(runs)} runs are done")
        for one in found:
            print(f"  {one}")


def _command(study: str, arguments: argparse.Namespace) -> str:
    """How to run a study again; folders by what they are, inputs by their names."""
    words = ["./run reproduce", study]
    words += [f"--{arguments.size}"] if arguments.size != "cpu" else []
    words += ["--work WORK"] if arguments.work else []
    for name in SIZED:
        if getattr(arguments, name) is not None:
            words.append(f"--{name.replace('_', '-')} {getattr(arguments, name):g}")
    words += [f"--{name} {' '.join(getattr(arguments, name))}" for name in ("asr", "tts") if getattr(arguments, name)]
    words += [f"--set '{setting}'" for setting in arguments.set]
    for name in PATHS:
        given = getattr(arguments, name)
        paths = given if isinstance(given, list) else [given] if given else []
        words += [f"--{name} {' '.join(path.name for path in paths)}"] if paths else []
    return " ".join(words)
