"""Recordings to evaluate on: a folder or tar that holds manifest.tsv and audio/, or a manifest that names its
files.

Columns: id, text, and where known speaker (or voice), audio (path, relative to the manifest), words (JSON
[[word, start, end], ...] in seconds) or phonemes (JSON [[symbol, seconds], ...], words parted by a space
symbol).
"""

import csv
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import soundfile

from zipper.alignment.words import WordTime
from zipper.audio.io import Samples, load_audio
from zipper.data.phones import timed_phones
from zipper.errors import DataError
from zipper.rates import SPEECH_RATE

SUFFIXES = (".opus", ".flac", ".wav", ".ogg", ".mp3")


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


def read_recordings(path: Path, limit: int | None = None) -> list[Recording]:
    """Recordings of a manifest, `limit` of them evenly spread, decoded; DataError for what is missing or malformed."""
    if path.suffix == ".tar":
        return _read_tar(path, limit)
    manifest = path / "manifest.tsv" if path.is_dir() else path
    try:
        rows = _rows(manifest.read_text(encoding="utf-8"), path, limit)
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} is neither a manifest nor a folder or tar that holds manifest.tsv.") from None
    return [_recording(row, load_audio(_audio_path(row, manifest.parent))) for row in rows]


def _read_tar(path: Path, limit: int | None) -> list[Recording]:
    """The same from a tar, without unpacking it."""
    try:
        with tarfile.open(path) as archive:
            members = {Path(m.name).stem: m for m in archive if m.name.endswith(SUFFIXES)}
            manifest = next((m for m in archive if Path(m.name).name == "manifest.tsv"), None)
            rows = _rows(_member(archive, manifest, path).decode("utf-8"), path, limit)
            return [_recording(row, _decode(_member(archive, members.get(row["id"]), path))) for row in rows]
    except (OSError, tarfile.TarError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read as a tar.") from None


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo | None, path: Path) -> bytes:
    """Content of one file in the tar; DataError if it is not there."""
    file = archive.extractfile(member) if member else None
    if file is None:
        raise DataError(f"{path} lacks its manifest.tsv or a recording that it names.")
    return file.read()


def _decode(data: bytes) -> Samples:
    """Samples (n,) at 16 kHz of an encoded recording."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return load_audio((samples, rate))


def _rows(content: str, path: Path, limit: int | None) -> list[dict[str, str]]:
    """Rows with an id and a text; DataError if there are none."""
    rows = list(csv.DictReader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE))
    if limit is not None and limit < len(rows):  # manifests go speaker by speaker: the first ones would be one voice
        rows = [rows[i * len(rows) // limit] for i in range(limit)]
    if not rows:
        raise DataError(f"{path} lists no recordings.")
    if not {"id", "text"} <= set(rows[0]):
        raise DataError(f"{path} lacks the columns id and text.")
    return rows


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
    phones = [(str(symbol), float(seconds)) for symbol, seconds in json.loads(row.get("phonemes") or "[]")]
    return words_from_phones(row["text"].split(), phones)


def words_from_phones(words: list[str], phones: list[tuple[str, float]]) -> tuple[WordTime, ...]:
    """Times of the words of a text from its phones; empty when they do not pair up one to one.

    A number or an abbreviation is one written word and several spoken ones, so such a text is left out rather
    than guessed at.
    """
    spans: dict[int, tuple[float, float]] = {}
    for phone in timed_phones(phones):
        if phone.word >= 0:
            start, _ = spans.get(phone.word, (phone.start, phone.end))
            spans[phone.word] = (start, phone.end)
    if len(spans) != len(words):
        return ()
    return tuple(WordTime(word, *span) for word, span in zip(words, spans.values(), strict=True))
