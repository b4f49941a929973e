"""Text as typed becomes text as spoken; what cannot be spoken is refused in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper import limits
from zipper.errors import LimitError, TextError, ZipperError
from zipper.text.normalize import normalize, sentences

SPOKEN = {
    "I have 3 cats.": "I have three cats.",
    "1,234": "one thousand two hundred and thirty-four",
    "Pi is 3.14.": "Pi is three point one four.",
    "agent 007": "agent zero zero seven",
    "-5 outside": "minus five outside",
    "the 21st of 22": "the twenty-first of twenty-two",
    "In 1984 and the 1990s": "In nineteen eighty-four and the nineteen nineties",
    "$5.20": "five dollars and twenty cents",
    "$1": "one dollar",
    "£0.50": "fifty pence",
    "$3.5 million": "three point five million dollars",
    "$5M": "five million dollars",
    "20%": "twenty percent",
    "March 3, 2024": "March third, twenty twenty-four",
    "on 5 May": "on the fifth of May",
    "12/25/2024": "December twenty-fifth, twenty twenty-four",
    "2024-12-25": "December twenty-fifth, twenty twenty-four",
    "at 10:30 a.m. sharp": "at ten thirty AM sharp",
    "at 5:05": "at five oh five",
    "at 12:00": "at twelve o'clock",
    "It is 9 p.m.": "It is nine PM.",
    "call 555-1234": "call five five five one two three four",
    "1914-1918": "nineteen fourteen to nineteen eighteen",
    "2½ cups": "two and a half cups",
    "3/4 of it": "three quarters of it",
    "a 10-year-old": "a ten-year-old",
    "5km at 60 mph": "five kilometers at sixty miles per hour",
    "20°C": "twenty degrees Celsius",
    "Dr. Smith": "Doctor Smith",
    "Mr. and Mrs. Lee": "Mister and Missus Lee",
    "St. Paul lives on Main St.": "Saint Paul lives on Main Street.",
    "fruit, e.g. apples": "fruit, for example, apples",
    "salt, pepper, etc.": "salt, pepper, et cetera.",
    "the U.S. flag": "the U S flag",
    "Tom & Ann + Bob": "Tom and Ann plus Bob",
    "No. 5 and #7": "number five and number seven",
    "\u201cIt\u2019s caf\u00e9\u201d \u2014 she said": '"It\'s cafe" - she said',
    "COVID-19, B2B": "COVID-nineteen, B two B",
    "READ THIS NOW. I MEAN IT": "Read this now. I mean it",
    "NASA": "NASA",
    "Hello \U0001f600 world": "Hello world",
    "Hello\x00 wor\x07ld": "Hello world",
    "me@example.com": "me at example dot com",
}


@pytest.mark.parametrize(("typed", "spoken"), SPOKEN.items())
def test_written_out(typed: str, spoken: str) -> None:
    assert normalize(typed) == spoken


def test_markup_is_text() -> None:
    assert normalize("<b>Hello</b> <script>alert(1)</script>") == "b Hello b script alert(one) script"


@pytest.mark.parametrize(
    "text", ["", "   ", "\n\t", "\U0001f600\U0001f680", "...?!", "\x00\x01", "\u200b", "- -"]
)
def test_nothing_to_speak(text: str) -> None:
    with pytest.raises(TextError, match="no "):
        normalize(text)


@pytest.mark.parametrize("text", ["你好", "Привет", "Hello 世界", "مرحبا", "नमस्ते"])
def test_other_scripts_are_refused(text: str) -> None:
    with pytest.raises(TextError, match="Only English"):
        normalize(text)


def test_too_long() -> None:
    with pytest.raises(LimitError, match="5,000 characters"):
        normalize("a" * 5000)


def test_not_a_string() -> None:
    with pytest.raises(TextError):
        normalize(5)  # type: ignore[arg-type]


def test_long_text_is_cut_at_sentences_then_clauses_then_words() -> None:
    assert sentences("Hello there. How are you? fine") == ["Hello there.", "How are you? fine."]
    clause = "so it went on and on"
    long = ", ".join([clause] * 30)
    parts = sentences(long)
    assert len(parts) > 1 and all(part.rstrip(".").lower().endswith("on") for part in parts)
    assert [len(part) for part in sentences("word " * 150)] == [240, 240, 240, 30]


@given(st.text(max_size=300))
def test_any_text_is_spoken_or_refused(text: str) -> None:
    try:
        spoken = normalize(text)
    except ZipperError as error:
        assert str(error).endswith(".")
        return
    assert spoken.isascii() and not any(c.isdigit() for c in spoken) and any(c.isalpha() for c in spoken)
    parts = sentences(spoken)
    assert parts and all(0 < len(part) <= limits.MAX_SENTENCE_CHARACTERS for part in parts)


NUMBERS = r"[ $£#-]?[0-9]{0,14}[.,:/%°-]?[0-9]{1,14}( ?(km|am|st|th|s|May|million))?[.!?]?"


@given(st.from_regex(NUMBERS, fullmatch=True))
def test_any_number_is_written_out(text: str) -> None:
    spoken = normalize(text)
    assert not any(c.isdigit() for c in spoken)
    letters = [c for part in sentences(spoken) for c in part.lower() if c.isalpha()]
    assert letters == [c for c in spoken.lower() if c.isalpha()]
