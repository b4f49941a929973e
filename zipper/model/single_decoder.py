"""The paper's baseline: one decoder whose vocabulary holds text and speech, over one interleaved sequence.

It is a text tower with speech tokens added, tuned as a whole. What Zipper does by cross-attention, it does by its
self-attention, of which the part between the two modalities is returned. Shapes: B batch, L tokens of the joint
sequence, T tokens of one modality in it, C width, V vocabulary of one modality, H heads, K key heads, D head width.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.errors import ConfigError, OptionError
from zipper.model.config import MODALITIES, Modality, SingleDecoderConfig, other
from zipper.model.cross_attention import GateScale, Memory, resolve_gate_scale
from zipper.model.fused import FusedModel, ZipAttention, ZipperOutput
from zipper.model.kv_cache import LayerCache
from zipper.model.streams import PAD_ORDER, Stream, visibility_mask
from zipper.model.tower import INIT_STD, Block, RotaryEmbedding, Tower, apply_rotary

SHOWN_BLOCKS = 4  # of which attention is returned, evenly spread over the depth, the last block among them


class SingleDecoder(FusedModel):
    """One tower for both modalities. A token of speech has its id behind those of text.

    The logits of a modality are those of its own tokens: whoever asks for a modality gets it. In training, the
    probability that the next token is of the other modality counts too (`ZipperOutput.strayed`), so that the loss is
    that of one softmax over everything.
    """

    keeps_text = False
    config: SingleDecoderConfig

    def __init__(self, config: SingleDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Tower(config.decoder)

    def block(self, index: int) -> Block:
        """One block of the decoder."""
        return cast(Block, self.decoder.blocks[index])

    def blocks(self) -> list[nn.Module]:
        """The blocks of the decoder."""
        return list(self.decoder.blocks)

    def joint_ids(self, modality: Modality, ids: Tensor) -> Tensor:
        """Ids of a modality as ids of the joint vocabulary, same shape."""
        return ids + int(self.config.ids(modality).start)

    def logits(self, modality: Modality, h: Tensor) -> Tensor:
        """Hidden states after the last block (..., C) -> logits (..., V) of the tokens of a modality."""
        return F.linear(self.decoder.norm(h), self.decoder.embedding.weight[self.config.ids(modality)])

    def text_alone(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of text (B, T) that stands by itself."""
        h = self.decoder.embed(ids)
        h = self.decoder.run(h, 0, self.config.decoder.depth, self.decoder.rotary(0, ids.shape[1]))
        return self.logits("text", h)

    def gate_scale(self, scale: GateScale | float | None) -> GateScale:
        """Ones. Raises OptionError for any other scale: there are no gates."""
        points = self.config.attention_points
        resolved = resolve_gate_scale(scale, points)
        if any(factor != 1 for m in MODALITIES for pair in resolved.into(m) for factor in pair):
            raise OptionError("A single decoder has no gates that could be set; leave the gate scale out.")
        return resolved

    def gates(self, modality: Modality, scale: GateScale) -> Tensor:
        """What attention and feed-forward of the blocks that are shown are multiplied by: 1; (Z, 2)."""
        return torch.tensor(scale.into(modality))

    def forward(
        self,
        text: Stream | None,
        speech: Stream | None,
        capture: bool = False,
        gate_scale: GateScale | float | None = None,
        targets: Collection[Modality] = MODALITIES,
    ) -> ZipperOutput:
        """Logits of an interleaved batch, each modality in its own ids; the source times of streams are not used."""
        self.gate_scale(gate_scale)
        given: tuple[tuple[Modality, Stream | None], ...] = (("text", text), ("speech", speech))
        streams = {m: stream for m, stream in given if stream is not None}
        if not streams:
            raise ConfigError("There is nothing to run: both the text and the speech stream are missing.")
        joint = self._join(streams)
        places = {m: stream.order.clamp(max=joint.shape[1] - 1) for m, stream in streams.items()}
        capture = capture and len(streams) == len(MODALITIES)
        h, read, weights = self._run(joint, capture)
        finals = {m: _taken(h, places[m]) for m in streams if m in targets}
        logits, strayed = {}, {}
        for m, states in finals.items():
            everything = self.decoder.logits(states)
            logits[m] = everything[..., self.config.ids(m)]
            strayed[m] = everything.float().logsumexp(-1) - logits[m].float().logsumexp(-1)
        attention = tuple(self._between(found, streams, places, targets) for found in weights)
        sources = {m: _taken(read, places[m]) for m in streams}
        return ZipperOutput(logits.get("text"), logits.get("speech"), attention, sources, finals, strayed)

    def _join(self, streams: Mapping[Modality, Stream]) -> Tensor:
        """Joint ids (B, L) of the interleaved sequences, padded on the right: a token's order is its place."""
        orders = torch.cat([stream.order for stream in streams.values()], dim=1)
        ids = torch.cat([self.joint_ids(m, stream.ids) for m, stream in streams.items()], dim=1)
        length = int(orders.masked_fill(orders == PAD_ORDER, -1).max()) + 1
        joint = ids.new_zeros(len(ids), length + 1)  # padding goes to a place behind the last one
        return joint.scatter(1, orders.clamp(max=length), ids)[:, :length]

    def _run(self, joint: Tensor, capture: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
        """States after the last block, states that the last block shown reads, and weights (B, H, L, L) of those."""
        rotary = self.decoder.rotary(0, joint.shape[1])
        h = read = self.decoder.embed(joint)
        weights: list[Tensor] = []
        for index in range(self.config.decoder.depth):
            shown = index in self.config.shown
            read = h if shown else read
            if capture and shown:
                h, found = run_with_weights(self.block(index), h, rotary)
                weights.append(found)
            else:
                h = self.decoder.run(h, index, index + 1, rotary)
        return h, read, weights

    def _between(
        self,
        weights: Tensor,
        streams: Mapping[Modality, Stream],
        places: Mapping[Modality, Tensor],
        targets: Collection[Modality],
    ) -> ZipAttention:
        """The part of self-attention weights (B, H, L, L) that lies between the modalities, padding left out."""
        found = {}
        for m in targets:
            rows = _taken(weights.transpose(1, 2), places[m]).transpose(1, 2)  # (B, H, T, L)
            columns = _taken(rows.permute(0, 3, 1, 2), places[other(m)]).permute(0, 2, 3, 1)  # (B, H, T, S)
            found[m] = columns * visibility_mask(streams[m], streams[other(m)]).unsqueeze(1)
        return ZipAttention(found.get("text"), found.get("speech"), weights.new_ones(2, 2))


def run_with_weights(
    block: Block, h: Tensor, rotary: RotaryEmbedding, cache: LayerCache | None = None, given: Memory | None = None
) -> tuple[Tensor, Tensor]:
    """A block on states (B, T, C) as `Block.forward` runs it, and its weights (B, H, T, S) in float32.

    given: keys and values (1, K, S, D) that precede those of the cache in every row, held once for all of them. The
    softmax is explicit, which costs a matrix of T x S for each head.
    """
    attention = block.attention
    x = block.attention_norm(h)
    batch, count, width = x.shape
    mixed = attention.qkv(x).view(batch, count, -1, attention.head_width)
    rotated, v = torch.split(mixed, [attention.heads + attention.kv_heads, attention.kv_heads], dim=2)
    rotated = apply_rotary(rotated, rotary).transpose(1, 2)
    q, k = torch.split(rotated, [attention.heads, attention.kv_heads], dim=1)
    v = v.transpose(1, 2)
    if cache is not None:
        k, v = cache.append(k, v)
    parts: list[Memory] = [(k, v)] if given is None else [given, (k, v)]
    scores = torch.cat([_grouped(q, keys.transpose(2, 3)) for keys, _ in parts], dim=3)
    scores = scores.float() / math.sqrt(attention.head_width)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=h.device).triu(scores.shape[3] - count + 1)
    weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1)
    shares = torch.split(weights.to(v.dtype), [values.shape[2] for _, values in parts], dim=3)
    pairs = zip(shares, parts, strict=True)
    attended = torch.stack([_grouped(share, values) for share, (_, values) in pairs]).sum(dim=0)
    h = h + attention.out(attended.transpose(1, 2).reshape(batch, count, width))
    return h + block.ff(block.ff_norm(h)), weights


