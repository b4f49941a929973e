"""HiFi-GAN generator (Kong et al., "HiFi-GAN", NeurIPS 2020): log-mel frames to sound, 256 samples a frame.

Weights are those of the published generator with weight normalization folded into plain convolutions.
Shapes: B clips, T frames, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP

SLOPE = 0.1  # of the leaky rectifiers, except before the last convolution, which has PyTorch's default
EDGE_KERNEL = 7  # samples, of the first and the last convolution


@dataclass(frozen=True)
class HifiGanConfig:
    """Sizes of the generator; the defaults are V1, the largest of the paper's three."""

    channels: int = 512
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 16, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    block_dilations: tuple[int, ...] = (1, 3, 5)

    def __post_init__(self) -> None:
        if prod(self.upsample_rates) != VOCODER_HOP:
            raise ConfigError(f"The vocoder's upsample rates must multiply to {VOCODER_HOP} samples a frame.")
        if len(self.upsample_rates) != len(self.upsample_kernels):
            raise ConfigError("The vocoder needs one upsample kernel for each upsample rate.")
        if self.channels % 2 ** len(self.upsample_rates):
            raise ConfigError("The vocoder's channels are halved by each upsampling and must stay whole.")

    @property
    def reach(self) -> int:
        """Frames on either side that influence the samples of a frame: the receptive field, rounded up."""
        block = max(self.block_kernels) // 2 * sum(dilation + 1 for dilation in self.block_dilations)
        reach, rate = float(EDGE_KERNEL // 2), 1
        for upsample, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            reach += kernel / upsample / 2 / rate
            rate *= upsample
            reach += block / rate
        return ceil(reach + EDGE_KERNEL // 2 / rate)


class ResidualBlock(nn.Module):
    """Dilated convolutions, each followed by a plain one, with a skip around every pair."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=kernel // 2 * dilation)

        self.convs1 = nn.ModuleList(convolution(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(convolution(1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class HifiGan(nn.Module):
    """The generator; attribute names are those of the published weights."""

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.config = config
        stages = range(len(config.upsample_rates) + 1)
        widths = [config.channels // 2**stage for stage in stages]
        self.conv_pre = nn.Conv1d(MELS, widths[0], EDGE_KERNEL, padding=EDGE_KERNEL // 2)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(wide, narrow, kernel, rate, padding=(kernel - rate) // 2)
            for (wide, narrow), rate, kernel in zip(
                pairwise(widths), config.upsample_rates, config.upsample_kernels, strict=True
            )
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, config.block_dilations)
            for width in widths[1:]
            for kernel in config.block_kernels
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, EDGE_KERNEL, padding=EDGE_KERNEL // 2)

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel frames (B, T, 80) -> samples in -1..1 (B, 256 T) at 22.05 kHz."""
        x = self.conv_pre(mel.transpose(1, 2))  # (B, C, T)
        parallel = len(self.config.block_kernels)
        for stage, upsample in enumerate(self.ups):
            x = upsample(F.leaky_relu(x, SLOPE))  # (B, C / 2, T * rate)
            blocks = self.resblocks[stage * parallel : (stage + 1) * parallel]
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return cast(Tensor, self.conv_post(F.leaky_relu(x))[:, 0].tanh())

    @property
    def look_ahead(self) -> int:
        """Frames behind a frame that its samples depend on."""
        return self.config.reach

    def start(self) -> Callable[[Tensor, int, int], Tensor]:
        """What speaks the frames of one mel, stretch after stretch; nothing is carried from one to the next."""
        return self.window

    def window(self, mel: Tensor, first: int, last: int) -> Tensor:
        """Samples of frames first..last of mel (T, 80), the same as forward on all of it gives."""
        start, end = max(0, first - self.config.reach), min(len(mel), last + self.config.reach)
        samples = self(mel[None, start:end])[0]
        return cast(Tensor, samples[(first - start) * VOCODER_HOP : (last - start) * VOCODER_HOP])
