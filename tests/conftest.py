"""A tiny Zipper with random weights in a folder of its own, and speech of any length."""

from pathlib import Path

import numpy as np
import pytest
import soxr
from fuzz.tiny import make_model
from support import MakeSpeech, Samples

from zipper import limits
from zipper.api import Zipper
from zipper.audio.io import load_audio
from zipper.rates import SPEECH_RATE
from zipper.weights import ASSETS


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
    """Somebody who reads, from the first word on and over and over: float32 (n,) with a peak of 0.5."""
    read = load_audio(ASSETS / "examples" / "recordings" / "clear.opus")[SPEECH_RATE // 6 :]

    def make(seconds: float, rate: int = SPEECH_RATE) -> Samples:
        sound = np.resize(read, round(seconds * SPEECH_RATE))
        sound = sound if rate == SPEECH_RATE else soxr.resample(sound, SPEECH_RATE, rate)[: round(seconds * rate)]
        return (0.5 * sound / np.abs(sound).max()).astype(np.float32)

    return make
