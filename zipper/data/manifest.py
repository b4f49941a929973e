"""Manifests: what is spoken in which file. Sources are folders or tars of audio with a manifest.tsv."""

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zipper.errors import ConfigError

SUFFIXES = (".opus", ".flac", ".wav")


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


def read_source(path: Path) -> list[Utterance]:
    """Utterances of a folder or tar that holds manifest.tsv and audio/; ids become SOURCE/ID."""
    name = path.name.removesuffix(".tar")
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            member = next((m for m in archive if m.name.endswith("manifest.tsv")), None)
            file = archive.extractfile(member) if member else None
            if file is None:
                raise ConfigError(f"{path} holds no manifest.tsv.")
            text = file.read().decode("utf-8")
    elif (path / "manifest.tsv").exists():
        text = (path / "manifest.tsv").read_text(encoding="utf-8")
    else:
        raise ConfigError(f"{path} is neither a tar nor a folder with a manifest.tsv.")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [_utterance(name, row) for row in rows]


def _utterance(source: str, row: dict[str, str]) -> Utterance:
    phones = [(str(symbol), float(seconds)) for symbol, seconds in json.loads(row.get("phonemes") or "[]")]
    speaker = row.get("speaker") or row.get("voice") or "unknown"
    return Utterance(f"{source}/{row['id']}", source, speaker, float(row["seconds"]), row["text"], phones)


def read_audio_bytes(path: Path) -> Iterator[tuple[str, bytes]]:
    """(SOURCE/ID, encoded audio) of every recording in a folder or tar, in the order of the archive."""
    name = path.name.removesuffix(".tar")
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
