"""The finished examples that the page opens with: loaded from files, without running the model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.first_look import files
from app.settings import EXAMPLES
from app.state import DisplayedResult

FOLDER = EXAMPLES / "first_look"
INDEX = "looks.json"  # for each panel: names of its results, their titles, the link, the status line, the marked words
PANELS = ("transcribe", "synthesize", "gates", "both", "round")


@dataclass(frozen=True, eq=False)
class FirstLook:
    """A finished example of one panel.

    displayed: the result, or the left one and the right one of a comparison, of which the latter is None where no word
    was recognized. status: the sentence that sums up a
    comparison, otherwise empty. words: the marked words of each side of a comparison, as `marks` returns them.
    """

    displayed: tuple[DisplayedResult | None, ...]
    status: str = ""
    words: tuple[dict[str, Any], ...] = ()


def load(panel: str, folder: Path = FOLDER) -> FirstLook:
    """The example of a panel, one of `PANELS`. Raises OSError, AudioError where a file is missing or broken."""
    entry = json.loads((folder / INDEX).read_text(encoding="utf-8"))[panel]
    displayed: list[DisplayedResult | None] = []
    for name, title in zip(entry["results"], entry["titles"], strict=True):
        if name is None:
            displayed.append(None)
            continue
        kept = files.read(folder, name)
        displayed.append(DisplayedResult(kept.result, kept.samples, kept.sample_rate, 0.0, title, entry["link"]))
    return FirstLook(tuple(displayed), entry["status"], tuple(entry["words"]))
