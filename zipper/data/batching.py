"""Utterances of similar length together, so that little is padded."""

import math
from bisect import bisect_right
from collections.abc import Iterable

import torch

from zipper.errors import ConfigError


class BatchPlan:
    """Utterances of similar length together; batch number n is a pure function of n and the seed.

    lengths: size of each item; budget: the most that a batch may hold with padding counted.
    """

    def __init__(self, lengths: Iterable[int], budget: int, seed: int, most: int = 10**9) -> None:
        self.lengths, self.budget, self.seed, self.most = list(lengths), budget, seed, most
        if not self.lengths:
            raise ConfigError("There is nothing to train on: the prepared data is empty.")
        self._current: tuple[int, list[list[int]]] = (0, self._plan(0))  # only one epoch's plan is kept
        self._starts = [0, len(self._current[1])]  # number of the first batch of each epoch planned so far

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch, in their order."""
        if self._current[0] != epoch:
            self._current = (epoch, self._plan(epoch))
        return self._current[1]

    def _plan(self, epoch: int) -> list[list[int]]:
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        # A little noise on the length, so that the same utterances do not meet in every epoch.
        noise = torch.rand(len(self.lengths), generator=draw).tolist()
        order = sorted(range(len(self.lengths)), key=lambda i: math.log(self.lengths[i] + 1) + 0.1 * noise[i])
        batches: list[list[int]] = [[]]
        longest = 0
        for item in order:
            longest = max(longest, self.lengths[item])
            if batches[-1] and ((len(batches[-1]) + 1) * longest > self.budget or len(batches[-1]) >= self.most):
                batches.append([])
                longest = self.lengths[item]
            batches[-1].append(item)
        return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]

    def __getitem__(self, number: int) -> list[int]:
        while number >= self._starts[-1]:  # epochs differ a little in their number of batches
            self._starts.append(self._starts[-1] + len(self.batches(len(self._starts) - 1)))
        epoch = bisect_right(self._starts, number) - 1
        return self.batches(epoch)[number - self._starts[epoch]]
