"""The comparison of tokens with the features that they are made of."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zipper.data.batching import IGNORED
from zipper.data.held_out import is_held_out
from zipper.data.labels import Aligned
from zipper.data.store import StoreWriter
from zipper.rates import SPEECH_RATE
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder
from zipper.text.tokenizer import TextTokenizer
from zipper.training.quantization_cost import (
    BLANK,
    CONDITIONS,
    KINDS,
    InputKind,
    Recognizer,
    RecognizerStage,
    as_inputs,
    collate,
    measure_cost,
    perplexity,
    transcribe,
    unchanged_codes,
)
from zipper.training.schedule import LoopConfig

TEXT = "hello there"
WORDS = [("hello", 0.0, 0.4), ("there", 0.4, 0.8)]


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train([TEXT] * 20, 300)


@pytest.fixture
def quantizer() -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(QuantizerConfig(phones=4, feature_width=16, width=8, levels=(4, 4))).eval()


def test_the_path_names_each_piece_where_it_ends(tokenizer: TextTokenizer) -> None:
    row = Aligned("a", "x", TEXT, WORDS)
    batch = collate([torch.arange(25), torch.arange(5)], [row, row], tokenizer)
    named = [int(piece) - 1 for piece in batch.path[0] if piece > BLANK]
    assert tokenizer.decode(named).strip() == TEXT and int(batch.path[0, 19]) == batch.pieces[0, -1]
    assert bool((batch.path[1, 5:] == IGNORED).all()) and not bool((batch.path[1, :5] == IGNORED).any())
    assert batch.piece_lengths.tolist() == [len(tokenizer.encode(TEXT))] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_recognizer_learns_one_recording(kind: InputKind, quantizer: Quantizer, tokenizer: TextTokenizer) -> None:
    torch.manual_seed(0)
    array = np.arange(25) % 16 if kind == "tokens" else np.random.default_rng(0).normal(size=(50, 16)).astype("f4")
    inputs = as_inputs(kind, array)
    stage = RecognizerStage(Recognizer(kind, quantizer, tokenizer.vocab_size))
    optimizer = torch.optim.AdamW(stage.parameters(), 2e-3)
    batch = collate([inputs], [Aligned("a", "x", TEXT, WORDS)], tokenizer)
    for _ in range(60):
        optimizer.zero_grad()
        stage(batch)["loss"].backward()
        optimizer.step()
    assert transcribe(stage.recognizer.eval(), tokenizer, inputs) == TEXT


def test_codes_in_use_and_codes_that_stay() -> None:
    assert perplexity([torch.arange(8), torch.arange(8)]) == 8.0
    assert unchanged_codes([torch.tensor([1, 2, 3, 4])], [torch.tensor([1, 2, 0, 0, 9])]) == 50.0


def test_both_kinds_read_every_condition(tmp_path: Path, quantizer: Quantizer, tokenizer: TextTokenizer) -> None:
    names = [name for name in (f"set/{i}" for i in range(400)) if is_held_out(name)][:1] + ["set/0", "set/1"]
    folder, random = tmp_path / "set", np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    rows = [Aligned(name, "x", TEXT, WORDS) for name in names]
    for kind, dtype, shape in (("features", "float16", (16,)), ("tokens", "int16", ())):
        with StoreWriter(tmp_path / kind / "set", dtype, shape) as store:
            for name in names:
                store.add(name, np.ones((50, 16)) if shape else np.arange(25) % 16)
    (tmp_path / "labels" / "set").mkdir(parents=True)
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (tmp_path / "labels" / "set" / "aligned.jsonl").write_text(lines, encoding="utf-8")
    for name in names:
        path = folder / "audio" / f"{name.removeprefix('set/')}.wav"
        soundfile.write(path, 0.1 * random.normal(size=SPEECH_RATE), SPEECH_RATE)
    encoder = WhisperEncoder(EncoderConfig(width=16, depth=1, heads=2)).eval()
    loop = LoopConfig(steps=1, warmup=1, autocast=False)
    costs = measure_cost(tmp_path, [folder], encoder, quantizer, tokenizer, str.lower, loop, 5)
    assert [(row.inputs, row.condition) for row in costs] == [(k, c) for c in CONDITIONS for k in KINDS]
    tokens = [row for row in costs if row.inputs == "tokens"]
    assert tokens[0].unchanged == 100.0
    assert all(row.unchanged is not None and 0 <= row.unchanged <= 100 for row in tokens)
    again = measure_cost(tmp_path, [folder], encoder, quantizer, tokenizer, str.lower, loop, 5)
    assert again == costs  # trained anew, not taken over from the run before
    assert all(row.wer >= 0 and (row.code_perplexity is None) == (row.inputs == "features") for row in costs)
