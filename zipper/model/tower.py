"""A decoder-only tower in the Llama family, run whole or block by block.

Shapes: B batch, T tokens in this call, S tokens in all (cached ones and these), C width, H heads,
K key heads, D head width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.model.config import TowerConfig
from zipper.model.kv_cache import LayerCache, TowerCache

INIT_STD = 0.02

RotaryEmbedding = tuple[Tensor, Tensor]


def rotary_embedding(angles: Tensor) -> RotaryEmbedding:
    """Cosines and sines (..., 1, D/2) of angles (..., D/2), ready for heads laid out (..., H, D)."""
    angles = angles.unsqueeze(-2)
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, rotary: RotaryEmbedding) -> Tensor:
    """Rotate heads x (B, T, H, D): the first half of D is paired with the second, as Llama does."""
    cos, sin = rotary[0].to(x.dtype), rotary[1].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def frequencies(config: TowerConfig, device: torch.device) -> Tensor:
    """Radians per position of each rotary pair, (D/2,) float32."""
    half = config.head_width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=device) / half
    frequencies = config.rope_base**-exponents
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    keep = ((turns - scaling.low_factor) / (scaling.high_factor - scaling.low_factor)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / scaling.factor)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Softmax attention of q (B, H, T, D) over k, v (B, K, S, D), H a multiple of K; (B, H, T, D)."""
    grouped = q.shape[1] != k.shape[1]
    if q.device.type != "cpu" or not (causal and torch.is_grad_enabled() and q.requires_grad):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
    # On a CPU the fused kernel's backward takes twice as long as the formula's at a few hundred tokens.
    if grouped:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = (q @ k.transpose(2, 3)) / math.sqrt(q.shape[3])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ v


class RMSNorm(nn.Module):
    """Root-mean-square normalization with a learned scale and no bias."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)"""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention with rotary positions and grouped key heads."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = config.heads, config.kv_heads, config.head_width
        self.qkv = nn.Linear(config.width, (self.heads + 2 * self.kv_heads) * self.head_width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, rotary: RotaryEmbedding, cache: LayerCache | None) -> Tensor:
        """(B, T, C) -> (B, T, C); the cache, if any, gains T positions."""
        batch, count, width = x.shape
        heads = self.qkv(x).view(batch, count, -1, self.head_width)  # (B, T, H + 2K, D)
        rotated, v = torch.split(heads, [self.heads + self.kv_heads, self.kv_heads], dim=2)
        rotated = apply_rotary(rotated, rotary).transpose(1, 2)  # (B, H + K, T, D)
        q, k = torch.split(rotated, [self.heads, self.kv_heads], dim=1)
        v = v.transpose(1, 2)
        if cache is not None:
            k, v = cache.append(k, v)  # (B, K, S, D)
        past = k.shape[2] - count
        mask = None
        if past and count > 1:
            mask = torch.ones(count, k.shape[2], dtype=torch.bool, device=x.device).tril(past)
        out = attend(q, k, v, mask, causal=past == 0)
        return cast(Tensor, self.out(out.transpose(1, 2).reshape(batch, count, width)))


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)), gate and up in one matrix."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.width, 2 * config.ff_width, bias=False)
        self.down = nn.Linear(config.ff_width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return cast(Tensor, self.down(F.silu(gate) * up))


class Block(nn.Module):
    """One pre-norm layer: attention, then feed-forward, each added to its input."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config)
        self.ff_norm = RMSNorm(config.width, config.norm_eps)
        self.ff = FeedForward(config)

    def forward(self, h: Tensor, rotary: RotaryEmbedding, cache: LayerCache | None = None) -> Tensor:
        """Hidden states (B, T, C) -> (B, T, C)."""
        h = h + self.attention(self.attention_norm(h), rotary, cache)
        return h + cast(Tensor, self.ff(self.ff_norm(h)))


class Tower(nn.Module):
    """Decoder of one modality; its softmax is tied to its own embedding.

    Batches are padded on the right: attention is causal, so padding never reaches an earlier token.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self._initialize()

    def _initialize(self) -> None:
        """Normal weights; the outputs into the residual stream are smaller the deeper the tower."""
        nn.init.normal_(self.embedding.weight, std=INIT_STD)
        for name, weight in self.blocks.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("attention.out.weight", "ff.down.weight"))
                scale = 1 / math.sqrt(2 * self.config.depth) if residual else 1.0
                nn.init.normal_(weight, std=INIT_STD * scale)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) -> embeddings (B, T, C)."""
        return cast(Tensor, self.embedding(ids))

    def rotary(self, start: int, count: int) -> RotaryEmbedding:
        """Rotation of positions start .. start + count - 1, to be shared by all blocks; (T, 1, D/2) each."""
        device = self.embedding.weight.device
        positions = torch.arange(start, start + count, dtype=torch.float32, device=device)
        return rotary_embedding(positions[:, None] * frequencies(self.config, device))

    def run(self, h: Tensor, first: int, last: int, rotary: RotaryEmbedding, cache: TowerCache | None = None) -> Tensor:
        """Blocks first .. last - 1 on hidden states (B, T, C) -> (B, T, C)."""
        for index in range(first, last):
            h = self.blocks[index](h, rotary, cache.layers[index] if cache is not None else None)
        return h

    def logits(self, h: Tensor) -> Tensor:
        """Hidden states after the last block (..., C) -> logits (..., V)."""
        return F.linear(self.norm(h), self.embedding.weight)

    def forward(self, ids: Tensor, cache: TowerCache | None = None) -> Tensor:
        """Token ids (B, T) -> logits (B, T, V) of the tower alone; a cache gains these T positions."""
        rotary = self.rotary(cache.length if cache is not None else 0, ids.shape[1])
        h = self.run(self.embed(ids), 0, self.config.depth, rotary, cache)
        return self.logits(h)
