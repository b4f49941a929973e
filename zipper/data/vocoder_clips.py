"""What a vocoder learns from: log-mels, the teacher's sound of each and, where there is one, the recording itself.

The mels are those of recordings, and those that a detokenizer makes of speech tokens, which are smoother. A folder
holds for each source mels/SOURCE (float16), teacher/SOURCE (int16) and, of recordings with the full band,
recorded/SOURCE (int16); 256 samples at 22.05 kHz a frame. Preparing goes on where it was interrupted.
"""

import io
import logging
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from zipper.audio.mel import MelSpectrogram
from zipper.data.manifest import read_audio_bytes, source_name
from zipper.data.store import Store, StoreWriter
from zipper.data.waveforms import to_int16
from zipper.errors import DataError
from zipper.rates import MELS, TOKEN_RATE, VOCODER_HOP, VOCODER_RATE
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.vocoder import Vocoder, sound_of

log = logging.getLogger(__name__)

MIN_SECONDS, MAX_SECONDS = 0.5, 20.0  # of a clip that is used
SPOKEN = ".spoken"  # ends the name of a source whose mels a detokenizer made
SAVED_CLIPS = 16  # after so many the index is written, so that little is lost by an interruption


class Material(NamedTuple):
    """A clip before the teacher has spoken it: mel (T, 80), samples (256 T,) of the recording or None."""

    name: str
    mel: Tensor
    recording: np.ndarray | None


def recordings(source: Path, done: Container[str] = ()) -> Iterator[Material]:
    """The clips of a folder or tar of recordings, in an order that mixes its speakers, but those that are done.

    Left out are also clips that are too short or too long, and those of several channels.
    """
    spectrogram = MelSpectrogram()
    encoded = sorted(read_audio_bytes(source), key=lambda pair: zlib.crc32(pair[0].encode()))
    for name, data in encoded:
        if name in done:
            continue
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        if samples.ndim > 1 or not MIN_SECONDS <= len(samples) / rate <= MAX_SECONDS:
            continue
        samples = soxr.resample(samples, rate, VOCODER_RATE)
        samples = samples[: len(samples) // VOCODER_HOP * VOCODER_HOP]
        yield Material(name, spectrogram(torch.from_numpy(samples)[None])[0], samples if rate >= VOCODER_RATE else None)


def spoken(tokens: Path, detokenizer: Detokenizer, done: Container[str] = ()) -> Iterator[Material]:
    """Mels of a store of speech tokens, but those that are done; voice and seed of each follow from its name."""
    store = Store(tokens)
    for name in sorted(store, key=lambda name: zlib.crc32(name.encode())):
        codes = np.asarray(store[name], np.int64)
        if name in done or not MIN_SECONDS <= len(codes) / TOKEN_RATE <= MAX_SECONDS:
            continue
        draw = zlib.crc32(f"voice of {name}".encode())
        voice = detokenizer.voices[draw % len(detokenizer.voices)]
        yield Material(name, detokenizer.mel(codes, voice, seed=draw), None)


def prepare(
    name: str, clips: Callable[[Container[str]], Iterable[Material]], teacher: Vocoder, folder: Path, minutes: float
) -> None:
    """Up to so many minutes of clips into the stores NAME of a folder; those that are there already count.

    clips: takes the names of those. Raises DataError where there is no clip.
    """
    with (
        StoreWriter(folder / "mels" / name, "float16", (MELS,)) as mels,
        StoreWriter(folder / "teacher" / name, "int16") as sounds,
        StoreWriter(folder / "recorded" / name, "int16") as originals,
    ):
        frames = sum(length for _, length in sounds.done.values()) // VOCODER_HOP
        wanted = minutes * 60 * VOCODER_RATE / VOCODER_HOP
        for clip in clips(sounds.done) if frames < wanted else ():
            mel = clip.mel.half().float()  # as it will be read
            if clip.name not in mels.done:
                mels.add(clip.name, mel.numpy())
            if clip.recording is not None and clip.name not in originals.done:
                originals.add(clip.name, to_int16(clip.recording))
            sounds.add(clip.name, to_int16(sound_of(teacher, mel)))
            frames += len(mel)
            if len(sounds.done) % SAVED_CLIPS == 0:
                _flush(mels, originals, sounds)
            if frames >= wanted:
                break
        if not sounds.done:
            raise DataError(f"{name} holds no clip of {MIN_SECONDS:g} to {MAX_SECONDS:g} s, mono.")
        log.info("%s: %d clips, %.1f min", name, len(sounds.done), frames * VOCODER_HOP / VOCODER_RATE / 60)


def _flush(*stores: StoreWriter) -> None:
    """The teacher's sound, which says that a clip is done, comes last."""
    for store in stores:
        store.flush()


def spoken_name(tokens: Path) -> str:
    """Name of the source of a store of tokens."""
    return tokens.name + SPOKEN


def recorded_name(source: Path) -> str:
    """Name of the source of a folder or tar of recordings."""
    return source_name(source)
