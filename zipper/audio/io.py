"""Reading any recording as float32 mono at one rate, and writing WAV files.

Everything is decoded block by block by :mod:`zipper.audio.decode`. Whatever is wrong with a file is said in one
sentence, as an exception of :mod:`zipper.errors`.
"""

import io
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from zipper import limits
from zipper.audio.arrays import from_array
from zipper.audio.decode import open_file
from zipper.audio.downmix import Mixdown
from zipper.audio.libsndfile import DamagedError
from zipper.audio.recording import Recording, printable
from zipper.errors import AudioError, LimitError
from zipper.files import save
from zipper.rates import SPEECH_RATE

Samples: TypeAlias = npt.NDArray[np.float32]
AudioSource: TypeAlias = str | os.PathLike[str] | tuple[Any, int]

WRITTEN_SAMPLES = 1 << 20  # samples written at a time


def load_audio(source: AudioSource, rate: int = SPEECH_RATE) -> Samples:
    """Read a recording as float32 mono in -1..1.

    Args:
        source: a path, or ``(samples, sample_rate)`` with samples ``(n,)`` or ``(n, channels)``, of a float
            type in -1..1 or of an integer type at full scale.
        rate: Hz of the result.

    Returns:
        Samples ``(n,)``; a peak over 1 is scaled down to 1.

    Raises:
        AudioError: missing, empty, truncated, undecodable, not finite, or shorter than a word.
        LimitError: larger or longer than :mod:`zipper.limits` allows.
    """
    try:
        name, mono = _decoded(source, rate)
    except DamagedError as malformed:
        name, mono = _decoded(source, rate, malformed)
    if len(mono) == 0:
        raise AudioError(f"{name} holds no sound: it has 0 samples.")
    if len(mono) < limits.MIN_AUDIO_SECONDS * rate:
        raise AudioError(f"{name} is too short to hold a word: {len(mono) / rate:.3f} s.")
    peak = float(np.maximum(mono.max(), -mono.min()))
    if not np.isfinite(peak):
        raise AudioError(f"{name} holds values that are not finite numbers.")
    if peak > 1.0:
        mono /= np.float32(peak)
    return mono


def write_wav(path: str | os.PathLike[str], samples: npt.ArrayLike, sample_rate: int) -> Path:
    """Write samples ``(n,)`` in -1..1 as a 16-bit mono WAV file; StorageError if they cannot be saved."""
    return save(path, wav_bytes(samples, sample_rate))


def wav_bytes(samples: npt.ArrayLike, sample_rate: int) -> bytes:
    """Samples ``(n,)`` in -1..1 as the bytes of a 16-bit mono WAV file; louder ones are clipped."""
    buffer, whole = io.BytesIO(), np.asarray(samples, dtype=np.float32)
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, "PCM_16", format="WAV") as sound:
        for start in range(0, len(whole), WRITTEN_SAMPLES):  # of 15 minutes, each copy would take 60 MB
            block = np.clip(whole[start : start + WRITTEN_SAMPLES], -1.0, 1.0) * np.float32(32767)
            sound.write(np.round(block).astype(np.int16))
    return buffer.getvalue()


def _decoded(source: AudioSource, rate: int, malformed: DamagedError | None = None) -> tuple[str, Samples]:
    """Name of a source for messages, and all of its sound; malformed: what was said of it when it was tried before."""
    with _opened(source, malformed) as recording, closing(_mono(recording, rate)) as blocks:
        recording.check()
        return recording.name, np.concatenate([np.zeros(0, np.float32), *blocks])


@contextmanager
def _opened(source: AudioSource, malformed: DamagedError | None) -> Iterator[Recording]:
    """A source as a recording, of which nothing is decoded yet."""
    if isinstance(source, tuple) and len(source) == 2:
        yield from_array(*source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        with open_file(path, printable(path.name or str(source)), malformed) as recording:
            yield recording
    else:
        raise AudioError("Audio must be a path or a pair of samples and sample rate.")


def _mono(recording: Recording, rate: int) -> Generator[Samples, None, None]:
    """The sound block by block, mixed down and at `rate`; never more of it than the limits allow."""
    deadline = time.monotonic() + limits.MAX_DECODE_SECONDS
    mix, frames = Mixdown(recording.channels), 0
    resampler = soxr.ResampleStream(recording.rate, rate, 1, dtype="float32") if recording.rate != rate else None
    for block in recording.blocks:
        frames += len(block)
        recording.check_length(frames)
        if time.monotonic() > deadline:
            raise LimitError(f"{recording.name} could not be decoded in {limits.MAX_DECODE_SECONDS:.0f} s.")
        mono = mix(block)
        if not np.isfinite(mono).all():
            raise AudioError(f"{recording.name} holds values that are not finite numbers.")
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
