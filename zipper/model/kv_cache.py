"""Keys and values that a tower has already computed, kept between the steps of one generation."""

from __future__ import annotations

import torch
from torch import Tensor

_FIRST_ALLOCATION = 64  # positions; doubled when full


class LayerCache:
    """Keys and values of one block, in a buffer that doubles, so a step does not copy the past.

    B rows, K key heads, S positions so far, D head width.
    """

    def __init__(self) -> None:
        self.length = 0
        self._buffer: Tensor | None = None  # (B, 2K, positions, D), keys before values

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, K, T, D) and return all of them, (B, K, S + T, D) each."""
        joined = self.append_joined(torch.cat((keys, values), dim=1))
        return joined[:, : keys.shape[1]], joined[:, keys.shape[1] :]

    def append_joined(self, joined: Tensor) -> Tensor:
        """The same with keys and values in one tensor: (B, 2K, T, D) -> (B, 2K, S + T, D)."""
        rows, heads, count, width = joined.shape
        start, self.length = self.length, self.length + count
        if self._buffer is None or self._buffer.shape[2] < self.length:
            grown = joined.new_empty(rows, heads, max(_FIRST_ALLOCATION, 2 * self.length), width)
            if self._buffer is not None:
                grown[:, :, :start] = self._buffer[:, :, :start]
            self._buffer = grown
        self._buffer.narrow(2, start, count).copy_(joined)
        return self._buffer.narrow(2, 0, self.length)

    def select(self, rows: Tensor) -> LayerCache:
        """A new cache whose row i is a copy of row rows[i]. rows (B',) int64."""
        chosen = LayerCache()
        chosen.length = self.length
        if self._buffer is not None:
            chosen._buffer = self._buffer.index_select(0, rows)
        return chosen

    def copy_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Overwrite rows targets[i] by rows sources[i], as they are before; int64, each target once."""
        if self._buffer is not None:
            known = self._buffer[:, :, : self.length]
            known.index_copy_(0, targets, known.index_select(0, sources))


class TowerCache:
    """One LayerCache per block of a tower."""

    def __init__(self, depth: int) -> None:
        self.layers = [LayerCache() for _ in range(depth)]

    @property
    def length(self) -> int:
        """Positions that the first block has seen."""
        return self.layers[0].length

    def select(self, rows: Tensor) -> TowerCache:
        """A new cache with copies of the given rows. rows (B',) int64."""
        chosen = TowerCache(0)
        chosen.layers = [layer.select(rows) for layer in self.layers]
        return chosen

    def copy_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Overwrite rows targets[i] by rows sources[i], as they are before; int64, each target once."""
        for layer in self.layers:
            layer.copy_rows(sources, targets)
