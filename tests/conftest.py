"""A tiny Zipper with random weights in a folder of its own, and sound that changes as speech does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support import GATE, MakeSpeech, Samples

from zipper import limits
from zipper.api import Zipper
from zipper.model import checkpoint
from zipper.model.config import TowerConfig, ZipConfig, ZipperConfig
from zipper.model.zipper import ZipperModel
from zipper.rates import SPEECH_RATE
from zipper.speech.acoustic import AcousticConfig, AcousticModel
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.speech.whisper import EncoderConfig, WhisperEncoder
from zipper.text.tokenizer import TextTokenizer

LEVELS = (4, 4)
CODES = 16  # few, so that random speech soon comes upon its end token


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that run tests may be busy."""
    monkeypatch.setattr(limits, "MAX_PASSAGE_SECONDS", 3600.0)
    monkeypatch.setattr(limits, "MAX_REQUEST_SECONDS", 3600.0)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that `Zipper.from_pretrained` reads, tiny."""
    folder = tmp_path_factory.mktemp("assets")
    torch.manual_seed(0)
    pieces = TextTokenizer.train(["Hello there, how are you today?", "It was a dark and stormy night."] * 3, 300)
    pieces.save(folder / "zipper")
    text = TowerConfig(pieces.vocab_size, 16, 3, 2, 1, 24, pieces.begin_id, pieces.end_id)
    speech = TowerConfig(CODES + 2, 16, 3, 2, 1, 24, CODES, CODES + 1)
    model = ZipperModel(ZipperConfig(text, speech, ZipConfig(1, 1, 2)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("gate"):
                weight.fill_(GATE)
    checkpoint.save(model, folder / "zipper")
    encoder = WhisperEncoder(EncoderConfig(width=16, depth=1, heads=2))
    quantizer = Quantizer(QuantizerConfig(phones=4, feature_width=16, width=8, levels=LEVELS))
    SpeechTokenizer(encoder, quantizer).save_pretrained(folder / "speech_tokenizer")
    acoustic = AcousticConfig(
        CODES, 2, ("alto", "bass"), 16, 24, token_blocks=1, mel_blocks=1, flow_blocks=1, flow_steps=1
    )
    (folder / "detokenizer").mkdir()
    Detokenizer(AcousticModel(acoustic), HifiGan(HifiGanConfig(channels=16))).save(folder / "detokenizer")
    return folder


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
