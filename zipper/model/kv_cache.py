"""Keys and values that a tower has already computed, kept between the steps of one generation."""

from __future__ import annotations

from torch import Tensor

_FIRST_ALLOCATION = 64  # positions; doubled when full


class LayerCache:
    """Keys and values of one block, in buffers that double, so a step does not copy the past.

    B rows, K key heads, S positions so far, D head width.
    """

    def __init__(self) -> None:
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, K, T, D) and return all of them, (B, K, S + T, D) each."""
        start, end = self.length, self.length + keys.shape[2]
        self._keys = _store(self._keys, keys, start)
        self._values = _store(self._values, values, start)
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def select(self, rows: Tensor) -> LayerCache:
        """A new cache whose row i is a copy of row rows[i]. rows (B',) int64."""
        chosen = LayerCache()
        chosen.length = self.length
        if self._keys is not None and self._values is not None:
            chosen._keys = self._keys.index_select(0, rows)
            chosen._values = self._values.index_select(0, rows)
        return chosen


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


def _store(buffer: Tensor | None, new: Tensor, start: int) -> Tensor:
    """Write new (B, K, T, D) at position start, in a larger buffer where this one is too short."""
    rows, heads, count, width = new.shape
    end = start + count
    if buffer is None or buffer.shape[2] < end:
        grown = new.new_empty(rows, heads, max(_FIRST_ALLOCATION, 2 * end), width)
        if buffer is not None:
            grown[:, :, :start] = buffer[:, :, :start]
        buffer = grown
    buffer[:, :, start:end] = new
    return buffer
