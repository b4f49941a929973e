"""What fusion adds between two towers: input projections and gated cross-attention in both directions.

Zayats et al. 2024 (Zipper), with the gated block of Alayrac et al. 2022 (Flamingo).
Shapes: B batch, T target tokens, S source tokens, C target width, E source width, H heads, D head width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.errors import OptionError
from zipper.model.config import MODALITIES, Modality, ZipConfig, ZipperConfig, other
from zipper.model.tower import RotaryEmbedding, apply_rotary, rotary_embedding

SHORTEST_PERIOD = 0.5  # seconds; the fastest rotary pair turns once in this time: about a syllable
LONGEST_PERIOD = 60.0  # seconds; the slowest pair, longer than any segment, is close to no position

Memory = tuple[Tensor, Tensor]
Factors = tuple[float, float]  # on the gates of attention and feed-forward


@dataclass(frozen=True)
class GateScale:
    """Factors on the gates of each zip point: 1 as trained, 0 unzipped.

    `text` scales the gates into the text tower, `speech` those into the speech tower; for each zip point one
    factor on both of its gates, or one on attention and one on feed-forward.
    """

    text: tuple[float | Factors, ...]
    speech: tuple[float | Factors, ...]

    def into(self, modality: Modality) -> tuple[Factors, ...]:
        """Factors on attention and feed-forward into a modality's tower, one pair per zip point."""
        factors = self.text if modality == "text" else self.speech
        return tuple(f if isinstance(f, tuple) else (f, f) for f in factors)


def resolve_gate_scale(scale: GateScale | float | None, points: int) -> GateScale:
    """One factor per zip point and direction; None is 1 everywhere. Raises OptionError on a wrong count."""
    if not isinstance(scale, GateScale):
        factor = 1.0 if scale is None else _factor(scale)
        scale = GateScale((factor,) * points, (factor,) * points)
    pairs = [pair for modality in MODALITIES for pair in scale.into(modality)]
    try:
        fits = all(len(scale.into(modality)) == points for modality in MODALITIES)
        fits = fits and all(len(pair) == 2 and all(map(math.isfinite, pair)) for pair in pairs)
    except TypeError:  # not numbers
        fits = False
    if not fits:
        raise OptionError(
            f"A gate scale needs {points} finite factors, or pairs of them, per direction: one per zip point."
        )
    return scale


def _factor(scale: object) -> float:
    """One number for all gates, of any number type."""
    scale = scale.detach() if isinstance(scale, Tensor) else scale
    try:
        return math.nan if isinstance(scale, str | bytes) else float(scale)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
        return math.nan


@dataclass(frozen=True)
class CrossAttentionInputs:
    """What one direction of cross-attention takes besides states: its mask and its rotary embeddings.

    mask (B, T, S) bool, True where a target token may attend, or None (everywhere); query_rotary and key_rotary
    rotate queries and keys by their time, or are None without positions.
    """

    mask: Tensor | None
    query_rotary: RotaryEmbedding | None
    key_rotary: RotaryEmbedding | None


def time_frequencies(head_width: int, device: torch.device) -> Tensor:
    """Radians per second of each rotary pair, (D/2,) float32; their periods are spread evenly on a log scale."""
    half = head_width // 2
    spread = torch.arange(half, dtype=torch.float32, device=device) / max(1, half - 1)
    return 2 * math.pi / (SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD) ** spread)


def time_rotary(seconds: Tensor, head_width: int) -> RotaryEmbedding:
    """Rotation by times in seconds (B, T); (B, T, 1, D/2) each."""
    return rotary_embedding(seconds.unsqueeze(-1) * time_frequencies(head_width, seconds.device))


