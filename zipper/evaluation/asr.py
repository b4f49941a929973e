"""Recognition: word and character error rates and speed of several recognizers on the same recordings."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zipper.api import Zipper
from zipper.errors import ZipperError
from zipper.evaluation.manifest import Recording
from zipper.evaluation.metrics import ErrorRates, error_rates
from zipper.evaluation.peers import Recognizer
from zipper.rates import SPEECH_RATE


@dataclass(frozen=True)
class RecognitionResult:
    """One recognizer's error rates, seconds of audio and of wall clock, and recordings it refused."""

    name: str
    rates: ErrorRates
    audio_seconds: float
    compute_seconds: float
    refused: int

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        return {
            "recognizer": self.name,
            "WER %": self.rates.wer,
            "CER %": self.rates.cer,
            "words": self.rates.words,
            "sub": self.rates.substitutions,
            "del": self.rates.deletions,
            "ins": self.rates.insertions,
            "refused": self.refused,
            "audio s": round(self.audio_seconds, 1),
            "RTF": round(self.compute_seconds / self.audio_seconds, 3),
        }


def zipper_recognizer(zipper: Zipper) -> Recognizer:
    """Zipper as a recognizer of samples at 16 kHz; it raises what `transcribe` raises."""
    return lambda samples: str(zipper.transcribe((samples, SPEECH_RATE)).text)


def evaluate_recognizer(name: str, recognizer: Recognizer, recordings: Sequence[Recording]) -> RecognitionResult:
    """Transcribe every recording; one that is refused ("no speech found") counts as an empty transcript."""
    heard: list[str] = []
    refused = 0
    start = time.perf_counter()
    for recording in recordings:
        try:
            heard.append(recognizer(recording.samples))
        except ZipperError:
            heard.append("")
            refused += 1
    seconds = time.perf_counter() - start
    rates = error_rates([r.id for r in recordings], [r.text for r in recordings], heard)
    return RecognitionResult(name, rates, sum(r.seconds for r in recordings), seconds, refused)


def evaluate_recognizers(
    recognizers: Mapping[str, Recognizer], recordings: Sequence[Recording]
) -> list[RecognitionResult]:
    """The same recordings through each recognizer in turn."""
    return [evaluate_recognizer(name, recognizer, recordings) for name, recognizer in recognizers.items()]
