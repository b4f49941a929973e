"""Links that open the page with a result: what they carry, and how the values of a stranger's link are checked.

A link carries an example or a text, never a recording of a person's own. Its values are compared with what there is and
are shown nowhere but in the fields of the page that hold text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from app import examples
from app.panel import HIGHEST_TEMPERATURE, LARGEST_SEED, LOWEST_TEMPERATURE, Outputs, on_maps
from zipper import Zipper, limits
from zipper.errors import OptionError

# The values that the link of a tab may carry, beside its name and the head that is shown
CARRIED = {
    "transcribe": ("example",),
    "synthesize": ("text", "voice", "seed", "temperature", "speed", "pitch"),
    "gates": ("direction", "example", "text", "voice", "seed", "gates"),
    "both": ("example", "voice", "seed"),
    "round": ("text", "voice", "seed"),
}
IN_EXPLORE = ("gates", "both", "round")
TABS = (*CARRIED, "towers", "explore", "about")  # what a link may open
DIRECTIONS = ("recognition", "synthesis")


@dataclass(frozen=True)
class Link:
    """What a link carries; None where it says nothing. head: which matrix is shown, as ``selected_head`` takes it."""

    tab: str
    example: str | None = None
    text: str | None = None
    voice: str | None = None
    seed: int | None = None
    temperature: float | None = None
    speed: float | None = None
    pitch: float | None = None
    direction: str | None = None
    gates: tuple[float, ...] | None = None
    head: str | None = None

    @property
    def runs(self) -> bool:
        """Whether there is something to run, not only something to fill in."""
        return self.text is not None or self.example is not None

    def query(self) -> str | None:
        """The query of the link's address, without a question mark; None for a text that is too long for it."""
        if self.text is not None and len(self.text) > limits.MAX_LINK_CHARACTERS:
            return None
        pairs: dict[str, Any] = {"tab": self.tab}
        for name in CARRIED[self.tab]:
            value = getattr(self, name)
            if name == "gates" and value is not None:
                value = ",".join(f"{factor:g}" for factor in value)
            if value is not None:
                pairs[name] = f"{value:g}" if isinstance(value, float) else value
        return urlencode(pairs)


@dataclass(frozen=True)
class Known:
    """What there is to choose from: voices, names of examples, and the numbers of zip points and of heads in each."""

    voices: tuple[str, ...]
    examples: tuple[str, ...]
    points: int
    heads: int

    @classmethod
    def of(cls, model: Zipper) -> "Known":
        """What a model offers, with the examples that come along."""
        names = tuple(example.name for example in examples.recordings())
        return cls(tuple(model.voices), names, len(model.gates("text_from_speech")), model.model.config.attention_heads)


def parse(values: Mapping[str, str], known: Known) -> Link | None:
    """The link of a page's query; None for a query without a tab, so that the values of other programs do no harm.

    Raises OptionError, whose sentence says which value does not fit and repeats nothing of it.
    """
    tab = values.get("tab")
    if tab is None:
        return None
    if tab not in TABS:
        raise OptionError(f"The link names a tab that is not here; there are {', '.join(TABS)}.")
    carried = {name: values[name] for name in CARRIED.get(tab, ()) if name in values}
    checked = {name: _checked(name, value, known) for name, value in carried.items()}
    head = values.get("head")
    if head is not None:
        selected_head(head, known)
    link = Link(tab, **checked, head=head)
    if tab == "gates":
        spoken = link.direction == "synthesis"
        link = replace(link, example=None) if spoken else replace(link, text=None)
    return link


def selected_head(head: str, known: Known) -> dict[str, Any]:
    """The selection of a map, from "mean" (of all heads), "2.mean" (of zip point 2) or "2.3" (its head 3).

    Raises OptionError for anything else.
    """
    if head == "mean":
        return {"view": "mean"}
    found = re.fullmatch(r"([1-9][0-9]?)\.([1-9][0-9]?|mean)", head)
    if not found or int(found[1]) > known.points or (found[2] != "mean" and int(found[2]) > known.heads):
        raise OptionError(
            f"The link names a head that is not here; there are {known.points} zip points of {known.heads} heads, "
            "written as 2.3 for head 3 of zip point 2."
        )
    point = int(found[1]) - 1
    if found[2] == "mean":
        return {"view": "point", "point": point}
    return {"view": "head", "point": point, "head": int(found[2]) - 1}


def with_head(updates: Iterator[Outputs], link: Link, model: Zipper) -> Iterator[Outputs]:
    """The updates of a run, whose maps show the head that a link names."""
    selection = selected_head(link.head, Known.of(model)) if link.head else None
    for update in updates:
        yield on_maps(update, selection=selection)


def _checked(name: str, value: str, known: Known) -> Any:
    """A value of a link as the page takes it; OptionError for one that does not fit."""
    if name == "text":
        return _text(value)
    if name == "gates":
        return _gates(value, known)
    choices = {"voice": known.voices, "example": known.examples, "direction": DIRECTIONS}
    if name in choices:
        if value not in choices[name]:
            noun = {"voice": "a voice", "example": "an example", "direction": "a direction"}[name]
            raise OptionError(f"The link names {noun} that is not here; there are {', '.join(choices[name])}.")
        return value
    if name == "seed":
        if not re.fullmatch(r"[0-9]{1,16}", value) or int(value) > LARGEST_SEED:
            raise OptionError(f"The seed of the link must be a whole number from 0 to {LARGEST_SEED:,}.")
        return int(value)
    ranges = {
        "temperature": (LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE),
        "speed": (limits.MIN_SPEED, limits.MAX_SPEED),
        "pitch": (-limits.MAX_PITCH, limits.MAX_PITCH),
    }
    return _number(value, f"The {name} of the link", *ranges[name])


def _text(value: str) -> str:
    if not value.strip():
        raise OptionError("The text of the link is empty.")
    if len(value) > limits.MAX_LINK_CHARACTERS:
        raise OptionError(
            f"The text of the link is too long: a link carries at most {limits.MAX_LINK_CHARACTERS} characters."
        )
    return value


def _gates(value: str, known: Known) -> tuple[float, ...]:
    factors = value.split(",", 2 * known.points)
    if len(factors) != 2 * known.points:
        raise OptionError(f"The gates of the link must be {2 * known.points} numbers with commas between.")
    return tuple(_number(factor, "Each gate of the link", 0.0, 1.0) for factor in factors)


def _number(value: str, subject: str, low: float, high: float) -> float:
    if not re.fullmatch(r"-?[0-9]{1,2}(\.[0-9]{1,6})?", value) or not low <= float(value) <= high:
        raise OptionError(f"{subject} must be a number from {low:g} to {high:g}.")
    return float(value)
