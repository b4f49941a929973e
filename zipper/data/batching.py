"""Utterances of similar length together, so that little is padded."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import torch

from zipper.errors import ConfigError

IGNORED = -100  # target for which there is no loss: padding, and what is unknown; the default of PyTorch's losses


def pack(order: Iterable[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Items in the given order as batches; each holds as many as fit into `budget` with padding counted."""
    batches: list[list[int]] = []
    longest = 0
    for item in order:
        longest = max(longest, lengths[item])
        if not batches or (len(batches[-1]) + 1) * longest > budget:
            batches.append([])
            longest = lengths[item]
        batches[-1].append(item)
    return batches


def pack_sorted(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """All items from the shortest to the longest in batches of at most `budget`, padding counted."""
    return pack(sorted(range(len(lengths)), key=lengths.__getitem__), lengths, budget)


class BatchPlan:
    """Utterances of similar length together, epoch after epoch; batch number n is a pure function of n and the seed.

    lengths: size of each item; budget: the most that a batch may hold with padding counted; draw: epoch -> the items of
    that epoch, some maybe several times; all of them once if it is not given.
    """

    def __init__(
        self, lengths: Iterable[int], budget: int, seed: int, draw: Callable[[int], Sequence[int]] | None = None
    ) -> None:
        self.lengths, self.budget, self.seed = list(lengths), budget, seed
        if not self.lengths:
            raise ConfigError("There is nothing to train on: the prepared data is empty.")
        self.draw = draw or (lambda epoch: range(len(self.lengths)))
        self._current: tuple[int, list[list[int]]] = (0, self._plan(0))  # only one epoch's plan is kept
        self._starts = [0, len(self._current[1])]  # number of the first batch of each epoch planned so far

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch, in their order."""
        if self._current[0] != epoch:
            self._current = (epoch, self._plan(epoch))
        return self._current[1]

    def _plan(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        items = self.draw(epoch)
        # A little noise on the length, so that the same utterances do not meet in every epoch.
        noise = torch.rand(len(items), generator=generator).tolist()
        sizes = [math.log(self.lengths[item] + 1) + 0.1 * noise[i] for i, item in enumerate(items)]
        order = sorted(range(len(items)), key=sizes.__getitem__)
        batches = pack([items[i] for i in order], self.lengths, self.budget)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def __getitem__(self, number: int) -> list[int]:
        while number >= self._starts[-1]:  # epochs differ a little in their number of batches
            self._starts.append(self._starts[-1] + len(self.batches(len(self._starts) - 1)))
        epoch = bisect_right(self._starts, number) - 1
        return self.batches(epoch)[number - self._starts[epoch]]
