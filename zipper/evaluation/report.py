"""Results as a table for people and JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from zipper.evaluation.metrics import Pair
from zipper.files import save

Row: TypeAlias = Mapping[str, Any]


def table(rows: Sequence[Row]) -> str:
    """Aligned columns; numbers to the right. A column that one row lacks stays blank there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [any(isinstance(row.get(column), int | float) for row in rows) for column in columns]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True))
        for line in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def worst(title: str, pairs: Sequence[Pair]) -> str:
    """The worst utterances, what was said above what was recognized."""
    lines = [f"{p.wer:6.1f} %  {p.id}\n          said  {p.reference}\n          heard {p.hypothesis}" for p in pairs]
    return "\n".join([f"Worst of {title}:", *(lines or ["          none, every word was right"])])


def write_json(path: Path, report: Row) -> None:
    """Save a report; StorageError if it cannot be."""
    save(path, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
