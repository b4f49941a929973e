"""Dynamic time warping and the median filter before it, in numpy, fast enough to run after every request.

Method: Sakoe and Chiba (1978) with the three unit steps; as Whisper (Radford et al., 2022) uses it on cross-
attention.
"""

from typing import cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def median_filter(x: np.ndarray, width: int) -> np.ndarray:
    """Median over `width` (odd) neighbors along the last axis, edges repeated: (..., T) -> (..., T).

    Arrays shorter than the window come back as they are. ValueError for an even or non-positive width.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"A median filter needs an odd width of at least 1, not {width}.")
    if width == 1 or x.shape[-1] < width:
        return x
    half = width // 2
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="edge")
    return cast(np.ndarray, np.median(sliding_window_view(padded, width, axis=-1), axis=-1))


def dtw_path(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cheapest monotonic path from first to last cell of (N, M) costs: row and column of each of its cells.

    Each step goes one row down, one column right, or both. ValueError when the matrix is empty or not finite.
    """
    if cost.ndim != 2 or cost.size == 0:
        raise ValueError(f"Time warping needs a matrix with at least one cell, not shape {cost.shape}.")
    if not np.isfinite(cost).all():
        raise ValueError("Time warping needs finite costs.")
    return _trace_back(_accumulate(cost))


def _accumulate(cost: np.ndarray) -> np.ndarray:
    """Cost of the best path to each cell, skewed: cell (i, j) lies at [i + j + 2, i + 1] of (N+M+1, N+1).

    No cell of an anti-diagonal depends on another of the same, so each is computed at once: N + M vector
    steps in place of N * M scalar ones. The padding is infinite, so that no path runs through it.
    """
    n, m = cost.shape
    rows, columns = np.indices((n, m), sparse=True)
    skewed = np.full((n + m - 1, n), np.inf)
    skewed[rows + columns, np.broadcast_to(rows, (n, m))] = cost
    total = np.full((n + m + 1, n + 1), np.inf)
    total[0, 0] = 0.0
    for d in range(n + m - 1):
        best = np.minimum(total[d, :-1], total[d + 1, :-1])  # from (i-1, j-1), from (i-1, j)
        np.minimum(best, total[d + 1, 1:], out=best)  # from (i, j-1)
        np.add(best, skewed[d], out=total[d + 2, 1:])
    return total


def _trace_back(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The path that `_accumulate` found, first cell first; among equals the diagonal step is taken."""
    n = total.shape[1] - 1
    i, j = n - 1, total.shape[0] - 2 - n
    path = [(i, j)]
    while i or j:
        d = i + j
        diagonal, down, right = total[d, i], total[d + 1, i], total[d + 1, i + 1]
        if diagonal <= down and diagonal <= right:
            i, j = i - 1, j - 1
        elif down <= right:
            i -= 1
        else:
            j -= 1
        path.append((i, j))
    cells = np.array(path[::-1], dtype=np.int64)
    return cells[:, 0], cells[:, 1]
