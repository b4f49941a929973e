"""Who finds speech: Zipper's detector beside one that goes by the signal alone, on speech, over noise, and on noise."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zipper.audio import speech_windows
from zipper.audio.io import Samples
from zipper.evaluation import signal_detector
from zipper.evaluation.manifest import Recording
from zipper.evaluation.signals import SIGNALS, babble, chords, colored

Detector = Callable[[Samples], bool]

DETECTORS: dict[str, Detector] = {"zipper": speech_windows.has_speech, "signal": signal_detector.has_speech}
QUIET = 0.01  # 40 dB below the recording
NOISE_SECONDS = 10.0  # s of each noise, repeated where a recording is longer
SIGNAL_SECONDS = 6.0  # s of each sound that is no speech
BABBLERS = 8  # recordings laid over each other


@dataclass(frozen=True)
class DetectionResult:
    """In how many of `sounds` each detector finds speech, and the names of those where Zipper's is wrong."""

    kind: str
    sounds: int
    found: dict[str, int]
    wrong: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        return {"sound": self.kind, "of": self.sounds, **{f"found by {name}": n for name, n in self.found.items()}}


def evaluate_detection(recordings: Sequence[Recording], noises: Sequence[Recording]) -> list[DetectionResult]:
    """Speech alone, quiet, and over noises; then sounds without speech, made and recorded."""
    results = [
        _result(kind, [(r.id, change(r.samples)) for r in recordings], True) for kind, change in _changes(recordings)
    ]
    made = [(name, make(SIGNAL_SECONDS)) for name, make in SIGNALS.items()]
    results.append(_result("no speech, made", made, False))
    if noises:
        results.append(_result("no speech, recorded", [(n.id, n.samples) for n in noises], False))
    return results


def _changes(recordings: Sequence[Recording]) -> Iterator[tuple[str, Callable[[Samples], Samples]]]:
    """What happens to the speech before it is looked for."""
    yield "speech", lambda samples: samples
    yield "speech, 40 dB quieter", lambda samples: samples * np.float32(QUIET)
    noises = {
        "pink noise": colored(NOISE_SECONDS, 1.0),
        "babble": babble([r.samples for r in recordings[:BABBLERS]], NOISE_SECONDS),
        "music": chords(NOISE_SECONDS),
    }
    for name, noise in noises.items():
        for snr in (10, 0):
            yield f"speech, {name} at {snr} dB", functools.partial(mixed, noise=noise, snr=snr)


def mixed(speech: Samples, noise: Samples, snr: float) -> Samples:
    """Speech over a noise that is repeated as long as it lasts, `snr` dB below it."""
    under = np.resize(noise, len(speech))
    gain = np.sqrt(np.square(speech).mean() / (np.square(under).mean() + 1e-12)) * 10 ** (-snr / 20)
    return np.asarray(speech + gain * under, np.float32)


def _result(kind: str, sounds: Sequence[tuple[str, Samples]], speech: bool) -> DetectionResult:
    found = {name: [detect(samples) for _, samples in sounds] for name, detect in DETECTORS.items()}
    wrong = tuple(name for (name, _), heard in zip(sounds, found["zipper"], strict=True) if heard != speech)
    return DetectionResult(kind, len(sounds), {name: sum(heard) for name, heard in found.items()}, wrong)
