"""Work folders as the stages find them, tiny."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from zipper.data.labels import Aligned
from zipper.data.store import StoreWriter
from zipper.training import stages

LINES = ["Hello there, how are you today?", "It was a dark and stormy night."]
TOKENS = 14  # of each utterance


def make_work(folder: Path, model_folder: Path, names: Sequence[str]) -> Path:
    """Text in the pieces of a model; tokens, phones and word times of utterances of one source, "set"."""
    folder.mkdir(exist_ok=True)
    (folder / "corpus.txt").write_text("\n".join(LINES * 3), encoding="utf-8")
    stages.prepare_text(folder / "corpus.txt", folder, 999, 100, model_folder / "zipper")
    words = [(word, 0.08 * i, 0.08 * (i + 1)) for i, word in enumerate(LINES[0].split())]
    with StoreWriter(folder / "tokens" / "set", "int16") as store:
        for name in names:
            store.add(name, np.arange(TOKENS))
    with StoreWriter(folder / "labels" / "set", "int8") as store:
        for name in names:
            store.add(name, np.arange(2 * TOKENS) // 2)
    rows = [Aligned(name, "someone", LINES[0], words) for name in names]
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (folder / "labels" / "set" / "aligned.jsonl").write_text(lines, encoding="utf-8")
    return folder
