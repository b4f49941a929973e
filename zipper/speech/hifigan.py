"""HiFi-GAN generator (Kong et al., "HiFi-GAN", NeurIPS 2020): log-mel frames to sound, 256 samples a frame.

Weights are those of the published generator with weight normalization folded into plain convolutions.
Shapes: B clips, T frames, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP

SLOPE = 0.1  # of the leaky rectifiers, except before the last convolution, which has PyTorch's default
LATE_FRAMES = 48  # that the later stages turn into sound at once: 96 took 50 MB more and 3 % less time
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
        return self.reaches[0]

    @property
    def reaches(self) -> tuple[int, ...]:
        """The same for what the mel, then each stage but the last, hands on: the further, the fewer frames matter."""
        block = max(self.block_kernels) // 2 * sum(dilation + 1 for dilation in self.block_dilations)
        stages, rate = [float(EDGE_KERNEL // 2)], 1  # frames by which each part reaches beyond its own output
        for upsample, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            stages.append(kernel / upsample / 2 / rate + block / (rate * upsample))
            rate *= upsample
        last = EDGE_KERNEL // 2 / rate
        return (ceil(sum(stages) + last), *(ceil(sum(stages[done:]) + last) for done in range(2, len(stages))))


class Convolution(nn.Conv1d):
    """A convolution over time that keeps the length, of an image of height 1: (B, C, 1, T) -> (B, C', 1, T).

    With the channels last in memory, as `arrange` lays the weights out, this takes two thirds of the time of a
    convolution in one dimension; the weights keep the shape of one.
    """

    def __init__(self, channels: int, out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(channels, out, kernel, dilation=dilation, padding=kernel // 2 * dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C', 1, T)."""
        padding, dilation = (0, int(self.padding[0])), (1, self.dilation[0])
        return F.conv2d(x, self.weight.unsqueeze(2), self.bias, 1, padding, dilation)


class Upsampling(nn.ConvTranspose1d):
    """A transposed convolution of an image of height 1: (B, C, 1, T) -> (B, C', 1, T * rate)."""

    def __init__(self, channels: int, out: int, kernel: int, rate: int) -> None:
        super().__init__(channels, out, kernel, rate, padding=(kernel - rate) // 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, 1, T) -> (B, C', 1, T * rate)."""
        padding, stride = (0, int(self.padding[0])), (1, self.stride[0])
        return F.conv_transpose2d(x, self.weight.unsqueeze(2), self.bias, stride, padding)


class ResidualBlock(nn.Module):
    """Dilated convolutions, each followed by a plain one, with a skip around every pair."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Convolution(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(Convolution(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C, 1, T)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE, inplace=True)
            x = plain(y).add_(x)
        return x


class HifiGan(nn.Module):
    """The generator; attribute names and shapes of weights are those of the published ones."""

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.config = config
        stages = range(len(config.upsample_rates) + 1)
        widths = [config.channels // 2**stage for stage in stages]
        self.conv_pre = Convolution(MELS, widths[0], EDGE_KERNEL)
        self.ups = nn.ModuleList(
            Upsampling(wide, narrow, kernel, rate)
            for (wide, narrow), rate, kernel in zip(
                pairwise(widths), config.upsample_rates, config.upsample_kernels, strict=True
            )
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, config.block_dilations)
            for width in widths[1:]
            for kernel in config.block_kernels
        )
        self.conv_post = Convolution(widths[-1], 1, EDGE_KERNEL)

    def arrange(self) -> "HifiGan":
        """Lay the weights out in memory as the convolutions read them, with the channels last. Returns itself."""
        for module in self.modules():
            if isinstance(module, Convolution | Upsampling):
                weight = module.weight.data.unsqueeze(2).contiguous(memory_format=torch.channels_last)
                module.weight.data = weight.squeeze(2)
        return self

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel frames (B, T, 80) -> samples in -1..1 (B, 256 T) at 22.05 kHz."""
        return self._samples(mel, 0, mel.shape[1])

    @property
    def look_ahead(self) -> int:
        """Frames behind a frame that its samples depend on."""
        return self.config.reach

    def start(self) -> Callable[[Tensor, int, int], Tensor]:
        """What speaks the frames of one mel, stretch after stretch; nothing is carried from one to the next."""
        return self.window

    def window(self, mel: Tensor, first: int, last: int) -> Tensor:
        """Samples of frames first..last of mel (T, 80), the same as forward on all of it gives."""
        return self._samples(mel[None], first, last)[0]

    def _samples(self, mel: Tensor, first: int, last: int) -> Tensor:
        """Samples (B, 256 * (last - first)) of frames first..last of mel (B, T, 80).

        The first stage, which looks far around, hears all frames at once; the others, which hold many samples of each,
        hear a few at a time, so that what they hand on stays in the processor's cache. Each hears no more frames than
        still matter.
        """
        frames = mel.shape[1]
        begin, end = self._within(0, first, last, frames)
        # (B, T, 80) is the image (B, 80, 1, T) with the channels last
        coarse = self._stage(0, self.conv_pre(mel[:, begin:end, None].permute(0, 3, 2, 1)))
        pieces = [
            self._finish(coarse, begin, part, min(part + LATE_FRAMES, last), frames)
            for part in range(first, last, LATE_FRAMES)
        ]
        return torch.cat(pieces, 1)

    def _finish(self, x: Tensor, start: int, first: int, last: int, frames: int) -> Tensor:
        """Samples (B, n) of frames first..last from what the first stage gave (B, C, 1, T) from frame start on."""
        rate = self.config.upsample_rates[0]
        for stage in range(1, len(self.ups)):
            begin, end = self._within(stage, first, last, frames)
            x = self._stage(stage, x[..., (begin - start) * rate : (end - start) * rate])
            start, rate = begin, rate * self.config.upsample_rates[stage]
        samples: Tensor = self.conv_post(F.leaky_relu(x))[:, 0, 0].tanh()
        return samples[:, (first - start) * rate : (last - start) * rate]

    def _within(self, stage: int, first: int, last: int, frames: int) -> tuple[int, int]:
        """The frames that a stage must hear, of so many, for those from first to last."""
        reach = self.config.reaches[stage]
        return max(0, first - reach), min(frames, last + reach)

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C / 2, 1, T * rate)."""
        parallel = len(self.config.block_kernels)
        x = self.ups[stage](F.leaky_relu(x, SLOPE))
        first, *others = self.resblocks[stage * parallel : (stage + 1) * parallel]
        total: Tensor = first(x)
        for block in others:
            total.add_(block(x))
        return total.div_(parallel)
