"""The learned quantizer: Whisper features (50 Hz) to one of a few thousand codes 25 times a second, and back.

Finite scalar quantization (Mentzer et al. 2023, arXiv 2309.15505) in the middle of a small supervised network, after
CosyVoice 2's S3 tokenizer. What the decoder half must tell from the codes decides what the codes keep: the phone in
each 20 ms, so that words survive, and the features themselves, so that prosody does.

Shapes: B batch, F frames (50 Hz), T tokens (25 Hz), W feature width, C network width, D dimensions of a code.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.errors import ConfigError
from zipper.rates import FRAMES_PER_TOKEN


@dataclass(frozen=True)
class QuantizerConfig:
    """Sizes. `levels` are the steps of each dimension of a code; their product is the number of codes."""

    phones: int
    feature_width: int = 512
    width: int = 256
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    kernel: int = 7
    levels: tuple[int, ...] = (8, 8, 8, 8)

    def __post_init__(self) -> None:
        if min(self.levels) < 2:
            raise ConfigError("Each dimension of a code needs at least two levels.")

    @property
    def codes(self) -> int:
        """How many codes there are: the product of the levels."""
        return math.prod(self.levels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


class FiniteScalarQuantizer(nn.Module):
    """Bounds each dimension and rounds it to its levels; the gradient passes straight through the rounding."""

    steps: Tensor
    strides: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        steps = torch.tensor(levels)
        self.register_buffer("steps", steps, persistent=False)
        self.register_buffer("strides", torch.cumprod(torch.tensor([1, *levels[:-1]]), 0), persistent=False)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z: (B, T, D) any range. Returns latents (B, T, D) in -1..1 on the grid, and code ids (B, T)."""
        top = self.steps - 1
        level = torch.sigmoid(z.float()) * top  # 0 .. levels - 1
        rounded = level.round()
        ids = (rounded.long() * self.strides).sum(-1)
        passed = level + (rounded - level).detach()
        return passed / top * 2 - 1, ids

    def latents(self, ids: Tensor) -> Tensor:
        """Grid points in -1..1 of code ids: (...) -> (..., D)."""
        digits = ids[..., None] // self.strides % self.steps
        return digits / (self.steps - 1) * 2 - 1


class ConvBlock(nn.Module):
    """ConvNeXt block (Liu et al. 2022): depthwise convolution over time, then an MLP on each position."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(0.0)  # training sets its share

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, T, C), mask: (B, T, 1) with 0 behind the end. Returns (B, T, C)."""
        y = self.depthwise((x * mask).transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, x + self.dropout(self.down(F.gelu(self.up(self.norm(y))))))


class Quantized(NamedTuple):
    """What training looks at; `phones` are logits of both halves of each token, (B, F, phones)."""

    ids: Tensor  # (B, T)
    phones: Tensor
    features: Tensor  # (B, F, W), standardized
    target: Tensor  # (B, F, W), the standardized input
    states: Tensor  # (B, T, C), what phones and features are read from


class Quantizer(nn.Module):
    """Features to codes (`encode`), and in training back to phones and features (`forward`)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        joined = config.feature_width * FRAMES_PER_TOKEN
        self.register_buffer("mean", torch.zeros(config.feature_width))
        self.register_buffer("scale", torch.ones(config.feature_width))
        self.enter = nn.Linear(joined, config.width)
        self.encoder = nn.ModuleList(ConvBlock(config.width, config.kernel) for _ in range(config.encoder_blocks))
        self.squeeze = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, len(config.levels)))
        self.fsq = FiniteScalarQuantizer(config.levels)
        self.expand = nn.Linear(len(config.levels), config.width)
        self.decoder = nn.ModuleList(ConvBlock(config.width, config.kernel) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.phone_head = nn.Linear(config.width, config.phones * FRAMES_PER_TOKEN)
        self.feature_head = nn.Linear(config.width, joined)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and deviation (W,) of the features of the training data."""
        self.mean.copy_(mean)
        self.scale.copy_(1 / std.clamp(min=1e-4))

    def standardize(self, features: Tensor) -> Tensor:
        """Features (..., W) at mean 0 and deviation 1 of the training data."""
        return (features.float() - self.mean) * self.scale

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """features: (B, F, W), F even; lengths: (B,) tokens. Returns latents (B, T, D) and ids (B, T)."""
        return self._encode(self.standardize(features), _mask(features, lengths))

    def _encode(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        h = self.enter(x.reshape(len(x), -1, x.shape[2] * FRAMES_PER_TOKEN))
        for block in self.encoder:
            h = block(h, mask)
        latents, ids = self.fsq(self.squeeze(h))
        return latents, ids

    def forward(self, features: Tensor, lengths: Tensor) -> Quantized:
        """features: (B, F, W) any padding behind the end; lengths: (B,) tokens."""
        x, mask = self.standardize(features), _mask(features, lengths)
        latents, ids = self._encode(x, mask)
        h = self.expand(latents.to(x.dtype))
        for block in self.decoder:
            h = block(h, mask)
        h = self.norm(h)
        B, frames, _ = x.shape
        return Quantized(ids, self.phone_head(h).view(B, frames, -1), self.feature_head(h).view(B, frames, -1), x, h)


def _mask(features: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, 1): 1 on a clip, 0 behind its end."""
    tokens = features.shape[1] // FRAMES_PER_TOKEN
    if lengths is None:
        return features.new_ones(1, tokens, 1, dtype=torch.float32)
    return (torch.arange(tokens, device=features.device) < lengths[:, None])[..., None].float()
