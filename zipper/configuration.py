"""Configurations, which are dataclasses, from plain data as JSON and YAML hold it."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import dacite

from zipper.errors import ConfigError

T = TypeVar("T")


def from_plain(kind: type[T], data: object, name: str) -> T:
    """The dataclass `kind`, nested ones too, from parsed JSON or YAML.

    name: of the configuration, for messages. Raises ConfigError, in one sentence, for a name that is unknown or
    missing and for a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name} must hold names and values, not {type(data).__name__}.")
    try:
        return dacite.from_dict(kind, data, RULES)
    except dacite.DaciteError as error:
        raise ConfigError(f"{name}: {error}.") from error


def _whole(value: Any) -> Any:
    """Python takes True for 1, a configuration does not."""
    if isinstance(value, bool):
        raise dacite.WrongTypeError(int, value)
    return value


def _real(value: Any) -> Any:
    """A finite number; YAML reads 2e-3 as text, for want of a dot."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise dacite.WrongTypeError(float, value)
    return number


RULES = dacite.Config(strict=True, cast=[tuple], type_hooks={int: _whole, float: _real})
