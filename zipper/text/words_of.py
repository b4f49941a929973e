"""Whole numbers in English words, by the package num2words."""

from typing import Literal


def in_words(number: int, to: Literal["cardinal", "ordinal", "year"] = "cardinal") -> str:
    """A number as it is read, such as "forty-two", "forty-second" or "nineteen eighty-four"."""
    from num2words import num2words  # its 50 languages take a tenth of a second, and few texts hold a number

    return str(num2words(number, to=to))
