"""A few of each kind; `python -m tests.fuzz KIND` runs the whole."""

import shutil

import pytest

from . import KINDS
from .runner import MEMORY_MB, Outcome, run

SAMPLE = 40


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_sample(kind: str) -> None:
    outcome = run(kind, range(SAMPLE), seed=1)
    assert not outcome.failures
    assert outcome.answers.total() == SAMPLE and len(outcome.answers) > 3  # both good ones and different bad ones


def test_the_runner_notices_every_mishap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.runner.START_SECONDS", 10)
    outcome = run("mishaps", range(6), seed=0)
    assert outcome.answers == {"fine": 2}
    expected = [(1, "KeyError: 'a defect'"), (2, "not one sentence"), (3, "ended"), (4, "took more than 5 s")]
    assert [number for number, _ in outcome.failures] == [number for number, _ in expected]
    assert all(told in failure for (_, failure), (_, told) in zip(outcome.failures, expected, strict=True))


def test_memory_is_told_once() -> None:
    outcome = Outcome()
    for number, megabytes in enumerate([900, MEMORY_MB + 1, MEMORY_MB + 1]):
        outcome.add({"number": number, "seconds": 0.1, "own_mb": 80, "child_mb": megabytes, "answer": "fine"})
    assert outcome.failures == [(1, f"took {MEMORY_MB + 1} MB of memory")]
