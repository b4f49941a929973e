"""Speed and pitch of synthesized speech."""

import math
from typing import Any

import numpy as np
import pytest

from zipper.api import Zipper
from zipper.errors import OptionError
from zipper.results import Speech, Transcript

TEXT = "Hello there. It was a dark night."


def check_times(result: Transcript | Speech) -> None:
    """Words lie inside the recording and in order."""
    marks = [time for word in result.words for time in (word.start, word.end)]
    assert all(0 <= time <= result.seconds for time in marks)
    assert marks == sorted(marks)


@pytest.mark.parametrize("speed", [0.6, 0.85, 1.6])
def test_speed_stretches_the_sound_and_the_times_of_its_words(zipper: Zipper, speed: float) -> None:
    usual, other = zipper.synthesize(TEXT, seed=3), zipper.synthesize(TEXT, seed=3, speed=speed)
    check_times(other)
    assert [word.text for word in other.words] == [word.text for word in usual.words]
    for before, after in zip(usual.passages, other.passages, strict=True):
        assert len(after.attention.speech_tokens) == len(before.attention.speech_tokens)
        assert after.end - after.start == pytest.approx((before.end - before.start) / speed, abs=0.05)
        for slow, quick in zip(before.attention.text_tokens, after.attention.text_tokens, strict=True):
            assert quick.start - after.start == pytest.approx((slow.start - before.start) / speed, abs=0.05)


def test_pitch_changes_the_sound_and_not_its_times(zipper: Zipper) -> None:
    usual, higher = zipper.synthesize(TEXT, seed=3), zipper.synthesize(TEXT, seed=3, pitch=4)
    assert len(higher.samples) == len(usual.samples) and not np.array_equal(higher.samples, usual.samples)
    assert [(w.text, w.start) for w in higher.words] == [(w.text, w.start) for w in usual.words]


@pytest.mark.parametrize(
    "delivery", [{"speed": 0.5}, {"speed": 1.7}, {"speed": None}, {"pitch": 4.1}, {"pitch": -5}, {"pitch": math.nan}]
)
def test_speed_and_pitch_have_limits(zipper: Zipper, delivery: dict[str, Any]) -> None:
    name = next(iter(delivery))
    with pytest.raises(OptionError, match=f"The {name} must be a number from "):
        zipper.synthesize(TEXT, **delivery)
