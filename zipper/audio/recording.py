"""What every kind of recording is once it has been opened, and the limits that it is held to before it is decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zipper import limits
from zipper.errors import AudioError, LimitError

Block: TypeAlias = npt.NDArray[np.float32]  # (frames, channels)

BLOCK_VALUES = 1 << 21  # values of one block, 8 MB
MISSING_SECONDS = 0.1  # s that a recording may be shorter than its header says


@dataclass(frozen=True)
class Recording:
    """An open recording.

    name: for messages. rate: Hz. channels: of every block. blocks: float32 ``(n, channels)`` in order; the iterator
    raises AudioError where the file breaks off. frames: how many there are by the header, None where it does not say.
    """

    name: str
    rate: int
    channels: int
    blocks: Iterator[Block]
    frames: int | None = None

    def check(self) -> None:
        """Hold the header to the limits: AudioError for the rate, LimitError for channels and length."""
        low, high = limits.MIN_SAMPLE_RATE, limits.MAX_SAMPLE_RATE
        if not low <= self.rate <= high:
            raise AudioError(
                f"{self.name} has a sample rate of {self.rate} Hz, which is not within {low} to {high} Hz."
            )
        if self.channels > limits.MAX_CHANNELS:
            raise LimitError(f"{self.name} has {self.channels} channels, more than {limits.MAX_CHANNELS}.")
        if self.frames is not None:
            self.check_length(self.frames)

    def check_length(self, frames: int) -> None:
        """LimitError for more sound than is allowed."""
        if frames > limits.MAX_AUDIO_SECONDS * self.rate:
            minutes = limits.MAX_AUDIO_SECONDS / 60
            raise LimitError(f"{self.name} is longer than {minutes:.0f} minutes, the most allowed.")


def block_frames(rate: int, channels: int) -> int:
    """Frames of a block: a second of sound, or less where so many channels would fill the memory."""
    return max(1, min(rate, BLOCK_VALUES // max(channels, 1)))


def broken_off(name: str) -> AudioError:
    """A file that ends early."""
    return AudioError(f"{name} is truncated: it ends before the length that its header states.")


def printable(name: str) -> str:
    """A file name as a message can hold it; names may hold line breaks, and bytes that are no characters."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
