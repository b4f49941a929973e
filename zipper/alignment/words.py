"""Word times from cross-attention: mean of the chosen heads, smoothed, one path, cut into words.

Both directions use the same layout, (zip points, heads, text tokens, speech tokens), without begin and end
tokens. In recognition each text token attends over the speech, in synthesis each speech token over the text;
as the weights are standardized per speech token, the same path search serves both.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from zipper.alignment.dtw import dtw_path, median_filter
from zipper.results import AlignmentHead

MEDIAN_WIDTH = 3  # speech tokens, 120 ms at 25 Hz
QUIET_DB = 40.0  # dB below the loudest token of a recording: no voice
PAUSE_SECONDS = 0.3  # s of pause that no word contains
WORD_SECONDS = 0.6  # s that any word may take,
LETTER_SECONDS = 0.1  # s and this for each letter: half as fast as slow speakers are
ROUNDING = 1e-6  # tokens, by which a quotient of samples may be off
SPACE = "Ġ"  # how byte-level BPE writes a leading space


class WordTime(NamedTuple):
    """A word as written, with its punctuation, and when it is spoken, in seconds."""

    word: str
    start: float
    end: float


class WordTokens(NamedTuple):
    """A word as written and its text tokens, first to stop - 1."""

    word: str
    first: int
    stop: int


def word_times(
    weights: np.ndarray,
    heads: Sequence[AlignmentHead],
    pieces: Sequence[str],
    seconds_per_token: float,
    voiced: np.ndarray | None = None,
) -> list[WordTime]:
    """When each word is spoken: weights (Z, H, T_text, T_speech) and T_text pieces -> words in order.

    `heads` are the alignment heads of the direction the weights come from. `voiced` (T_speech,) marks the
    tokens that hold sound: words lie there, as pauses belong to none. Times rise, lie inside the recording, words
    do not overlap, and each lasts a moment and no longer than it can be said; ValueError when shapes, pieces and
    heads do not fit.
    """
    if weights.shape[-1] == 0 or not group_words(pieces):
        return []
    return word_times_of_mean(mean_weights(weights, heads, len(pieces)), pieces, seconds_per_token, voiced)


def word_times_of_mean(
    mean: np.ndarray, pieces: Sequence[str], seconds_per_token: float, voiced: np.ndarray | None = None
) -> list[WordTime]:
    """The same, from what `mean_weights` returns, (T_text, T_speech).

    The path is searched among the voiced tokens alone, so it is not that of the whole where there are pauses.
    """
    words = group_words(pieces)
    if not words or mean.shape[-1] == 0:
        return []
    sounding = np.arange(mean.shape[-1]) if voiced is None or not voiced.any() else np.flatnonzero(voiced)
    sounding_mean = mean[:, sounding]
    starts, stops = token_spans(*dtw_path(-sounding_mean))
    spans = _in_order([_word_span(word, pieces, starts, stops) for word in words], len(sounding))
    times = []
    for word, (start, stop) in zip(words, spans, strict=True):
        weight = sounding_mean[word.first : word.stop].max(axis=0)
        start, stop = _sayable(start, stop, len(word.word), sounding, weight, seconds_per_token)
        times.append(
            WordTime(
                word.word,
                _place(start, sounding) * seconds_per_token,
                (_place(stop, sounding, end=True)) * seconds_per_token,
            )
        )
    return times


def unheard_seconds(times: Sequence[WordTime], voiced: np.ndarray, seconds_per_token: float) -> float:
    """The longest stretch of voiced tokens (T_speech,) that belongs to no word, pauses within it not counted."""
    covered = np.zeros(len(voiced), np.bool_)
    for word in times:
        covered[round(word.start / seconds_per_token) : round(word.end / seconds_per_token)] = True
    edges = np.flatnonzero(covered[voiced])  # among the voiced tokens, those that belong to a word
    gaps = np.diff(np.concatenate([[-1], edges, [int(voiced.sum())]])) - 1
    return float(gaps.max()) * seconds_per_token


def mean_weights(weights: np.ndarray, heads: Sequence[AlignmentHead], text_tokens: int) -> np.ndarray:
    """Mean of the chosen heads, each standardized over the text, then smoothed over time: (T_text, T_speech).

    Standardizing per speech token asks "which text token does this moment belong to most", whatever total
    weight the moment received, so that heads of different sharpness count alike.
    """
    if weights.ndim != 4 or weights.shape[2] != text_tokens:
        raise ValueError(f"Weights of shape {weights.shape} do not fit {text_tokens} text tokens.")
    if not heads:
        raise ValueError("Word times need at least one alignment head.")
    if any(h.zip_point >= weights.shape[0] or h.head >= weights.shape[1] for h in heads):
        raise ValueError(f"An alignment head lies outside weights of shape {weights.shape}.")
    chosen = np.stack([weights[h.zip_point, h.head] for h in heads]).astype(np.float64)  # (K, Tt, Ts)
    spread = np.maximum(chosen.std(axis=1, keepdims=True), 1e-9)
    mean = ((chosen - chosen.mean(axis=1, keepdims=True)) / spread).mean(axis=0)
    return median_filter(mean, MEDIAN_WIDTH)


def token_spans(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First speech token of each text token on a path from `dtw_path`, and the one after its last: (T_text,) each."""
    text = np.arange(rows[-1] + 1)
    starts = columns[np.searchsorted(rows, text, side="left")]
    stops = columns[np.searchsorted(rows, text, side="right") - 1] + 1
    return starts, stops


