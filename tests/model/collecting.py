"""Whole generations, for tests that look at them from outside."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from zipper.inference.generate import Step, StopReason
from zipper.model.streams import Segment


@dataclass(frozen=True)
class Generated:
    """Generated segments; every field has one entry per segment; attention (Z, H, T, S) or None."""

    segments: tuple[Segment, ...]
    probabilities: tuple[tuple[float, ...], ...]
    attention: tuple[Tensor | None, ...]
    stop_reasons: tuple[StopReason | None, ...]


def collect(steps: Iterable[Step]) -> Generated:
    """Run a generation to its end."""
    groups: list[list[Step]] = []
    for step in steps:
        if not groups or groups[-1][-1].finished:
            groups.append([])
        groups[-1].append(step)
    rows = [[step.attention for step in group if step.attention is not None] for group in groups]
    return Generated(
        tuple(Segment(group[0].modality, tuple(step.id for step in group)) for group in groups),
        tuple(tuple(step.probability for step in group) for group in groups),
        tuple(torch.stack(found, dim=2) if found else None for found in rows),
        tuple(group[-1].stop_reason for group in groups),
    )
