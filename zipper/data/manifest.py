"""Manifests: what is spoken in which file, for training and evaluation alike.

A source is a folder or a tar that holds manifest.tsv and audio/, or a manifest file that names its recordings. Columns:
id, text, and where known seconds, speaker (or voice), audio (path, relative to the manifest), words (JSON
[[word, start, end], ...] in seconds) and phonemes (JSON [[symbol, seconds], ...], words parted by a space symbol).
"""

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zipper.errors import DataError

SUFFIXES = (".opus", ".flac", ".wav", ".ogg", ".mp3")


@dataclass(frozen=True)
class Utterance:
    """One recording and its transcript.

    `phones` holds (symbol, seconds) in order where a generator made the audio and tells them; else it is empty.
    """

    id: str
    source: str
    speaker: str
    seconds: float
    text: str
    phones: list[tuple[str, float]] = field(default_factory=list)


def source_name(path: Path) -> str:
    """Name of a source: that of its folder or tar."""
    return path.name.removesuffix(".tar")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a source's manifest, each with an id and a text. Raises DataError for what is missing or malformed."""
    content = _tar_manifest(path) if path.suffix == ".tar" else _file_manifest(path)
    rows = list(csv.DictReader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows:
        raise DataError(f"{path} lists no recordings.")
    if not {"id", "text"} <= set(rows[0]):
        raise DataError(f"{path} lacks the columns id and text.")
    return rows


def _file_manifest(path: Path) -> str:
    try:
        return (path / "manifest.tsv" if path.is_dir() else path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} is neither a manifest nor a folder or tar that holds manifest.tsv.") from None


def _tar_manifest(path: Path) -> str:
    try:
        with tarfile.open(path) as archive:
            member = next((m for m in archive if Path(m.name).name == "manifest.tsv"), None)
            file = archive.extractfile(member) if member else None
            if file is None:
                raise DataError(f"{path} holds no manifest.tsv.")
            return file.read().decode("utf-8")
    except (OSError, tarfile.TarError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read as a tar.") from None


def row_phones(row: Mapping[str, str]) -> list[tuple[str, float]]:
    """(symbol, seconds) of a row's column phonemes; empty where there is none. Raises ValueError or TypeError."""
    return [(str(symbol), float(seconds)) for symbol, seconds in json.loads(row.get("phonemes") or "[]")]


def read_source(path: Path) -> list[Utterance]:
    """Utterances of a source for training, whose rows need seconds; ids become SOURCE/ID. Raises DataError."""
    name = source_name(path)
    return [_utterance(name, row) for row in read_rows(path)]


def _utterance(source: str, row: Mapping[str, str]) -> Utterance:
    speaker = row.get("speaker") or row.get("voice") or "unknown"
    try:
        return Utterance(f"{source}/{row['id']}", source, speaker, float(row["seconds"]), row["text"], row_phones(row))
    except (KeyError, ValueError, TypeError):
        raise DataError(f"The seconds or the phonemes of {source}/{row['id']} are missing or malformed.") from None


def read_audio_bytes(path: Path) -> Iterator[tuple[str, bytes]]:
    """(SOURCE/ID, encoded audio) of every recording in a folder or tar, in the order of the archive."""
    name = source_name(path)
    if path.suffix != ".tar":
        for file in sorted((path / "audio").iterdir()):
            if file.suffix in SUFFIXES:
                yield f"{name}/{file.stem}", file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.name.endswith(SUFFIXES) else None
            if data is not None:
                yield f"{name}/{Path(member.name).stem}", data.read()
