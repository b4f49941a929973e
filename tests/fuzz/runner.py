"""Runs attempts in worker processes, stops those that take too long, and gathers what went wrong."""

import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEMORY_MB = 1500  # the most that any process may hold
START_SECONDS = 60  # s until a worker is ready, on top of what its first attempt may take
WORKER_ATTEMPTS = 100  # attempts of one process, so that its memory is told in good time


@dataclass
class Outcome:
    """What came of all attempts. failures: (number, what went wrong). answers: how often each; without file names."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)  # s, number
    memory_mb: int = 0

    def add(self, report: dict[str, Any]) -> None:
        """Count one worker's report on one attempt."""
        number, seconds = int(report["number"]), float(report["seconds"])
        memory = max(int(report["own_mb"]), int(report["child_mb"]))
        self.slowest = max(self.slowest, (seconds, number))
        if memory > MEMORY_MB >= self.memory_mb:  # a process's peak stays, so only the first attempt is to blame
            self.failures.append((number, f"took {memory} MB of memory"))
        self.memory_mb = max(self.memory_mb, memory)
        if "failure" in report:
            self.failures.append((number, str(report["failure"])))
        else:
            self.answers[str(report.get("answer") or report["said"])] += 1


def run(kind: str, numbers: Sequence[int], seed: int) -> Outcome:
    """Make the attempts of one kind with these numbers."""
    module = import_module(f"{__package__}.{kind}")
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name:
        module.prepare(Path(name))
        waiting = list(numbers)
        while waiting:
            batch = waiting[:WORKER_ATTEMPTS]
            done = _work(kind, seed, Path(name), batch, module.LIMIT_SECONDS, outcome)
            waiting = waiting[done:]
            print(f"{len(numbers) - len(waiting)} of {len(numbers)} done", file=sys.stderr, flush=True)
    return outcome


def _work(kind: str, seed: int, folder: Path, numbers: Sequence[int], limit: float, outcome: Outcome) -> int:
    """Let one worker make attempts; returns how many were made, the last one perhaps the worker's end."""
    command = [sys.executable, "-m", "tests.fuzz.worker", kind, str(seed), str(folder), *map(str, numbers)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        assert worker.stdout is not None
        for place, number in enumerate(numbers):
            timer = threading.Timer(limit + (0 if place else START_SECONDS), worker.kill)
            timer.start()
            line = worker.stdout.readline()
            late = not timer.is_alive()
            timer.cancel()
            if not line:
                outcome.failures.append((number, f"took more than {limit:.0f} s" if late else "ended the process"))
                return place + 1
            outcome.add(json.loads(line))
    return len(numbers)
