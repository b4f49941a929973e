"""The detokenizer's training on two tiny synthetic voices: preparation, learning, resuming."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zipper.errors import ConfigError, DataError, WeightsError
from zipper.speech.acoustic import AcousticModel
from zipper.training import detokenizer as stage
from zipper.training.mels import Clips, Voice, choose, prepare
from zipper.training.store import StoreWriter

RATE = 24_000
CODES = 8
VOICES = (Voice("ada", "low", "a", 0.5, 1.0), Voice("carl", "high", "c", 0.5, 1.0))
NETWORK = {"width": 32, "ff_width": 32, "token_blocks": 1, "mel_blocks": 1, "flow_blocks": 1, "flow_steps": 2}
CONFIG = stage.DetokenizerTraining(VOICES, NETWORK, steps=8, batch_frames=256, warmup_steps=2, seed=3)


def write_source(folder: Path, speaker: str, hz: float) -> None:
    """Six clips of 0.8 s; each token of 40 ms is a code, heard as a tone of its own."""
    (folder / "audio").mkdir(parents=True)
    rows = ["id\tvoice\tseconds\ttext\tphonemes"]
    for clip in range(6):
        codes = np.random.default_rng(clip).integers(0, CODES, 20)
        pitch = np.repeat(hz * (1 + codes / CODES), RATE // 25)
        samples = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        soundfile.write(folder / "audio" / f"{speaker}{clip}.flac", samples, RATE)
        rows.append(f"{speaker}{clip}\t{speaker}\t0.8\ttext\t[]")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, tokens and prepared mels in one folder."""
    folder = tmp_path_factory.mktemp("data")
    write_source(folder / "low", "a", 120.0)
    write_source(folder / "high", "c", 240.0)
    prepare(VOICES, folder, folder, workers=1)
    with StoreWriter(folder / "tokens", "int16") as store:
        for name in ("low/a", "high/c"):
            for clip in range(6):
                store.add(f"{name}{clip}", np.random.default_rng(clip).integers(0, CODES, 20))
    np.save(folder / "tokens" / "grid.npy", np.arange(CODES)[:, None])
    return folder


def make_trainer(data: Path, work: Path, config: stage.DetokenizerTraining = CONFIG) -> stage.Trainer:
    tokens, grid = stage.read_tokens(data / "tokens")
    clips = Clips(config.voices, data, tokens, data)
    model = stage.build(config, grid)
    stage.set_statistics(model, clips)
    return stage.Trainer(model, clips, config, work)


def weights(model: AcousticModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_prepared_clips(data: Path) -> None:
    clips = make_trainer(data, data).clips
    batch = clips.batch(clips.train[0][:2] + clips.train[1][:1])
    assert batch.codes.shape == (3, 20) and batch.voice.tolist() == [0, 0, 1]
    assert batch.mel.shape[:2] == batch.hz.shape == (3, 68)
    voiced = batch.hz[:, 5:60]
    assert (voiced[:2] < 260).all() and (voiced[2][voiced[2] > 0] > 200).all()
    prepare(VOICES, data, data, workers=1)  # again: nothing is added
    assert len(clips.mel) == 12 == len(Clips(VOICES, data, clips.tokens, data).mel)


def test_epochs(data: Path) -> None:
    clips = make_trainer(data, data).clips
    epoch = clips.epoch(1, 0, 256)
    assert epoch == clips.epoch(1, 0, 256) != clips.epoch(1, 1, 256)
    drawn = [clip for batch in epoch for clip in batch]
    assert len(drawn) == 10 and sum(clip.voice for clip in drawn) == 5
    assert not set(drawn) & set(clips.held_out)
    assert all(sum(map(clips.frames, batch)) <= 256 for batch in epoch)


def test_learns_one_batch(data: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=60, replaced_codes=0.0, learning_rate=5e-3, matrix_learning_rate=1e-2)
    trainer = make_trainer(data, tmp_path, config)
    batch = trainer.clips.batch(trainer.clips.train[0][:1] + trainer.clips.train[1][:1])
    history = [trainer.update(batch) for _ in range(60)]
    for name in ("coarse", "flow", "pitch"):
        first, last = (np.mean([parts[name] for parts in some]) for some in (history[:3], history[-3:]))
        assert last < 0.6 * first, (name, first, last)


def test_resumed_run_is_the_uninterrupted_one(data: Path, tmp_path: Path) -> None:
    whole = make_trainer(data, tmp_path)
    whole.run()
    part = make_trainer(data, tmp_path)
    for batch, _ in zip(part.batches(), range(5), strict=False):
        part.update(batch)
    part.save()
    rest = make_trainer(data, tmp_path)
    rest.resume()
    assert rest.step == 5
    rest.run()
    torch.testing.assert_close(weights(rest.model), weights(whole.model), atol=1e-5, rtol=0)
    lines = [json.loads(line) for line in (tmp_path / "detokenizer.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 8 and lines[-1]["held_out_coarse"] == lines[0]["held_out_coarse"]


def test_nothing_to_resume(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No run can be continued"):
        make_trainer(data, tmp_path).resume()


def test_shipped_settings_are_readable() -> None:
    config = stage.DetokenizerTraining.read(Path(stage.__file__).with_suffix(".yaml"), steps=5)
    assert config.steps == 5 and len(config.voices) >= 4
    assert stage.pace(config, 0) < stage.pace(replace(config, warmup_steps=1), 0)
    assert stage.pace(config, 5) == 0


def test_bad_settings_and_sources(data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("voices: []\nspeed: 3\n")
    with pytest.raises(ConfigError, match="cannot be used"):
        stage.DetokenizerTraining.read(tmp_path / "bad.yaml")
    with pytest.raises(DataError, match="no clip of the speaker"):
        choose(replace(VOICES[0], speaker="nobody"), data)
