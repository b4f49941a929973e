"""One rule for many channels: their mean, each with the polarity of the louder channel that it resembles most.

A microphone cable with its two wires swapped gives a second channel of the opposite sign. A plain mean then cancels
the voice and leaves the noise, the more so the better the channels agree. The polarity is decided block by block, as
a recording is mixed while it is decoded; channels that do not resemble each other keep theirs, so that two people on
a channel each are both heard.
"""

import numpy as np
import numpy.typing as npt

from zipper.audio.recording import Block

RESEMBLANCE = 0.2  # correlation of two channels, or of one with the other's opposite, from which they resemble
COMPARED_FRAMES = 1 << 14  # frames of a block that are compared, evenly spread
RAMP_FRAMES = 256  # frames over which a change of polarity is spread, so that it does not click

Gains = npt.NDArray[np.float32]


class Mixdown:
    """Mixes consecutive blocks of one recording."""

    def __init__(self, channels: int) -> None:
        self._polarities: Gains = np.ones(channels, np.float32)
        self._begun = False

    def __call__(self, block: Block) -> npt.NDArray[np.float32]:
        """A block ``(n, channels)`` as mono ``(n,)``; not finite where any channel is not."""
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        before, self._polarities = self._polarities, polarities(block, self._polarities)
        mono: npt.NDArray[np.float32] = block @ (self._polarities / np.float32(channels))
        changed = before - self._polarities
        if changed.any() and self._begun:
            ramp = min(RAMP_FRAMES, len(block))
            fading = np.linspace(1, 0, ramp, dtype=np.float32)
            mono[:ramp] += (block[:ramp] @ (changed / np.float32(channels))) * fading
        self._begun = True
        return mono


def polarities(block: Block, before: Gains) -> Gains:
    """The sign, 1 or -1, with which each channel of ``(n, channels)`` enters the sum; `before`: of the last block."""
    with np.errstate(all="ignore"):  # values that are not finite are reported later, with the name of the file
        compared = block[:: max(1, len(block) // COMPARED_FRAMES)]
        centered = compared - compared.mean(axis=0)
        products = (centered.T @ centered).astype(np.float64)
        energies = np.diag(products)
        alike = products / np.sqrt(np.outer(energies, energies))
    alike = np.nan_to_num(alike, nan=0.0, posinf=0.0, neginf=0.0)  # a silent channel resembles none
    found = before.copy()
    order = np.argsort(-energies, kind="stable")
    for rank, channel in enumerate(order[1:], start=1):
        louder = order[:rank]
        nearest = louder[np.abs(alike[channel, louder]).argmax()]
        if abs(alike[channel, nearest]) > RESEMBLANCE:
            found[channel] = found[nearest] * np.sign(alike[channel, nearest])
    return found