def _grouped(x: Tensor, y: Tensor) -> Tensor:
    """Matrix products of x (B, H, T, X) with y (B, K, X, Y) or (1, K, X, Y), H a multiple of K; (B, H, T, Y).

    Neither the heads of y nor its one row are copied for those of x that share them.
    """
    batch, heads, count, inner = x.shape
    shared = y.shape[1]
    grouped = x.reshape(batch, shared, -1, inner)
    if len(y) == batch:
        return (grouped @ y).view(batch, heads, count, -1)
    folded = grouped.transpose(0, 1).reshape(shared, -1, inner) @ y[0]
    return folded.view(shared, batch, -1, y.shape[3]).transpose(0, 1).reshape(batch, heads, count, -1)


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Values (B, L, ...) at places (B, T): (B, T, ...)."""
    index = places.view(*places.shape, *[1] * (values.dim() - 2)).expand(*places.shape, *values.shape[2:])
    return values.gather(1, index)


def extended(text: Tower, speech_vocab: int, speech_begin: int, speech_end: int, depth: int = 0) -> SingleDecoder:
    """A single decoder that starts as a pre-trained text tower with random rows for speech tokens added.

    depth: blocks, at least those of the tower, or 0 for as many. Blocks that are added lie evenly between the old
    ones and add nothing at first, so that text alone has the logits of the tower (block expansion of Wu et al. 2024,
    arXiv 2401.02415). Raises ConfigError.
    """
    sizes = text.config
    depth = depth or sizes.depth
    if depth < sizes.depth:
        raise ConfigError(f"A single decoder keeps the {sizes.depth} blocks of its text tower; {depth} are too few.")
    config = replace(sizes, vocab_size=sizes.vocab_size + speech_vocab, depth=depth)
    shown = sorted({max(0, depth * (n + 1) // SHOWN_BLOCKS - 1) for n in range(SHOWN_BLOCKS)})
    model = SingleDecoder(SingleDecoderConfig(config, sizes.vocab_size, speech_begin, speech_end, tuple(shown)))
    with torch.no_grad():
        nn.init.normal_(model.decoder.embedding.weight, std=INIT_STD)
        model.decoder.embedding.weight[: sizes.vocab_size] = text.embedding.weight
    model.decoder.norm.load_state_dict(text.norm.state_dict())
    model.decoder.blocks = nn.ModuleList(_grown(text, depth))
    return model


def _grown(text: Tower, depth: int) -> list[Block]:
    """Copies of the blocks of a tower, and after each its share of new ones, copies of it that add nothing."""
    old = text.config.depth
    blocks: list[Block] = []
    for index in range(old):
        block = cast(Block, text.blocks[index])
        for number in range(depth * (index + 1) // old - depth * index // old):
            added = copy.deepcopy(block)
            if number:
                nn.init.zeros_(added.attention.out.weight)
                nn.init.zeros_(added.ff.down.weight)
            blocks.append(added)
    return blocks
