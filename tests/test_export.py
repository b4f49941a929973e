"""Exports hold every word once, in order, with times that players accept."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper.errors import OptionError
from zipper.export import CUE_CHARACTERS, cues, export
from zipper.results import Attention, Passage, Transcript, Word

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
        "1\n00:00:00,500 --> 00:00:01,400\nHello there.\n\n2\n01:01:01,250 --> 01:01:01,750\n<b>\n"
    )


def test_vtt() -> None:
    assert export(transcript(HELLO), "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.400\nHello there.\n\n01:01:01.250 --> 01:01:01.750\n&lt;b&gt;\n"
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
    assert " ".join(cue.text for cue in found) == " ".join(word.text for word in words)
    assert all(cue.end > cue.start >= 0 for cue in found)
    assert all(after.start >= before.end for before, after in zip(found, found[1:], strict=False))
    assert all(len(cue.text) <= CUE_CHARACTERS or " " not in cue.text for cue in found)


@given(word_lists())
def test_each_word_may_have_a_cue_of_its_own(words: list[Word]) -> None:
    found = cues(words, each_word=True)
    assert [cue.text for cue in found] == [word.text for word in words]
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