def group_words(pieces: Sequence[str]) -> list[WordTokens]:
    """Split byte-level pieces at spaces; a word of blanks alone is left out."""
    firsts = [i for i, piece in enumerate(pieces) if i == 0 or piece[:1] in (SPACE, " ")]
    words: list[WordTokens] = []
    for first, stop in itertools.pairwise([*firsts, len(pieces)]):
        text = decode_pieces(pieces[first:stop]).strip()
        if text:
            words.append(WordTokens(text, first, stop))
    return words


def decode_pieces(pieces: Sequence[str]) -> str:
    """Text of byte-level pieces; bytes that are no UTF-8 together become the replacement character."""
    table = _piece_bytes()
    data = b"".join(bytes([table[c]]) if c in table else c.encode() for piece in pieces for c in piece)
    return data.decode("utf-8", errors="replace")


def voiced_tokens(samples: np.ndarray, samples_per_token: float) -> np.ndarray:
    """Which tokens of the samples (n,) hold sound, by their level: (ceil(n / samples_per_token),) bool."""
    count = math.ceil(len(samples) / samples_per_token - ROUNDING)
    edges = np.minimum(np.round(np.arange(count + 1) * samples_per_token).astype(int), len(samples))
    energy = np.cumsum(np.concatenate([[0.0], np.square(samples, dtype=np.float64)]))
    power = np.diff(energy[edges]) / np.maximum(np.diff(edges), 1)  # (count,)
    return cast(np.ndarray, power > max(power.max(initial=0.0) * 10 ** (-QUIET_DB / 10), 1e-12))


def _word_span(word: WordTokens, pieces: Sequence[str], starts: np.ndarray, stops: np.ndarray) -> tuple[int, int]:
    """Speech tokens of a word: those of its pieces with a letter or digit; punctuation looks at pauses."""
    indices = range(word.first, word.stop)
    pronounced = [i for i in indices if any(c.isalnum() or c == "\ufffd" for c in decode_pieces([pieces[i]]))]
    used = pronounced or list(indices)
    return int(starts[used[0]]), int(stops[used[-1]])


def _in_order(spans: Sequence[tuple[int, int]], count: int) -> list[tuple[float, float]]:
    """The same spans of `count` tokens without overlap, and none empty: more words than tokens share them."""
    least = min(1.0, count / len(spans))
    starts: list[float] = []
    for index, (start, _) in enumerate(spans):
        low = starts[-1] + least if starts else 0.0
        starts.append(min(max(float(start), low), count - (len(spans) - index) * least))
    limits = [*starts[1:], float(count)]
    return [
        (start, min(max(float(stop), start + least), limit))
        for start, (_, stop), limit in zip(starts, spans, limits, strict=True)
    ]


def _sayable(
    start: float, stop: float, letters: int, sounding: np.ndarray, weight: np.ndarray, seconds_per_token: float
) -> tuple[float, float]:
    """The part of a span of sounding tokens that one word can take: without a pause, and not too long.

    sounding: places of the sounding tokens in the recording. weight: how much the word belongs to each of them.
    """
    first, last = int(start), int(np.ceil(stop))
    gaps = np.flatnonzero(np.diff(sounding[first:last]) * seconds_per_token > PAUSE_SECONDS) + first + 1
    edges = [first, *gaps.tolist(), last]
    longest = max(1, round((WORD_SECONDS + LETTER_SECONDS * letters) / seconds_per_token))
    parts = [
        (start, min(start + longest, stop_at))
        for first_at, stop_at in itertools.pairwise(edges)
        for start in range(first_at, max(first_at, stop_at - longest) + 1)
    ]
    total = np.concatenate([[0.0], np.cumsum(np.maximum(weight, 0.0))])
    low, high = max(parts, key=lambda part: (total[part[1]] - total[part[0]], part[1] - part[0]))
    return max(start, float(low)), min(stop, float(high))


def _place(position: float, sounding: np.ndarray, end: bool = False) -> float:
    """Where a position among the sounding tokens lies in the recording, in tokens; an end after the last it holds."""
    token = int(np.ceil(position)) - 1 if end else int(position)
    return float(sounding[token] + position - token)


@functools.cache
def _piece_bytes() -> dict[str, int]:
    """Character of a byte-level piece -> byte, as GPT-2 has it: visible Latin-1 stays, the rest moves up."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {chr(b): b for b in kept} | {chr(256 + i): byte for i, byte in enumerate(moved)}
