"""Samples in memory, of any number type, as a recording."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from zipper import limits
from zipper.audio.recording import Block, Recording, block_frames
from zipper.errors import AudioError

INTEGER_BYTES = 4  # bytes of the widest integer samples; wider ones are numbers whose full scale nobody can know


def from_array(data: Any, sample_rate: Any) -> Recording:
    """Samples ``(n,)``, ``(n, channels)`` or ``(channels, n)``, floats in -1..1 or integers at full scale.

    Raises AudioError for anything else.
    """
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer):
        raise AudioError("The sample rate must be a whole number of hertz.")
    array = _channels_last(_numbers(data))
    frames, channels = array.shape
    rate = int(sample_rate)
    return Recording("The audio", rate, channels, _blocks(array, block_frames(rate, channels)), frames)


def _numbers(data: Any) -> npt.NDArray[Any]:
    if hasattr(data, "detach"):  # a tensor may belong to a graph, or to another device
        data = data.detach().cpu()
    try:
        array = np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors of types that numpy lacks
        raise AudioError("The samples must be an array of numbers.") from error
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise AudioError("The samples must be a one- or two-dimensional array of numbers.")
    if array.dtype.kind in "iu" and array.dtype.itemsize > INTEGER_BYTES:
        raise AudioError(
            f"Samples of type {array.dtype} have no known full scale: give floats in -1..1 or, for instance, int16."
        )
    return array


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim == 1:
        return array[:, None]
    if array.shape[0] < array.shape[1] and array.shape[0] <= limits.MAX_CHANNELS:
        return array.T  # (channels, n), as torchaudio gives it
    return array


def _blocks(array: npt.NDArray[Any], size: int) -> Iterator[Block]:
    if array.dtype.kind == "f":
        middle, half = 0.0, 1.0
    else:
        span = np.iinfo(array.dtype)
        half = (span.max - span.min + 1) / 2
        middle = 0.0 if array.dtype.kind == "i" else half  # unsigned samples swing around half their range
    for start in range(0, len(array), size):
        block = array[start : start + size]
        if half != 1.0:
            block = (block.astype(np.float64) - middle) / half
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is reported as that
            yield block.astype(np.float32)
