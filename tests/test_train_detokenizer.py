"""The detokenizer's training on two tiny synthetic voices: preparation, learning, resuming, the result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from zipper.data.clips import EVERYONE, Batch, Clip, Clips, choose, each_speaker, prepare
from zipper.data.store import Store, StoreWriter
from zipper.errors import ConfigError, DataError, WeightsError
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.training import detokenizer as stage
from zipper.training.config import CONFIGS, load_config
from zipper.training.loop import Trainer
from zipper.training.schedule import LoopConfig

RATE = 24_000
CODES = 8
GRID = torch.linspace(-1, 1, CODES)[:, None]
CLIPS = 6
CONFIG = stage.DetokenizerTraining(
    LoopConfig(steps=8, lr=5e-3, warmup=2, log_steps=2, seed=3),
    {
        "ada": {"source": "low", "speaker": "a", "share": 0.5, "hours": 1.0},
        "carl": {"source": "high", "speaker": "c", "share": 0.5, "hours": 1.0},
    },
    {"width": 32, "ff_width": 32, "token_blocks": 1, "mel_blocks": 1, "flow_blocks": 1, "flow_steps": 2},
    batch_frames=256,
)


def code_sequence(clip: int) -> np.ndarray:
    return np.random.default_rng(clip).integers(0, CODES, 20)


def write_source(folder: Path, speaker: str, hz: float) -> None:
    """Clips of 0.8 s; each token of 40 ms is a code, heard as a tone of its own."""
    (folder / "audio").mkdir(parents=True)
    rows = ["id\tvoice\tseconds\ttext\tphonemes"]
    for clip in range(CLIPS):
        pitch = np.repeat(hz * (1 + code_sequence(clip) / CODES), RATE // 25)
        samples = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        soundfile.write(folder / "audio" / f"{speaker}{clip}.flac", samples, RATE)
        rows.append(f"{speaker}{clip}\t{speaker}\t0.8\ttext\t[]")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, tokens and prepared mels in one folder."""
    folder = tmp_path_factory.mktemp("work")
    for source, speaker, hz in (("low", "a", 120.0), ("high", "c", 240.0)):
        write_source(folder / source, speaker, hz)
        with StoreWriter(folder / "tokens" / source, "int16") as store:
            for clip in range(CLIPS):
                store.add(f"{source}/{speaker}{clip}", code_sequence(clip))
    prepare(CONFIG.chosen(), folder, folder, workers=1)
    return folder


@pytest.fixture
def clips(work: Path) -> Clips:
    return Clips(CONFIG.chosen(), work, CONFIG.batch_frames, seed=1)


def tiny_vocoder() -> HifiGan:
    return HifiGan(HifiGanConfig(channels=16, block_kernels=(3,), block_dilations=(1,)))


def make_stage(clips: Clips, replaced_codes: float = 0.03) -> stage.DetokenizerStage:
    model = stage.new_model(CONFIG, CONFIG.chosen(), GRID)
    stage.set_statistics(model, clips)
    return stage.DetokenizerStage(model, replaced_codes)


def test_prepared_clips(work: Path, clips: Clips) -> None:
    batch = clips.collate([*clips.train[0][:2], clips.train[1][0]])
    assert batch.codes.shape == (3, 20) and batch.voice.tolist() == [0, 0, 1]
    assert batch.mel.shape[:2] == batch.hz.shape == (3, 68)
    voiced = batch.hz[:, 5:60]
    assert (voiced[:2] < 260).all() and (voiced[2][voiced[2] > 0] > 200).all()
    prepare(CONFIG.chosen(), work, work, workers=1)  # again: nothing is added
    assert len(Store(work / "mels" / "ada")) == len(Store(work / "pitch" / "ada")) == CLIPS


def test_a_voice_may_have_several_sources(work: Path) -> None:
    write_source(work / "more", "a", 150.0)
    with StoreWriter(work / "tokens" / "more", "int16") as store:
        for clip in range(CLIPS):
            store.add(f"more/a{clip}", code_sequence(CLIPS + clip))  # others than those of "low"
    voice = replace(CONFIG.chosen()[0], name="both", source="low+more")
    assert choose(voice, work) == [f"{source}/a{clip}" for source in ("low", "more") for clip in range(CLIPS)]
    prepare([voice], work, work, workers=1)
    both = Clips([voice], work, CONFIG.batch_frames, seed=1)
    assert {clip.id for clip in both.train[0] + both.held_out[0]} == set(choose(voice, work))
    for clip in both.train[0]:  # each with its own tokens and its own sound
        source, number = clip.id.split("/a")
        assert np.array_equal(both.tokens[0][clip.id], code_sequence(int(number) + CLIPS * (source == "more")))
        low = both.pitches[0][f"low/a{number}"].astype(np.float32)
        hz = both.pitches[0][clip.id].astype(np.float32)
        ratio = np.median(hz[5:60]) / np.median(low[5:60])
        assert ratio == pytest.approx(1.25 if source == "more" else 1.0, rel=0.02)
    assert both.frames(Clip("more/a0", 0)) == 68


