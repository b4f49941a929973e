"""What Zipper is measured beside and judged by: Whisper models, hibari, DistillMOS.

None of them is needed to use Zipper; DependencyError tells which package a measurement lacks. torch is
imported where it is used, as it would add hundreds of MB to the memory measured of a peer that does without.
"""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np

from zipper.audio.io import Samples
from zipper.errors import DependencyError, WeightsError
from zipper.rates import SPEECH_RATE

Recognizer: TypeAlias = Callable[[Samples], str]  # samples (n,) at 16 kHz -> text
Sound: TypeAlias = tuple[Samples, int]  # samples (n,), rate in Hz
Voice: TypeAlias = Callable[[str], Sound]  # one sentence -> speech

WHISPER_SECONDS = 30  # s that Whisper hears at once
WHISPER_TOKENS = 220  # text tokens of them at most, as in Whisper's own decoder


def require(name: str) -> ModuleType:
    """Import an optional package; DependencyError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DependencyError(f"This measurement needs the package {name}, which is not installed.") from None


def load_recognizer(folder: Path, threads: int = 2) -> Recognizer:
    """Whisper from a CTranslate2 (model.bin, int8) or Hugging Face folder (model.safetensors, float32)."""
    if (folder / "model.bin").exists():
        model = FasterWhisper(folder, threads)
        return lambda samples: "".join(model.stream(samples)).strip()
    if (folder / "model.safetensors").exists():
        return TransformersWhisper(folder)
    raise WeightsError(f"{folder} holds no Whisper model, neither model.bin nor model.safetensors.")


class FasterWhisper:
    """A CTranslate2 Whisper in int8: greedy, English, no timestamps. WeightsError for another folder."""

    def __init__(self, folder: Path, threads: int) -> None:
        package = require("faster_whisper")
        try:
            self.model = package.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(f"{folder} is not a CTranslate2 Whisper model: {error}") from None

    def stream(self, samples: Samples) -> Iterator[str]:
        """Text of each segment of samples (n,) at 16 kHz, as it is decoded."""
        segments, _ = self.model.transcribe(
            samples, language="en", beam_size=1, without_timestamps=True, condition_on_previous_text=False
        )
        for segment in segments:
            yield segment.text


class TransformersWhisper:
    """A Hugging Face Whisper in float32, greedy, English; the folder needs no more than tokenizer.json."""

    def __init__(self, folder: Path) -> None:
        torch, transformers, tokenizers = map(require, ("torch", "transformers", "tokenizers"))
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            self.features = transformers.WhisperFeatureExtractor.from_pretrained(folder)
            model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
            self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the packages raise many kinds for many kinds of broken folder
            raise WeightsError(f"{folder} is not a Whisper model: {error}") from None
        self.model = model.eval()
        spoken = {"language": "en", "task": "transcribe"}
        self.options = spoken if model.generation_config.is_multilingual else {}

    def __call__(self, samples: Samples) -> str:
        """Text of samples (n,) at 16 kHz; more than 30 s are cut into equal parts."""
        count = -(-len(samples) // (WHISPER_SECONDS * SPEECH_RATE))
        return " ".join(self._transcribe(part) for part in np.array_split(samples, max(1, count)))

    def _transcribe(self, samples: Samples) -> str:
        mel = self.features(samples, sampling_rate=SPEECH_RATE, return_tensors="pt").input_features
        ids = self.model.generate(mel, max_new_tokens=WHISPER_TOKENS, do_sample=False, **self.options)
        return str(self.tokenizer.decode(ids[0].tolist())).strip()


def hibari_voice(threads: int = 1) -> Voice:
    """The voice that the package hibari brings along, 24 kHz."""
    model = require("hibari").Hibari(threads=threads)
    return lambda text: (model(text, seed=0), int(model.sample_rate))


def load_mos() -> Callable[[Samples], float]:
    """DistillMOS: samples (n,) at 16 kHz -> naturalness, 1 to 5."""
    torch, package = require("torch"), require("distillmos")
    with contextlib.redirect_stdout(io.StringIO()):  # it announces its weights, which would spoil the table
        model = package.ConvTransformerSQAModel().eval()

    def score(samples: Samples) -> float:
        with torch.inference_mode():
            return float(model(torch.from_numpy(samples)[None]))

    return score
