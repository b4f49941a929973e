"""Speech tokens and a voice to log-mel frames: the network behind the detokenizer.

Convolutional blocks at the token rate, then at the frame rate, predict pitch and a coarse mel; a small flow
(Lipman et al., "Flow Matching", ICLR 2023) conditioned on both turns noise into the detail that a coarse mel
averages away. Every block reaches a fixed number of steps to either side, so that any stretch of a long
sequence can be computed on its own, without a seam.

Shapes: B sequences, N tokens, T frames, C = width, M = 80 bands, V voices.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.audio.mel import band_edges
from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP, VOCODER_SAMPLES_PER_TOKEN
from zipper.speech.delivery import AS_GENERATED, Delivery

RESIDUAL_SCALE = 0.4  # what the coarse mel lacks, in deviations of the mel: the flow works at unit size
NOISE_LEVEL = 0.3  # standard deviation of the noise the flow starts from; 1 as it is first trained, less is clearer
VOICED_LOGIT = 0.0  # above it a frame is voiced


@dataclass(frozen=True)
class AcousticConfig:
    """Sizes of the network. A context is (steps before, steps after) that one block of that rate sees."""

    codes: int
    code_dims: int  # dimensions of the quantizer's grid, in which near codes sound alike
    voices: tuple[str, ...]
    width: int = 256
    ff_width: int = 768
    token_blocks: int = 4
    pitch_blocks: int = 1
    mel_blocks: int = 3
    flow_blocks: int = 4
    flow_steps: int = 6
    token_context: tuple[int, int] = (10, 2)  # far back, where it costs no delay; little ahead
    frame_context: tuple[int, int] = (4, 2)

    def __post_init__(self) -> None:
        sizes = (self.codes, self.code_dims, self.width, self.ff_width, self.flow_blocks, self.flow_steps)
        if min(sizes) < 1 or min(self.token_blocks, self.pitch_blocks, self.mel_blocks) < 1:
            raise ConfigError("Every size of the detokenizer must be at least 1.")
        if not self.voices or len(set(self.voices)) != len(self.voices):
            raise ConfigError("The detokenizer needs at least one voice, and each voice name once.")
        if min(*self.token_context, *self.frame_context) < 0:
            raise ConfigError("A context of the detokenizer cannot be negative.")

    @property
    def token_reach(self) -> tuple[int, int]:
        """Tokens before and after that influence the features of a token."""
        return self.token_blocks * self.token_context[0], self.token_blocks * self.token_context[1]

    @property
    def frame_reach(self) -> tuple[int, int]:
        """Frames before and after whose token features or noise influence a mel frame."""
        blocks = self.pitch_blocks + self.mel_blocks + self.flow_steps * self.flow_blocks
        return blocks * self.frame_context[0], blocks * self.frame_context[1]


@dataclass(frozen=True)
class Coarse:
    """What the network knows of each frame before the flow."""

    pitch: Tensor  # (B, T), log F0 in standard deviations from the voice's mean
    voicing: Tensor  # (B, T), logits
    mel: Tensor  # (B, T, M), standardized
    features: Tensor  # (B, T, C)


def token_position(frame: Tensor, delivery: Delivery = AS_GENERATED) -> tuple[Tensor, Tensor]:
    """Last token centered at or before the center of a frame, and how far (0..1) it is to the next."""
    # In half samples of the tokens and hundredths of speed, so that it is exact: at speed 1 the centers are at
    # (f + 1/2) * 256 and (i + 1/2) * 882 samples.
    distance = (2 * frame + 1) * VOCODER_HOP * delivery.percent - VOCODER_SAMPLES_PER_TOKEN * 100
    unit = 2 * VOCODER_SAMPLES_PER_TOKEN * 100
    token = torch.div(distance, unit, rounding_mode="floor")
    return token, (distance - token * unit) / unit


class Block(nn.Module):
    """ConvNeXt block (Liu et al., 2022): a depthwise convolution over time, then a feed-forward."""

    def __init__(self, width: int, ff_width: int, context: tuple[int, int]) -> None:
        super().__init__()
        self.context = context
        self.depthwise = nn.Conv2d(width, width, (1, 1 + sum(context)), groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, ff_width)
        self.down = nn.Linear(ff_width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C); mask (B, T, 1) is 0 on padding, which counts as the silence outside."""
        y = x if mask is None else x * mask
        # As an image of height 1 it is in "channels last" order already: much faster than a 1-D convolution.
        y = F.pad(y, (0, 0, *self.context)).transpose(1, 2).unsqueeze(2)  # (B, C, 1, T + context)
        y = self.depthwise(y).squeeze(2).transpose(1, 2)  # (B, T, C)
        return cast(Tensor, x + self.down(F.gelu(self.up(self.norm(y)))))


