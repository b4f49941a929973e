"""Whisper's text decoder (Radford et al. 2022, arXiv 2212.04356), frozen: it judges speech tokens in training.

Its vocabulary may be cut to the pieces that English text uses: what is left of the distribution is the same.
Shapes: B clips, L text tokens, F frames of features (50 Hz), C width, V pieces kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIONS = 448  # text positions that Whisper knows
COPIED = {  # names of a layer's parts in a checkpoint, and here; the projections of attention are joined
    "self_attn_layer_norm": "self_norm",
    "encoder_attn_layer_norm": "cross_norm",
    "final_layer_norm": "mlp_norm",
    "self_attn.out_proj": "out",
    "encoder_attn.q_proj": "query",
    "encoder_attn.out_proj": "cross_out",
    "fc1": "up",
    "fc2": "down",
}


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes; the defaults are those of Whisper base."""

    vocab_size: int
    width: int = 512
    depth: int = 6
    heads: int = 8


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention, feed-forward, each before a residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.self_norm, self.cross_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def memory(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, F, D) of features (B, F, C)."""
        key, value = self.key_value(features).chunk(2, -1)
        return self._split(key), self._split(value)

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], visible: Tensor, past: list[Tensor] | None = None
    ) -> Tensor:
        """x (B, L, C), visible (B, 1, 1, F) bool; past: keys and values of the tokens before, which grow."""
        q, k, v = map(self._split, self.qkv(self.self_norm(x)).chunk(3, -1))
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            past[:] = [k, v]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=x.shape[1] > 1)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        y = F.scaled_dot_product_attention(self._split(self.query(self.cross_norm(x))), *memory, attn_mask=visible)
        x = x + self.cross_out(y.transpose(1, 2).flatten(2))
        out: Tensor = x + self.down(F.gelu(self.up(self.mlp_norm(x))))
        return out


class WhisperDecoder(nn.Module):
    """Text tokens (ids among the kept pieces) and features to logits of the next token."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, config.width))
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
        """tokens (B, L), features (B, F, C), lengths (B,) frames -> logits (B, L, V)."""
        visible = _visible(features, lengths)
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, cast(DecoderBlock, block).memory(features), visible)
        return F.linear(self.norm(x), self.embedding.weight)

    @torch.inference_mode()
    def greedy(self, prompt: Tensor, features: Tensor, lengths: Tensor, end: int, limit: int) -> Tensor:
        """The likeliest tokens behind prompt (P,); at most `limit` of them: (B, limit), `end` from the end on."""
        visible = _visible(features, lengths)
        memories = [cast(DecoderBlock, block).memory(features) for block in self.blocks]
        pasts: list[list[Tensor]] = [[] for _ in self.blocks]
        tokens, start = prompt.expand(len(features), -1), 0
        out = torch.full((len(features), limit), end, device=features.device)
        ended = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        for step in range(limit):
            x = self.embedding(tokens) + self.positions[start : start + tokens.shape[1]]
            for block, memory, past in zip(self.blocks, memories, pasts, strict=True):
                x = block(x, memory, visible, past)
            start += tokens.shape[1]
            likeliest = F.linear(self.norm(x[:, -1]), self.embedding.weight).argmax(-1)
            ended |= likeliest == end
            out[:, step] = torch.where(ended, end, likeliest)
            tokens = out[:, step : step + 1]
            if step % 8 == 7 and bool(ended.all()):
                break
        return out


def _visible(features: Tensor, lengths: Tensor) -> Tensor:
    return (torch.arange(features.shape[1], device=features.device) < lengths[:, None])[:, None, None]


def decoder_from_hugging_face(tensors: Mapping[str, Tensor], kept: Tensor) -> WhisperDecoder:
    """The decoder out of the tensors of a `WhisperForConditionalGeneration` checkpoint.

    kept: (V,) sorted ids of the pieces that it keeps.
    """
    source = "model.decoder."
    depth = len({name.split(".")[3] for name in tensors if name.startswith(source + "layers.")})
    table = tensors[source + "embed_tokens.weight"][kept]
    decoder = WhisperDecoder(DecoderConfig(len(kept), table.shape[1], depth, table.shape[1] // 64))
    state = {"embedding.weight": table, "positions": tensors[source + "embed_positions.weight"]}
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = tensors[f"{source}layer_norm.{part}"]
        for i in range(depth):
            layer = f"{source}layers.{i}."
            for old, new in COPIED.items():
                state[f"blocks.{i}.{new}.{part}"] = tensors[f"{layer}{old}.{part}"]
            for attention, letters, new in (("self_attn", "qkv", "qkv"), ("encoder_attn", "kv", "key_value")):
                parts = [_projection(tensors, f"{layer}{attention}.{letter}_proj", part) for letter in letters]
                state[f"blocks.{i}.{new}.{part}"] = torch.cat(parts)
    decoder.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return decoder.eval().requires_grad_(False)


def _projection(tensors: Mapping[str, Tensor], name: str, part: str) -> Tensor:
    """Weight or bias; keys have no bias."""
    tensor = tensors.get(f"{name}.{part}")
    return torch.zeros(len(tensors[f"{name}.weight"])) if tensor is None else tensor.float()
