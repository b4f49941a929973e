"""Speed and memory of transcribe and synthesize beside faster-whisper and hibari, each by itself."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zipper import weights
from zipper.errors import DataError, ZipperError
from zipper.evaluation.measure import Case, Measured
from zipper.evaluation.report import table, write_json

SECONDS = (3.0, 10.0, 30.0)
PROFILED_SECONDS = (10.0,)
EXAMPLES = Path("examples") / "recordings"  # in a model folder
MAX_WAIT = 1800  # s for one measurement
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m zipper bench`: prints a table; 2 and one line on stderr for an error people can cause."""
    parser = argparse.ArgumentParser(prog="zipper bench", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of Zipper's weights (default: the shipped ones)")
    parser.add_argument("--whisper", type=Path, help="CTranslate2 folder of a Whisper model to compare with")
    parser.add_argument("--audio", type=Path, help="recording to cut or repeat (default: an example)")
    parser.add_argument(
        "--seconds", type=float, nargs="+", help="lengths to measure (default: 3 10 30, with --profile 10)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of each engine (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument(
        "--profile", action="store_true", help="print instead which part of Zipper takes how much of the time"
    )
    args = parser.parse_args(argv)
    args.seconds = args.seconds or (PROFILED_SECONDS if args.profile else SECONDS)
    try:
        rows = profile_rows(args) if args.profile else [measure_row(case) for case in make_cases(args)]
        print(table(rows))
        if args.json:
            write_json(args.json, {"threads": args.threads, "results": rows})
    except ZipperError as error:
        print(f"zipper: {error}", file=sys.stderr)
        return 2
    return 0


def make_cases(args: argparse.Namespace) -> list[Case]:
    """Every engine at hand, task and length. hibari takes part where it is installed."""
    audio = str(args.audio or example_recording(args.model))
    zipper = str(args.model) if args.model else None
    cases = []
    for seconds in args.seconds:
        cases.append(Case("zipper", "transcribe", seconds, args.threads, zipper, audio))
        if args.whisper:
            cases.append(Case("faster-whisper", "transcribe", seconds, args.threads, str(args.whisper), audio))
    for seconds in args.seconds:
        cases.append(Case("zipper", "synthesize", seconds, args.threads, zipper))
        if find_spec("hibari"):
            cases.append(Case("hibari", "synthesize", seconds, args.threads))
    return cases


def profile_rows(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The parts of Zipper's own recognition and synthesis, measured in this process."""
    from zipper.evaluation.parts import profile

    return [line for case in make_cases(args) if case.engine == "zipper" for line in profile(case)]


def example_recording(model: Path | None = None) -> Path:
    """The first of the recordings that come with the checkout or else with the weights."""
    folder = weights.ASSETS / EXAMPLES
    if not folder.is_dir():
        folder = weights.find(model) / EXAMPLES
    found = sorted(path for path in folder.glob("*") if path.suffix in (".wav", ".flac", ".opus", ".ogg"))
    if not found:
        raise DataError("There is no example recording; name one with --audio.")
    return found[0]


def run_case(case: Case) -> Measured:
    """Measure in a fresh process; DataError with the last line it wrote if that fails."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(case.threads))
    command = [sys.executable, "-m", "zipper.evaluation.measure", json.dumps(asdict(case))]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MAX_WAIT)
    except subprocess.TimeoutExpired:
        raise DataError(f"{case.engine} took over {MAX_WAIT} s to {case.task} {case.seconds:g} s.") from None
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no message"]
    if done.returncode != 0:
        raise DataError(f"{case.engine} failed to {case.task} {case.seconds:g} s: {lines[-1]}")
    return Measured(**json.loads(lines[-1]))


def measure_row(case: Case) -> dict[str, Any]:
    """Measure a case; a failure becomes a line of its own, so that the other figures are not lost with it."""
    try:
        return row(case, run_case(case))
    except DataError as error:
        return {"task": case.task, "engine": case.engine, "asked s": case.seconds, "failed": str(error)}


def row(case: Case, measured: Measured) -> dict[str, Any]:
    """One line of the table. `first s` is the wait for the first text or the first sound."""
    return {
        "task": case.task,
        "engine": case.engine,
        "asked s": case.seconds,
        "audio s": measured.audio_s,
        "RTF": round(measured.total_s / measured.audio_s, 3) if measured.audio_s else None,
        "first s": measured.first_s,
        "total s": measured.total_s,
        "load s": measured.load_s,
        "peak MB": measured.peak_mb,
    }
