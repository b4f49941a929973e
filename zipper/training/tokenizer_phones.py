"""Stage `tokenizer`: teach the quantizer what to keep of Whisper's features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.data.batching import IGNORED, BatchPlan
from zipper.data.store import Store
from zipper.rates import FRAMES_PER_TOKEN
from zipper.speech.quantizer import Quantizer


class FrameBatch(NamedTuple):
    """features (B, F, W) float16, labels (B, F) int64 phones, lengths (B,) tokens."""

    features: Tensor
    labels: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class TokenizerLoss:
    """Weights of the parts."""

    phones: float = 1.0
    features: float = 0.3


class PhoneTokenizerStage(nn.Module):
    """Quantizer and its loss: cross-entropy of the phone in each 20 ms and squared error of the features."""

    def __init__(self, quantizer: Quantizer, weights: TokenizerLoss) -> None:
        super().__init__()
        self.quantizer, self.weights = quantizer, weights

    def forward(self, batch: FrameBatch) -> dict[str, Tensor]:
        """Losses by name."""
        out = self.quantizer(batch.features, batch.lengths)
        mask = batch.labels != IGNORED
        phones = F.cross_entropy(out.phones.float().flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
        error = (out.features.float() - out.target)[mask].pow(2).mean()
        right = (out.phones.argmax(-1) == batch.labels)[mask].float().mean()
        return {
            "loss": self.weights.phones * phones + self.weights.features * error,
            "phones": phones,
            "mse": error,
            "accuracy": right,
            "tokens": batch.lengths.sum(),
        }


class FrameBatches:
    """Batch number -> FrameBatch, out of feature and label stores of several sources."""

    def __init__(self, work: Path, sources: Sequence[str], budget: int, seed: int, held_out: frozenset[str]) -> None:
        self.features = {name: Store(work / "features" / name) for name in sources}
        self.labels = {name: Store(work / "labels" / name) for name in sources}
        self.items = [
            (name, utterance)
            for name in sources
            for utterance in self.labels[name]
            if utterance in self.features[name] and utterance not in held_out
        ]
        lengths = [self.labels[name].length(utterance) // FRAMES_PER_TOKEN for name, utterance in self.items]
        self.plan = BatchPlan(lengths, budget, seed)

    def __call__(self, number: int) -> FrameBatch:
        """Batch `number` of an endless sequence of epochs."""
        return self.collate([self.items[i] for i in self.plan[number]])

    def collate(self, items: Sequence[tuple[str, str]]) -> FrameBatch:
        """Load and pad; items are (source, utterance)."""
        labels = [np.asarray(self.labels[name][utterance]) for name, utterance in items]
        frames = max(map(len, labels))
        width = self.features[items[0][0]][items[0][1]].shape[1]
        features = torch.zeros(len(items), frames, width, dtype=torch.float16)
        padded = torch.full((len(items), frames), IGNORED)
        for row, (name, utterance) in enumerate(items):
            features[row, : len(labels[row])] = torch.from_numpy(np.array(self.features[name][utterance]))
            padded[row, : len(labels[row])] = torch.from_numpy(labels[row].astype(np.int64))
        lengths = torch.tensor([len(row) // FRAMES_PER_TOKEN for row in labels])
        return FrameBatch(features, padded, lengths)


def statistics(batches: FrameBatches, count: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation (W,) of the features over some batches."""
    frames = []
    for number in range(count):
        batch = batches(number)
        frames.append(batch.features[batch.labels != IGNORED].float())
    joined = torch.cat(frames)
    return joined.mean(0), joined.std(0)
