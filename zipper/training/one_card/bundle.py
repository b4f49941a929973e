"""Aligned utterances as small files: speech tokens, phones, transcripts and word times of a few hundred hours in 50 MB.

python -m zipper.training.one_card.bundle --work WORK BUNDLE.npz ...

unpacks them into the stores tokens/SOURCE and labels/SOURCE of a work folder, as the stages on a CPU read them.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from zipper.data.labels import Aligned, append_aligned
from zipper.data.store import StoreWriter
from zipper.rates import FRAME_RATE, FRAMES_PER_TOKEN

UNKNOWN_PHONE = 255


@dataclass(frozen=True)
class Row:
    """One utterance.

    source: the corpus, with a suffix for a view of it; tokens: int16 codes at 25 Hz; phones: uint8 phone at the start
    of each token, UNKNOWN_PHONE where it is not known; words: (n, 2) int32 first and last frame (50 Hz) of each word of
    the text, empty where they are not known.
    """

    id: str
    source: str
    speaker: str
    text: str
    tokens: np.ndarray
    phones: np.ndarray
    words: np.ndarray


def write_bundle(path: Path, rows: Sequence[Row]) -> None:
    """All rows in one compressed .npz; it appears under its name when it is whole."""
    tokens = np.concatenate([row.tokens for row in rows]).astype(np.int16)
    words = np.concatenate([row.words.reshape(-1, 2) for row in rows]).astype(np.int32)
    edges = np.diff(words.reshape(-1), prepend=0).astype(np.int16)  # small numbers compress well
    head = [[row.id, row.source, row.speaker, row.text, len(row.tokens), len(row.words)] for row in rows]
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            low=(tokens & 255).astype(np.uint8),
            high=(tokens >> 8).astype(np.uint8),
            phones=np.concatenate([row.phones for row in rows]).astype(np.uint8),
            edges=edges,
            head=np.frombuffer(json.dumps(head, ensure_ascii=False).encode(), np.uint8),
        )
    partial.rename(path)


def read_bundle(path: Path) -> Iterator[Row]:
    """The rows that write_bundle wrote."""
    with np.load(path) as file:
        tokens = file["low"].astype(np.int16) | (file["high"].astype(np.int16) << 8)
        phones, head = file["phones"], json.loads(file["head"].tobytes())
        words = np.cumsum(file["edges"], dtype=np.int64).astype(np.int32).reshape(-1, 2)
    token, word = 0, 0
    for name, source, speaker, text, count, timed in head:
        yield Row(
            name,
            source,
            speaker,
            text,
            tokens[token : token + count],
            phones[token : token + count],
            words[word : word + timed],
        )
        token, word = token + count, word + timed


def unpack(rows: Iterable[Row], work: Path) -> None:
    """Rows into the stores of a work folder; those that are there already are left out."""
    by_source = sorted(rows, key=lambda row: row.source)
    for source, group in groupby(by_source, lambda row: row.source):
        labels = work / "labels" / source
        with StoreWriter(work / "tokens" / source, "int16") as tokens, StoreWriter(labels, "int8") as phones:
            new = [row for row in group if row.id not in phones.done]
            for row in new:
                tokens.add(row.id, row.tokens)
                known = np.where(row.phones == UNKNOWN_PHONE, 0, row.phones)
                phones.add(row.id, known.repeat(FRAMES_PER_TOKEN))
            append_aligned(labels, [_aligned(row) for row in new])


def _aligned(row: Row) -> Aligned:
    times = (row.words / FRAME_RATE).tolist()
    words = row.text.split() if len(times) else []
    return Aligned(row.id, row.speaker, row.text, [(w, a, b) for w, (a, b) in zip(words, times, strict=True)])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    for bundle in arguments.bundles:
        unpack(read_bundle(bundle), arguments.work)


if __name__ == "__main__":
    main()
