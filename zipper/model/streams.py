"""Interleaved sequences of text and speech segments, packed one stream per modality.

Shapes: B batch, T tokens of a stream, padded on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zipper.errors import ConfigError
from zipper.model.config import MODALITIES, Modality

PAD_ORDER = 2**31 - 1
PAD_ID = 0


@dataclass(frozen=True)
class Segment:
    """Consecutive tokens of one modality, with their begin and end."""

    modality: Modality
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """Tokens of one modality.

    ids (B, T) int64; order (B, T) int64, each token's position in the interleaved sequence, PAD_ORDER
    for padding. source_time (B, T) float32, with tracked positions: where in the other modality each token was
    found, in that modality's seconds; None stands for a steady pace.
    """

    ids: Tensor
    order: Tensor
    source_time: Tensor | None = None

    def to(self, device: torch.device | str) -> Stream:
        """The same stream on another device."""
        source_time = None if self.source_time is None else self.source_time.to(device)
        return Stream(self.ids.to(device), self.order.to(device), source_time)


def pack(sequences: Sequence[Sequence[Segment]]) -> tuple[Stream | None, Stream | None]:
    """Sequences of segments -> (text stream, speech stream); None where no sequence has that modality.

    A sequence of one modality in a batch with both is fused too, with rows that see nothing; to
    bypass the zips, batch unimodal sequences by themselves.
    """
    text, speech = (_pack(sequences, modality) for modality in MODALITIES)
    return text, speech


def _pack(sequences: Sequence[Sequence[Segment]], modality: Modality) -> Stream | None:
    """The stream of one modality."""
    ids: list[list[int]] = []
    order: list[list[int]] = []
    for segments in sequences:
        position = 0
        ids.append([])
        order.append([])
        for segment in segments:
            if segment.modality not in MODALITIES:
                raise ConfigError(f"A segment's modality must be text or speech, not {segment.modality!r}.")
            end = position + len(segment.ids)
            if segment.modality == modality:
                ids[-1].extend(segment.ids)
                order[-1].extend(range(position, end))
            position = end
    longest = max(map(len, ids), default=0)
    if longest == 0:
        return None
    return Stream(_padded(ids, longest, PAD_ID), _padded(order, longest, PAD_ORDER))


def _padded(rows: list[list[int]], length: int, value: int) -> Tensor:
    """Rows of unequal length -> (B, length) int64."""
    return torch.tensor([row + [value] * (length - len(row)) for row in rows], dtype=torch.int64)


def visibility_mask(target: Stream, source: Stream) -> Tensor:
    """What each target token sees of the other modality: what precedes it. (B, T, S) bool.

    Padding neither sees nor is seen.
    """
    real = target.order.ne(PAD_ORDER).unsqueeze(2)
    return real & (source.order.unsqueeze(1) < target.order.unsqueeze(2))


def index_in_segment(stream: Stream, begin_id: int) -> Tensor:
    """Position of each token within its own segment, counted from 0. (B, T) int64.

    A segment starts at a begin token and wherever the interleaved order jumps.
    """
    steps = torch.arange(stream.ids.shape[1], device=stream.ids.device).expand_as(stream.ids)
    starts = stream.ids.eq(begin_id)
    starts[:, 1:] |= stream.order[:, 1:] != stream.order[:, :-1] + 1
    last_start = torch.where(starts, steps, torch.zeros_like(steps)).cummax(dim=1).values
    return steps - last_start
