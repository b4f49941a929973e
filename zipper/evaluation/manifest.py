"""Recordings to evaluate on, decoded, out of the manifests that :mod:`zipper.data.manifest` describes."""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import soundfile

from zipper.alignment.words import WordTime
from zipper.audio.io import Samples, load_audio
from zipper.data.held_out import is_held_out
from zipper.data.manifest import SUFFIXES, read_audio_bytes, read_rows, row_phones, source_name
from zipper.data.phones import timed_phones, word_times
from zipper.errors import DataError
from zipper.rates import SPEECH_RATE

T = TypeVar("T")


@dataclass(frozen=True)
class Recording:
    """One utterance: float32 mono samples (n,) at 16 kHz, what is said, and when if that is known."""

    id: str
    samples: Samples
    text: str
    words: tuple[WordTime, ...] = ()

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SPEECH_RATE


def read_recordings(path: Path, limit: int | None = None, held_out: bool = False) -> list[Recording]:
    """Recordings of a manifest, `limit` of them evenly spread, decoded; DataError for what is missing or malformed.

    held_out: only those of the people that training never hears.
    """
    rows = read_rows(path)
    if held_out:
        rows = [row for row in rows if is_held_out(f"{source_name(path)}/{row['id']}")]
        if not rows:
            raise DataError(f"{path} holds no recording of a person that is held out from training.")
    rows = spread(rows, limit)
    if path.suffix == ".tar":
        return _read_tar(path, rows)
    folder = path if path.is_dir() else path.parent
    return [_recording(row, load_audio(_audio_path(row, folder))) for row in rows]


def spread(rows: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` rows, evenly spread: manifests go speaker by speaker, and the first rows would be one voice."""
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[i * len(rows) // limit] for i in range(limit)]


def _read_tar(path: Path, rows: Sequence[dict[str, str]]) -> list[Recording]:
    """The recordings of some rows from a tar, without unpacking it."""
    name = source_name(path)
    wanted = {f"{name}/{row['id']}" for row in rows}
    try:
        samples = {audio: _decode(data) for audio, data in read_audio_bytes(path) if audio in wanted}
    except (OSError, tarfile.TarError):
        raise DataError(f"{path} cannot be read as a tar.") from None
    if len(samples) < len(wanted):
        raise DataError(f"{path} lacks a recording that its manifest.tsv names.")
    return [_recording(row, samples[f"{name}/{row['id']}"]) for row in rows]


def _decode(data: bytes) -> Samples:
    """Samples (n,) at 16 kHz of an encoded recording."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return load_audio((samples, rate))


def _audio_path(row: dict[str, str], folder: Path) -> Path:
    """The file of a row: its audio column, or audio/ID with any known suffix."""
    if row.get("audio"):
        return folder / row["audio"]
    paths = [folder / "audio" / f"{row['id']}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.exists()), paths[0])


def _recording(row: dict[str, str], samples: Samples) -> Recording:
    try:
        words = _true_words(row)
    except (ValueError, TypeError):
        raise DataError(f"The word times of {row['id']} are malformed.") from None
    return Recording(row["id"], samples, row["text"], words)


def _true_words(row: dict[str, str]) -> tuple[WordTime, ...]:
    """True word times of a row; empty where they are unknown."""
    if row.get("words"):
        return tuple(WordTime(str(w), float(a), float(b)) for w, a, b in json.loads(row["words"]))
    return words_from_phones(row["text"].split(), row_phones(row))


def words_from_phones(words: list[str], phones: list[tuple[str, float]]) -> tuple[WordTime, ...]:
    """Times of the words of a text from its phones; empty when they do not pair up one to one.

    A number or an abbreviation is one written word and several spoken ones, so such a text is left out rather
    than guessed at.
    """
    times = word_times(timed_phones(phones))
    if len(times) != len(words):
        return ()
    return tuple(WordTime(word, *span) for word, span in zip(words, times, strict=True))
