"""Stages `pretrain-text` and `pretrain-speech`: next-token prediction of one tower on one modality."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.data.held_out import is_held_out
from zipper.data.store import Store
from zipper.errors import ConfigError
from zipper.model.tower import Tower


def pack_tokens(segments: Iterable[Sequence[int] | np.ndarray], begin: int, end: int) -> np.ndarray:
    """One flat int32 array, each segment between its begin and end."""
    parts = [np.concatenate([[begin], np.asarray(segment), [end]]).astype(np.int32) for segment in segments]
    if not parts:
        raise ConfigError("There is nothing to pre-train on: no segments were given.")
    return np.concatenate(parts)


def speech_segments(work: Path, sources: Sequence[str]) -> list[np.ndarray]:
    """Token arrays of every utterance of the sources that is not held out, in a fixed shuffled order."""
    stores = [Store(work / "tokens" / name) for name in sources]
    segments = [np.asarray(store[name]) for store in stores for name in store if not is_held_out(name)]
    order = np.random.default_rng(0).permutation(len(segments))
    return [segments[i] for i in order]


class Windows:
    """Batch number -> (rows, length + 1) windows of a flat token array at random places."""

    def __init__(self, tokens: np.ndarray, rows: int, length: int, seed: int) -> None:
        if len(tokens) <= length + 1:
            raise ConfigError(f"{len(tokens)} tokens are too few for windows of {length}.")
        self.tokens, self.rows, self.length, self.seed = tokens, rows, length, seed

    def __call__(self, number: int) -> Tensor:
        """Windows (rows, length + 1) at random positions that seed and number decide."""
        rng = np.random.default_rng([self.seed, number])
        starts = rng.integers(0, len(self.tokens) - self.length - 1, self.rows)
        picked = np.stack([self.tokens[s : s + self.length + 1] for s in starts])
        return torch.from_numpy(picked.astype(np.int64))


class PretrainStage(nn.Module):
    """A tower and its cross-entropy."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, windows: Tensor) -> dict[str, Tensor]:
        """windows: (B, T + 1) token ids."""
        logits = self.tower(windows[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())
        return {"loss": loss, "tokens": loss.new_full((), windows[:, 1:].numel())}
