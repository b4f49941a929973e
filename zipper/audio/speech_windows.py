"""Where in a recording somebody speaks, and the windows of it that the model hears.

Speech is found by Silero VAD, see :mod:`zipper.audio.vad`.
`zipper evaluate detection` compares it with what the signal alone tells, see :mod:`zipper.evaluation.detection`.
A window holds speech with a short margin and no long pause, as the recordings did that the model learnt from.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zipper import limits
from zipper.audio import vad
from zipper.audio.io import Samples
from zipper.audio.vad import FRAME
from zipper.rates import SPEECH_RATE

# The detector misses quiet speech, so it hears every recording at the same level.
LEVEL = -20.0  # dB full scale of the loudest half second
LEVEL_SECONDS = 0.5  # s
LEVEL_FLOOR = -80.0  # dB full scale, the noise of 16-bit samples; under it there is nothing to make louder

# Chosen on 60 single words, 110 held-out sentences and 202 noises: 2 words and no sentence are refused, and 8 noises,
# 6 of them sneezes, are taken for speech.
LIKELY = 0.5  # probability at which speech begins; it ends a little lower
SURE = 0.9  # probability that speech reaches somewhere
SURE_SECONDS = 0.15  # s of the stretch that reaches it
SHORTEST_SECONDS = 0.1  # s, beside speech that is sure
BREAK_SECONDS = 0.1  # s that end a stretch of speech
EDGE_SECONDS = 0.06  # s by which the detector is late at a beginning and early at an end

MARGIN_SECONDS = 0.3  # s around speech that the model hears too
PAUSE_SECONDS = 1.5  # s of pause that end a window; the model learnt from recordings without longer ones
PAUSE_SMOOTHING = 0.2  # s, the shortest pause between phrases
LATE_CUT_BONUS = 0.3  # dB per second by which a later cut is preferred
LAST_WINDOW_SECONDS = 1.0  # s, no shorter rest is left after a cut


class Span(NamedTuple):
    """A stretch of a recording, in samples: ``samples[start:stop]``."""

    start: int
    stop: int


class Window(NamedTuple):
    """What the model hears at once, in samples of the recording, and the speech in it: never none, in order."""

    start: int
    stop: int
    speech: tuple[Span, ...]

    @property
    def speech_end(self) -> float:
        """When the last speech ends, in seconds of the window."""
        return (self.speech[-1].stop - self.start) / SPEECH_RATE

    def speech_tokens(self, samples_per_token: int) -> npt.NDArray[np.bool_]:
        """Which tokens of the window hold speech for half of their time or more: bool (tokens,)."""
        count = -(-(self.stop - self.start) // samples_per_token)
        held = np.zeros(count * samples_per_token, np.bool_)
        for span in self.speech:
            held[span.start - self.start : span.stop - self.start] = True
        return np.asarray(held.reshape(count, samples_per_token).mean(axis=1) >= 0.5)


def has_speech(samples: Samples) -> bool:
    """Whether anybody speaks in 16 kHz samples ``(n,)``."""
    return bool(windows(samples))


def windows(samples: Samples) -> list[Window]:
    """The speech in 16 kHz samples ``(n,)`` as windows of at most MAX_WINDOW_SECONDS, in order; none without speech."""
    probabilities = speech_probabilities(samples)
    found: list[Window] = []
    for spans in _between_pauses(_spans(probabilities, len(samples))):
        if _sure(spans, probabilities):
            found += _cut(samples, spans)
    return found


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """How likely each frame of 16 kHz samples ``(n,)`` is speech, 0..1: (ceil(n / FRAME),)."""
    gain = _gain(samples)
    if gain is None:
        return np.zeros(-(-len(samples) // FRAME), np.float32)
    return vad.speech_probabilities(samples * np.float32(gain))


def _gain(samples: Samples) -> float | None:
    """Factor that brings the loudest moments of samples ``(n,)`` to LEVEL; None where there is but silence."""
    block = SPEECH_RATE // 100
    power = np.square(np.resize(samples, -(-len(samples) // block) * block), dtype=np.float64)
    blocks = power.reshape(-1, block).mean(axis=1)
    wide = min(len(blocks), round(LEVEL_SECONDS * SPEECH_RATE / block))
    loudest = 10 * np.log10(np.convolve(blocks, np.ones(wide) / wide, "valid").max(initial=0.0) + 1e-12)
    return None if loudest < LEVEL_FLOOR else float(10 ** ((LEVEL - loudest) / 20))


def _spans(probabilities: npt.NDArray[np.float32], total: int) -> list[Span]:
    """Stretches of speech that the detector's probabilities tell of, in `total` samples."""
    found = vad.package().get_speech_timestamps_from_probs(
        probabilities.tolist(),
        sampling_rate=SPEECH_RATE,
        threshold=LIKELY,
        audio_length_samples=total,
        min_speech_duration_ms=1000 * SHORTEST_SECONDS,
        min_silence_duration_ms=1000 * BREAK_SECONDS,
        speech_pad_ms=1000 * EDGE_SECONDS,
    )
    return [Span(int(span["start"]), int(span["end"])) for span in found]


