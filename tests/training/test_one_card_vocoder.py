"""The job of the vocoder on one card, on the CPU in tiny."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from zipper.data.store import StoreWriter
from zipper.errors import DataError
from zipper.rates import MELS, VOCODER_HOP
from zipper.speech.istft import IstftVocoder
from zipper.speech.vocoder import load_vocoder
from zipper.training.one_card import pack as packing
from zipper.training.one_card import train_vocoder

TINY = "--rows 2 --channels 2 --set network.width=16 --set network.ff_width=16 --set network.blocks=1 --set frames=12"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Noises of 30 frames, and mels that have nothing to do with them."""
    rng, folder = np.random.default_rng(0), tmp_path / "work" / "vocoder_clips"
    with (
        StoreWriter(folder / "mels" / "beeps", "float16", (MELS,)) as mels,
        StoreWriter(folder / "teacher" / "beeps", "int16") as sounds,
    ):
        for clip in range(30):
            mels.add(f"beeps/{clip}", rng.normal(-5, 2, (30, MELS)))
            sounds.add(f"beeps/{clip}", rng.integers(-9000, 9000, 30 * VOCODER_HOP))
    return folder


def test_the_packed_job_trains_in_two_parts_and_goes_on(clips: Path, tmp_path: Path) -> None:
    packing.main(["vocoder", "--clips", str(clips), "--out", str(tmp_path / "pack")])
    (tmp_path / "whole.tar").write_bytes(b"".join(p.read_bytes() for p in sorted((tmp_path / "pack").glob("part-*"))))
    with tarfile.open(tmp_path / "whole.tar") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    folders = [word for name in ("there", "out", "run") for word in (f"--{name}", str(tmp_path / name))]
    folders[0] = "--pack"
    train_vocoder.main([*folders, *TINY.split(), "--seconds", "0.5", "--adversarial-seconds", "0"])
    first = load_vocoder(tmp_path / "out" / "vocoder")
    train_vocoder.main([*folders, *TINY.split(), "--seconds", "0.5", "--adversarial-seconds", "0.5", "--resume"])
    second = load_vocoder(tmp_path / "out" / "vocoder")
    assert isinstance(first, IstftVocoder) and first.config == second.config and first.config.width == 16
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    logs = {}
    for part in ("vocoder", "vocoder-adversarial"):
        lines = (tmp_path / "out" / f"{part}-log.jsonl").read_text().splitlines()
        logs[part] = [json.loads(line) for line in lines]
        assert "held_out.beeps.mel" in logs[part][-1]
        assert json.loads((tmp_path / "out" / f"{part}-validation.json").read_text())["beeps"]["mel"] > 0
    assert len({line["step"] for line in logs["vocoder"] if "held_out.beeps.mel" in line}) == 1  # nothing was repeated
    state = torch.load(tmp_path / "run" / "vocoder-adversarial" / "state.pt", weights_only=True)
    assert any(name.startswith("discriminators.") for name in state["stage"])


def test_a_vocoder_to_go_on_from_travels_along(clips: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    (start / "config.json").write_text("{}")
    packing.main(["vocoder", "--clips", str(clips), "--out", str(tmp_path / "pack"), "--start", str(start)])
    with tarfile.open(tmp_path / "pack" / "part-00") as tar:
        assert "./vocoder/config.json" in tar.getnames()
    with pytest.raises(DataError, match="no prepared clips"):
        packing.main(["vocoder", "--clips", str(tmp_path / "nowhere"), "--out", str(tmp_path / "pack")])
