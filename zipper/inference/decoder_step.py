"""One token through one tower and its zips, on a processor: what zipper/model computes, in about half the time.

At one token a step the network is so small that calling its modules and small operations takes longer than computing.
Here the same equations are written with as few operations as possible, on weights prepared once.
Shapes: B rows, C width, H heads, K key heads, D head width, S source tokens, Z zip points, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from zipper.inference.half_weights import Matrix
from zipper.model.config import Modality
from zipper.model.cross_attention import Factors, GatedCrossAttention, InputProjection, Memory, time_frequencies
from zipper.model.kv_cache import LayerCache, TowerCache
from zipper.model.tower import Block, RMSNorm, frequencies
from zipper.model.zipper import ZipperModel

Turn = tuple[Tensor, Tensor]  # cosines and signed sines, as wide as a head
# Logits (B, V) after the last token, states (B, T, C) before each zip point, attention (Z, B, H, S) of the last token
Read = tuple[Tensor, list[Tensor], Tensor | None]


def _signed(pairs: Tensor) -> Tensor:
    """Frequencies (..., D/2) for both halves of a head, (..., D): a cosine does not see the sign, a sine takes it."""
    return torch.cat((-pairs, pairs), dim=-1)


def _turned(x: Tensor, turn: Turn) -> Tensor:
    """Heads (..., D), the first half paired with the second, as apply_rotary does."""
    return torch.addcmul(x * turn[0], x.roll(x.shape[-1] // 2, dims=-1), turn[1])


class _Norm:
    """RMSNorm as the layer normalization of (x, -x), whose mean is 0: that is one operation, RMSNorm is ten."""

    def __init__(self, norm: RMSNorm) -> None:
        self.weight = norm.weight.detach().expand(2, -1).contiguous()
        self.shape = tuple(self.weight.shape)
        self.signs = torch.tensor([[1.0], [-1.0]])
        self.eps = norm.eps

    def of(self, h: Tensor) -> Tensor:
        """(B, 1, C) -> (B, 1, C)"""
        return torch.layer_norm(h * self.signs, self.shape, self.weight, None, self.eps)[:, :1]


class _Block:
    """zipper/model/tower.py: Block."""

    def __init__(self, block: Block) -> None:
        attention = block.attention
        self.heads, self.kv_heads, self.head_width = attention.heads, attention.kv_heads, attention.head_width
        self.attention_norm, self.ff_norm = _Norm(block.attention_norm), _Norm(block.ff_norm)
        self.qkv, self.out = Matrix(attention.qkv.weight), Matrix(attention.out.weight)
        self.gate_up, self.down = Matrix(block.ff.gate_up.weight), Matrix(block.ff.down.weight)

    def step(self, h: Tensor, turn: Turn, cache: LayerCache) -> Tensor:
        """(B, 1, C) -> (B, 1, C); the cache gains one position. The turn (H + 2K, D) leaves the values as they are."""
        heads = _turned(self.qkv.times(self.attention_norm.of(h)).view(h.shape[0], -1, self.head_width), turn)
        heads = heads.unsqueeze(2)  # (B, H + 2K, 1, D)
        known = cache.append_joined(heads[:, self.heads :])  # (B, 2K, S, D)
        keys, values = known[:, : self.kv_heads], known[:, self.kv_heads :]
        mixed = F.scaled_dot_product_attention(heads[:, : self.heads], keys, values, enable_gqa=True)
        h = h + self.out.times(mixed.reshape(h.shape))
        gate, up = self.gate_up.times(self.ff_norm.of(h)).chunk(2, dim=-1)
        return h + self.down.times(F.silu(gate).mul_(up))


class _Zip:
    """zipper/model/cross_attention.py: GatedCrossAttention, where all of the source is seen."""

    def __init__(self, block: GatedCrossAttention) -> None:
        attention = block.attention
        self.heads, self.head_width = attention.heads, attention.head_width
        self.query, self.out = Matrix(attention.query.weight), Matrix(attention.out.weight)
        self.up, self.down = Matrix(block.ff_up.weight), Matrix(block.ff_down.weight)
        self.attention_norm, self.ff_norm = block.attention_norm.weight.detach(), block.ff_norm.weight.detach()
        self.shape, self.eps = tuple(self.ff_norm.shape), block.ff_norm.eps
        self.attention_gate, self.ff_gate = block.gates((1.0, 1.0)).tolist()

    def step(self, h: Tensor, memory: Memory, turn: Turn | None, scale: Factors) -> tuple[Tensor, Tensor]:
        """(B, 1, C) -> the same and weights (H, B, S), of keys and values (1, H, S, D) that all rows share."""
        q = self.query.times(torch.layer_norm(h, self.shape, self.attention_norm, None, self.eps))
        q = q.view(h.shape[0], self.heads, self.head_width)
        q = (q if turn is None else _turned(q, turn)).transpose(0, 1)
        keys, values = memory[0][0], memory[1][0]
        scores = torch.baddbmm(q.new_empty(1), q, keys.transpose(1, 2), beta=0, alpha=1 / math.sqrt(self.head_width))
        weights = scores.softmax(dim=-1)
        attended = self.out.times(torch.bmm(weights, values).transpose(0, 1).reshape(h.shape))
        h = torch.add(h, attended, alpha=self.attention_gate * scale[0])
        fed = F.gelu(self.up.times(torch.layer_norm(h, self.shape, self.ff_norm, None, self.eps)))
        return torch.add(h, self.down.times(fed), alpha=self.ff_gate * scale[1]), weights


class DecoderStep:
    """The weights of one modality's tower, prepared for single steps. It does not follow changes of the model."""

    def __init__(self, model: ZipperModel, modality: Modality) -> None:
        tower, config = model.tower(modality), model.config
        sizes = tower.config
        self._blocks = [_Block(cast(Block, block)) for block in tower.blocks]
        self._zips = [_Zip(model.zips.block(point, modality)) for point in range(config.zip_points)]
        self._interval = config.interval(modality)
        self._projection: tuple[Matrix, ...] = ()
        if config.zip.projects(modality):
            inputs = cast(InputProjection, model.zips.inputs[modality])
            self._projection = tuple(Matrix(linear.weight, linear.bias) for linear in (inputs.up, inputs.down))
        self._embedding, self._norm = tower.embedding.weight.detach(), _Norm(tower.norm)
        self._logits = Matrix(tower.embedding.weight)
        pairs = _signed(frequencies(sizes, self._embedding.device))
        turned, still = sizes.heads + sizes.kv_heads, sizes.kv_heads
        self._pace = torch.cat((pairs.expand(turned, -1), torch.zeros(still, len(pairs))))  # radians per position
        self._time_pace: Tensor | None = None  # radians per second
        if config.zip.positions != "none":
            self._time_pace = _signed(time_frequencies(sizes.width // config.zip.heads, self._embedding.device))

    def run(
        self,
        tokens: Tensor,
        cache: TowerCache,
        fused: bool,
        memories: Sequence[Memory],
        times: Tensor,
        scale: Sequence[Factors],
    ) -> Read:
        """Read tokens (B, 1), whose rows see the same memories (none: nothing) from times (B, 1) or (1, 1), seconds."""
        h = F.embedding(tokens, self._embedding)
        angles = self._pace * cache.length
        turn = angles.cos(), angles.sin()
        states, rows = list[Tensor](), list[Tensor]()
        query_turn: Turn | None = None
        if fused:
            for matrix in self._projection:
                h = matrix.times(h).relu_()
            if self._time_pace is not None and memories:
                angles = times.unsqueeze(-1) * self._time_pace
                query_turn = angles.cos(), angles.sin()
        zips = len(self._zips) if fused else 0
        for number, (block, layer) in enumerate(zip(self._blocks, cache.layers, strict=True), start=1):
            h = block.step(h, turn, layer)
            point, rest = divmod(number, self._interval)
            if rest or point > zips:
                continue
            states.append(h)
            if memories:
                h, weights = self._zips[point - 1].step(h, memories[point - 1], query_turn, scale[point - 1])
                rows.append(weights)
        attention = torch.stack(rows).transpose(1, 2) if rows else None
        return self._logits.times(self._norm.of(h))[:, 0], states, attention


Steps = dict[Modality, DecoderStep]
_prepared: WeakKeyDictionary[ZipperModel, tuple[object, Steps]] = WeakKeyDictionary()


def prepared_steps(model: ZipperModel) -> Steps | None:
    """What has been prepared of a model as its weights are now; None where only the model itself can run.

    That is on other devices, in other precisions and with weights whose changes cannot be noticed.
    """
    weights = list(model.parameters())
    if not all(w.is_cpu and w.dtype == torch.float32 and not w.is_inference() for w in weights):
        _prepared.pop(model, None)
        return None
    state = [(w.data_ptr(), w._version) for w in weights]
    known = _prepared.get(model)
    if known is None or known[0] != state:
        known = _prepared[model] = (state, {})
    return known[1]
