"""A tiny Zipper with random weights, and sound that changes as speech does."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from zipper.api import Zipper
from zipper.model.config import TowerConfig, ZipConfig, ZipperConfig
from zipper.model.zipper import ZipperModel
from zipper.rates import SPEECH_RATE, TOKEN_SAMPLES
from zipper.speech.acoustic import AcousticConfig, AcousticModel
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.text.tokenizer import TextTokenizer

CODES = 16  # few, so that random speech soon comes upon its end token

Samples = npt.NDArray[np.float32]
MakeSpeech = Callable[..., Samples]


class LevelTokenizer:
    """Stands in for the speech tokenizer: the code of a token is its loudness."""

    codes = CODES

    def encode(self, samples: Samples) -> npt.NDArray[np.int64]:
        """16 kHz samples (n,) -> codes (ceil(n / 640),)."""
        padded = np.pad(samples, (0, -len(samples) % TOKEN_SAMPLES)).reshape(-1, TOKEN_SAMPLES)
        return np.minimum(np.abs(padded).mean(axis=1) * 4 * CODES, CODES - 1).astype(np.int64)


@pytest.fixture(scope="session")
def text_tokenizer() -> TextTokenizer:
    return TextTokenizer.train(
        ["Hello there, how are you today?", "It was a dark and stormy night."] * 3, 300
    )


@pytest.fixture(scope="session")
def detokenizer() -> Detokenizer:
    torch.manual_seed(0)
    sizes = {
        "width": 16,
        "ff_width": 24,
        "token_blocks": 1,
        "mel_blocks": 1,
        "flow_blocks": 1,
        "flow_steps": 1,
    }
    acoustic = AcousticModel(AcousticConfig(CODES, 2, ("alto", "bass"), **sizes))  # type: ignore[arg-type]
    return Detokenizer(acoustic, HifiGan(HifiGanConfig(channels=16)))


@pytest.fixture(scope="session")
def zipper(text_tokenizer: TextTokenizer, detokenizer: Detokenizer) -> Zipper:
    torch.manual_seed(0)
    size = text_tokenizer.vocab_size
    text = TowerConfig(size, 16, 3, 2, 1, 24, text_tokenizer.begin_id, text_tokenizer.end_id)
    speech = TowerConfig(CODES + 2, 16, 3, 2, 1, 24, CODES, CODES + 1)
    model = ZipperModel(ZipperConfig(text, speech, ZipConfig(1, 1, 2))).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("gate"):
                weight.fill_(0.5)  # open, or nothing would flow between the towers
    return Zipper(model, LevelTokenizer(), text_tokenizer, detokenizer)


@pytest.fixture(scope="session")
def make_speech() -> MakeSpeech:
    """Vowels with a moving pitch and pauses between them: float32 (n,) in -1..1."""

    def make(seconds: float, rate: int = SPEECH_RATE) -> Samples:
        t = np.arange(round(seconds * rate)) / rate
        pitch = 130 * 2 ** (0.3 * np.sin(2 * np.pi * 0.7 * t))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formant = 500 + 300 * np.sign(np.sin(2 * np.pi * 2.5 * t)) + 200 * np.sin(2 * np.pi * 1.3 * t)
        voice = sum(
            np.exp(-(((k * pitch - formant) / 250) ** 2)) * np.sin(k * phase)
            + 0.3 * np.exp(-(((k * pitch - 2.5 * formant) / 400) ** 2)) * np.sin(k * phase)
            for k in range(1, 25)
        )
        sound = voice * (np.sin(2 * np.pi * 0.9 * t) > -0.8)
        return (0.5 * sound / np.abs(sound).max()).astype(np.float32)

    return make
