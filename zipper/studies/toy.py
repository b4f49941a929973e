"""A toy for `--quick`: a dozen made-up utterances and towers with random weights. Its numbers mean nothing."""

import json
from dataclasses import asdict
from math import prod
from pathlib import Path

import numpy as np
import torch

from zipper.data.held_out import is_held_out
from zipper.data.labels import Aligned
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.data.store import StoreWriter
from zipper.model.checkpoint import CONFIG_FILE, read_json, save_tower
from zipper.model.tower import Tower
from zipper.studies.prepare import SPEECH_TOWER, TEXT_TOWER
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import TowerSize
from zipper.training.stages import tower_config
from zipper.weights import MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER

SOURCE = "toy"
SIZE = TowerSize(width=16, depth=10, heads=2, kv_heads=1, ff_width=24)  # as deep as the real ones: zip points fit
WORDS = "the ship came home at last and nobody knew why it had been away for so long".split()
UTTERANCES = 40
WORD_SECONDS = 0.24


def make_data(work: Path, parts: Path) -> None:
    """Write text, tokens and labels of one source; words come from a list, and each has codes of its own."""
    codes = prod(read_json(parts / SPEECH_TOKENIZER_FOLDER / CONFIG_FILE)["quantizer"]["levels"])
    TextTokenizer.from_pretrained(parts / MODEL_FOLDER).save(work / "text")
    if (work / "tokens" / SOURCE).is_dir():
        return
    rows = []
    with (
        StoreWriter(work / "tokens" / SOURCE, "int16") as tokens,
        StoreWriter(work / "labels" / SOURCE, "int8") as labels,
    ):
        for number in range(UTTERANCES):
            picked = np.random.default_rng(number).integers(0, len(WORDS), 4)
            ids = np.repeat(picked * 7 % codes, round(WORD_SECONDS * 25))
            name = f"{SOURCE}/{number}"
            tokens.add(name, ids)
            labels.add(name, np.repeat(picked % 4, 2 * round(WORD_SECONDS * 25)))
            times = [(WORDS[word], i * WORD_SECONDS, (i + 1) * WORD_SECONDS) for i, word in enumerate(picked)]
            rows.append(Aligned(name, "nobody", " ".join(WORDS[word] for word in picked), times))
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (work / "labels" / SOURCE / "aligned.jsonl").write_text(lines, encoding="utf-8")
    assert not all(is_held_out(row.id) for row in rows)


def make_towers(place: Path, work: Path, parts: Path) -> None:
    """Write pretrain-text and pretrain-speech with random weights where there are none."""
    pieces = TextTokenizer.from_pretrained(work / "text")
    speech = SpeechVocabulary(prod(read_json(parts / SPEECH_TOKENIZER_FOLDER / CONFIG_FILE)["quantizer"]["levels"]))
    torch.manual_seed(0)
    place.mkdir(parents=True, exist_ok=True)
    for name, words in (
        (TEXT_TOWER, (pieces.vocab_size, pieces.begin_id, pieces.end_id)),
        (SPEECH_TOWER, (speech.size, *speech.specials)),
    ):
        if not (place / name).exists():
            save_tower(Tower(tower_config(SIZE, *words)), place / name)