def test_batches_are_decided_by_seed_and_number(work: Path, clips: Clips) -> None:
    again = Clips(CONFIG.chosen(), work, CONFIG.batch_frames, seed=1)
    for number in (0, 7, 2):
        assert torch.equal(clips(number).mel, again(number).mel)
    assert all(clips(number).hz.numel() <= 256 for number in range(9))
    other = Clips(CONFIG.chosen(), work, CONFIG.batch_frames, seed=2)
    assert any(clips(n).mel.shape != other(n).mel.shape or not clips(n).mel.equal(other(n).mel) for n in range(4))


def test_each_voice_has_its_share_of_an_epoch(work: Path) -> None:
    voices = [replace(voice, share=share) for voice, share in zip(CONFIG.chosen(), (0.75, 0.25), strict=True)]
    clips = Clips(voices, work, CONFIG.batch_frames, seed=1)
    count = len(clips.train[0]) + len(clips.train[1])
    epochs = [sum(([*items] for items in clips.plan.batches(epoch)), []) for epoch in range(3)]
    for items in epochs:
        assert sum(item < len(clips.train[0]) for item in items) == round(0.75 * count)
        assert set(items) >= set(range(len(clips.train[0])))  # a clip comes again when all of its voice have come
    assert len({tuple(sorted(items)) for items in epochs}) > 1


def test_learns_one_batch(clips: Clips) -> None:
    torch.manual_seed(0)
    module = make_stage(clips, replaced_codes=0.0)
    batch = clips.collate([clips.train[0][0], clips.train[1][0]])
    optimizer = torch.optim.AdamW(module.parameters(), 5e-3)
    history = []
    for _ in range(60):
        found = module(batch)
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: float(value.detach()) for name, value in found.items()})
    for name in ("coarse", "flow", "pitch"):
        first, last = (np.mean([parts[name] for parts in some]) for some in (history[:3], history[-3:]))
        assert last < 0.6 * first, (name, first, last)


