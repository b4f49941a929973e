"""Options as callers give them, of any number type, made what the model takes; one sentence for what they are not."""

import math
import operator
from collections.abc import Sequence
from typing import Any, cast

from zipper import limits
from zipper.errors import OptionError, TextError, ZipperError
from zipper.speech.delivery import Delivery

SEED_BITS = 64  # a seed is a signed whole number of so many bits


def whole(value: Any, name: str, low: int, high: int, error: type[ZipperError] = OptionError) -> int:
    """A whole number of any integer type, such as numpy's, from low to high; an error for everything else."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise error(f"{name} must be a whole number from {low} to {high}, not {_shown(value)}.")
    return number


def seed(value: Any) -> int:
    """A seed; OptionError for None, a fraction, a text or more than 64 bits."""
    return whole(value, "The seed", -(2 ** (SEED_BITS - 1)), 2 ** (SEED_BITS - 1) - 1)


def later_seed(first: int, count: int) -> int:
    """The seed `count` after one, which begins again below after the largest."""
    half = 2 ** (SEED_BITS - 1)
    return cast(int, (first + count + half) % (2 * half) - half)


def real(value: Any, name: str, low: float) -> float:
    """A finite number of any type, at least `low`; OptionError for everything else."""
    try:
        value = value.detach() if hasattr(value, "detach") else value  # a tensor may belong to a graph
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not low <= number < math.inf:
        raise OptionError(f"{name} must be a number from {low:g} up, not {_shown(value)}.")
    return number


def between(value: Any, name: str, low: float, high: float) -> float:
    """A finite number of any type from low to high; OptionError for everything else."""
    try:
        number = real(value, name, low)
    except OptionError:
        number = math.inf
    if number > high:
        raise OptionError(f"{name} must be a number from {low:g} to {high:g}, not {_shown(value)}.")
    return number


def delivery(speed: Any, pitch: Any) -> Delivery:
    """Speed and pitch of speech within the limits; OptionError for others."""
    return Delivery(
        round(between(speed, "The speed", limits.MIN_SPEED, limits.MAX_SPEED), 2),
        between(pitch, "The pitch", -limits.MAX_PITCH, limits.MAX_PITCH),
    )


def voice(value: Any, voices: Sequence[str]) -> str:
    """One of the voices, the first for None; OptionError for anything else."""
    if value is None:
        return voices[0]
    if not isinstance(value, str) or value not in voices:
        raise OptionError(f"There is no voice {_shown(value)}; choose one of {', '.join(voices)}.")
    return value


def text(value: Any) -> str:
    """A text; TextError for another type and for one that holds half a character, as undecodable input does."""
    if not isinstance(value, str):
        raise TextError(f"The text must be a string, not {type(value).__name__}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise TextError("The text holds bytes that are no characters; give it as UTF-8.") from error
    return value


def _shown(value: Any) -> str:
    """A value as a message can hold it: on one line, and not long."""
    shown = " ".join(ascii(value).split())
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
