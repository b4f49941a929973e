"""Reading any recording as float32 mono at one rate, and writing WAV files.

``soundfile`` reads WAV, FLAC, OGG, Opus, MP3, AIFF and more; WebM, M4A, AAC and WMA go through the ``ffmpeg``
program where it is installed. Whatever is wrong with a file is said in one sentence, as an exception of
:mod:`zipper.errors`.
"""

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from zipper import limits
from zipper.errors import AudioError, LimitError
from zipper.files import save
from zipper.rates import SPEECH_RATE

Samples: TypeAlias = npt.NDArray[np.float32]
AudioSource: TypeAlias = str | os.PathLike[str] | tuple[Any, int]

BLOCK_FRAMES = 1 << 18  # frames decoded at a time, so that a header which lies cannot fill the memory
MISSING_SECONDS = 0.1  # s that a file may be shorter than its header says
CANCELLED_SHARE = 1e-3  # energy left by mixing down, below which the channels were in opposite phase
DECODE_SECONDS = 120  # s of wall clock for the ffmpeg program

# How the formats that soundfile does not read begin: (offset, bytes, ffmpeg's demuxer, name for people).
# The demuxer is always named to ffmpeg, so that a playlist in disguise never makes it open other files.
CONTAINERS = (
    (0, b"\x1aE\xdf\xa3", "matroska", "WebM"),
    (4, b"ftyp", "mov", "MP4"),
    (0, b"\xff\xf1", "aac", "AAC"),
    (0, b"\xff\xf9", "aac", "AAC"),
    (0, b"\x30\x26\xb2\x75", "asf", "WMA"),
)


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
    if isinstance(source, tuple):
        if len(source) != 2:
            raise AudioError("Audio must be a path or a pair of samples and sample rate.")
        name, (samples, source_rate) = "The audio", _from_array(source[0], source[1])
    elif isinstance(source, str | os.PathLike):
        name = Path(source).name or str(source)
        samples, source_rate = _read_file(Path(source), name, rate)
    else:
        raise AudioError("Audio must be a path or a pair of samples and sample rate.")
    _check_length(len(samples), source_rate, name)
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds values that are not finite numbers.")
    mono = _mix_down(samples)
    if source_rate != rate:
        mono = soxr.resample(mono, source_rate, rate)
    peak = float(np.abs(mono).max())
    return np.ascontiguousarray(mono / peak if peak > 1.0 else mono, dtype=np.float32)


def write_wav(path: str | os.PathLike[str], samples: npt.ArrayLike, sample_rate: int) -> Path:
    """Write samples ``(n,)`` in -1..1 as a 16-bit mono WAV file; StorageError if they cannot be saved."""
    return save(path, wav_bytes(samples, sample_rate))


def wav_bytes(samples: npt.ArrayLike, sample_rate: int) -> bytes:
    """Samples ``(n,)`` in -1..1 as the bytes of a 16-bit mono WAV file; louder ones are clipped."""
    buffer = io.BytesIO()
    scaled = np.round(np.clip(np.asarray(samples, dtype=np.float32), -1.0, 1.0) * 32767.0)
    soundfile.write(buffer, scaled.astype(np.int16), sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _from_array(data: Any, sample_rate: Any) -> tuple[npt.NDArray[np.floating], int]:
    """Samples of any number type as float ``(n, channels)``, and their rate."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer):
        raise AudioError("The sample rate must be a whole number of hertz.")
    _check_rate(int(sample_rate), "The audio")
    try:
        array = np.asarray(data)
    except (TypeError, ValueError) as error:  # ragged lists
        raise AudioError("The samples must be an array of numbers.") from error
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise AudioError("The samples must be a one- or two-dimensional array of numbers.")
    if array.ndim == 1:
        array = array[:, None]
    elif array.shape[0] < array.shape[1] and array.shape[0] <= limits.MAX_CHANNELS:
        array = array.T  # (channels, n), as torchaudio gives it
    if array.shape[1] > limits.MAX_CHANNELS:
        raise LimitError(f"The audio has {array.shape[1]} channels, more than {limits.MAX_CHANNELS}.")
    if array.dtype.kind == "f":
        return array.astype(np.float32), int(sample_rate)
    span = np.iinfo(array.dtype)
    half = (span.max - span.min + 1) / 2
    middle = 0 if array.dtype.kind == "i" else half  # unsigned samples swing around half their range
    return ((array.astype(np.float64) - middle) / half).astype(np.float32), int(sample_rate)


def _read_file(path: Path, name: str, rate: int) -> tuple[npt.NDArray[np.floating], int]:
    """A file's samples ``(n, channels)`` and their rate."""
    try:
        if path.is_dir():
            raise AudioError(f"{name} is a folder, not an audio file.")
        if not path.is_file():
            raise AudioError(f"There is no file {path}.")
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4096)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise AudioError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error
    if size == 0:
        raise AudioError(f"{name} is empty.")
    if size > limits.MAX_FILE_BYTES:
        raise LimitError(f"{name} is larger than {limits.MAX_FILE_BYTES // 1024**2} MB, the most allowed.")
    for offset, magic, demuxer, kind in CONTAINERS:
        if head[offset : offset + len(magic)] == magic:
            return _read_ffmpeg(path, name, demuxer, kind, rate), rate
    return _read_soundfile(path, name, _missing_wav_bytes(head, size))


