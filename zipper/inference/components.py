"""The parts that a Zipper is made of: what is needed of each, loading them from one folder, and that they
fit.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from zipper.alignment.heads import load_heads
from zipper.audio.io import Samples
from zipper.errors import WeightsError
from zipper.model.checkpoint import CONFIG_FILE, load, read_json
from zipper.model.fused import FusedModel
from zipper.results import AlignmentHead
from zipper.speech.delivery import AS_GENERATED, Delivery
from zipper.text.lexicon import Lexicon
from zipper.weights import DETOKENIZER_FOLDER, MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER, check_folder

HEADS_FILE = "alignment.json"
SPECIAL_CODES = 2  # begin and end, which follow the codes in the speech vocabulary


class SpeechTokens(Protocol):
    """From sound to speech tokens."""

    @property
    def codes(self) -> int:
        """Size of the codebook."""

    def encode(self, samples: Samples) -> npt.NDArray[np.int64]:
        """16 kHz samples (n,) -> codes (ceil(n / 640),)."""


class TextTokens(Protocol):
    """From text to ids and back."""

    @property
    def vocab_size(self) -> int:
        """Pieces, with begin and end."""

    def encode(self, text: str) -> list[int]:
        """Ids without begin and end."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""

    def piece(self, token: int) -> str:
        """How one id reads."""


class Detokens(Protocol):
    """From speech tokens to sound at 25 tokens a second."""

    @property
    def sample_rate(self) -> int:
        """Hz of the sound."""

    @property
    def voices(self) -> list[str]:
        """Names of the voices."""

    def decode(
        self, tokens: npt.NDArray[np.int64], voice: str, seed: int = 0, delivery: Delivery = AS_GENERATED
    ) -> Samples:
        """Codes (n,) -> samples."""

    def stream(
        self, chunks: Iterator[npt.NDArray[np.int64]], voice: str, seed: int = 0, delivery: Delivery = AS_GENERATED
    ) -> Iterator[Samples]:
        """The same, piece by piece."""


@dataclass(frozen=True)
class Components:
    """All parts; heads are the alignment heads of both directions, empty while none has been chosen; words
    those that recognition is held to."""

    model: FusedModel
    speech_tokenizer: SpeechTokens
    text_tokenizer: TextTokens
    detokenizer: Detokens
    heads: tuple[AlignmentHead, ...] = ()
    words: Lexicon | None = None

    def __post_init__(self) -> None:
        config = self.model.config
        if config.text.vocab_size != self.text_tokenizer.vocab_size:
            raise WeightsError(
                f"The text tokenizer has {self.text_tokenizer.vocab_size} pieces and the text tower expects "
                f"{config.text.vocab_size}; they belong to different models."
            )
        if config.speech.vocab_size != self.speech_tokenizer.codes + SPECIAL_CODES:
            raise WeightsError(
                f"The speech tokenizer has {self.speech_tokenizer.codes} codes and the speech tower expects "
                f"{config.speech.vocab_size - SPECIAL_CODES}; they belong to different models."
            )
        for head in self.heads:
            if head.zip_point >= config.attention_points or head.head >= config.attention_heads:
                raise WeightsError(f"{HEADS_FILE} names heads that the model does not have.")


def read_voices(folder: str | os.PathLike[str]) -> list[str]:
    """Names of a model folder's voices, read without loading the model; WeightsError where there is none."""
    check_folder(Path(folder))
    settings = read_json(Path(folder) / DETOKENIZER_FOLDER / CONFIG_FILE)
    try:
        voices = [str(voice) for voice in settings["acoustic"]["voices"]]
    except (KeyError, TypeError):
        voices = []
    if not voices:
        raise WeightsError(f"The detokenizer in {Path(folder) / DETOKENIZER_FOLDER} is corrupt: it names no voices.")
    return voices


def load_components(folder: str | os.PathLike[str]) -> Components:
    """Read every part from a folder such as ``assets``; WeightsError or ConfigError says which one is
    wrong.

    Those of the way from and to sound are checked, and get their weights when they are first used: recognition needs
    no vocoder, synthesis no encoder of sound.
    """
    from zipper.speech.detokenizer import Detokenizer
    from zipper.speech.tokenizer import SpeechTokenizer
    from zipper.text.tokenizer import TextTokenizer

    root = Path(folder)
    check_folder(root)
    heads = root / MODEL_FOLDER / HEADS_FILE
    return Components(
        load(root / MODEL_FOLDER),
        SpeechTokenizer.from_pretrained(root / SPEECH_TOKENIZER_FOLDER),
        TextTokenizer.from_pretrained(root / MODEL_FOLDER),
        Detokenizer.from_pretrained(root / DETOKENIZER_FOLDER),
        tuple(load_heads(heads)) if heads.exists() else (),
        Lexicon.from_pretrained(root / MODEL_FOLDER),
    )
