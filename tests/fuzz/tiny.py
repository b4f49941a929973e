"""A model folder with random weights, which answers at once and means nothing."""

from pathlib import Path

import torch

from zipper.model import checkpoint
from zipper.model.config import TowerConfig, ZipConfig, ZipperConfig
from zipper.model.zipper import ZipperModel
from zipper.speech.acoustic import AcousticConfig, AcousticModel
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder
from zipper.text.tokenizer import TextTokenizer

GATE = 0.5  # of the zips: open, or nothing would flow between the towers
LEVELS = (4, 4)
CODES = 16  # few, so that random speech soon comes upon its end token


def make_model(folder: Path) -> Path:
    """Write everything that `Zipper.from_pretrained` reads; returns the folder."""
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
