"""Text is cut into passages where a reader would breathe, and each cut has the pause that belongs there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper import limits
from zipper.text.cutting import CLAUSE_PAUSE, SENTENCE_PAUSE, WORD_PAUSE, cut
from zipper.text.normalize import normalize

LONG = (
    "When the river rose in the night the old bridge was carried away, and nobody could reach the mill until the boats "
    "came; so we waited on the hill and watched the water, which was brown and very fast."
)


def test_sentences_are_passages() -> None:
    parts = cut("Hello there. How are you? fine")
    assert [part.text for part in parts] == ["Hello there.", "How are you? fine."]
    assert [part.pause for part in parts] == [SENTENCE_PAUSE] * 2


def test_headings_and_items_keep_their_pause() -> None:
    parts = cut(normalize("# Shopping\n- eggs\n- brown bread"))
    assert [(part.text, part.pause) for part in parts] == [
        ("Shopping.", SENTENCE_PAUSE),
        ("Eggs.", SENTENCE_PAUSE),
        ("Brown bread.", SENTENCE_PAUSE),
    ]


def test_a_line_broken_inside_a_sentence_is_one_passage() -> None:
    assert [part.text for part in cut(normalize("We walked along\nthe river."))] == ["We walked along the river."]


def test_a_long_sentence_is_cut_at_clauses_with_shorter_pauses() -> None:
    parts = cut(LONG, 120)
    assert [part.text for part in parts] == [
        "When the river rose in the night the old bridge was carried away, and nobody could reach the mill until the "
        "boats came.",
        "So we waited on the hill and watched the water, which was brown and very fast.",
    ]
    assert [part.pause for part in parts] == [CLAUSE_PAUSE, SENTENCE_PAUSE]
    assert WORD_PAUSE < CLAUSE_PAUSE < SENTENCE_PAUSE


def test_without_marks_the_cut_is_before_a_word_that_opens_a_clause() -> None:
    text = "the people of the valley had never seen so much water in one summer because the snow had stayed until June"
    parts = cut(text, 80)
    assert [part.text.split()[0] for part in parts][1:] == ["Because"]
    assert parts[0].pause == WORD_PAUSE


def test_no_scrap_is_left_over() -> None:
    """Cut as full as it goes, "and sang." would stand alone; short passages are said badly."""
    text = "we walked along the river with all of the children and then we came home, ate a very good supper, and sang"
    assert min(len(part.text) for part in cut(text, 80)) > 25


def test_words_without_marks_and_letters_without_spaces() -> None:
    parts = cut("word " * 150)
    assert sum(part.text.lower().count("word") for part in parts) == 150
    assert "".join(part.text.rstrip(".").lower() for part in cut("a" * 500, 100)) == "a" * 500


@pytest.mark.parametrize("longest", [40, 80, 120, 240])
@given(st.text(alphabet="abc ,;.-\n'\"", max_size=600))
def test_cutting_loses_no_letter_and_keeps_the_limit(longest: int, text: str) -> None:
    parts = cut(text, longest)
    assert all(0 < len(part.text) <= longest for part in parts)
    assert [c for part in parts for c in part.text.lower() if c.isalpha()] == [c for c in text if c.isalpha()]
    assert limits.MAX_SENTENCE_CHARACTERS <= 240
