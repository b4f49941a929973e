"""The vocoder's training on two tiny sources: preparation, batches, losses, learning, resuming, the result."""

import json
import zlib
from collections.abc import Container, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zipper.audio.mel import MelSpectrogram
from zipper.data.held_out import is_held_out
from zipper.data.segments import HELD_OUT_SHARE, SILENCE, START_TURN, Frames, Segments, Stretches
from zipper.data.store import Store, StoreWriter
from zipper.data.vocoder_clips import Material, prepare, recordings
from zipper.errors import ConfigError, DataError, WeightsError
from zipper.rates import VOCODER_HOP, VOCODER_RATE
from zipper.speech.acoustic import AcousticConfig, AcousticModel
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.istft import IstftConfig, IstftVocoder
from zipper.speech.vocoder import load_vocoder, sound_of
from zipper.training import vocoder as stage
from zipper.training.cli import main
from zipper.training.config import CONFIGS, load_config
from zipper.training.discriminators import Discriminators
from zipper.training.loop import Trainer
from zipper.training.schedule import LoopConfig
from zipper.training.spectral_losses import SpectralLoss

CODES, CLIPS = 8, 60
NETWORK = {"width": 24, "ff_width": 32, "blocks": 2}
CONFIG = stage.VocoderTraining(
    LoopConfig(steps=8, lr=3e-3, warmup=2, log_steps=2, seed=3), {"chirps": 3.0, "beeps.spoken": 1.0}, NETWORK, 4, 24
)
ADVERSARIAL = replace(CONFIG, rows=1, frames=12, loss=stage.VocoderLoss(adversarial=1.0, channels=4))


def tone(clip: int, rate: int) -> np.ndarray:
    """A tone in a little noise, 0.6 to 0.8 s."""
    time = np.arange(int((0.6 + 0.1 * (clip % 3)) * rate)) / rate
    noise = np.random.default_rng(clip).standard_normal(len(time))
    return (0.3 * np.sin(2 * np.pi * (150 + 10 * clip) * time) + 0.01 * noise).astype(np.float32)