class Stack(nn.Module):
    """Blocks and a norm."""

    def __init__(self, config: AcousticConfig, blocks: int, context: tuple[int, int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config.width, config.ff_width, context) for _ in range(blocks))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        for block in self.blocks:
            x = block(x, mask)
        return cast(Tensor, self.norm(x))


class CodeEmbedding(nn.Module):
    """Embedding of a code: a smooth function of its grid point plus a correction of its own, 0 at the start.

    Codes that training never shows are thus read like their neighbors on the grid.
    """

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.register_buffer("grid", torch.zeros(config.codes, config.code_dims))
        self.up = nn.Linear(config.code_dims, config.width)
        self.down = nn.Linear(config.width, config.width)
        self.table = nn.Embedding(config.codes, config.width)
        nn.init.zeros_(self.table.weight)

    def forward(self, codes: Tensor) -> Tensor:
        """(B, N) -> (B, N, C)."""
        point = self.get_buffer("grid")[codes]
        return cast(Tensor, self.down(F.gelu(self.up(point))) + self.table(codes))


class HarmonicTemplate(nn.Module):
    """Where the harmonics of a pitch lie among the mel bands, as far as the bands can tell them apart.

    Spares the network to learn the comb of every pitch: band m gets cos(2 pi f_m / F0), 1 on a harmonic and
    -1 between two, fading where a band is as wide as the distance of the harmonics.
    """

    def __init__(self) -> None:
        super().__init__()
        edges = torch.from_numpy(band_edges()).float()
        self.register_buffer("center", edges[1:-1], persistent=False)
        self.register_buffer("bandwidth", edges[2:] - edges[:-2], persistent=False)

    def forward(self, hz: Tensor) -> Tensor:
        """F0 (B, T), 0 where unvoiced -> (B, T, M), zeros where unvoiced."""
        spacing = hz.clamp(min=1.0)[..., None]
        comb = torch.cos(2 * math.pi * self.get_buffer("center") / spacing)
        return comb * torch.exp(-((self.get_buffer("bandwidth") / spacing) ** 2)) * (hz > 0)[..., None]


class Flow(nn.Module):
    """Velocity from noise to the scaled residual of the coarse mel."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.inlet = nn.Linear(MELS, config.width)
        self.condition = nn.Linear(config.width + MELS, config.width)
        self.time = nn.Linear(config.width, config.width)
        self.stack = Stack(config, config.flow_blocks, config.frame_context)
        self.outlet = nn.Linear(config.width, MELS)
        nn.init.zeros_(self.outlet.weight)
        frequencies = torch.exp(torch.linspace(0, math.log(1000), config.width // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, T, M) at time (B,) between 0, noise, and 1 -> velocity (B, T, M)."""
        angles = time[:, None] * self.get_buffer("frequencies")
        moment = self.time(torch.cat([angles.sin(), angles.cos()], 1))[:, None]  # (B, 1, C)
        return cast(Tensor, self.outlet(self.stack(self.inlet(x) + condition + moment, mask)))


