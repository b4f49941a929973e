"""Speech tokens and a voice to sound: the acoustic network, then the vocoder; at once or as tokens arrive."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from zipper import files
from zipper.configuration import from_plain
from zipper.errors import ConfigError, OptionError, StorageError, WeightsError
from zipper.rates import MELS, VOCODER_HOP, VOCODER_RATE, VOCODER_SAMPLES_PER_TOKEN
from zipper.speech.acoustic import NOISE_LEVEL, AcousticConfig, AcousticModel, token_position
from zipper.speech.delivery import AS_GENERATED, Delivery, frames_of, samples_of
from zipper.speech.vocoder import CONFIG_FILE, Vocoder, arrange, open_vocoder, save_vocoder
from zipper.tensors import Stored, read_tensors, uninitialized

ACOUSTIC_FILE = "model.safetensors"
UNFIT = (OSError, ValueError, KeyError, TypeError, RuntimeError, ConfigError, WeightsError)
NOISE_BLOCK = 64  # frames of noise drawn together, so that any stretch of it can be drawn again
VOCODER_BLOCK = 128  # frames the vocoder turns into sound at once, 1.5 s: 512 took 400 MB more and no less time
FIRST_PIECE = 24  # frames, 0.28 s, before the first sound of a stream
NEXT_PIECE = 96  # frames, 1.1 s, of every further piece; each piece costs a fixed overlap


# Parts of weight names that were called otherwise when the shipped weights were saved
FORMER_NAMES = {"rise": "up", "fall": "down", "melody": "pitch_encoder", "body": "mel_decoder"}


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the acoustic network under the names of today."""
    return {".".join(FORMER_NAMES.get(part, part) for part in name.split(".")): w for name, w in weights.items()}


@dataclass
class _Progress:
    """How far a stream has come."""

    voice: int
    seed: int
    delivery: Delivery
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    mel: Tensor = field(default_factory=lambda: torch.zeros(0, MELS))  # (T, M) of all tokens so far
    frames: int = 0  # that are sound already
    speak: Callable[[Tensor, int, int], Tensor] | None = None  # the vocoder's, which may keep what it has seen


