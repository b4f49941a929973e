"""The job of towers and fusion on one card, on the CPU in tiny."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from zipper.data.labels import read_aligned
from zipper.data.pairs import Pairs
from zipper.model.checkpoint import load, load_tower
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.text.tokenizer import TextTokenizer
from zipper.training.one_card import pack as packing
from zipper.training.one_card import train_fusion, train_text_tower
from zipper.training.one_card.bundle import Row, unpack, write_bundle
from zipper.training.pretrain import pack_tokens

CODES = 256
IDS = (CODES, CODES + 1)
TEXTS = ("The cat sat down.", "A dog ran up the hill.", "Hello there.", "It was late, and it rained.")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    tokenizer = TextTokenizer.train(TEXTS * 20, 300)
    tokenizer.save(folder / "text")
    ids = pack_tokens((tokenizer.encode(text) for text in TEXTS * 30), tokenizer.begin_id, tokenizer.end_id)
    np.save(folder / "text" / "ids.npy", ids.astype(np.int16))
    torch.manual_seed(0)
    quantizer = Quantizer(QuantizerConfig(phones=5, feature_width=8, width=16, levels=(4, 4, 4, 4)))
    (folder / "speech_tokenizer").mkdir()
    save_file(quantizer.state_dict(), folder / "speech_tokenizer" / "quantizer.safetensors")
    (folder / "speech_tokenizer" / "quantizer.json").write_text(json.dumps(quantizer.config.to_dict()))
    (folder / "bundles").mkdir()
    write_bundle(folder / "bundles" / "hibari.npz", rows())
    return folder


def rows(count: int = 150) -> list[Row]:
    rng = np.random.default_rng(0)
    found = []
    for n in range(count):
        text = TEXTS[n % len(TEXTS)]
        edges = np.sort(rng.choice(np.arange(2, 90), 2 * len(text.split()), replace=False)).reshape(-1, 2)
        tokens, phones = rng.integers(0, CODES, 50 + n % 7), rng.integers(0, 45, 50 + n % 7)
        words = (edges if n % 5 else np.zeros((0, 2))).astype(np.int32)
        arrays = (tokens.astype(np.int16), phones.astype(np.uint8), words)
        found.append(Row(f"hibari/{n}", "hibari", "heart", text, *arrays))
    return found


def test_a_packed_job_travels_in_parts(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PART_BYTES", 5000)
    bundle = pack / "bundles" / "hibari.npz"
    folders = {"tokenizer": pack / "speech_tokenizer", "text": pack / "text", "out": tmp_path / "p", "bundles": bundle}
    packing.main(["fusion", *(word for name, folder in folders.items() for word in (f"--{name}", str(folder)))])
    parts = sorted((tmp_path / "p").glob("part-*"))
    assert len(parts) > 1 and all(part.stat().st_size <= 5000 for part in parts)
    (tmp_path / "whole.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(tmp_path / "whole.tar") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    assert (tmp_path / "there" / "bundles" / "hibari.npz").read_bytes() == bundle.read_bytes()
    for name in ("text/ids.npy", "speech_tokenizer/quantizer.safetensors", "speech_tokenizer/quantizer.json"):
        assert (tmp_path / "there" / name).exists(), name


def test_batches_on_the_device_are_those_of_the_stores(pack: Path, tmp_path: Path) -> None:
    some = rows(12)
    unpack(some, tmp_path)
    tokenizer = TextTokenizer.from_pretrained(pack / "text")
    aligned = [("hibari", row) for row in read_aligned(tmp_path / "labels" / "hibari")]
    plain = Pairs("recognize", tmp_path, aligned, tokenizer, IDS, 240, 0, 0.0)
    device = train_fusion.DevicePairs("recognize", some, pack / "text", IDS, 240, 0.0, torch.device("cpu"), None)
    for number in range(6):
        wanted, found = plain(number), device(number)
        for name in ("text", "speech", "text_length", "speech_length", "spans"):
            assert torch.equal(getattr(wanted, name), getattr(found, name)), name
        assert torch.equal(wanted.phones[:, 1:-1], found.phones[:, 1:-1])


def test_dropped_pieces_give_other_texts(pack: Path) -> None:
    device = train_fusion.DevicePairs("synthesize", rows(3), pack / "text", IDS, 10_000, 0.5, torch.device("cpu"), None)
    texts = {tuple(device(number).text[0].tolist()) for number in range(6)}
    assert len(texts) > 1


def test_the_whole_job_writes_towers_and_a_fused_model(pack: Path, tmp_path: Path) -> None:
    sizes = "--width 64 --depth 3 --heads 2 --kv-heads 1 --ff-width 96 --rows 2 --window 16".split()
    times = "--interval 1 --speech-seconds 0.5 --fusion-seconds 0.6 1 --batch-tokens 200 --workers 1".split()
    folders = ["--pack", str(pack), "--out", str(tmp_path / "out"), "--run", str(tmp_path / "run")]
    train_text_tower.main([*folders, *sizes, "--seconds", "0.5"])
    train_fusion.main([*folders, *sizes, *times])
    model = load(tmp_path / "out" / "zipper")
    text = load_tower(tmp_path / "out" / "pretrain-text")
    for name, weight in model.text.state_dict().items():
        assert torch.equal(weight, text.state_dict()[name]), "the text tower stays frozen in the fusion"
    steps = []
    for part in ("zip-0", "zip-1"):
        log = [json.loads(line) for line in (tmp_path / "run" / part / "log.jsonl").read_text().splitlines()]
        assert "held_out.voice.tts" in log[-1]
        steps.append(log[-1]["step"])
    assert 0 < steps[0] < steps[1], "the second part goes on where the first one ended"
