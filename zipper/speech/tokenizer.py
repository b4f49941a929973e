"""Audio to speech token ids: frozen Whisper encoder, then the learned quantizer. 25 tokens a second."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from zipper.configuration import from_plain
from zipper.errors import ConfigError, WeightsError
from zipper.rates import TOKEN_RATE, TOKEN_SAMPLES
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder, log_mel
from zipper.tensors import Stored, read_tensors, uninitialized

WINDOW = 28 * TOKEN_RATE  # tokens; Whisper's encoder knows 30 s
OVERLAP = 4 * TOKEN_RATE  # tokens that two windows share; the seam lies in the middle, 2 s from either edge

CONFIG_FILE, ENCODER_FILE, QUANTIZER_FILE = "config.json", "encoder.safetensors", "quantizer.safetensors"


@dataclass(frozen=True)
class Window:
    """Part of a long clip, in tokens: encoded from start to end, kept from first to last."""

    start: int
    end: int
    first: int
    last: int


def windows(tokens: int) -> list[Window]:
    """Overlapping windows over a clip; the kept parts join without gap or overlap."""
    if tokens <= WINDOW:
        return [Window(0, tokens, 0, tokens)]
    count = math.ceil((tokens - OVERLAP) / (WINDOW - OVERLAP))
    starts = [round(i * (tokens - WINDOW) / (count - 1)) for i in range(count)]
    cuts = [0, *((a + WINDOW + b) // 2 for a, b in zip(starts[:-1], starts[1:], strict=True)), tokens]
    return [Window(s, s + WINDOW, a, b) for s, a, b in zip(starts, cuts[:-1], cuts[1:], strict=True)]


class SpeechTokenizer:
    """Encoder and quantizer, ready to run; deterministic."""

    def __init__(
        self, encoder: WhisperEncoder | Stored[WhisperEncoder], quantizer: Quantizer | Stored[Quantizer]
    ) -> None:
        self._encoder = encoder if isinstance(encoder, Stored) else Stored(encoder)
        self._quantizer = quantizer if isinstance(quantizer, Stored) else Stored(quantizer)
        if self._encoder.unfilled.config.width != self._quantizer.unfilled.config.feature_width:
            raise ConfigError("The quantizer was made for features of another width than the encoder's.")

    @property
    def encoder(self) -> WhisperEncoder:
        """The network from sound to features, with its weights."""
        return self._encoder.get()

    @property
    def quantizer(self) -> Quantizer:
        """The network from features to codes, with its weights."""
        return self._quantizer.get()

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory, as they are from the first recording on."""
        return self._encoder.is_loaded or self._quantizer.is_loaded

    @property
    def codes(self) -> int:
        """Number of codes; ids are 0 .. codes - 1."""
        return self._quantizer.unfilled.config.codes

    @torch.inference_mode()
    def encode(self, samples: np.ndarray) -> np.ndarray:
        """samples: (n,) float32 at 16 kHz, any length. Returns ids, int64 (ceil(n / 640),)."""
        audio = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
        if not len(audio):
            return np.zeros(0, np.int64)
        encoder, quantizer, parts = self.encoder, self.quantizer, []
        for window in windows(math.ceil(len(audio) / TOKEN_SAMPLES)):
            piece = audio[window.start * TOKEN_SAMPLES : window.end * TOKEN_SAMPLES]
            _, ids = quantizer.encode(encoder(log_mel(piece, encoder.config.mels)[None]))
            parts.append(ids[0, window.first - window.start : window.last - window.start])
        return torch.cat(parts).numpy()

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json, encoder.safetensors (float16, as Whisper was published) and quantizer.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {"encoder": self.encoder.config.to_dict(), "quantizer": self.quantizer.config.to_dict()}
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file({k: v.half().contiguous() for k, v in self.encoder.state_dict().items()}, folder / ENCODER_FILE)
        save_file({k: v.contiguous() for k, v in self.quantizer.state_dict().items()}, folder / QUANTIZER_FILE)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> "SpeechTokenizer":
        """Read what save_pretrained wrote; raises WeightsError."""
        path = Path(folder)
        try:
            config = json.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
            with uninitialized():
                encoder = WhisperEncoder(from_plain(EncoderConfig, config["encoder"], CONFIG_FILE))
                quantizer = Quantizer(from_plain(QuantizerConfig, config["quantizer"], CONFIG_FILE))
            return cls(
                Stored(encoder.eval().requires_grad_(False), read_tensors(path / ENCODER_FILE)),
                Stored(quantizer.eval().requires_grad_(False), read_tensors(path / QUANTIZER_FILE)),
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, ConfigError, WeightsError) as error:
            raise WeightsError(
                f"The speech tokenizer in {path.name} is missing, damaged or of another version; fetch it again."
            ) from error
