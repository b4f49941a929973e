"""The dictionary that beams are held to."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper.errors import WeightsError
from zipper.text.lexicon import Lexicon, LexiconPenalty, count_words

KNOWN = Lexicon(["don't", "sailor", "sail", "the", "well", "known", "sea"])
PIECES = [
    "",
    "",
    " the",
    " sail",
    "or",
    "er",
    ",",
    " do",
    "n",
    "'t",
    "\u2019",
    "t",
    " well",
    "-",
    "known",
    " S",
    "ea",
    "'s",
]
BEGIN, END = 0, 1
COST = 3.0


def gains(*pieces: str) -> list[float]:
    """What each piece of a line gains, the end as "<end>"."""
    cost = LexiconPenalty(KNOWN, PIECES, END, COST)
    ids = [END if piece == "<end>" else PIECES.index(piece) for piece in pieces]
    return [cost(ids[: i + 1]) for i in range(len(ids))]


def test_known_words_cost_nothing() -> None:
    assert gains(" the", " sail", "or", ",", " do", "n", "'t", " S", "ea", "<end>") == [0] * 10


def test_a_word_costs_once_as_soon_as_it_cannot_become_known() -> None:
    assert gains(" sail", "er", "er", " the", "<end>") == [0, -COST, 0, 0, 0]


def test_a_beginning_that_ends_is_no_word() -> None:
    assert gains(" do", " the") == [0, -COST]
    assert gains(" the", " do", "<end>") == [0, 0, -COST]
    assert gains(" do", "n", ",", "<end>") == [0, 0, -COST, 0]


def test_parts_of_compounds_are_words_of_their_own() -> None:
    assert gains(" well", "-", "known", "<end>") == [0] * 4
    assert gains(" well", "-", "or", "<end>") == [0, 0, -COST, 0]


@given(st.lists(st.sampled_from([p for p in PIECES if p]), max_size=12))
def test_the_gains_of_a_line_count_its_unknown_words(line: Sequence[str]) -> None:
    """Piece by piece or at the end, each word that is not known costs once; words are what spaces and signs part."""
    expected = 0
    for group in "".join(line).lower().split(" "):
        for part in group.replace(",", " ").replace("-", " ").replace("\u2019", " ").split():
            expected += bool(part.strip("'")) and part.strip("'") not in KNOWN
    assert sum(gains(*line, "<end>")) == -COST * expected


def test_counting_reads_both_apostrophes() -> None:
    assert count_words(["Don\u2019t sail, don't!"]) == {"don't": 2, "sail": 1}


def test_a_folder_may_have_no_words_or_broken_ones(tmp_path: Path) -> None:
    assert Lexicon.from_pretrained(tmp_path) is None
    KNOWN.save(tmp_path)
    again = Lexicon.from_pretrained(tmp_path)
    assert again is not None and len(again) == len(KNOWN) and "sailor" in again and again.has_prefix("sailo")
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match="words.txt"):
        Lexicon.from_pretrained(tmp_path)
