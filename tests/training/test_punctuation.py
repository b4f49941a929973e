"""Marks for transcripts without: what was planted in the pauses is found, and no word changes."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from zipper.data.labels import Aligned, read_aligned
from zipper.data.punctuation import COMMA, STOP, Punctuator, bare, marked, punctuate
from zipper.errors import DataError
from zipper.model import checkpoint
from zipper.text.tokenizer import TextTokenizer
from zipper.training import cli

WORDS = "The storm had come and the keeper slept while ships went by".split()
SECONDS = {"": 0.12, ",": 0.4, ".": 1.2}  # of the pauses that are planted


def row(name: str, marks: dict[int, str], shown: bool) -> Aligned:
    """Words of 0.2 s with a pause after each third one, as long as its mark says; marks are written if `shown`."""
    now, words, opens = 0.0, [], True
    for place, word in enumerate(WORDS):
        mark = marks.get(place, "")
        text = word[:1].upper() + word[1:] if opens and shown else word
        text += (mark if shown else "") if place + 1 < len(WORDS) else "."
        words.append((text, round(now, 3), round(now + 0.2, 3)))
        now += 0.2 + (SECONDS[mark] if place % 3 == 2 else 0.0)
        opens = mark == "."
    return Aligned(name, "someone", " ".join(word for word, _, _ in words), words)


PLANTED = [{2: ","}, {5: "."}, {2: ".", 8: ","}, {5: ",", 8: "."}, {}]


@pytest.fixture
def punctuator(model_folder: Path) -> Punctuator:
    folder = model_folder / "zipper"
    return Punctuator(checkpoint.load(folder).text.float(), TextTokenizer.from_pretrained(folder))


def write(folder: Path, rows: list[Aligned]) -> None:
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(asdict(one)) + "\n" for one in rows)
    (folder / "aligned.jsonl").write_text(lines, encoding="utf-8")


def test_marks_come_off_and_go_on_again() -> None:
    text = "We met, at last, in London. He said: hello. I'm fine."
    words, classes = bare(text)
    assert words == "We met at last in London he said hello I'm fine".split()
    assert [classes[i] for i in (0, 1, 3, 5, 7, 8)] == [0, COMMA, COMMA, STOP, COMMA, STOP]
    assert marked(words, classes, ".") == text.replace(":", ",")


def test_planted_marks_are_found_in_the_pauses_and_no_word_changes(tmp_path: Path, punctuator: Punctuator) -> None:
    like = [row(f"like/{i}", PLANTED[i % 5], True) for i in range(100)]
    plain = [row(f"plain/{i}", PLANTED[i % 5], False) for i in range(5)]
    unknown = Aligned("plain/unknown", "someone", "Nobody knows when.", [])
    write(tmp_path / "labels" / "like", like)
    write(tmp_path / "labels" / "plain", [*plain, unknown, row("plain/marked", PLANTED[0], True)])
    figures = punctuate(tmp_path, ["like"], ["plain"], punctuator)
    assert figures["comma precision"] == figures["stop recall"] == 1.0
    *found, still, kept = read_aligned(tmp_path / "labels" / "plain")
    assert still == unknown and kept == row("plain/marked", PLANTED[0], True)
    for before, after, marks in zip(plain, found, PLANTED, strict=True):
        assert after == row(before.id, marks, True)


def test_the_command_asks_the_text_tower_of_an_earlier_stage(model_folder: Path, tmp_path: Path) -> None:
    folder = model_folder / "zipper"
    checkpoint.save_tower(checkpoint.load(folder).text.float(), tmp_path / "pretrain-text")
    TextTokenizer.from_pretrained(folder).save(tmp_path / "text")
    write(tmp_path / "labels" / "like", [row(f"like/{i}", PLANTED[i % 5], True) for i in range(100)])
    write(tmp_path / "labels" / "plain", [row("plain/0", PLANTED[0], False)])
    cli.main(["punctuate", "--work", str(tmp_path), "plain", "--like", "like"])
    assert read_aligned(tmp_path / "labels" / "plain") == [row("plain/0", PLANTED[0], True)]


def test_marks_cannot_be_learnt_from_text_that_has_none(punctuator: Punctuator) -> None:
    with pytest.raises(DataError, match="pauses"):
        punctuator.fit([row("like/1", {}, True)])
