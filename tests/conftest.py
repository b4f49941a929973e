"""A tiny Zipper with random weights in a folder of its own, and sound that changes as speech does."""

from pathlib import Path

import numpy as np
import pytest
from fuzz.tiny import make_model
from support import MakeSpeech, Samples

from zipper import limits
from zipper.api import Zipper
from zipper.rates import SPEECH_RATE


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that run tests may be busy."""
    monkeypatch.setattr(limits, "MAX_PASSAGE_SECONDS", 3600.0)
    monkeypatch.setattr(limits, "MAX_REQUEST_SECONDS", 3600.0)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that `Zipper.from_pretrained` reads, tiny."""
    return make_model(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="session")
def zipper(model_folder: Path) -> Zipper:
    return Zipper.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def make_speech() -> MakeSpeech:
    """Vowels with a moving pitch and pauses between them: float32 (n,) with a peak of 0.5."""

    def make(seconds: float, rate: int = SPEECH_RATE) -> Samples:
        t = np.arange(round(seconds * rate)) / rate
        pitch = 130 * 2 ** (0.3 * np.sin(2 * np.pi * 0.7 * t))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formant = 500 + 300 * np.sign(np.sin(2 * np.pi * 2.5 * t)) + 200 * np.sin(2 * np.pi * 1.3 * t)
        voice = np.zeros(len(t))
        for k in range(1, 25):
            first = np.exp(-(((k * pitch - formant) / 250) ** 2))
            second = 0.3 * np.exp(-(((k * pitch - 2.5 * formant) / 400) ** 2))
            voice += (first + second) * np.sin(k * phase)
        sound = voice * (np.sin(2 * np.pi * 0.9 * t) > -0.8)
        return (0.5 * sound / np.abs(sound).max()).astype(np.float32)

    return make
