"""The silence behind the last word goes; every sound stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipper.audio.trim import KEPT_SECONDS, QUIET, without_tail

RATE = 1000
KEPT = round(KEPT_SECONDS * RATE)


def whole(sound: np.ndarray, *cuts: int) -> np.ndarray:
    parts = np.split(sound, sorted(cuts))
    return np.concatenate(list(without_tail(parts, RATE)))


def test_quiet_after_the_last_sound_goes() -> None:
    sound = np.zeros(1000, np.float32)
    sound[[100, 400]] = 0.5
    assert len(whole(sound)) == 401 + KEPT
    sound[990] = 2 * QUIET
    assert len(whole(sound)) == 1000


@given(st.lists(st.integers(0, 999), max_size=8), st.lists(st.integers(0, 1000), max_size=12))
def test_however_it_comes_the_sound_is_the_same(loud: list[int], cuts: list[int]) -> None:
    sound = np.full(1000, QUIET / 2, np.float32)
    sound[loud] = 0.3
    assert np.array_equal(whole(sound, *cuts), whole(sound))
    assert len(whole(sound)) == (min(1000, max(loud) + 1 + KEPT) if loud else 1000)


@pytest.mark.parametrize("at", [50, 500])
def test_sound_is_given_as_soon_as_it_comes(at: int) -> None:
    sound = np.zeros(1000, np.float32)
    sound[at] = 1
    parts = iter(without_tail(np.split(sound, 10), RATE))
    assert np.flatnonzero(next(parts)).tolist() == [at]
