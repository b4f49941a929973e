"""What synthesis is asked to say: sentences of a file, or one of the sets that come with the package.

A text file holds one sentence a line, typed as it is said. A table (.tsv) holds what is typed and what should be
said, which are two things for "-10°F"; readings that sound alike or are as good stand side by side with " | ".
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jiwer

from zipper.errors import DataError
from zipper.evaluation.metrics import normalizer
from zipper.text.normalize import write_out

SETS = {
    "long": "20 held-out sentences of 200 to 260 characters",
    "calls": "60 calls of one to three words",
    "signs": "40 sentences with letters, numerals and signs",
}
COLUMNS = ("typed", "said")
ALTERNATIVES = " | "

Normal = Callable[[str], str]


@dataclass(frozen=True)
class Lines:
    """What is typed, what should be said, and whether the two differ, so that both are compared written out."""

    typed: list[str]
    said: list[str]
    table: bool

    def normal(self) -> Normal:
        """How what was heard is compared: under Whisper's normalizer and, for a table, written out before it.

        A judge writes "-10 °F" or "minus ten degrees Fahrenheit" as it likes; written out they are the same.
        """
        normal = normalizer()
        return (lambda text: normal(write_out(text))) if self.table else normal


def read_said(source: Path, limit: int | None = None) -> Lines:
    """The lines of a text file or a table, or of a set by its name; DataError if there are none."""
    name = str(source)
    try:
        if name in SETS and not source.exists():
            content = files("zipper.evaluation").joinpath(f"data/{name}.tsv").read_text(encoding="utf-8")
            return _table(content, name, limit)
        content = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        known = ", ".join(SETS)
        raise DataError(f"{source} is no text file of sentences and none of the sets {known}.") from None
    if source.suffix == ".tsv":
        return _table(content, name, limit)
    sentences = [line.strip() for line in content.splitlines() if line.strip()][:limit]
    if not sentences:
        raise DataError(f"{source} holds no sentence.")
    return Lines(sentences, sentences, table=False)


def _table(content: str, name: str, limit: int | None) -> Lines:
    rows = list(csv.DictReader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE))[:limit]
    if not rows or not all(row.get(column) for row in rows for column in COLUMNS):
        raise DataError(f"{name} needs rows with the columns {' and '.join(COLUMNS)}.")
    return Lines([row["typed"] for row in rows], [row["said"] for row in rows], table=True)


def closest(said: Sequence[str], heard: Sequence[str], normal: Normal) -> list[str]:
    """Of the readings of each line the one that is nearest to what was heard."""
    return [_closest(line.split(ALTERNATIVES), ear, normal) for line, ear in zip(said, heard, strict=True)]


def _closest(readings: Sequence[str], heard: str, normal: Normal) -> str:
    if len(readings) == 1:
        return readings[0]
    return min(readings, key=lambda reading: jiwer.wer(normal(reading), normal(heard)))
