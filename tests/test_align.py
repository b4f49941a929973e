"""Time warping, head choice and word times: known paths planted in noise are found again."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zipper.alignment.dtw import dtw_path, median_filter
from zipper.alignment.heads import choose_heads, load_heads, monotonic_score, save_heads, score_heads
from zipper.alignment.words import (
    LETTER_SECONDS,
    PAUSE_SECONDS,
    WORD_SECONDS,
    WordTime,
    decode_pieces,
    group_words,
    unheard_seconds,
    voiced_tokens,
    word_times,
)
from zipper.errors import WeightsError
from zipper.results import AlignmentHead

SECONDS = 0.04
HEAD = [AlignmentHead("text_from_speech", 0, 0, 1.0)]


def planted(durations: list[int], noise: float, seed: int = 0, axis: int = 1) -> np.ndarray:
    """(text, speech) attention: text token i owns durations[i] speech tokens; rows (axis 1) sum to 1."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, noise, (len(durations), sum(durations)))
    edges = np.cumsum([0, *durations])
    for i, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        weights[i, start:stop] += 1.0
    return weights / weights.sum(axis, keepdims=True)


def brute_force(cost: np.ndarray) -> float:
    """Cost of the cheapest path by plain recursion over cells."""
    total = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i in range(cost.shape[0]):
        for j in range(cost.shape[1]):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_dtw_path_is_the_cheapest_and_takes_unit_steps(n: int, m: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(n, m))
    rows, columns = dtw_path(cost)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, n - 1, m - 1)
    steps = set(zip(np.diff(rows), np.diff(columns), strict=True))
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert cost[rows, columns].sum() == pytest.approx(brute_force(cost))


def test_dtw_finds_a_planted_path_in_noise() -> None:
    durations = [3, 1, 7, 2, 2, 9, 4, 1, 5, 6]
    weights = planted(durations, noise=0.25, axis=0)
    rows, columns = dtw_path(weights.mean(0) - weights)
    assert columns[np.searchsorted(rows, np.arange(10))].tolist() == np.cumsum([0, *durations[:-1]]).tolist()


def test_dtw_is_fast_enough_to_run_after_every_request() -> None:
    cost = np.random.default_rng(0).normal(size=(120, 750))
    dtw_path(cost)
    best = min(_seconds(cost) for _ in range(7))
    assert best < 0.05  # 4 to 8 ms on an idle core


def _seconds(cost: np.ndarray) -> float:
    start = time.process_time()  # of this process alone, whatever else the machine does
    dtw_path(cost)
    return time.process_time() - start


@pytest.mark.parametrize("cost", [np.zeros((0, 4)), np.zeros(3), np.array([[np.nan]])])
def test_dtw_refuses_what_has_no_path(cost: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Time warping"):
        dtw_path(cost)


def test_median_filter_removes_spikes_and_keeps_edges() -> None:
    x = np.array([[0, 0, 9, 0, 1, 1, 1.0]])
    assert median_filter(x, 3).tolist() == [[0, 0, 0, 1, 1, 1, 1]]
    assert median_filter(x, 1) is x
    assert median_filter(x, 9).tolist() == x.tolist()
    with pytest.raises(ValueError, match="odd"):
        median_filter(x, 2)


def test_score_tells_aligned_heads_from_others() -> None:
    durations = [4] * 20
    diagonal = planted(durations, noise=0.0)
    uniform = np.full((20, 80), 1 / 80)
    sink = np.zeros((20, 80))
    sink[:, 0] = 1
    blurred = planted(durations, noise=0.2)
    heads = (diagonal, blurred, uniform, sink, diagonal[::-1])
    scores = [monotonic_score(head, "text_from_speech") for head in heads]
    assert scores[0] > 0.95
    assert scores[0] > scores[1] > 0.1 > max(scores[2:])


def test_weight_lost_to_begin_and_end_lowers_the_score() -> None:
    diagonal = planted([4] * 10, noise=0.0)
    assert monotonic_score(diagonal / 2, "text_from_speech") == pytest.approx(
        monotonic_score(diagonal, "text_from_speech") / 2
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_choose_heads_picks_the_planted_ones(axis: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(60), size=(2, 4, 15))  # (Z, H, text, speech)
    if axis == 0:
        weights = weights / weights.sum(2, keepdims=True)
    weights[1, 2] = planted([4] * 15, 0.01, axis=axis)
    weights[0, 3] = planted([4] * 15, 0.03, axis=axis)
    direction = "text_from_speech" if axis == 1 else "speech_from_text"
    chosen = choose_heads(score_heads([weights, weights], direction), ratio=0.4)
    assert [(h.zip_point, h.head) for h in chosen] == [(1, 2), (0, 3)]
    save_heads(chosen, tmp_path / "alignment.json")
    assert load_heads(tmp_path / "alignment.json") == chosen


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"direction": "up", "zip_point": 0, "head": 0, "score": 1}]',
        '[{"direction": "text_from_speech", "zip_point": -1, "head": 0, "score": 1}]',
    ],
)
def test_a_bad_head_file_is_one_clear_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "alignment.json"
    path.write_text(content)
    with pytest.raises(WeightsError, match="alignment"):
        load_heads(path)
    with pytest.raises(WeightsError, match="missing"):
        load_heads(tmp_path / "none.json")


