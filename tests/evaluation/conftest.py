"""A tiny model and two recordings; and, in CI, the packages that measurements need."""

import importlib
import json
import os
from pathlib import Path

import pytest
import soundfile
import torch

from evaluation.stand_ins import RATE, SPEECH_CODES, tone
from zipper.model.config import TowerConfig, ZipConfig, ZipperConfig
from zipper.model.zipper import ZipperModel

for package in ("jiwer", "whisper_normalizer"):
    if os.environ.get("CI"):
        importlib.import_module(package)
    else:
        pytest.importorskip(package)


@pytest.fixture
def model() -> ZipperModel:
    torch.manual_seed(0)
    text = TowerConfig(30, 16, 2, 2, 1, 32, begin_id=0, end_id=1)
    speech = TowerConfig(SPEECH_CODES + 2, 16, 2, 2, 1, 32, begin_id=SPEECH_CODES, end_id=SPEECH_CODES + 1)
    zips = ZipConfig(1, 1, 2, "rotary", text_seconds_per_token=0.2, speech_seconds_per_token=0.04)
    return ZipperModel(ZipperConfig(text, speech, zips)).eval()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two recordings, one with word times and one with phonemes."""
    (tmp_path / "corpus" / "audio").mkdir(parents=True)
    for name in ("a", "b"):
        soundfile.write(tmp_path / "corpus" / "audio" / f"{name}.flac", tone(1.0), RATE)
    phones = json.dumps([["_", 0.2], ["h", 0.1], ["I", 0.2], [" ", 0.04], ["ˈ", 0.06], ["ɔ", 0.2], [".", 0.2]])
    rows = [
        "id\tspeaker\tseconds\ttext\twords\tphonemes",
        'a\tx\t1.0\tHello there\t[["Hello", 0.1, 0.5], ["there", 0.5, 0.9]]\t',
        f"b\tx\t1.0\thi all.\t\t{phones}",
    ]
    (tmp_path / "corpus" / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "corpus"