class Detokenizer:
    """Turns tokens into float32 samples at `sample_rate` Hz; safe to share between threads.

    The same tokens, voice and seed give the same sound; `stream` that of `decode`, whatever the chunks.
    """

    sample_rate = VOCODER_RATE

    def __init__(self, acoustic: AcousticModel | Stored[AcousticModel], vocoder: Vocoder | Stored[Vocoder]) -> None:
        self._acoustic = acoustic if isinstance(acoustic, Stored) else Stored(acoustic)
        self._vocoder = vocoder if isinstance(vocoder, Stored) else Stored(vocoder, prepare=arrange)
        for part in (self._acoustic, self._vocoder):
            part.unfilled.eval().requires_grad_(False)
        self.config = self._acoustic.unfilled.config
        self.look_ahead = self._vocoder.unfilled.look_ahead

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Detokenizer":
        """Read what save wrote; WeightsError if a file is missing, corrupt or does not fit."""
        folder = Path(folder)
        for name in (CONFIG_FILE, ACOUSTIC_FILE):
            if not (folder / name).is_file():
                raise WeightsError(f"The detokenizer in {folder} lacks {name}.")
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            with uninitialized():
                acoustic = AcousticModel(from_plain(AcousticConfig, config["acoustic"], CONFIG_FILE))
            stored = Stored(acoustic, renamed(read_tensors(folder / ACOUSTIC_FILE)))
        except UNFIT as error:
            message = f"The detokenizer in {folder} is corrupt or its weights do not fit it."
            raise WeightsError(message) from error
        return cls(stored, open_vocoder(folder))

    @property
    def acoustic(self) -> AcousticModel:
        """The network from tokens to mel, with its weights."""
        return self._acoustic.get()

    @property
    def vocoder(self) -> Vocoder:
        """The network from mel to sound, with its weights as it reads them."""
        return self._vocoder.get()

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory, as they are from the first sound on."""
        return self._acoustic.is_loaded or self._vocoder.is_loaded

    def save(self, folder: Path) -> None:
        """Write what from_pretrained reads; the vocoder in half precision, which cannot be heard."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The folder {folder} cannot be made.") from error
        files.save(folder / ACOUSTIC_FILE, to_bytes(self.acoustic.state_dict()))
        save_vocoder(self.vocoder, folder, {"acoustic": asdict(self.acoustic.config)})

    @property
    def voices(self) -> list[str]:
        """Names that decode and stream take."""
        return list(self.config.voices)

    def decode(self, tokens: np.ndarray, voice: str, seed: int = 0, delivery: Delivery = AS_GENERATED) -> np.ndarray:
        """Tokens (n,) -> samples (882 n,) at speed 1; OptionError for an unknown voice or a token out of range."""
        progress = _Progress(self._voice(voice), seed, delivery)
        self._take(progress, tokens)
        sound = self._advance(progress, (VOCODER_BLOCK, VOCODER_BLOCK), final=True)
        return np.concatenate([np.zeros(0, np.float32), *sound])

    @torch.inference_mode()
    def mel(self, tokens: np.ndarray, voice: str, seed: int = 0, delivery: Delivery = AS_GENERATED) -> Tensor:
        """Tokens (n,) -> the log-mel frames (T, 80) that decode makes sound of; errors are those of decode."""
        progress = _Progress(self._voice(voice), seed, delivery)
        self._take(progress, tokens)
        frames = frames_of(len(progress.tokens), delivery)
        return self._mel(progress, 0, frames) if frames else progress.mel

    def stream(
        self, chunks: Iterable[np.ndarray], voice: str, seed: int = 0, delivery: Delivery = AS_GENERATED
    ) -> Iterator[np.ndarray]:
        """Chunks of tokens, of any length, as they come -> samples; together those that decode gives."""
        progress = _Progress(self._voice(voice), seed, delivery)
        return self._follow(chunks, progress)

    def _follow(self, chunks: Iterable[np.ndarray], progress: _Progress) -> Iterator[np.ndarray]:
        for chunk in chunks:
            self._take(progress, chunk)
            yield from self._advance(progress, (FIRST_PIECE, NEXT_PIECE), final=False)
        yield from self._advance(progress, (FIRST_PIECE, NEXT_PIECE), final=True)

    def _voice(self, name: str) -> int:
        if name not in self.voices:
            raise OptionError(f"There is no voice {name!r}; choose one of {', '.join(self.voices)}.")
        return self.voices.index(name)

    def _take(self, progress: _Progress, tokens: np.ndarray) -> None:
        tokens = np.asarray(tokens, np.int64).reshape(-1)
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < self.config.codes:
            raise OptionError(f"Speech tokens must lie in 0..{self.config.codes - 1}.")
        progress.tokens = np.concatenate([progress.tokens, tokens])

    @torch.inference_mode()
    def _advance(self, progress: _Progress, sizes: tuple[int, int], final: bool) -> list[np.ndarray]:
        """Sound of all whole pieces, of sizes (first, next) frames, that the tokens decide; of all if final.

        A list, not a generator, so that inference mode never leaks to the caller between two pieces.
        """
        total, reach = len(progress.tokens), self.look_ahead
        ready = frames_of(total, progress.delivery) if final else self._decided(progress) - reach
        edges = _edges(progress.frames, ready, sizes, final)
        known = min(edges[-1] + reach, frames_of(total, progress.delivery))
        if len(edges) < 2:
            return []
        if known > len(progress.mel):
            progress.mel = torch.cat([progress.mel, self._mel(progress, len(progress.mel), known)])
        speak = progress.speak = progress.speak or self.vocoder.start()
        sound = [speak(progress.mel, first, last).numpy() for first, last in pairwise(edges)]
        progress.frames = edges[-1]
        surplus = max(0, edges[-1] * VOCODER_HOP - samples_of(total, progress.delivery))
        sound[-1] = sound[-1][: len(sound[-1]) - surplus]
        return [part for part in sound if len(part)]

    def _decided(self, progress: _Progress) -> int:
        """Mel frames that no further token can change."""
        config = self.config
        last = len(progress.tokens) - 1 - config.token_reach[1]  # last token whose features stand
        if last < 1:
            return 0
        # The last frame centered before that token's center; the inverse of acoustic.token_position.
        numerator = (2 * last + 1) * VOCODER_SAMPLES_PER_TOKEN * 100 - 1
        frame = numerator // (VOCODER_HOP * progress.delivery.percent)
        return max(0, (frame - 1) // 2 + 1 - config.frame_reach[1])

    def _mel(self, progress: _Progress, first: int, last: int) -> Tensor:
        """Log-mel frames first..last (T, M) from the tokens within reach of them."""
        config, acoustic = self.config, self.acoustic
        total = len(progress.tokens)
        start = max(0, first - config.frame_reach[0])
        end = min(frames_of(total, progress.delivery), last + config.frame_reach[1])
        frames = torch.arange(start, end)
        low, high = (int(token_position(frames[i], progress.delivery)[0]) for i in (0, -1))
        begin = max(0, low - config.token_reach[0])
        until = min(total, high + 2 + config.token_reach[1])
        codes = torch.from_numpy(progress.tokens[begin:until])[None]
        voice = torch.tensor([progress.voice])
        h = acoustic.spread(acoustic.encode(codes, voice), frames, begin, delivery=progress.delivery)
        noise = torch.from_numpy(_noise(progress.seed, start, end))[None]
        mel = acoustic.restore(acoustic.refine(acoustic.coarse(h, voice, delivery=progress.delivery), noise))
        return mel[0, first - start : last - start]


def _edges(done: int, ready: int, sizes: tuple[int, int], final: bool) -> list[int]:
    """Frames at which the pieces between done and ready meet; a piece that is not whole only if final."""
    edges = [done]
    while edges[-1] + (size := sizes[edges[-1] > 0]) <= ready:
        edges.append(edges[-1] + size)
    return [*edges, ready] if final and edges[-1] < ready else edges


def _noise(seed: int, first: int, last: int) -> np.ndarray:
    """Frames first..last (T, M) float32 of an endless noise that the seed decides."""
    blocks = range(first // NOISE_BLOCK, -(-last // NOISE_BLOCK))
    generators = [np.random.default_rng([seed % 2**64, block]) for block in blocks]
    drawn = np.concatenate([generator.standard_normal((NOISE_BLOCK, MELS)) for generator in generators])
    start = first - blocks.start * NOISE_BLOCK
    return (NOISE_LEVEL * drawn[start : start + last - first]).astype(np.float32)