def test_resumed_run_is_the_uninterrupted_one(clips: Clips, tmp_path: Path) -> None:
    whole, part, rest = (make_stage(clips) for _ in range(3))
    Trainer(whole, clips, CONFIG.loop, tmp_path / "whole").run(resume=False)

    def until_the_lights_go_out(number: int) -> Batch:
        if number == 5:
            raise KeyboardInterrupt
        return clips(number)

    loop = replace(CONFIG.loop, save_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        Trainer(part, until_the_lights_go_out, loop, tmp_path / "part").run(resume=False)
    Trainer(rest, clips, CONFIG.loop, tmp_path / "part").run(resume=True)
    for resumed, uninterrupted in zip(rest.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(resumed, uninterrupted, atol=1e-5, rtol=0)


def test_the_result_speaks(work: Path) -> None:
    config = replace(CONFIG, loop=replace(CONFIG.loop, steps=2))
    stage.train(config, work, GRID, tiny_vocoder(), resume=False)
    detokenizer = Detokenizer.from_pretrained(work / "detokenizer")
    assert detokenizer.voices == ["ada", "carl"]
    assert np.isfinite(detokenizer.decode(code_sequence(0), "carl")).all()
    assert set(json.loads((work / "runs" / "detokenizer" / "validation.json").read_text())) <= {"ada", "carl"}


def test_speakers_that_only_teach_are_not_shipped(work: Path) -> None:
    (work / "labels" / "high").mkdir(parents=True)
    rows = [{"id": f"high/c{i}", "speaker": "c", "text": "text", "words": []} for i in range(CLIPS)]
    (work / "labels" / "high" / "aligned.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    others = {"source": "high", "speaker": EVERYONE, "share": 0.5, "hours": 1.0}
    config = replace(CONFIG, loop=replace(CONFIG.loop, steps=2), voices={**CONFIG.voices, "others": others})
    voices = each_speaker(config.chosen(), work)
    assert [(voice.name, voice.shipped) for voice in voices] == [("ada", True), ("carl", True), ("others-c", False)]
    prepare(voices, work, work, workers=1)
    stage.train(config, work, GRID, tiny_vocoder(), resume=False)
    assert Detokenizer.from_pretrained(work / "detokenizer").voices == ["ada", "carl"]


def test_going_on_keeps_the_voices_and_gives_new_ones_their_mean(clips: Clips) -> None:
    trained = make_stage(clips).model
    names = ("carl", "eve", "ada")
    model = stage.new_model(CONFIG, [replace(CONFIG.chosen()[0], name=name) for name in names], GRID)
    stage.start_from(model, trained)
    codes, known = torch.from_numpy(code_sequence(1))[None], torch.tensor
    torch.testing.assert_close(model.encode(codes, known([0])), trained.encode(codes, known([1])))
    torch.testing.assert_close(model.encode(codes, known([2])), trained.encode(codes, known([0])))
    torch.testing.assert_close(model.token_voice.weight[1], trained.token_voice.weight.mean(0))


def test_a_tap_keeps_its_distance_when_the_context_changes(clips: Clips) -> None:
    wide = replace(CONFIG, network={**CONFIG.network, "frame_context": (2, 3)})
    long = replace(CONFIG, network={**CONFIG.network, "frame_context": (5, 4)})
    trained, longer = (stage.new_model(config, CONFIG.chosen(), GRID) for config in (wide, long))
    stage.start_from(longer, trained)
    batch = clips.collate(clips.train[0][:2])
    mask = stage.padding_mask(batch.lengths, batch.mel.shape[1])
    torch.testing.assert_close(
        stage.coarse_mel(longer, batch, mask).mel, stage.coarse_mel(trained, batch, mask).mel, rtol=1e-4, atol=1e-5
    )
    shorter = stage.new_model(
        replace(CONFIG, network={**CONFIG.network, "frame_context": (5, 1)}), CONFIG.chosen(), GRID
    )
    stage.start_from(shorter, trained)
    kept = shorter.mel_decoder.blocks[0].depthwise.weight
    torch.testing.assert_close(kept[..., 3:], trained.mel_decoder.blocks[0].depthwise.weight[..., :4])
    assert not kept[..., :3].any()


def test_two_steps_learn_what_a_teacher_does_in_many(clips: Clips) -> None:
    torch.manual_seed(0)
    batch = clips.collate(clips.train[0][:2])
    mask = stage.padding_mask(batch.lengths, batch.mel.shape[1])
    teacher = stage.new_model(replace(CONFIG, network={**CONFIG.network, "flow_steps": 12}), CONFIG.chosen(), GRID)
    torch.nn.init.normal_(teacher.flow.outlet.weight, std=0.2)  # a flow that bends, as a trained one does
    student = stage.new_model(CONFIG, CONFIG.chosen(), GRID)
    stage.start_from(student, teacher)
    coarse, noise = stage.coarse_mel(teacher, batch, mask), stage.NOISE_LEVEL * torch.randn_like(batch.mel)
    wanted = teacher.refine(coarse, noise, mask)

    def error() -> float:
        with torch.no_grad():
            refined = student.refine(stage.coarse_mel(student, batch, mask), noise, mask)
        return ((refined - wanted) * mask).square().mean().item()

    before = error()
    both = stage.DetokenizerStage(student, 0.0, teacher)
    optimizer = torch.optim.Adam(student.flow.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        both(batch)["flow"].backward()
        optimizer.step()
    assert error() < before / 2
    assert all(weight.grad is None for weight in teacher.parameters())


def test_a_teacher_of_other_codes_is_refused(work: Path, tmp_path: Path) -> None:
    teacher = stage.new_model(CONFIG, CONFIG.chosen(), GRID)
    Detokenizer(teacher, tiny_vocoder()).save(tmp_path)
    assert stage.read_teacher(str(tmp_path), CONFIG.chosen(), GRID).config.voices == ("ada", "carl")
    with pytest.raises(ConfigError, match="other codes"):
        stage.read_teacher(str(tmp_path), CONFIG.chosen(), torch.linspace(-1, 1, 2 * CODES)[:, None])


def test_shipped_settings() -> None:
    config = load_config(stage.DetokenizerTraining, CONFIGS / "detokenizer.yaml", ["loop.steps=5"])
    assert config.loop.steps == 5 and sum(voice.shipped and voice.speaker != EVERYONE for voice in config.chosen()) >= 4
    assert list(config.voices) == list(stage.new_model(config, config.chosen(), GRID).config.voices)


@pytest.mark.parametrize("network", [{"depth": 3}, {"width": 0}])
def test_impossible_networks_are_refused(network: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        stage.new_model(replace(CONFIG, network=network), CONFIG.chosen(), GRID)


def test_missing_sources(work: Path, tmp_path: Path) -> None:
    voice = replace(CONFIG.chosen()[0], speaker="nobody")
    with pytest.raises(DataError, match="no clip of the speaker"):
        choose(voice, work)
    with pytest.raises(WeightsError, match="no HiFi-GAN"):
        stage.read_vocoder(tmp_path)