def _between_pauses(spans: Sequence[Span]) -> list[list[Span]]:
    """Speech in groups, with a long pause between two."""
    groups: list[list[Span]] = []
    for span in spans:
        if not groups or span.start - groups[-1][-1].stop > PAUSE_SECONDS * SPEECH_RATE:
            groups.append([])
        groups[-1].append(span)
    return groups


def _sure(spans: Sequence[Span], probabilities: npt.NDArray[np.float32]) -> bool:
    """Whether one of the stretches is long enough and speech beyond doubt."""
    least = (SURE_SECONDS + 2 * EDGE_SECONDS) * SPEECH_RATE
    return any(
        span.stop - span.start >= least and probabilities[span.start // FRAME : -(-span.stop // FRAME)].max() >= SURE
        for span in spans
    )


def _cut(samples: Samples, spans: Sequence[Span]) -> list[Window]:
    """Speech without a long pause as windows; one that would be too long is cut at its quietest moments."""
    margin = round(MARGIN_SECONDS * SPEECH_RATE)
    start, end = max(0, spans[0].start - margin), min(len(samples), spans[-1].stop + margin)
    found: list[Window] = []
    while start < end:
        stop = end
        if end - start > limits.MAX_WINDOW_SECONDS * SPEECH_RATE:
            low = start + round(limits.MIN_WINDOW_SECONDS * SPEECH_RATE)
            high = start + round(limits.MAX_WINDOW_SECONDS * SPEECH_RATE)
            stop = _quietest(samples, low, min(high, end - round(LAST_WINDOW_SECONDS * SPEECH_RATE)))
        inside = [Span(max(s.start, start), min(s.stop, stop)) for s in spans if s.start < stop and s.stop > start]
        if inside:
            first, last = max(start, inside[0].start - margin), min(stop, inside[-1].stop + margin)
            found.append(Window(first, last, tuple(inside)))
        start = stop
    return found


def _quietest(samples: Samples, low: int, high: int) -> int:
    """Middle of the quietest stretch between two samples, later ones preferred a little."""
    hop = SPEECH_RATE // 100
    count, wide = (high - low) // hop, round(PAUSE_SMOOTHING * 100)
    power = np.square(samples[low : low + count * hop].reshape(count, hop), dtype=np.float64).mean(axis=1)
    smooth = np.convolve(power, np.ones(wide) / wide, mode="valid")
    seconds = np.arange(len(smooth)) * hop / SPEECH_RATE
    best = int(np.argmin(10 * np.log10(smooth + 1e-10) - LATE_CUT_BONUS * seconds))
    return low + (best + wide // 2) * hop
