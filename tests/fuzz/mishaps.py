"""Attempts that go wrong in every way that the runner has to notice; no kind of `python -m tests.fuzz`."""

import os
import time
from pathlib import Path

from zipper.errors import AudioError

LIMIT_SECONDS = 5.0


def prepare(folder: Path) -> None:
    """Nothing is needed."""


def attempt(number: int, seed: int, folder: Path) -> str:
    """Go wrong by the number."""
    if number == 1:
        raise KeyError("a defect")
    if number == 2:
        raise AudioError("Two\nlines.")
    if number == 3:
        os._exit(3)
    if number == 4:
        time.sleep(600)
    return "fine"
