"""Text as typed becomes text as spoken; what cannot be spoken is refused in one sentence."""

import contextlib
import csv
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper import limits
from zipper.errors import LimitError, TextError, ZipperError
from zipper.text.cutting import cut
from zipper.text.normalize import normalize

TABLE = Path(__file__).parent / "normalization.tsv"


def rows() -> list[tuple[str, str, str]]:
    """Kind, what is typed, what is said; a line break is written \\n."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(r["kind"], r["typed"].replace("\\n", "\n"), r["spoken"].replace("\\n", "\n")) for r in table]


@pytest.mark.parametrize(("kind", "typed", "spoken"), rows())
def test_written_out(kind: str, typed: str, spoken: str) -> None:
    assert normalize(typed) == spoken


def test_the_table_covers_every_kind_once() -> None:
    kinds = Counter(kind for kind, _, _ in rows())
    assert sum(kinds.values()) >= 150 and min(kinds.values()) >= 3
    assert len({typed for _, typed, _ in rows()}) == sum(kinds.values())


def test_markup_is_text() -> None:
    assert normalize("<b>Hello</b> <script>alert(1)</script>") == "bee Hello bee script alert(one) script"


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\U0001f600\U0001f680", "...?!", "\x00\x01", "\u200b", "- -"])
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


def test_what_would_be_spoken_is_limited_before_it_is() -> None:
    """2,000 typed digits are 20,000 characters of speech, a quarter of an hour of work."""
    numbers = "1234567 " * (limits.MAX_TEXT_CHARACTERS // 8)
    with pytest.raises(LimitError, match=r"Written out .* at most 3,000 .*numbers or signs\.$"):
        normalize(numbers)
    plain = "It was a dark and stormy night. " * (limits.MAX_TEXT_CHARACTERS // 32)
    assert len(normalize(plain)) <= limits.MAX_TEXT_CHARACTERS


SCRAPS = ["9", "a.", "I", "A/", "-", "1,", "$", "((", "*a", "_", "x@", "1:", "a b ", "\n- ", "&", "'", "1 ", "a-", "# "]


@pytest.mark.parametrize("typed", SCRAPS)
def test_no_text_takes_long(typed: str) -> None:
    """The longest texts of one thing over and over: patterns must not try every way to match."""
    started = time.perf_counter()
    with contextlib.suppress(ZipperError):
        normalize((typed * limits.MAX_TEXT_CHARACTERS)[: limits.MAX_TEXT_CHARACTERS])
    assert time.perf_counter() - started < 5


@given(st.text(max_size=300))
def test_any_text_is_spoken_or_refused(text: str) -> None:
    try:
        spoken = normalize(text)
    except ZipperError as error:
        assert str(error).endswith(".")
        return
    assert spoken.isascii() and not any(c.isdigit() for c in spoken) and any(c.isalpha() for c in spoken)
    parts = cut(spoken)
    assert parts and all(0 < len(part.text) <= limits.MAX_SENTENCE_CHARACTERS for part in parts)


NUMBERS = r"[ $£#-]?[0-9]{0,14}[.,:/%°-]?[0-9]{1,14}( ?(km|am|st|th|s|May|million))?[.!?]?"


@given(st.from_regex(NUMBERS, fullmatch=True))
def test_any_number_is_written_out(text: str) -> None:
    spoken = normalize(text)
    assert not any(c.isdigit() for c in spoken)
    letters = [c for part in cut(spoken) for c in part.text.lower() if c.isalpha()]
    assert letters == [c for c in spoken.lower() if c.isalpha()]
