"""Exports hold every word once, in order, with times that players accept."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper.errors import OptionError
from zipper.export import export
from zipper.results import Attention, Passage, Transcript, Word
from zipper.subtitles import LINE_CHARACTERS, LONGEST_SECONDS, SHORTEST_SECONDS, cues

texts = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=30)


def transcript(words: list[Word], seconds: float = 60.0) -> Transcript:
    attention: Attention = None  # type: ignore[assignment]  # exports do not look at it
    text = " ".join(word.text for word in words)
    return Transcript((Passage(text, tuple(words), attention, 0.0, seconds),), seconds)


@st.composite
def word_lists(draw: st.DrawFn) -> list[Word]:
    now, words = 0.0, []
    for text in draw(st.lists(texts, min_size=1, max_size=40)):
        start = now + draw(st.floats(0, 2))
        now = start + draw(st.floats(0, 2))
        words.append(Word(text, start, now, draw(st.none() | st.floats(0, 1))))
    return words


HELLO = [Word("Hello", 0.5, 0.9, 0.98), Word("there.", 1.0, 1.4, 0.5), Word("<b>", 3661.25, 3661.75, 1.0)]


def test_txt() -> None:
    assert export(transcript(HELLO), "txt") == "Hello there. <b>\n"


def test_srt() -> None:
    assert export(transcript(HELLO), "srt") == (
        "1\n00:00:00,500 --> 00:00:01,500\nHello there.\n\n2\n01:01:01,250 --> 01:01:02,250\n<b>\n"
    )


def test_vtt() -> None:
    assert export(transcript(HELLO), "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nHello there.\n\n01:01:01.250 --> 01:01:02.250\n&lt;b&gt;\n"
    )


def test_json() -> None:
    whole = json.loads(export(transcript(HELLO), "json"))
    assert whole["text"] == "Hello there. <b>" and whole["seconds"] == 60.0
    assert whole["words"][0] == {"text": "Hello", "start": 0.5, "end": 0.9, "confidence": 0.98}


def test_unknown_format() -> None:
    with pytest.raises(OptionError, match="txt, srt, vtt, json"):
        export(transcript(HELLO), "docx")


@given(word_lists())
def test_cues_hold_every_word_once_and_follow_each_other(words: list[Word]) -> None:
    found = cues(words)
    assert " ".join(line for cue in found for line in cue.lines) == " ".join(word.text for word in words)
    assert all(cue.start >= 0 for cue in found)
    assert all(after.start >= before.end for before, after in zip(found, found[1:], strict=False))


@given(word_lists())
def test_cues_are_as_broadcasters_want_them(words: list[Word]) -> None:
    for cue in cues(words):
        assert SHORTEST_SECONDS - 1e-6 <= cue.end - cue.start <= LONGEST_SECONDS + 1e-6
        assert len(cue.lines) <= 2
        assert all(len(line) <= LINE_CHARACTERS for line in cue.lines) or len(" ".join(cue.lines).split()) == 1


def spoken(text: str, seconds: float = 0.3, pauses: dict[int, float] | None = None) -> list[Word]:
    """Words of one length; pauses: seconds of silence before words by their number."""
    now, words = 0.0, []
    for number, word in enumerate(text.split()):
        now += (pauses or {}).get(number, 0.0)
        words.append(Word(word, now, now + seconds))
        now += seconds
    return words


def blocks(words: list[Word]) -> list[str]:
    return ["/".join(cue.lines) for cue in cues(words)]


def test_cues_end_at_sentences() -> None:
    assert blocks(spoken("It was late in the year. The leaves had fallen long ago.")) == [
        "It was late in the year.",
        "The leaves had fallen long ago.",
    ]


def test_cues_end_at_pauses() -> None:
    words = spoken("he looked around the room and then he went away", pauses={5: 1.0})
    assert blocks(words) == ["he looked around the room", "and then he went away"]


def test_full_cues_end_at_commas_and_have_lines_of_the_same_length() -> None:
    text = "He had walked along the river for an hour or more, and he had not seen a single boat upon the water."
    assert blocks(spoken(text, 0.25)) == [
        "He had walked along the/river for an hour or more,",
        "and he had not seen a/single boat upon the water.",
    ]


def test_short_sentences_share_a_cue_rather_than_flash() -> None:
    assert blocks(spoken("Yes. No. I do not know.")) == ["Yes. No. I do not know."]


def test_a_lone_short_word_stands_for_a_second_and_a_long_one_for_seven() -> None:
    (cue,) = cues([Word("Yes.", 2.0, 2.2)])
    assert (cue.start, cue.end) == (2.0, 3.0)
    (cue,) = cues([Word("Well", 0.0, 14.0)])
    assert (cue.start, cue.end) == (0.0, 7.0)


def test_times_of_real_words_are_kept() -> None:
    """No cue is pushed back by the one before where people speak at their usual pace."""
    words = spoken("one two three. four five six, seven eight nine ten. eleven twelve thirteen? fourteen" * 5, 0.3)
    starts = {word.start for word in words}
    assert all(cue.start in starts for cue in cues(words))


def test_the_long_example() -> None:
    """Times as the shipped weights gave them."""
    with (Path(__file__).parent / "long_example.json").open(encoding="utf-8") as stream:
        words = [Word(word["text"], word["start"], word["end"]) for word in json.load(stream)["words"]]
    assert blocks(words) == [
        "Jesus got on the donkey/and started for Jerusalem.",
        "The disciples walked to head,",
        "when they had almost reached the/city the disciples begin to shout.",
        "Jesus used to say that they must not/tell anyone that he was the Messiah.",
    ]
    assert all(1 <= cue.end - cue.start <= 7 for cue in cues(words))


@given(word_lists())
def test_each_word_may_have_a_cue_of_its_own(words: list[Word]) -> None:
    found = cues(words, each_word=True)
    assert [cue.lines for cue in found] == [(word.text,) for word in words]
    assert all(after.start >= before.end for before, after in zip(found, found[1:], strict=False))
    assert export(transcript(words), "srt", each_word=True).count("-->") == len(words)


@given(word_lists())
def test_subtitles_parse_back(words: list[Word]) -> None:
    blocks = export(transcript(words), "srt").split("\n\n")
    clock = r"\d\d+:[0-5]\d:[0-5]\d,\d{3}"
    for number, block in enumerate(blocks, start=1):
        lines = block.strip("\n").split("\n")
        assert lines[0] == str(number) and re.fullmatch(f"{clock} --> {clock}", lines[1])
        assert "-->" not in "".join(lines[2:])
    vtt = export(transcript(words), "vtt")
    assert vtt.startswith("WEBVTT\n") and vtt.count("-->") == len(cues(words))


@given(word_lists())
def test_json_keeps_text_and_times(words: list[Word]) -> None:
    whole = json.loads(export(transcript(words), "json"))
    assert [word["text"] for word in whole["words"]] == [word.text for word in words]
    assert all(abs(got["start"] - word.start) < 1e-3 for got, word in zip(whole["words"], words, strict=True))
