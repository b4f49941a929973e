"""The settings of a study: what is frozen, random or guided, how much is learned from, and the folders it leaves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.work import make_work
from zipper.api import Zipper
from zipper.data.fraction import part_of
from zipper.data.held_out import is_held_out
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.errors import ConfigError, WeightsError
from zipper.model import checkpoint
from zipper.model.single_decoder import SingleDecoder
from zipper.model.zipper import ZipperModel
from zipper.text.tokenizer import TextTokenizer
from zipper.training import pair_stages
from zipper.training.config import CONFIGS, FusionConfig, SingleConfig, load_config
from zipper.training.fusion import ZipLoss, ZipStage
from zipper.training.schedule import LoopConfig
from zipper.training.variants import Variant, is_finished, train_variant, train_variants

LOOP = LoopConfig(2, lr=1e-2, warmup=1, autocast=False)
BASE = FusionConfig(
    LOOP, ("set",), ("set",), text_interval=1, speech_interval=1, heads=2, batch_tokens=64, mixture=(1, 1, 0)
)
NAMES = [name for name in (f"set/{i}" for i in range(40)) if not is_held_out(name)]


@pytest.fixture
def work(tmp_path: Path, model_folder: Path) -> Path:
    folder = make_work(tmp_path / "work", model_folder, NAMES)
    towers = checkpoint.load_zipper(model_folder / "zipper")
    checkpoint.save_tower(towers.text, folder / "pretrain-text")
    checkpoint.save_tower(towers.speech, folder / "pretrain-speech")
    return folder


def fused(config: FusionConfig, work: Path) -> ZipperModel:
    pair_stages.train_fusion(config, work, resume=False)
    return checkpoint.load_zipper(work / "zipper")


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("state", ["trained", "frozen"])
def test_the_speech_tower_is_frozen_or_trained(work: Path, state: str) -> None:
    before = checkpoint.load_tower(work / "pretrain-speech")
    model = fused(replace(BASE, speech_tower=state), work)
    assert same(model.speech, before) == (state == "frozen")
    assert same(model.text, checkpoint.load_tower(work / "pretrain-text"))
    gates = [model.zips.block(point, m).attention_gate for point in range(2) for m in ("text", "speech")]
    assert all(bool(gate != 0) for gate in gates)  # both directions learn all the same
    cost = json.loads((work / "runs" / "zip" / "cost.json").read_text())
    towers = sum(
        p.numel() for p in (*model.text.parameters(), *(model.speech.parameters() if state == "frozen" else ()))
    )
    assert cost["trained"] == cost["parameters"] - towers


def test_a_random_speech_tower_has_the_sizes_of_the_pretrained_one_and_the_seed_of_the_run(work: Path) -> None:
    before = checkpoint.load_tower(work / "pretrain-speech")
    config = replace(BASE, speech_start="random")
    text = checkpoint.load_tower(work / "pretrain-text")

    def start(seed: int) -> ZipperModel:
        torch.manual_seed(seed)
        return pair_stages.fused_model(text, before, config)

    assert start(5).speech.config == before.config
    assert same(start(5).speech, start(5).speech) and not same(start(5).speech, before)
    assert not same(start(5).speech, start(6).speech)
    assert same(pair_stages.fused_model(text, before, BASE).speech, before)
    config = replace(config, dropout=0.0)  # pieces are dropped by chance, whatever the seed
    assert same(fused(config, work), fused(config, work))
    assert not same(fused(config, work), fused(replace(config, loop=replace(LOOP, seed=1)), work))


def test_the_log_tells_how_far_each_gate_is_open(work: Path) -> None:
    model = fused(replace(BASE, loop=replace(LOOP, log_steps=1)), work)
    lines = [json.loads(line) for line in (work / "runs" / "zip" / "log.jsonl").read_text().splitlines()]
    last = {name: value for name, value in lines[-1].items() if name.startswith("gate.")}
    assert len(last) == 8 and {name.split(".")[1] for name in last} == {"text", "speech"}  # 2 zip points, 2 gates each
    opened = model.zips.block(1, "speech").gates((1.0, 1.0))
    assert [last["gate.speech.2.attention"], last["gate.speech.2.ff"]] == pytest.approx(opened.tolist(), abs=1e-4)
    fused(replace(BASE, gates=False, loop=replace(LOOP, log_steps=1)), work)
    assert "gate." not in (work / "runs" / "zip" / "log.jsonl").read_text().splitlines()[-1]


@pytest.mark.parametrize("weight", [0.3, 0.0])
def test_guidance_is_part_of_the_loss_or_not(work: Path, weight: float) -> None:
    config = replace(BASE, positions="rotary", loss=ZipLoss(alignment=weight, pieces=0.0, phones=0.0))
    tokenizer = TextTokenizer.from_pretrained(work / "text")
    model = pair_stages.fused_model(
        *(checkpoint.load_tower(work / f"pretrain-{m}") for m in ("text", "speech")), config
    )
    stage = ZipStage(model, config.loss)
    mixture = pair_stages.pair_mixture(config, work, tokenizer, SpeechVocabulary.of_tower(model.config.speech))
    losses = stage(mixture(0))
    torch.autograd.backward(losses["loss"])
    # With closed gates nothing but the guidance reaches the queries of the zips.
    learned = model.zips.block(0, "text").attention.query.weight.grad
    assert bool(learned is not None and learned.any()) == (weight > 0)
    assert bool(losses["asr_align"] > 0) == (weight > 0)
    torch.testing.assert_close(losses["loss"], losses["asr"] + weight * losses["asr_align"])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (["speech_tower=frozen"], "last number of mixture"),
        (["speech_tower=frozen", "speech_start=random"], "must be trained"),
        (["speech_start=random", "start=assets/zipper"], "leave start or"),
        (["loss.alignment=0"], "positions to none or rotary"),
        (["speech_tower=melted"], "speech_tower"),
        (["gates=3"], "gates"),
        (["fraction=0"], "fraction"),
        (["fraction=1.5"], "fraction"),
        (["mixture=[0,0,0]"], "mixture"),
        (["mixture=[1,-1,1]"], "mixture"),
        (["depth=4"], "depth"),
    ],
)
def test_impossible_combinations_are_refused_in_one_sentence(settings: list[str], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as found:
        Variant("zip", tuple(settings)).config()
    assert "\n" not in str(found.value)


def test_a_model_to_go_on_from_does_not_change_its_zips(work: Path, model_folder: Path) -> None:
    start = str(model_folder / "zipper")
    for name, value in (("gates", False), ("projection", "linear"), ("text_interval", 3)):
        with pytest.raises(ConfigError, match=f"{name}="):
            pair_stages.train_fusion(replace(BASE, start=start, **{name: value}), work, False)
    assert fused(replace(BASE, start=start), work).config == checkpoint.load(start).config


COUNTS = {"a": 700, "b": 300, "c": 3}
LENGTHS = {f"{source}/{n}": 50 + 37 * n % 400 for source, count in COUNTS.items() for n in range(count)}


@pytest.mark.parametrize("seed", [0, 1])
def test_fractions_are_nested_whole_and_of_the_size_that_was_asked_for(seed: int) -> None:
    parts = [part_of(LENGTHS, fraction, seed) for fraction in (0.01, 0.03, 0.1, 0.3, 1.0)]
    assert all(less < more for less, more in zip(parts[:-1], parts[1:], strict=True))
    assert parts[-1] == LENGTHS.keys()
    for fraction, part in zip((0.01, 0.03, 0.1, 0.3), parts, strict=False):
        for source in ("a", "b"):
            whole, kept = (sum(LENGTHS[u] for u in some if u[0] == source) for some in (LENGTHS, part))
            assert abs(kept - fraction * whole) <= max(LENGTHS.values()) / 2
        assert sum(u[0] == "c" for u in part) >= 1  # of every source something
    assert part_of(dict(reversed(LENGTHS.items())), 0.1, seed) == parts[2]
    assert part_of(LENGTHS, 0.1, seed + 1) != parts[2]


def test_changed_views_go_with_their_recording(work: Path) -> None:
    for kind in ("tokens", "labels"):
        (work / kind / "set.augmented-3").symlink_to(work / kind / "set", target_is_directory=True)
    rows = pair_stages.aligned_rows(work, ("set", "set.augmented-3"))
    plain = pair_stages.aligned_rows(work, ("set",))
    assert len(rows) == 2 * len(plain)
    for seed in range(3):
        kept = pair_stages.kept_part(work, rows, 0.2, seed)
        assert kept == pair_stages.kept_part(work, plain, 0.2, seed) and len(kept) == round(0.2 * len(NAMES))


@pytest.mark.parametrize("kind", [FusionConfig, SingleConfig])
def test_training_sees_a_fraction_and_the_held_out_people_stay(work: Path, kind: type) -> None:
    tokenizer = TextTokenizer.from_pretrained(work / "text")
    speech = SpeechVocabulary(16)
    seen: dict[float, set[str]] = {}
    for fraction in (1.0, 0.3, 0.1):
        config = kind(LOOP, ("set",), ("set",), batch_tokens=64, mixture=(1, 1, 1), fraction=fraction, fraction_seed=4)
        mixture = pair_stages.pair_mixture(config, work, tokenizer, speech)
        recognition, synthesis, alone = (batches for batches, _ in mixture.kinds)
        seen[fraction] = {row.id for _, row in recognition.utterances}
        assert seen[fraction] == {row.id for _, row in synthesis.utterances}
        assert len(seen[fraction]) == round(fraction * len(NAMES))
        assert len(alone.tokens) == len(NAMES) * 16  # speech alone is not transcribed
    assert seen[0.1] < seen[0.3] < seen[1.0] == set(NAMES)


def settings(*more: str) -> tuple[str, ...]:
    usual = ("asr=[set]", "tts=[set]", "batch_tokens=64", "loop.steps=2", "loop.warmup=1", "loop.autocast=false")
    return (*usual, "loss.levels=[4,4]", "mixture=[1,1,0]", *more)


def test_variants_become_folders_that_load(work: Path, model_folder: Path, tmp_path: Path) -> None:
    tiny = ("text_interval=1", "speech_interval=1", "heads=2")
    study = [
        ("zipper", Variant("zip", settings(*tiny))),
        ("plain", Variant("zip", settings(*tiny, "gates=false", "input_projection=none", "positions=none"))),
        ("single", Variant("single", settings("depth=4", "fraction=0.3"))),
    ]
    folders = train_variants(study, work, tmp_path / "study", model_folder)
    models = [Zipper.from_pretrained(folder).model for folder in folders]
    assert [type(model) for model in models] == [ZipperModel, ZipperModel, SingleDecoder]
    assert not models[1].config.zip.gates and models[1].config.zip.input_projection == "none"
    assert all(is_finished(folder) for folder in folders)
    assert json.loads((folders[2] / "run" / "cost.json").read_text())["training_flops"] > 0
    before = (folders[2] / "zipper" / "model.safetensors").stat().st_mtime_ns
    train_variants(study, work, tmp_path / "study", model_folder)  # nothing is left to do
    assert (folders[2] / "zipper" / "model.safetensors").stat().st_mtime_ns == before


def test_a_study_is_checked_before_it_begins(work: Path, model_folder: Path, tmp_path: Path) -> None:
    study = [("good", Variant("single", settings("depth=4"))), ("bad", Variant("zip", ("gates=maybe",)))]
    with pytest.raises(ConfigError, match="gates"):
        train_variants(study, work, tmp_path / "study", model_folder)
    assert not (tmp_path / "study").exists()
    with pytest.raises(ConfigError, match="no stage 'double'"):
        Variant("double").config()  # type: ignore[arg-type]
    with pytest.raises(WeightsError):
        train_variant(study[0][1], work, tmp_path / "study", tmp_path / "nothing")


def test_both_stages_are_compared_on_the_same_data() -> None:
    fusion, single = load_config(FusionConfig, CONFIGS / "zip.yaml"), load_config(SingleConfig, CONFIGS / "single.yaml")
    for name in ("asr", "tts", "batch_tokens", "dropout", "mixture", "fraction", "fraction_seed"):
        assert getattr(fusion, name) == getattr(single, name), name
    assert replace(fusion.loop, steps=0) == replace(single.loop, steps=0)
    assert single.loss == type(single.loss)(**{n: getattr(fusion.loss, n) for n in vars(single.loss)})
