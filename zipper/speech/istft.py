"""Inverse-STFT vocoder (Siuzdak, "Vocos", arXiv 2306.00814): log-mel frames to sound, 256 samples a frame.

ConvNeXt blocks at the rate of the frames predict magnitude and phase of a spectrum for each frame; overlapping and
adding their inverse transforms gives the samples. Other than in the paper every convolution looks back only, but for
the first, which looks a few frames ahead, and the phase is predicted as a direction: a point of the plane, whose angle
turns without a jump while the phase goes round. Shapes: B clips, T frames, C channels, F = n_fft / 2 + 1 frequencies.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.audio.mel import FLOOR
from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP

SILENCE = math.log(FLOOR)  # log-mel of digital silence, which stands before and behind a clip
MEL_MEAN, MEL_SPREAD = -5.0, 2.5  # of speech, about: the network sees log-mels shifted and scaled by these
SMALLEST = 1e-6  # square of a direction's length below which its phase fades into silence
LEAST_LOG = -16.0  # of a magnitude: what lies below is no sound


@dataclass(frozen=True)
class IstftConfig:
    """Sizes of the vocoder.

    look_ahead: frames behind a frame that its samples depend on, those of the overlapping windows counted.
    """

    width: int = 384
    ff_width: int = 1152
    blocks: int = 8
    kernel: int = 7  # frames
    n_fft: int = 1024  # samples of a window
    look_ahead: int = 4

    def __post_init__(self) -> None:
        if min(self.width, self.ff_width, self.blocks, self.kernel) < 1:
            raise ConfigError("The vocoder's width, ff_width, blocks and kernel must be at least 1.")
        if self.n_fft % (2 * VOCODER_HOP) or self.n_fft < 2 * VOCODER_HOP:
            raise ConfigError(f"The vocoder's n_fft must be a multiple of {2 * VOCODER_HOP}.")
        if not self.overlap_ahead <= self.look_ahead < self.overlap_ahead + self.kernel:
            most = self.overlap_ahead + self.kernel - 1
            raise ConfigError(f"The vocoder's look_ahead must lie in {self.overlap_ahead}..{most} frames.")

    @property
    def overlap_ahead(self) -> int:
        """Frames behind a frame whose windows reach into it."""
        return math.ceil((self.n_fft - VOCODER_HOP) / 2 / VOCODER_HOP)

    @property
    def first_ahead(self) -> int:
        """Frames that the first convolution looks ahead."""
        return self.look_ahead - self.overlap_ahead


class OverlapAdd(nn.Module):
    """Inverse STFT of frames that are centered as those of the mels: frame t on samples 256 t to 256 (t + 1)."""

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.n_fft, self.parts = n_fft, n_fft // VOCODER_HOP
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    @property
    def lead(self) -> int:
        """Samples of the first window that lie before the first frame."""
        return (self.n_fft - VOCODER_HOP) // 2

    def frames(self, spectrum: Tensor) -> Tensor:
        """Spectra (B, T, F) -> their windowed samples, cut into hops (B, T, n_fft / 256, 256)."""
        samples: Tensor = torch.fft.irfft(spectrum, self.n_fft) * self.get_buffer("window")
        return samples.reshape(*samples.shape[:2], self.parts, VOCODER_HOP)

    def weights(self, count: int) -> Tensor:
        """What `add` must be divided by, as the hops (1, T, n_fft / 256, 256) of so many frames."""
        squares = self.get_buffer("window").square().view(1, 1, self.parts, VOCODER_HOP)
        return squares.expand(1, count, -1, -1)

    def add(self, frames: Tensor) -> Tensor:
        """Hops of frames -> overlapped and added (B, T + n_fft / 256 - 1, 256); `lead` samples precede frame 0."""
        behind = self.parts - 1
        return cast(Tensor, sum(F.pad(frames[:, :, part], (0, 0, part, behind - part)) for part in range(self.parts)))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Spectra (B, T, F) complex -> samples (B, 256 T), the inverse of a Hann-windowed STFT."""
        count = spectrum.shape[1]
        samples = self.add(self.frames(spectrum)).flatten(1)
        weights = self.add(self.weights(count)).flatten(1)
        inside = slice(self.lead, self.lead + count * VOCODER_HOP)
        return samples[:, inside] / weights[:, inside]