def test_pieces_become_words() -> None:
    pieces = ["ĠTh", "e", "Ġcaf", "Ã", "©", ",", "Ġis", "Ġ", "Ġopen", "."]
    assert [tuple(word) for word in group_words(pieces)] == [
        ("The", 0, 2),
        ("café,", 2, 6),
        ("is", 6, 7),
        ("open.", 8, 10),
    ]
    assert decode_pieces(["Ã"]) == "\ufffd"
    assert group_words([]) == []


@pytest.mark.parametrize("axis", [0, 1])
def test_word_times_recover_planted_durations(axis: int) -> None:
    pieces = ["ĠOne", "Ġt", "wo", ",", "Ġthree", "."]
    weights = planted([5, 3, 4, 6, 8, 4], noise=0.3, axis=axis)[None, None]
    times = word_times(weights, HEAD, pieces, SECONDS)
    assert [t.word for t in times] == ["One", "two,", "three."]
    assert [(round(t.start / SECONDS), round(t.end / SECONDS)) for t in times] == [(0, 5), (5, 12), (18, 26)]


def test_pauses_belong_to_no_word() -> None:
    weights = planted([6, 10], noise=0.1)[None, None]
    voiced = np.array([False] * 2 + [True] * 3 + [False] * 3 + [True] * 4 + [False] * 4)
    times = word_times(weights, HEAD, ["ĠIn", "Ġout"], SECONDS, voiced)
    assert [(round(t.start / SECONDS), round(t.end / SECONDS)) for t in times] == [(2, 5), (8, 12)]


def test_speech_without_a_word_is_noticed() -> None:
    voiced = np.array([True] * 10 + [False] * 5 + [True] * 35)
    words = [WordTime("In", 0.0, 0.2), WordTime("out", 1.2, 1.6)]
    assert unheard_seconds(words, voiced, SECONDS) == pytest.approx((5 + 15) * SECONDS)  # the pause does not count
    assert unheard_seconds(words[:1], voiced, SECONDS) == pytest.approx(40 * SECONDS)
    assert unheard_seconds([WordTime("All", 0.0, 2.0)], voiced, SECONDS) == 0.0
    assert unheard_seconds([], np.zeros(4, bool), SECONDS) == 0.0


def test_voiced_tokens_follow_the_level() -> None:
    samples = np.concatenate([np.zeros(640), np.full(640, 0.5), np.full(640, 0.003), np.full(600, 0.1)])
    assert voiced_tokens(samples.astype(np.float32), 640).tolist() == [False, True, False, True]
    assert voiced_tokens(np.zeros(641, np.float32), 640).tolist() == [False, False]


piece = st.sampled_from(["Ġa", "Ġword", "s", ".", "Ġ", "Ã", "©", "ĠÃ", ",", "Ġ42"])


@settings(max_examples=150, deadline=None)
@given(st.lists(piece, min_size=1, max_size=12), st.integers(1, 120), st.integers(0, 99), st.floats(0.02, 1.0))
def test_every_word_lasts_a_moment_within_speech(pieces: list[str], tokens: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(tokens, 0.3), size=(1, 1, len(pieces)))
    voiced = np.repeat(rng.random(tokens) < share, 10)[:tokens]
    times = word_times(weights, HEAD, pieces, SECONDS, voiced)
    assert [t.word for t in times] == [w.word for w in group_words(pieces)]
    edges = [edge for t in times for edge in (t.start, t.end)]
    assert edges == sorted(edges)
    assert not edges or (edges[0] >= 0 and edges[-1] <= tokens * SECONDS + 1e-9)
    sounding = voiced if voiced.any() else np.ones(tokens, bool)
    for word in times:
        assert 1e-3 < word.end - word.start < WORD_SECONDS + LETTER_SECONDS * len(word.word) + 0.5
        first, last = int(word.start / SECONDS + 1e-6), int(np.ceil(word.end / SECONDS - 1e-6)) - 1
        assert sounding[first] and sounding[last]
        quiet = "".join("01"[int(not heard)] for heard in sounding[first : last + 1]).split("0")
        assert max(map(len, quiet)) * SECONDS <= PAUSE_SECONDS + 1e-6


def test_a_word_cannot_fill_the_place_of_a_lost_sentence() -> None:
    """Four seconds for "Yes", then a word as it should be; and a word on both sides of a pause."""
    weights = planted([100, 10], noise=0.1)[None, None]
    yes, right = word_times(weights, HEAD, ["ĠYes", "Ġright"], SECONDS, np.ones(110, bool))
    assert yes.end - yes.start <= WORD_SECONDS + 3 * LETTER_SECONDS + SECONDS
    assert (round(right.start / SECONDS), round(right.end / SECONDS)) == (100, 110)
    voiced = np.array([True] * 4 + [False] * 10 + [True] * 12)
    (word,) = word_times(np.full((1, 1, 1, 26), 1.0), HEAD, ["ĠYes"], SECONDS, voiced)
    assert (round(word.start / SECONDS), round(word.end / SECONDS)) == (14, 26)


def test_word_times_refuse_what_does_not_fit() -> None:
    weights = np.ones((1, 1, 2, 5))
    with pytest.raises(ValueError, match="do not fit"):
        word_times(weights, HEAD, ["Ġa"], SECONDS)
    with pytest.raises(ValueError, match="at least one"):
        word_times(weights, [], ["Ġa", "Ġb"], SECONDS)
    with pytest.raises(ValueError, match="outside"):
        word_times(weights, [AlignmentHead("text_from_speech", 3, 0, 1.0)], ["Ġa", "Ġb"], SECONDS)
    assert word_times(np.ones((1, 1, 2, 0)), HEAD, ["Ġa", "Ġb"], SECONDS) == []
