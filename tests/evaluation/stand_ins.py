"""What evaluation measures, with true figures that are known by hand."""

import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from zipper.alignment.words import WordTime
from zipper.errors import NoSpeechError, TextError
from zipper.model.zipper import ZipperModel
from zipper.results import AlignmentHead

RATE = 16_000
SPEECH_CODES = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters:
    """A text tokenizer of letters: ids from 2 on, spaces in front of words."""

    def encode(self, text: str) -> list[int]:
        words = ["Ġ" + word for word in text.lower().split()]
        return [2 + (LETTERS + "Ġ").index(c) for word in words for c in word if c in LETTERS + "Ġ"]

    def piece(self, token: int) -> str:
        return (LETTERS + "Ġ")[token - 2]


class Codes:
    """A speech tokenizer: 640 samples a token."""

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return np.arange(-(-len(samples) // 640)) % SPEECH_CODES


class StandIn:
    """Zipper as evaluation sees it: hears what it is told to, speaks one second a word."""

    def __init__(self, model: ZipperModel, heard: Sequence[WordTime] = ()) -> None:
        self.model, self.heard = model, heard
        self.heads: tuple[AlignmentHead, ...] = ()
        self.text_tokenizer, self.speech_tokenizer = Letters(), Codes()
        self.detokenizer = SimpleNamespace(
            voices=["one"], sample_rate=22_050, decode=lambda tokens, voice, seed=0: tone(len(tokens) / 25, 22_050)
        )

    def transcribe(self, source: tuple[np.ndarray, int]) -> SimpleNamespace:
        if not source[0].any():
            raise NoSpeechError("No speech was found.")
        words = [SimpleNamespace(text=w.word, start=w.start, end=w.end) for w in self.heard]
        return SimpleNamespace(text=" ".join(w.word for w in self.heard), words=words)

    def synthesize(
        self, text: str, *, voice: str | None = None, seed: int = 0, keep_unended: bool = False
    ) -> SimpleNamespace:
        if "unspeakable" in text:
            raise TextError("That cannot be spoken.")
        return SimpleNamespace(samples=tone(len(text.split()), RATE), sample_rate=RATE)


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    """A quiet 200 Hz tone."""
    return (0.1 * np.sin(2 * math.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