class Block(nn.Module):
    """ConvNeXt: each channel over time, then all channels of a frame, around a skip."""

    def __init__(self, config: IstftConfig) -> None:
        super().__init__()
        width = config.width
        self.depthwise = nn.Conv1d(width, width, config.kernel, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.ff_width)
        self.down = nn.Linear(config.ff_width, width)
        self.scale = nn.Parameter(torch.full((width,), 1 / config.blocks))

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, T) and the kernel - 1 frames before it -> (B, C, T) and the frames before what follows."""
        seen = torch.cat([before, x], 2)
        y = self.norm(self.depthwise(seen).transpose(1, 2))
        y = self.down(F.gelu(self.up(y))) * self.scale
        return x + y.transpose(1, 2), seen[:, :, seen.shape[2] - before.shape[2] :]


class Backbone(nn.Module):
    """Log-mel to features, frame by frame."""

    def __init__(self, config: IstftConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv1d(MELS, config.width, config.kernel)
        self.first_norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.last_norm = nn.LayerNorm(config.width)

    def silence(self, mel: Tensor) -> list[Tensor]:
        """What the blocks have seen before the beginning of mel (B, T, 80): nothing, (B, C, kernel - 1) each."""
        nothing = mel.new_zeros(len(mel), self.config.width, self.config.kernel - 1)
        return [nothing] * self.config.blocks

    def forward(self, mel: Tensor, before: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """mel (B, T + kernel - 1, 80) -> features (B, T, C); before: what each block saw, returned brought forward."""
        x = self.first((mel - MEL_MEAN).transpose(1, 2) / MEL_SPREAD)
        x = self.first_norm(x.transpose(1, 2)).transpose(1, 2)
        after = []
        for block, seen in zip(self.blocks, before, strict=True):
            x, seen = block(x, seen.to(x.dtype))
            after.append(seen)
        return self.last_norm(x.transpose(1, 2)), after


class Head(nn.Module):
    """Features to spectra: logarithm of the magnitude, and the direction of the phase."""

    def __init__(self, config: IstftConfig) -> None:
        super().__init__()
        self.bins = config.n_fft // 2 + 1
        self.loudest = math.log(config.n_fft / 2)  # of a full-scale sine is half of this
        self.magnitude = nn.Linear(config.width, self.bins)
        self.direction = nn.Linear(config.width, 2 * self.bins)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, C) -> spectra (B, T, F), complex64 whatever the precision of the features; always finite sizes."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            size = self.magnitude(features).clamp(LEAST_LOG, self.loudest).exp()
            x, y = self.direction(features).chunk(2, -1)
            size = size * torch.rsqrt(x.square() + y.square() + SMALLEST)
            return torch.complex(size * x, size * y)


class IstftVocoder(nn.Module):
    """The vocoder: a whole mel at once, or stretch after stretch as it comes, see `start`."""

    def __init__(self, config: IstftConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.head = Head(config)
        self.overlap_add = OverlapAdd(config.n_fft)

    @property
    def look_ahead(self) -> int:
        """Frames behind a frame that its samples depend on."""
        return self.config.look_ahead

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel frames (B, T, 80) -> samples (B, 256 T) at 22.05 kHz, float32.

        In -1..1 but in training, where what is too loud must have a gradient.
        """
        ahead = self.config.first_ahead
        padded = F.pad(mel, (0, 0, self.config.kernel - 1 - ahead, ahead), value=SILENCE)
        features, _ = self.backbone(padded, self.backbone.silence(mel))
        samples = cast(Tensor, self.overlap_add(self.head(features)))
        return samples if self.training else samples.clamp(-1, 1)

    def start(self) -> "IstftStream":
        """What speaks the frames of one mel, stretch after stretch."""
        return IstftStream(self)


class IstftStream:
    """Callable (mel, first, last) -> samples of frames first..last, for stretches of one mel that follow each other.

    Together the samples are those that the vocoder gives for the whole mel; each frame is computed once.
    """

    def __init__(self, vocoder: IstftVocoder) -> None:
        self.vocoder = vocoder
        config = vocoder.config
        self.fed = 0  # frames of the mel that have been taken
        self.ended = False
        past = config.kernel - 1 - config.first_ahead
        self.mel = torch.full((1, past, MELS), SILENCE)  # what the first convolution sees before the beginning
        self.before = vocoder.backbone.silence(self.mel)
        tail = torch.zeros(1, vocoder.overlap_add.parts - 1, VOCODER_HOP)
        self.sums, self.weights = tail, tail  # of the windows that reach behind the last frame
        self.ready = torch.zeros(0)  # samples that are finished
        self.skipped = vocoder.overlap_add.lead  # samples before the first frame that are still to come

    def __call__(self, mel: Tensor, first: int, last: int) -> Tensor:
        """Samples (256 (last - first),); mel (T, 80) must reach `look_ahead` frames behind last, or end the clip."""
        known = min(len(mel), last + self.vocoder.look_ahead)
        self._feed(mel[None, self.fed : known])
        self.fed = known
        if last + self.vocoder.look_ahead > len(mel) and not self.ended:
            self.ended = True
            self._feed(mel.new_full((1, self.vocoder.config.first_ahead, MELS), SILENCE))
            self._finish(self.sums, self.weights)
        wanted = (last - first) * VOCODER_HOP
        samples, self.ready = self.ready[:wanted], self.ready[wanted:]
        return samples

    def _feed(self, mel: Tensor) -> None:
        """Frames (1, T, 80) that follow those before."""
        self.mel = torch.cat([self.mel, mel], 1)
        past = self.vocoder.config.kernel - 1
        if self.mel.shape[1] <= past:
            return
        features, self.before = self.vocoder.backbone(self.mel, self.before)
        self.mel = self.mel[:, self.mel.shape[1] - past :]
        overlap, count = self.vocoder.overlap_add, features.shape[1]
        sums = self._joined(self.sums, overlap.add(overlap.frames(self.vocoder.head(features))))
        weights = self._joined(self.weights, overlap.add(overlap.weights(count)))
        self.sums, self.weights = sums[:, count:], weights[:, count:]
        self._finish(sums[:, :count], weights[:, :count])

    @staticmethod
    def _joined(tail: Tensor, hops: Tensor) -> Tensor:
        """Hops of new frames with what earlier windows add to the first of them."""
        return hops + F.pad(tail, (0, 0, 0, hops.shape[1] - tail.shape[1]))

    def _finish(self, sums: Tensor, weights: Tensor) -> None:
        """Hops that no further frame reaches."""
        samples, divisor = sums.flatten(), weights.flatten()
        skipped = min(self.skipped, len(samples))
        self.skipped -= skipped
        finished = (samples[skipped:] / divisor[skipped:].clamp(min=1e-8)).clamp(-1, 1)
        self.ready = torch.cat([self.ready, finished])
