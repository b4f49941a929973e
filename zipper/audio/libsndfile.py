"""WAV, FLAC, OGG, Opus, MP3, AIFF and more, decoded in this process by libsndfile."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import soundfile

from zipper.audio.headers import Header, Patched
from zipper.audio.recording import MISSING_SECONDS, Block, Recording, block_frames, broken_off
from zipper.errors import AudioError

UNKNOWN_FRAMES = 1 << 40  # streamed files say "as long as it gets"
ERRORS = (soundfile.SoundFileError, RuntimeError, TypeError)  # TypeError: raw data without a header


class UnreadableError(Exception):
    """libsndfile does not know the file as a recording."""


class DamagedError(AudioError):
    """libsndfile came upon an error within the sound; seconds: its length by the header, None where it does not say."""

    def __init__(self, name: str, seconds: float | None) -> None:
        super().__init__(f"{name} is truncated or damaged: it cannot be decoded to its end.")
        self.seconds = seconds


@contextmanager
def open_recording(path: Path, name: str, header: Header) -> Iterator[Recording]:
    """Open a file for as long as the context lasts; raises UnreadableError."""
    with ExitStack() as stack:
        source: Any = os.fsencode(path)  # as str, soundfile wants it to be UTF-8
        if header.patch is not None:
            source = Patched(stack.enter_context(path.open("rb")), *header.patch)
        try:
            sound = stack.enter_context(soundfile.SoundFile(source))
        except ERRORS as error:
            raise UnreadableError from error
        frames = sound.frames if sound.frames < UNKNOWN_FRAMES else None
        guessed = sound.format in ("MP3", "MPEG")  # without an index, from the size of the file and the first frame
        blocks = _blocks(sound, name, header.missing, frames)
        yield Recording(name, sound.samplerate, sound.channels, blocks, None if guessed else frames)


def _blocks(sound: Any, name: str, missing: float, promised: int | None) -> Iterator[Block]:
    """The whole sound; DamagedError where it breaks off, AudioError at the end if `missing` of its length lacks."""
    read, size = 0, block_frames(sound.samplerate, sound.channels)
    try:
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            read += len(block)
            yield block
    except ERRORS as error:
        raise DamagedError(name, None if promised is None else promised / sound.samplerate) from error
    short = 0 if promised is None else promised - read
    if max(missing * read, short) > MISSING_SECONDS * sound.samplerate or (missing > 0 and read == 0):
        raise broken_off(name)