def _read_soundfile(path: Path, name: str, missing_bytes: int) -> tuple[npt.NDArray[np.floating], int]:
    blocks: list[npt.NDArray[np.floating]] = []
    opened = False
    try:
        with soundfile.SoundFile(path) as sound:
            opened = True
            source_rate, promised = sound.samplerate, sound.frames
            _check_rate(source_rate, name)
            if sound.channels > limits.MAX_CHANNELS:
                raise LimitError(f"{name} has {sound.channels} channels, more than {limits.MAX_CHANNELS}.")
            most, read = int(limits.MAX_AUDIO_SECONDS * source_rate) + 1, 0
            while read < most and len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(block)
                read += len(block)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:  # TypeError: raw data, no header
        if missing_bytes > 0 or opened:
            raise AudioError(f"{name} is truncated or damaged: it cannot be decoded to its end.") from error
        raise AudioError(
            f"{name} is not audio in a known format (WAV, FLAC, OGG, Opus, MP3, AIFF, WebM, M4A)."
        ) from error
    unknown_length = promised >= 1 << 40  # streamed files say "as long as it gets"
    short = not unknown_length and read < most and (promised - read) / source_rate > MISSING_SECONDS
    if missing_bytes > 0 or short:
        raise AudioError(f"{name} is truncated: it ends before the length that its header states.")
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32), source_rate


def _missing_wav_bytes(head: bytes, size: int) -> int:
    """How many bytes of data a WAV file lacks by its header; libsndfile shortens such files silently."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return 0
    position, byte_rate = 12, 0
    while position + 8 <= len(head):
        chunk = head[position : position + 4]
        length = int.from_bytes(head[position + 4 : position + 8], "little")
        if chunk == b"fmt ":
            byte_rate = int.from_bytes(head[position + 16 : position + 20], "little")
        if chunk == b"data":
            if length >= 0x7FFFFFFF - 0xFFF:  # written by a program that could not seek back: length unknown
                return 0
            missing = length - (size - position - 8)
            return missing if missing > MISSING_SECONDS * byte_rate else 0
        position += 8 + length + length % 2
    return 0


def _read_ffmpeg(path: Path, name: str, demuxer: str, kind: str, rate: int) -> npt.NDArray[np.floating]:
    """Decode with the ffmpeg program to ``(n, 1)`` at ``rate``."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(
            f"{name} is {kind} audio, which needs the ffmpeg program: install it, or save as WAV or MP3."
        )
    command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-f", demuxer]
    command += ["-i", f"file:{path.absolute()}", "-vn", "-t", str(limits.MAX_AUDIO_SECONDS + 1)]
    command += ["-ac", "1", "-ar", str(rate), "-f", "f32le", "pipe:1"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=DECODE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"{name} could not be decoded by ffmpeg in {DECODE_SECONDS} s.") from error
    if done.returncode != 0 or (not done.stdout and done.stderr):
        raise AudioError(f"{name} is truncated or damaged {kind} audio: ffmpeg cannot decode it.")
    return np.frombuffer(done.stdout, dtype="<f4").copy()[:, None]  # of its own: torch wants to write


def _check_rate(sample_rate: int, name: str) -> None:
    low, high = limits.MIN_SAMPLE_RATE, limits.MAX_SAMPLE_RATE
    if not low <= sample_rate <= high:
        raise AudioError(
            f"{name} has a sample rate of {sample_rate} Hz, which is not within {low} to {high} Hz."
        )


def _check_length(frames: int, sample_rate: int, name: str) -> None:
    seconds = frames / sample_rate
    if frames == 0:
        raise AudioError(f"{name} holds no sound: it has 0 samples.")
    if seconds < limits.MIN_AUDIO_SECONDS:
        raise AudioError(f"{name} is too short to hold a word: {seconds:.3f} s.")
    if seconds > limits.MAX_AUDIO_SECONDS:
        raise LimitError(
            f"{name} is longer than {limits.MAX_AUDIO_SECONDS / 60:.0f} minutes, the most allowed."
        )


def _mix_down(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Channels ``(n, channels)`` to mono ``(n,)``: their mean, or the loudest one where they cancel out."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    mono = samples.mean(axis=1)
    energies = np.square(samples, dtype=np.float64).sum(axis=0)
    if np.square(mono, dtype=np.float64).sum() < CANCELLED_SHARE * energies.max():
        return samples[:, int(energies.argmax())]
    return mono