def write_source(folder: Path, rate: int) -> None:
    (folder / "audio").mkdir(parents=True)
    for clip in range(CLIPS):
        soundfile.write(folder / "audio" / f"{clip}.flac", tone(clip, rate), rate)
    soundfile.write(folder / "audio" / "short.flac", tone(0, rate)[: rate // 5], rate)


def tiny_detokenizer() -> Detokenizer:
    torch.manual_seed(0)
    sizes = {"width": 16, "ff_width": 16, "token_blocks": 1, "mel_blocks": 1, "flow_blocks": 1, "flow_steps": 1}
    acoustic = AcousticModel(AcousticConfig(CODES, 3, ("ada", "carl"), **sizes))
    acoustic.codes.get_buffer("grid").uniform_(-1, 1)
    return Detokenizer(acoustic, HifiGan(HifiGanConfig(channels=16, block_kernels=(3,), block_dilations=(1,))))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of full band and of 16 kHz, and tokens; prepared by the command line."""
    folder = tmp_path_factory.mktemp("work")
    write_source(folder / "chirps", 24_000)
    write_source(folder / "narrow", 16_000)
    rng = np.random.default_rng(0)
    with StoreWriter(folder / "tokens" / "beeps", "int16") as store:
        for clip in range(CLIPS):
            store.add(f"beeps/{clip}", rng.integers(0, CODES, 20 + clip % 5))
    tiny_detokenizer().save(folder / "detokenizer")
    sources = [str(folder / name) for name in ("chirps", "narrow")]
    folders = ["--work", str(folder), "--detokenizer", str(folder / "detokenizer")]
    main(["vocoder", "prepare", *folders, "--recordings", *sources, "--tokens", str(folder / "tokens" / "beeps")])
    return folder


def make_stage(config: stage.VocoderTraining = CONFIG) -> stage.VocoderStage:
    return stage.VocoderStage(stage.new_vocoder(config), config.loss)


@pytest.fixture
def segments(work: Path) -> Segments:
    return stage.segments_of(CONFIG, work / stage.CLIPS, look_ahead=4)


def test_the_teacher_speaks_the_stored_mels(work: Path) -> None:
    clips, teacher = work / stage.CLIPS, load_vocoder(work / "detokenizer")
    for name, prefix in (("chirps", "chirps"), ("narrow", "narrow"), ("beeps.spoken", "beeps")):
        mels, sounds = Store(clips / "mels" / name), Store(clips / "teacher" / name)
        assert len(mels) == len(sounds) == CLIPS and f"{prefix}/short" not in mels
        mel = torch.from_numpy(mels[f"{prefix}/7"].astype(np.float32))
        expected = sound_of(teacher, mel)
        assert np.abs(sounds[f"{prefix}/7"] / 32767 - expected).max() < 1e-4 and np.abs(expected).max() > 1e-3
    recorded = Store(clips / "recorded" / "chirps")["chirps/7"] / 32767
    mel = MelSpectrogram()(torch.from_numpy(recorded.astype(np.float32))[None])[0]
    assert len(recorded) == len(mel) * VOCODER_HOP
    stored = torch.from_numpy(Store(clips / "mels" / "chirps")["chirps/7"].astype(np.float32))
    assert (mel - stored)[:, :40].abs().mean() < 0.05
    assert (clips / "recorded" / "narrow" / "index.tsv").read_text() == ""  # half of the band is missing


def test_mels_of_tokens_are_those_of_the_detokenizer(work: Path) -> None:
    detokenizer = Detokenizer.from_pretrained(work / "detokenizer")
    tokens = Store(work / "tokens" / "beeps")["beeps/3"].astype(np.int64)
    found = torch.from_numpy(Store(work / stage.CLIPS / "mels" / "beeps.spoken")["beeps/3"].astype(np.float32))
    seeds = [seed_of(f"beeps/{clip}") for clip in range(CLIPS)]
    voice = detokenizer.voices[seeds[3] % 2]
    torch.testing.assert_close(found, detokenizer.mel(tokens, voice, seed=seeds[3]), atol=0.02, rtol=0.01)
    assert len({seed % 2 for seed in seeds}) == 2  # all voices have their turn
    sound = detokenizer.decode(tokens, voice, seed=seeds[3])
    mel = detokenizer.mel(tokens, voice, seed=seeds[3])
    np.testing.assert_allclose(sound_of(detokenizer.vocoder, mel)[: len(sound)], sound, atol=1e-5)


def seed_of(name: str) -> int:
    return zlib.crc32(f"voice of {name}".encode())


def test_preparing_goes_on_and_stops_at_the_minutes(work: Path, tmp_path: Path) -> None:
    teacher = load_vocoder(work / "detokenizer")

    def interrupted(done: Container[str]) -> Iterator[Material]:
        for number, clip in enumerate(recordings(work / "chirps", done)):
            if number == 20:
                raise KeyboardInterrupt
            yield clip

    source = partial(recordings, work / "chirps")

    with pytest.raises(KeyboardInterrupt):
        prepare("chirps", interrupted, teacher, tmp_path, 9.0)
    prepare("chirps", source, teacher, tmp_path, 9.0)
    prepare("chirps", source, teacher, tmp_path, 9.0)  # again: nothing is added
    for kind in ("mels", "teacher", "recorded"):
        found, whole = (Store(folder / kind / "chirps") for folder in (tmp_path, work / stage.CLIPS))
        assert sorted(found) == sorted(whole)
        assert all(np.array_equal(found[name], whole[name]) for name in found), kind
    prepare("few", source, teacher, tmp_path, 0.1)
    seconds = Store(tmp_path / "teacher" / "few").data.size / VOCODER_RATE
    assert 6.0 <= seconds < 7.0
    with pytest.raises(DataError, match="holds no clip"):
        prepare("none", lambda done: (), teacher, tmp_path, 1.0)


def test_batches_are_decided_by_seed_and_number(work: Path, segments: Segments) -> None:
    again = stage.segments_of(CONFIG, work / stage.CLIPS, look_ahead=4)
    other = stage.segments_of(replace(CONFIG, loop=replace(CONFIG.loop, seed=4)), work / stage.CLIPS, 4)
    for number in (0, START_TURN - 1, 2):
        batch = segments(number)
        assert all(
            torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(batch, again(number), strict=True)
        )
        assert batch.teacher.shape == batch.real.shape == (4, 24 * VOCODER_HOP)
        before = 0 if number == START_TURN - 1 else stage.BEFORE
        assert batch.skipped == before and batch.mel.shape == (4, before + 24 + 4, 80)
        assert not torch.equal(batch.teacher, other(number).teacher)


def test_stretches_lie_where_their_mels_do(work: Path) -> None:
    """The real sound of a stretch has its mel; the teacher's sound is what the teacher makes of that."""
    frames = Frames(16, 24, 14)
    segments = Segments(work / stage.CLIPS, {"chirps": 1.0}, 6, frames, 0)
    teacher = load_vocoder(work / "detokenizer")
    for batch in (segments(0), segments(START_TURN - 1)):
        inside = slice(batch.skipped, batch.skipped + 24)
        mel = MelSpectrogram()(batch.real)
        assert (mel - batch.mel[:, inside])[:, 2:-2, :40].abs().mean() < 0.1
        spoken = teacher(batch.mel)[:, inside.start * VOCODER_HOP : inside.stop * VOCODER_HOP]
        ends = (batch.mel == SILENCE).all(2).any(1)  # behind the end of a clip the teacher saw zeros, not silence
        assert not ends.all()
        torch.testing.assert_close(spoken[~ends], batch.teacher[~ends], atol=2e-4, rtol=0)


def test_held_out_clips_are_not_trained_on(segments: Segments) -> None:
    for source, clips in zip(segments.sources, segments.clips, strict=True):
        held_out = {clip for clip in source.sounds if is_held_out(clip, HELD_OUT_SHARE)}
        assert held_out and not held_out & set(clips) and len(clips) + len(held_out) == CLIPS
    groups = segments.held_out(2)
    assert set(groups) == {"chirps", "beeps.spoken"} and all(0 < len(group) <= 2 for group in groups.values())


def test_losses_are_zero_for_the_same_and_finite_for_silence() -> None:
    losses, sound = SpectralLoss(), torch.from_numpy(tone(1, VOCODER_RATE))[None]
    assert all(value < 1e-6 for value in losses(sound, sound).values())
    shifted = losses(sound.roll(20, 1), sound)
    assert shifted["phase"] > 10 * shifted["log_magnitude"].clamp(max=0.01)  # phases differ where magnitudes do not
    for spoken in (torch.zeros_like(sound), sound):
        spoken = spoken.clone().requires_grad_()
        torch.stack(list(losses(spoken, torch.zeros_like(sound)).values())).sum().backward()
        assert spoken.grad is not None and torch.isfinite(spoken.grad).all()


def test_each_side_gets_the_gradient_of_its_own_losses() -> None:
    torch.manual_seed(0)
    discriminators, real = Discriminators(4), torch.randn(2, 4096)
    for name in ("adversarial", "features", "discriminator"):
        spoken = torch.randn(2, 4096, requires_grad=True)
        discriminators.zero_grad()
        discriminators(spoken, real)[name].backward()
        taught = [weight.grad is not None and bool(weight.grad.any()) for weight in discriminators.parameters()]
        assert any(taught) == (name == "discriminator") and (spoken.grad is None) == (name == "discriminator")


def test_discriminators_learn_to_tell_noise_from_a_tone() -> None:
    torch.manual_seed(0)
    discriminators = Discriminators(4, [(512, 128)])
    optimizer = torch.optim.Adam(discriminators.parameters(), 3e-3)
    real = torch.from_numpy(tone(1, VOCODER_RATE))[None, :2048]
    history = []
    for _ in range(25):
        loss = discriminators(torch.randn(1, 2048) * 0.1, real)["discriminator"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append(float(loss.detach()))
    assert history[-1] < 0.4 * history[0]


@pytest.mark.parametrize("config", [CONFIG, ADVERSARIAL], ids=["distillation", "adversarial"])
def test_learns_one_batch(segments: Segments, config: stage.VocoderTraining) -> None:
    torch.manual_seed(0)
    module, batch = make_stage(config).train(), segments(0)
    batch = batch._replace(mel=batch.mel[:1], teacher=batch.teacher[:1], real=batch.real[:1])
    optimizer = torch.optim.AdamW(module.parameters(), 5e-3)
    history = []
    for _ in range(40):
        found = module(batch)
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: float(value.detach()) for name, value in found.items()})
    for name in ("log_magnitude", "mel", "convergence"):
        assert history[-1][name] < 0.75 * history[0][name], (name, history[0][name], history[-1][name])
    assert ("discriminator" in history[0]) == bool(config.loss.adversarial)


@pytest.mark.parametrize("config", [CONFIG, ADVERSARIAL], ids=["distillation", "adversarial"])
def test_resumed_run_is_the_uninterrupted_one(work: Path, tmp_path: Path, config: stage.VocoderTraining) -> None:
    segments = stage.segments_of(config, work / stage.CLIPS, 4)
    whole, part, rest = (make_stage(config) for _ in range(3))
    Trainer(whole, segments, config.loop, tmp_path / "whole").run(resume=False)

    def until_the_lights_go_out(number: int) -> Stretches:
        if number == 5:
            raise KeyboardInterrupt
        return segments(number)

    loop = replace(config.loop, save_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        Trainer(part, until_the_lights_go_out, loop, tmp_path / "part").run(resume=False)
    Trainer(rest, segments, config.loop, tmp_path / "part").run(resume=True)
    for resumed, uninterrupted in zip(rest.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(resumed, uninterrupted, atol=1e-5, rtol=0)


def test_both_parts_of_the_training_and_the_detokenizer_that_speaks_with_it(work: Path, tmp_path: Path) -> None:
    (tmp_path / stage.CLIPS).symlink_to(work / stage.CLIPS)
    sets = [f"network.{name}={value}" for name, value in NETWORK.items()]
    sets += ["loop.steps=2", "rows=2", "frames=24", "loss.channels=4"]
    command = ["vocoder", "train", "--work", str(tmp_path), *(word for item in sets for word in ("--set", item))]
    main(command)
    before = load_vocoder(tmp_path / "vocoder")
    main([*command, "--set", f"start={tmp_path / 'vocoder'}", "--set", "loss.adversarial=1"])
    after = load_vocoder(tmp_path / "vocoder")
    assert isinstance(after, IstftVocoder) and after.config == IstftConfig(**NETWORK)
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    for run in ("vocoder", "vocoder-adversarial"):
        figures = json.loads((tmp_path / "runs" / run / "validation.json").read_text())
        for group in ("chirps", "narrow", "beeps.spoken"):  # all that are prepared
            assert 0 < figures[group]["mel"] < 10 and "discriminator" not in figures[group]
        assert (tmp_path / "runs" / run / "state.pt").exists()
    folders = {"work": tmp_path, "detokenizer": work / "detokenizer", "out": tmp_path / "detokenizer"}
    main(["vocoder", "combine", *(word for name, path in folders.items() for word in (f"--{name}", str(path)))])
    detokenizer = Detokenizer.from_pretrained(tmp_path / "detokenizer")
    tokens = np.arange(150) % CODES
    whole = detokenizer.decode(tokens, "carl", seed=3)
    assert whole.shape == (150 * 882,) and np.isfinite(whole).all() and np.abs(whole).max() <= 1
    streamed = np.concatenate(list(detokenizer.stream(np.split(tokens, 10), "carl", seed=3)))
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_shipped_settings() -> None:
    config = load_config(stage.VocoderTraining, CONFIGS / "vocoder.yaml", ["loop.steps=5"])
    assert config.loop.steps == 5 and not config.loss.adversarial
    assert stage.new_vocoder(config).look_ahead == 4


def test_wrong_settings_are_told(work: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 row of at least 9 frames"):
        replace(CONFIG, frames=8)
    with pytest.raises(ConfigError, match="shares"):
        stage.segments_of(replace(CONFIG, sources={"chirps": 0.0}), work / stage.CLIPS, 4)
    with pytest.raises(DataError, match="run `train vocoder prepare` first"):
        stage.segments_of(replace(CONFIG, sources={}), tmp_path, 4)
    with pytest.raises(ConfigError, match="nowhere"):
        stage.segments_of(replace(CONFIG, sources={"nowhere": 1.0}), work / stage.CLIPS, 4)
    with pytest.raises(ConfigError, match="look_ahead must lie in"):
        stage.new_vocoder(replace(CONFIG, network={"look_ahead": 30}))
    with pytest.raises(WeightsError, match="another one than the configuration's"):
        stage.new_vocoder(replace(CONFIG, start=str(work / "detokenizer")))
    with pytest.raises(DataError, match="name --recordings or --tokens"):
        main(["vocoder", "prepare", "--work", str(tmp_path), "--detokenizer", str(work / "detokenizer")])
