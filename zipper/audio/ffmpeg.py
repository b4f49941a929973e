"""WebM, MP4, AVI, FLV, MPEG, WMA and more, decoded by the ffmpeg program where it is installed.

ffmpeg is given the demuxer by name and may open nothing but the one file; its memory and its time are bounded.
"""

import json
import math
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zipper import limits
from zipper.audio.headers import Kind
from zipper.audio.recording import MISSING_SECONDS, Block, Recording, block_frames, broken_off
from zipper.errors import AudioError, LimitError

MEMORY_BYTES = 1 << 30  # bytes that the program may take, where the system can bound it
SHORT_SECONDS = 0.5  # s that a track may be shorter than its header says; some state the length of the picture
STATED = ("matroska", "mov", "avi", "flv")  # demuxers whose length is the header's and no guess of ffmpeg's
VALUE_BYTES = 4  # bytes of one float32


class Track(NamedTuple):
    """The first sound track of a file.

    layout: ffmpeg's name for the places of the channels, "" where it is unknown. seconds: by the header, None where it
    does not say.
    """

    rate: int
    channels: int
    layout: str
    seconds: float | None


def installed() -> bool:
    """Whether the programs are there."""
    return all(shutil.which(program) for program in ("ffmpeg", "ffprobe"))


@contextmanager
def open_recording(
    path: Path, name: str, kind: Kind, missing: float = 0.0, seconds: float | None = None
) -> Iterator[Recording]:
    """Open a file for as long as the context lasts; missing: share of its size that it lacks by its header.

    seconds: length of a file that may be damaged, all of which has to be there; otherwise gaps become silence.

    Raises AudioError if ffmpeg is not installed, does not know the file, or finds no sound track in it.
    """
    if not installed():
        raise AudioError(
            f"{name} is {kind.name} audio, which needs the ffmpeg program: install it, or save as WAV or MP3."
        )
    deadline = time.monotonic() + limits.MAX_DECODE_SECONDS
    track = _probe(path, name, kind, deadline)
    command = ["ffmpeg", "-nostdin", "-v", "quiet", "-threads", "1", *_source(path, kind), "-map", "0:a:0"]
    # Gaps between packets become silence, so that words keep their times. Channels stay as they are: given their number
    # alone, ffmpeg would mix quad, whose last two are behind, down to 4.0, which has a single one there.
    layout = f",aformat=channel_layouts={track.layout}" if track.layout else ""
    gaps = "aresample=async=1" if seconds is None else "anull"
    command += ["-af", f"{gaps}{layout}", *([] if layout else ["-ac", str(track.channels)])]
    command += ["-ar", str(track.rate), "-t", str(limits.MAX_AUDIO_SECONDS + 1), "-f", "f32le", "pipe:1"]
    with _running(command, deadline) as process:
        blocks = _blocks(process, name, kind, track, missing, deadline)
        blocks = blocks if seconds is None else _whole(blocks, name, round((seconds - MISSING_SECONDS) * track.rate))
        frames = None if track.seconds is None else round(track.seconds * track.rate)
        yield Recording(name, track.rate, track.channels, blocks, frames)


def _source(path: Path, kind: Kind) -> list[str]:
    return ["-protocol_whitelist", "file", "-f", kind.demuxer, "-i", f"file:{path.absolute()}"]


def _probe(path: Path, name: str, kind: Kind, deadline: float) -> Track:
    """What the header says of the first sound track."""
    entries = "stream=codec_type,sample_rate,channels,channel_layout,duration:stream_tags=DURATION:format=duration"
    command = ["ffprobe", "-v", "quiet", *_source(path, kind), "-show_entries", entries, "-of", "json"]
    with _running(command, deadline) as process:
        output, _ = process.communicate()
    if time.monotonic() >= deadline:
        raise _too_slow(name)
    try:
        found = json.loads(output)
    except ValueError:
        found = {}
    streams = found.get("streams", [])
    sound = next((stream for stream in streams if stream.get("codec_type") == "audio"), None)
    video = any(stream.get("codec_type") == "video" for stream in streams)
    if sound is None and video:
        raise AudioError(f"{name} is a video without a sound track.")
    rate, channels = (int(sound.get(key, 0)) if sound else 0 for key in ("sample_rate", "channels"))
    if sound is None or rate <= 0 or channels <= 0:
        raise _damaged(name, kind)
    layout = str(sound.get("channel_layout", ""))
    layout = layout if layout != "unknown" and re.fullmatch(r"[\w.()+]+", layout) else ""
    if kind.demuxer not in STATED:
        return Track(rate, channels, layout, None)
    seconds = _seconds(sound.get("duration") or sound.get("tags", {}).get("DURATION"))
    if seconds is None and not video:
        seconds = _seconds(found.get("format", {}).get("duration"))
    return Track(rate, channels, layout, seconds)


def _blocks(
    process: subprocess.Popen[bytes], name: str, kind: Kind, track: Track, missing: float, deadline: float
) -> Iterator[Block]:
    """The whole sound; AudioError where it breaks off or falls short of the header."""
    assert process.stdout is not None
    size, read = block_frames(track.rate, track.channels) * track.channels * VALUE_BYTES, 0
    while data := process.stdout.read(size):
        values = np.frombuffer(data, "<f4", len(data) // VALUE_BYTES)
        block = values[: len(values) // track.channels * track.channels].reshape(-1, track.channels)
        read += len(block)
        yield block.astype(np.float32)  # a copy: torch wants to write
    code = process.wait()
    if time.monotonic() >= deadline:
        raise _too_slow(name)
    if code != 0:
        raise _damaged(name, kind)
    seconds = read / track.rate
    short = 0.0 if track.seconds is None else track.seconds - seconds
    if missing * seconds > MISSING_SECONDS or short > SHORT_SECONDS:
        raise broken_off(name)


def _whole(blocks: Iterator[Block], name: str, least: int) -> Iterator[Block]:
    """The same blocks; AudioError in the end if they hold less than so many frames."""
    read = 0
    for block in blocks:
        read += len(block)
        yield block
    if read < least:
        raise broken_off(name)


@contextmanager
def _running(command: list[str], deadline: float) -> Iterator[subprocess.Popen[bytes]]:
    """A program with bounded memory that is stopped at the deadline, and when the context ends."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise AudioError(f"The program {command[0]} could not be started: {error.strerror}.") from error
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), process.kill)
    timer.daemon = True
    timer.start()
    try:
        _bound_memory(process.pid)
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _bound_memory(pid: int) -> None:
    if sys.platform == "linux":
        import resource

        try:
            resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        except OSError:  # the program has ended already, or may not be bounded here
            return


def _seconds(value: Any) -> float | None:
    """Seconds of "4.7" or "00:00:04.7"; None for anything else."""
    match = re.fullmatch(r"(?:(\d+):(\d+):)?(\d+(?:\.\d+)?)", str(value))
    if match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    whole = hours * 3600 + minutes * 60 + seconds
    return whole if math.isfinite(whole) else None


def _too_slow(name: str) -> LimitError:
    return LimitError(f"{name} could not be decoded in {limits.MAX_DECODE_SECONDS:.0f} s.")


def _damaged(name: str, kind: Kind) -> AudioError:
    return AudioError(f"{name} is truncated or damaged {kind.name} audio: ffmpeg cannot decode it.")