class AcousticModel(nn.Module):
    """Tokens to mel; buffers hold the statistics of the training data that it works in."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.config = config
        self.codes = CodeEmbedding(config)
        self.token_voice = nn.Embedding(len(config.voices), config.width)
        self.frame_voice = nn.Embedding(len(config.voices), config.width)
        self.tokens = Stack(config, config.token_blocks, config.token_context)
        self.phase = nn.Linear(2, config.width)
        self.pitch_encoder = Stack(config, config.pitch_blocks, config.frame_context)
        self.pitch = nn.Linear(config.width, 2)
        self.template = HarmonicTemplate()
        self.harmonics = nn.Linear(MELS + 2, config.width)
        self.mel_decoder = Stack(config, config.mel_blocks, config.frame_context)
        self.mel = nn.Linear(config.width, MELS)
        self.flow = Flow(config)
        self.register_buffer("mel_mean", torch.zeros(MELS))
        self.register_buffer("mel_deviation", torch.ones(MELS))
        voices = len(config.voices)
        self.register_buffer("pitch_mean", torch.full((voices,), math.log(150.0)))  # natural log of Hz
        self.register_buffer("pitch_deviation", torch.ones(voices))

    def encode(self, codes: Tensor, voice: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes (B, N) and voices (B,) -> features of the tokens (B, N, C); lengths (B,) if padded."""
        mask = None if lengths is None else padding_mask(lengths, codes.shape[1])
        return cast(Tensor, self.tokens(self.codes(codes) + self.token_voice(voice)[:, None], mask))

    def spread(
        self,
        h: Tensor,
        frames: Tensor,
        first: int = 0,
        lengths: Tensor | None = None,
        delivery: Delivery = AS_GENERATED,
    ) -> Tensor:
        """Features of the tokens from `first` on (B, N, C) -> of frames (T,), interpolated (B, T, C)."""
        last = torch.tensor([h.shape[1] - 1]) if lengths is None else lengths - 1
        token, fraction = token_position(frames, delivery)
        low = torch.minimum((token - first).clamp(min=0), last.to(h.device)[:, None])  # (B or 1, T)
        high = torch.minimum((token - first + 1).clamp(min=0), last.to(h.device)[:, None])
        row = torch.arange(len(h), device=h.device)[:, None]
        angle = 2 * math.pi * fraction
        phase = self.phase(torch.stack([angle.sin(), angle.cos()], 1))  # (T, C)
        return cast(Tensor, torch.lerp(h[row, low], h[row, high], fraction[:, None].to(h.dtype)) + phase)

    def coarse(
        self,
        h: Tensor,
        voice: Tensor,
        hz: Tensor | None = None,
        mask: Tensor | None = None,
        delivery: Delivery = AS_GENERATED,
    ) -> Coarse:
        """Frame features -> mel without detail, at pitch hz (B, T), 0 where unvoiced, or the predicted and shifted."""
        h = self.pitch_encoder(h + self.frame_voice(voice)[:, None], mask)
        pitch, voicing = self.pitch(h).float().unbind(-1)  # (B, T) each
        if hz is None:
            mean, deviation = self._pitch_statistics(voice)
            hz = torch.exp(mean + deviation * pitch) * delivery.pitch_factor * (voicing > VOICED_LOGIT)
        voiced = (hz > 0).float()
        pitch_input = self.standardize_pitch(hz, voice) * voiced
        harmonics = torch.cat([self.template(hz), pitch_input[..., None], voiced[..., None]], -1)
        features = self.mel_decoder(h + self.harmonics(harmonics), mask)
        return Coarse(pitch, voicing, self.mel(features).float(), features)

    def standardize_pitch(self, hz: Tensor, voice: Tensor) -> Tensor:
        """F0 in Hz (B, T) -> standard deviations from the mean of the voice; meaningless where hz is 0."""
        mean, deviation = self._pitch_statistics(voice)
        return (hz.clamp(min=1.0).log() - mean) / deviation

    def _pitch_statistics(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self.get_buffer("pitch_mean"), self.get_buffer("pitch_deviation")
        return mean[voice][:, None], deviation[voice][:, None]  # (B, 1) each

    def condition(self, coarse: Coarse) -> Tensor:
        """Condition of the flow (B, T, C); no gradient reaches the coarse mel, which has its own loss."""
        return cast(Tensor, self.flow.condition(torch.cat([coarse.features, coarse.mel.detach()], -1)))

    def refine(self, coarse: Coarse, noise: Tensor, mask: Tensor | None = None) -> Tensor:
        """Coarse mel and noise (B, T, M) -> standardized mel, in flow_steps Euler steps; mask (B, T, 1) if padded."""
        condition, x = self.condition(coarse), noise
        for step in range(self.config.flow_steps):
            time = torch.full((len(x),), step / self.config.flow_steps, device=x.device)
            x = x + self.flow(x, time, condition, mask) / self.config.flow_steps
        return coarse.mel + RESIDUAL_SCALE * x

    def standardize(self, mel: Tensor) -> Tensor:
        """Log-mel -> the scale the network works in."""
        return (mel - self.get_buffer("mel_mean")) / self.get_buffer("mel_deviation")

    def restore(self, mel: Tensor) -> Tensor:
        """Inverse of standardize."""
        return mel * self.get_buffer("mel_deviation") + self.get_buffer("mel_mean")


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size, 1) float, 1 on the first lengths (B,) steps."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None]).float()[..., None]
