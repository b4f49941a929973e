"""From which confidence on a transcript is believed: English recordings beside other languages.

The other languages are sentences of foreign.json, spoken by the program espeak-ng.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zipper.api import Zipper
from zipper.audio.io import load_audio
from zipper.errors import DependencyError, NoSpeechError
from zipper.evaluation.manifest import Recording
from zipper.rates import SPEECH_RATE
from zipper.results import DOUBTFUL_CONFIDENCE

SENTENCES = Path(__file__).with_name("foreign.json")  # language of espeak-ng -> sentences
STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)  # thresholds that are tried, from the one in use


@dataclass(frozen=True)
class DoubtResult:
    """How sure the model is in one language; doubted: threshold -> recordings that are less sure."""

    language: str
    recordings: int
    refused: int
    median: float
    doubted: dict[float, int]

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        counts = {f"under {threshold:g}": count for threshold, count in self.doubted.items()}
        return {
            "language": self.language,
            "recordings": self.recordings,
            "refused": self.refused,
            "median confidence": round(self.median, 3),
            **counts,
        }


def evaluate_doubt(zipper: Zipper, english: Sequence[Recording]) -> list[DoubtResult]:
    """English recordings, then each language; DependencyError without espeak-ng."""
    foreign = spoken_sentences()
    return [_result(zipper, "en", english), *(_result(zipper, name, spoken) for name, spoken in foreign.items())]


def spoken_sentences() -> dict[str, list[Recording]]:
    """The sentences of each language as espeak-ng speaks them."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise DependencyError("This measurement needs the program espeak-ng, which is not installed.")
    texts: dict[str, list[str]] = json.loads(SENTENCES.read_text(encoding="utf-8"))
    found: dict[str, list[Recording]] = {}
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "spoken.wav"
        for language, sentences in texts.items():
            for number, text in enumerate(sentences):
                subprocess.run([program, "-v", language, "-w", str(wav), text], check=True, capture_output=True)
                spoken = Recording(f"{language}-{number}", load_audio(wav), text)
                found.setdefault(language, []).append(spoken)
    return found


def _result(zipper: Zipper, language: str, recordings: Sequence[Recording]) -> DoubtResult:
    known: list[float] = []
    for recording in recordings:
        try:
            confidence = zipper.transcribe((recording.samples, SPEECH_RATE)).confidence
        except NoSpeechError:
            continue
        known += [] if confidence is None else [confidence]
    thresholds = [round(DOUBTFUL_CONFIDENCE + step, 2) for step in STEPS]
    doubted = {threshold: sum(confidence < threshold for confidence in known) for threshold in thresholds}
    median = sorted(known)[len(known) // 2] if known else 0.0
    return DoubtResult(language, len(recordings), len(recordings) - len(known), median, doubted)
