"""Batches on their way to the device of the training."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

Batch = Any


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The same structure (mappings and sequences, nested) with every tensor changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: map_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(value, change) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(map_tensors(value, change) for value in batch)
    return batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Every tensor on a device; from pinned memory the copy does not wait."""
    return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(batch: Batch) -> Batch:
    """The same in pinned memory, from which a GPU copies while it computes; what lies on a GPU stays there."""
    if not torch.cuda.is_available():
        return batch
    return map_tensors(batch, lambda tensor: tensor.pin_memory() if tensor.device.type == "cpu" else tensor)


class Batches:
    """Batches number 0, 1, ... of `batch`, of which this process takes every `stride`-th, on the device.

    For a GPU the next batch is made in a thread while the GPU computes; on a CPU both would want the same cores.
    """

    def __init__(self, batch: Callable[[int], Batch], device: torch.device, stride: int) -> None:
        self.batch, self.device, self.stride = batch, device, stride
        self.pool = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self.ahead: tuple[int, Future[Batch]] | None = None

    def __call__(self, number: int) -> Batch:
        """Batch `number`, on the device."""
        if self.pool is None:
            return to_device(self.batch(number), self.device)
        made = self.ahead[1].result() if self.ahead and self.ahead[0] == number else self._make(number)
        following = number + self.stride
        self.ahead = following, self.pool.submit(self._make, following)
        return to_device(made, self.device)

    def _make(self, number: int) -> Batch:
        return pinned(self.batch(number))

    def close(self) -> None:
        """End the thread; a batch that it is making is lost."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