class InputProjection(nn.Module):
    """ReLU(MLP(embedding)), between the embedding and block 0 of a fused tower.

    Starts as ReLU(x): with this start the pre-trained blocks get the positive half of the embeddings
    that they know, where a random one would give them noise. The paper gives no initialization.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        eye = torch.eye(width, device=self.up.weight.device)
        with torch.no_grad():
            self.up.weight.copy_(torch.cat((eye, -eye), dim=0))
            self.down.weight.copy_(torch.cat((eye, -eye), dim=1))
            self.up.bias.zero_()
            self.down.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        return F.relu(self.down(F.relu(self.up(x))))


class Projection(nn.Module):
    """h = ReLU(g(m)): three layers that carry a source tower's hidden state into the target's width."""

    def __init__(self, source_width: int, target_width: int) -> None:
        super().__init__()
        widths = (source_width, target_width, target_width, target_width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        for layer in self.layers:
            nn.init.kaiming_normal_(cast(nn.Linear, layer).weight, nonlinearity="relu")
            nn.init.zeros_(cast(nn.Linear, layer).bias)

    def forward(self, m: Tensor) -> Tensor:
        """(B, S, E) -> (B, S, C)"""
        for layer in self.layers:
            m = F.relu(layer(m))
        return m


class CrossAttention(nn.Module):
    """Attention from one modality to the other with an explicit softmax, whose weights are returned."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def memory(self, h: Tensor, rotary: RotaryEmbedding | None) -> Memory:
        """Keys and values of projected source states (B, S, C), (B, H, S, D) each."""
        kv = self.key_value(h).view(*h.shape[:2], 2 * self.heads, self.head_width)
        k, v = kv.chunk(2, dim=2)
        if rotary is not None:
            k = apply_rotary(k, rotary)
        return k.transpose(1, 2), v.transpose(1, 2)

    def forward(self, x: Tensor, memory: Memory, inputs: CrossAttentionInputs) -> tuple[Tensor, Tensor]:
        """(B, T, C) -> output (B, T, C) and float32 weights (B, H, T, S); 0 where nothing is seen."""
        batch, count, width = x.shape
        q = self.query(x).view(batch, count, self.heads, self.head_width)
        if inputs.query_rotary is not None:
            q = apply_rotary(q, inputs.query_rotary)
        k, v = memory
        scores = (q.transpose(1, 2) @ k.transpose(2, 3)).float() / math.sqrt(self.head_width)
        if inputs.mask is not None:
            masked = ~inputs.mask.unsqueeze(1)  # (B, 1, T, S)
            scores = scores.masked_fill(masked, torch.finfo(scores.dtype).min)
            # A row in which every key is masked would be uniform after the softmax; it must be 0.
            weights = scores.softmax(dim=-1).masked_fill(masked, 0.0)
        else:
            weights = scores.softmax(dim=-1)
        mixed = (weights.to(v.dtype) @ v).transpose(1, 2).reshape(batch, count, width)
        return self.out(mixed), weights


class GatedCrossAttention(nn.Module):
    """One direction of one zip point: the source's projection and the target's block, gated unless `zips` has no gates.

    Without gates the factors are 1, from the first step on.
    """

    def __init__(self, source_width: int, width: int, zips: ZipConfig) -> None:
        super().__init__()
        linear = zips.projection == "linear"
        self.project = nn.Linear(source_width, width) if linear else Projection(source_width, width)
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = CrossAttention(width, zips.heads)
        self.ff_norm = nn.LayerNorm(width, bias=False)
        self.ff_up = nn.Linear(width, 4 * width, bias=False)
        self.ff_down = nn.Linear(4 * width, width, bias=False)
        self.attention_gate = nn.Parameter(torch.zeros(())) if zips.gates else None
        self.ff_gate = nn.Parameter(torch.zeros(())) if zips.gates else None

    def memory(self, source: Tensor, rotary: RotaryEmbedding | None) -> Memory:
        """Keys and values of a source tower's hidden states (B, S, E), (B, H, S, D) each."""
        return self.attention.memory(self.project(source), rotary)

    def gates(self, scale: Factors) -> Tensor:
        """Factors on attention and feed-forward, tanh of the learned gates times scale; (2,)."""
        attention, ff = scale
        if self.attention_gate is None or self.ff_gate is None:
            return self.ff_up.weight.new_tensor((attention, ff))
        return torch.stack((self.attention_gate.tanh() * attention, self.ff_gate.tanh() * ff))

    def forward(self, m: Tensor, memory: Memory, inputs: CrossAttentionInputs, scale: Factors) -> tuple[Tensor, Tensor]:
        """Hidden states (B, T, C) -> the same shape, unchanged in rows that see nothing, and weights."""
        attention_gate, ff_gate = self.gates(scale).unbind()
        attended, weights = self.attention(self.attention_norm(m), memory, inputs)
        m = m + attention_gate * attended
        fed = self.ff_down(F.gelu(self.ff_up(self.ff_norm(m))))
        if inputs.mask is not None:
            fed = fed * inputs.mask.any(dim=2, keepdim=True)
        return m + ff_gate * fed, weights


class CrossAttentionBlocks(nn.Module):
    """All that fusion adds: the input projections of the towers and, per zip point, a block per direction."""

    def __init__(self, config: ZipperConfig) -> None:
        super().__init__()
        projected = [m for m in MODALITIES if config.zip.projects(m)]
        self.inputs = nn.ModuleDict({m: InputProjection(config.tower(m).width) for m in projected})
        self.points = nn.ModuleList(
            nn.ModuleDict(
                {
                    m: GatedCrossAttention(config.tower(other(m)).width, config.tower(m).width, config.zip)
                    for m in MODALITIES
                }
            )
            for _ in range(config.zip_points)
        )

    def block(self, point: int, target: Modality) -> GatedCrossAttention:
        """The block of a zip point that writes into a modality's tower."""
        return cast(GatedCrossAttention, cast(nn.ModuleDict, self.points[point])[target])

    def input(self, modality: Modality, embedded: Tensor) -> Tensor:
        """Embeddings (B, T, C) -> input of block 0 of the fused tower, in the precision of the embeddings."""
        if modality not in self.inputs:
            return embedded
        return cast(Tensor, self.inputs[modality](embedded)).to(embedded.dtype)
