"""What is kept of a run: one JSON file with its settings, losses, gates and measurements."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from zipper import __version__
from zipper.configuration import from_plain
from zipper.errors import ConfigError, DataError
from zipper.evaluation.report import write_json
from zipper.training.cost import COST_FILE
from zipper.training.loop import LOG_FILE

MOST_GATES = 60  # entries of the log that are kept
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """One measurement: by which command, on what, and its figures; WER in %.

    utterances: of synthesis, characters, words and the word errors of each sample.
    """

    command: str
    inputs: dict[str, Any]
    figures: dict[str, float]
    utterances: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Result:
    """One run; losses are those of the last log entry of the held-out people, gates go over the run."""

    name: str
    variant: str
    title: str
    stage: str
    fraction: float
    seed: int
    settings: list[str]
    revision: str
    command: str
    steps: int
    cost: dict[str, float]
    losses: dict[str, float]
    gates: list[dict[str, float]]
    measured: dict[str, Measured] = field(default_factory=dict)

    @property
    def length(self) -> str:
        """How long it was trained: in seconds, or in steps where the clock did not end it."""
        found = [s.partition("=")[2] for s in self.settings if s.startswith("loop.seconds=")]
        return f"{found[-1]} s" if found and float(found[-1]) else f"{self.steps} steps"

    def save(self, folder: Path) -> None:
        """Write FOLDER/NAME.json. Raises StorageError."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.name}.json", asdict(self))


class Results:
    """All runs of a folder."""

    def __init__(self, runs: Iterable[Result]) -> None:
        self.runs = list(runs)

    def of(self, variant: str, fraction: float = 1.0) -> list[Result]:
        """Runs of a variant on a fraction of the transcribed speech, one for each seed."""
        return [run for run in self.runs if run.variant == variant and run.fraction == fraction]

    def values(self, variant: str, measure: str, figure: str, fraction: float = 1.0) -> list[float]:
        """One figure of every seed that has it."""
        found = (run.measured[measure].figures for run in self.of(variant, fraction) if measure in run.measured)
        return [figures[figure] for figures in found if figure in figures]


def read_result(path: Path) -> Result:
    """One JSON file; ConfigError where it is none of ours."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is not the JSON of a run: delete it, and the run is measured again.") from error
    return from_plain(Result, data, path.name)


def read_results(folder: Path) -> Results:
    """Every run of a folder, by name; a folder that is not there has none."""
    return Results(read_result(path) for path in sorted(folder.glob("*.json")))


def read_log(run: Path) -> tuple[int, dict[str, float], list[dict[str, float]]]:
    """Of the log of a training run: its steps, the last losses of the held-out people, and gates over the steps."""
    try:
        entries = [json.loads(line) for line in (run / LOG_FILE).read_text(encoding="utf-8").splitlines()]
    except OSError:
        return 0, {}, []
    steps = max((int(entry["step"]) for entry in entries), default=0)
    losses: dict[str, float] = {}
    for entry in entries:
        losses |= {name.removeprefix("held_out."): v for name, v in entry.items() if name.startswith("held_out.")}
    gates = [
        {"step": entry["step"], **{n: v for n, v in entry.items() if n.startswith("gate.")}}
        for entry in entries
        if any(name.startswith("gate.") for name in entry)
    ]
    every = max(1, -(-len(gates) // MOST_GATES))
    return steps, losses, gates[::-1][::every][::-1]  # the last one always


def read_cost(run: Path) -> dict[str, float]:
    """Parameters and operations of a training run that is finished."""
    try:
        return dict(json.loads((run / COST_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{run.parent.name} has no {COST_FILE}: delete the folder, and it is trained again."
        ) from error


def revision() -> str:
    """The git revision of the checkout, with + where files differ from it; the version of a package without one."""
    try:
        hashed = _git("rev-parse", "--short=12", "HEAD")
        return hashed + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return __version__


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def spread(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation, 0 of a single value."""
    found = list(values)
    return mean(found), stdev(found) if len(found) > 1 else 0.0
