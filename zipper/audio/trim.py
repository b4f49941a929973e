"""The silence that a voice leaves behind its last word, taken off so that the pause is the one that belongs there."""

from collections.abc import Iterable, Iterator

import numpy as np

from zipper.audio.io import Samples

QUIET = 0.004  # of full scale: below it is silence, 40 dB under the quietest vowels of the voices
KEPT_SECONDS = 0.06  # s kept behind the last sound, so that a last consonant fades out


def without_tail(chunks: Iterable[Samples], rate: int) -> Iterator[Samples]:
    """The same sound, as it comes, without the silence at its end; a sound that is all silence stays whole.

    chunks: float32 (n,) each, at `rate` Hz. What is quiet is held back until something follows it.
    """
    kept = round(KEPT_SECONDS * rate)
    held = np.zeros(0, np.float32)  # quiet so far
    owed, heard = 0, False  # samples still to be given behind the last sound
    for chunk in chunks:
        held = np.concatenate([held, chunk])
        loud = np.flatnonzero(np.abs(held) > QUIET)
        if len(loud):
            owed, heard = int(loud[-1]) + 1 + kept, True
        given, held = held[:owed], held[owed:]
        owed -= len(given)
        if len(given):
            yield given
    if not heard:
        yield held
