"""Opening a file as a recording: which library reads it, and one sentence where none does."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from zipper import limits
from zipper.audio import ffmpeg, libsndfile
from zipper.audio.headers import Header, Kind, ffmpeg_kind, is_known, other_codec, read_header
from zipper.audio.recording import Recording, broken_off, printable
from zipper.errors import AudioError, LimitError

FORMATS = "WAV, FLAC, OGG, Opus, MP3, AIFF, and with ffmpeg WebM, MP4, M4A, AAC, WMA, AVI, FLV, MPEG"


@contextmanager
def open_file(path: Path, name: str, malformed: libsndfile.DamagedError | None = None) -> Iterator[Recording]:
    """Open a file for as long as the context lasts; nothing of its sound is decoded yet.

    malformed: what libsndfile said of the same file, so that ffmpeg may try. Raises AudioError for what is missing,
    empty or no recording, LimitError for a file that is too large.
    """
    header = _header(path, name)
    kind = ffmpeg_kind(header.head)
    with ExitStack() as stack:
        if malformed is not None:
            recording = stack.enter_context(_reopened(path, name, header, malformed))
        elif kind is not None:
            recording = stack.enter_context(ffmpeg.open_recording(path, name, kind, header.missing))
        else:
            recording = _open_sound(stack, path, name, header)
        yield recording


def _header(path: Path, name: str) -> Header:
    try:
        if path.is_dir():
            raise AudioError(f"{name} is a folder, not an audio file.")
        if not path.is_file():
            raise AudioError(f"There is no file {printable(str(path))}.")
        size = path.stat().st_size
        if size == 0:
            raise AudioError(f"{name} is empty.")
        if size > limits.MAX_FILE_BYTES:
            raise LimitError(f"{name} is larger than {limits.MAX_FILE_BYTES // 1024**2} MB, the most allowed.")
        with path.open("rb") as stream:
            return read_header(stream, size)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise AudioError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error


def _reopened(
    path: Path, name: str, header: Header, malformed: libsndfile.DamagedError
) -> AbstractContextManager[Recording]:
    """An Ogg file in ffmpeg's hands: libsndfile gives up where the times of pages and the sound in them do not agree.

    Other kinds are damaged where libsndfile says so. ffmpeg leaves out what is damaged, so all of the sound must come.
    """
    kind = other_codec(header.head)
    if kind is None or kind.demuxer != "ogg" or malformed.seconds is None:
        raise malformed
    if not ffmpeg.installed():
        raise _needs_ffmpeg(name, kind) from malformed
    return ffmpeg.open_recording(path, name, kind, header.missing, malformed.seconds)


def _open_sound(stack: ExitStack, path: Path, name: str, header: Header) -> Recording:
    """Open a file that libsndfile should know; with codecs that it lacks, ffmpeg may."""
    try:
        return stack.enter_context(libsndfile.open_recording(path, name, header))
    except libsndfile.UnreadableError as error:
        kind = other_codec(header.head)
        if kind is not None and ffmpeg.installed():
            return stack.enter_context(ffmpeg.open_recording(path, name, kind, header.missing))
        if header.missing > 0:
            raise broken_off(name) from error
        if kind is not None:
            raise _needs_ffmpeg(name, kind) from error
        if is_known(header.head):
            raise AudioError(f"{name} is truncated or damaged: it cannot be decoded.") from error
        raise AudioError(f"{name} is not audio in a known format ({FORMATS}).") from error


def _needs_ffmpeg(name: str, kind: Kind) -> AudioError:
    return AudioError(
        f"{name} is damaged or is {kind.name} audio of a kind that needs the ffmpeg program: install it, or save as "
        "plain WAV or MP3."
    )
