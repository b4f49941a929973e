"""What pauses do to recognition: pairs of recordings with room noise before, between and behind them.

Each pair is heard with pauses of several lengths. Against the same recordings alone, no sentence may get lost, no
word may be made up or timed where nobody speaks, and the word error rate may not rise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zipper.alignment.words import voiced_tokens
from zipper.api import Zipper
from zipper.audio.io import Samples
from zipper.errors import DataError, NoSpeechError
from zipper.evaluation.manifest import Recording
from zipper.evaluation.metrics import ErrorRates, error_rates
from zipper.evaluation.signals import room_noise
from zipper.rates import SPEECH_RATE, TOKEN_RATE, TOKEN_SAMPLES
from zipper.results import Transcript, Word

PAUSES = (3.0, 8.0, 15.0)  # s before, between and behind the two recordings
PAIRS = 10
TOLERANCE = 0.2  # s by which a word may be outside the speech
LOST_SHARE = 0.5  # of the words heard of a recording alone; fewer within a pair, and the sentence counts as lost


class Spoken(NamedTuple):
    """A recording within a longer one, and when speech begins and ends there, in seconds."""

    recording: Recording
    start: float
    end: float

    def holds(self, word: Word) -> bool:
        """Whether a word is timed within the speech."""
        return self.start - TOLERANCE <= word.start and word.end <= self.end + TOLERANCE


@dataclass(frozen=True)
class PauseResult:
    """What was heard with pauses of one length; pause 0 stands for the recordings alone.

    lost: sentences of which less than half as many words were heard as alone. outside: words timed where nobody
    speaks. empty: words of no length. incomplete: transcripts that say that words may be missing.
    """

    pause: float
    rates: ErrorRates
    sentences: int
    lost: int
    words: int
    outside: int
    empty: int
    incomplete: int

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        return {
            "pause s": self.pause or "alone",
            "WER %": self.rates.wer,
            "del": self.rates.deletions,
            "ins": self.rates.insertions,
            "sentences": self.sentences,
            "lost": self.lost,
            "words": self.words,
            "outside speech": self.outside,
            "no length": self.empty,
            "incomplete": self.incomplete,
        }


def evaluate_pauses(
    zipper: Zipper, recordings: Sequence[Recording], pauses: Sequence[float] = PAUSES
) -> list[PauseResult]:
    """Recordings alone, then each with the next as pairs with pauses of each length; DataError for fewer than two."""
    if len(recordings) < 2:
        raise DataError("Pauses are measured between two recordings; this manifest has fewer.")
    pairs = list(zip(recordings[::2], recordings[1::2], strict=False))
    alone = {r.id: _heard(zipper, r.samples) for pair in pairs for r in pair}
    each = [([_spoken(r, 0.0)], alone[r.id]) for pair in pairs for r in pair]
    known = {name: len(transcript.words) for name, transcript in alone.items()}
    paired = (_result(pause, list(_paired(zipper, pairs, pause)), known) for pause in pauses)
    return [_result(0.0, each, known), *paired]


def _paired(
    zipper: Zipper, pairs: Sequence[tuple[Recording, Recording]], pause: float
) -> Iterator[tuple[list[Spoken], Transcript]]:
    """Where each pair speaks, and what was heard of it."""
    for number, (first, second) in enumerate(pairs):
        noises = [room_noise(pause, seed=3 * number + i) for i in range(3)]
        sound = np.concatenate([noises[0], first.samples, noises[1], second.samples, noises[2]])
        spans = [_spoken(first, pause), _spoken(second, 2 * pause + first.seconds)]
        yield spans, _heard(zipper, sound)


def _spoken(recording: Recording, start: float) -> Spoken:
    """A recording that begins at `start`, and its speech: from the first to the last sound."""
    sounding = np.flatnonzero(voiced_tokens(recording.samples, TOKEN_SAMPLES))
    return Spoken(recording, start + int(sounding[0]) / TOKEN_RATE, start + (int(sounding[-1]) + 1) / TOKEN_RATE)


def _heard(zipper: Zipper, sound: Samples) -> Transcript:
    """The transcript; an empty one that says so where no speech was found."""
    try:
        return zipper.transcribe((sound, SPEECH_RATE))
    except NoSpeechError:
        return Transcript((), len(sound) / SPEECH_RATE, complete=False)


def _result(pause: float, heard: Sequence[tuple[list[Spoken], Transcript]], known: dict[str, int]) -> PauseResult:
    lost = outside = 0
    for spans, transcript in heard:
        for span in spans:
            count = sum(span.holds(word) for word in transcript.words)
            lost += count < LOST_SHARE * known[span.recording.id] or not count
        outside += sum(not any(span.holds(word) for span in spans) for word in transcript.words)
    words = [word for _, transcript in heard for word in transcript.words]
    rates = error_rates(
        [" + ".join(span.recording.id for span in spans) for spans, _ in heard],
        [" ".join(span.recording.text for span in spans) for spans, _ in heard],
        [transcript.text for _, transcript in heard],
    )
    return PauseResult(
        pause=pause,
        rates=rates,
        sentences=sum(len(spans) for spans, _ in heard),
        lost=lost,
        words=len(words),
        outside=outside,
        empty=sum(word.end <= word.start for word in words),
        incomplete=sum(not transcript.complete for _, transcript in heard),
    )
