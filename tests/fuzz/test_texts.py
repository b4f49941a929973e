"""A few random texts and options; `python -m tests.fuzz.texts` tries the whole."""

from pathlib import Path

import pytest
from fuzz import texts

SAMPLE = 60


def test_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SHIPPED_EVERY", SAMPLE + 1)
    texts.prepare(tmp_path)
    tried = [texts._tried(number, 1, tmp_path) for number in range(1, SAMPLE + 1)]
    assert [problem for _, problem, _ in tried if problem] == []
    assert len({answer for answer, _, _ in tried}) > 10  # good ones, and bad ones of many kinds


def test_a_failure_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("a defect")

    monkeypatch.setattr(texts, "attempt", broken)
    assert "a defect" in texts._tried(0, 0, tmp_path)[1]
