"""Losses over micro-batches and steps, as they are logged."""

import time
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def values_of(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Losses (scalars on one device) as numbers, read from the device at once: each read makes a GPU wait."""
    numbers: list[float] = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
    return dict(zip(losses, numbers, strict=True))


def mean_losses(micro: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each loss over the micro-batches that have it; tokens are summed."""
    values: dict[str, list[float]] = {}
    for losses in micro:
        for name, value in losses.items():
            values.setdefault(name, []).append(value)
    return {name: sum(v) if name == "tokens" else sum(v) / len(v) for name, v in values.items()}


class Meter:
    """Means of the losses and the tokens a second between two reads."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.started = time.monotonic()

    def add(self, losses: Mapping[str, float]) -> None:
        """Count the losses of one step."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Means since the last read, and "tokens/s"."""
        means = {name: total / self.counts[name] for name, total in self.sums.items() if name != "tokens"}
        means["tokens/s"] = self.sums.get("tokens", 0.0) / (time.monotonic() - self.started)
        self._reset()
        return means
