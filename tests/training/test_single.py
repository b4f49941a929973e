"""Stage `single`: where it starts, that it learns by heart to read and to speak, and what it costs beside a Zipper."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.work import LINES, TOKENS, make_work
from zipper.api import Zipper
from zipper.data.held_out import is_held_out
from zipper.errors import ConfigError, WeightsError
from zipper.inference.generate import SamplingOptions, generate
from zipper.model import checkpoint
from zipper.model.single_decoder import SingleDecoder, extended
from zipper.model.streams import Segment
from zipper.model.tower import Tower
from zipper.text.tokenizer import TextTokenizer
from zipper.training import cli, pair_stages
from zipper.training.assemble import assemble
from zipper.training.config import CONFIGS, FusionConfig, SingleConfig, TowerSize, load_config
from zipper.training.cost import Cost, measure_cost
from zipper.training.fusion import PairLoss, SingleStage, ZipStage
from zipper.training.schedule import LoopConfig
from zipper.training.stages import tower_config

NAMES = [name for name in (f"set/{i}" for i in range(9)) if not is_held_out(name)]
LOSS = PairLoss(tts_noise=0.0, asr_noise=0.0, smoothing=0.0, levels=(4, 4))
LOOP = LoopConfig(1, lr=1e-2, warmup=1, autocast=False)
ONE_STEP = SingleConfig(LOOP, ("set",), ("set",), batch_tokens=64, loss=LOSS)
SIZE = TowerSize(256, 10, 4, 2, 704)  # of each of the shipped towers
SHIPPED = {"parameters": 24.5e6, "text": 1024, "speech": (4098, 4096, 4097)}


@pytest.fixture
def work(tmp_path: Path, model_folder: Path) -> Path:
    folder = make_work(tmp_path, model_folder, NAMES)
    checkpoint.save_tower(checkpoint.load_zipper(model_folder / "zipper").text, folder / "pretrain-text")
    return folder


def test_it_learns_to_read_and_to_speak_one_pair_by_heart(work: Path) -> None:
    loop = LoopConfig(steps=150, lr=1e-2, warmup=5, autocast=False, log_steps=10)
    config = replace(ONE_STEP, loop=loop, depth=4, dropout=0.0, mixture=(1, 1, 0))
    pair_stages.train_single(config, work, resume=False)
    model = checkpoint.load(work / "single")
    assert isinstance(model, SingleDecoder) and model.config.decoder.depth == 4
    tokenizer = TextTokenizer.from_pretrained(work / "single")
    text = Segment("text", (tokenizer.begin_id, *tokenizer.encode(LINES[0]), tokenizer.end_id))
    speech = Segment("speech", (16, *range(TOKENS), 17))
    options = SamplingOptions(max_tokens=60)
    for given, wanted in ((speech, text), (text, speech)):
        read = [step.id for step in generate(model, [given], [wanted.modality], options)]
        assert read == list(wanted.ids[1:]), wanted.modality
    log = [json.loads(line) for line in (work / "runs" / "single" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["asr_align"] < log[0]["asr_align"] / 2  # its self-attention is guided to the known times
    assert log[-1]["speech_strayed"] < log[0]["speech_strayed"] / 10  # and it does not mix the modalities up


def test_a_trained_one_is_assembled_into_a_folder_that_loads(work: Path, model_folder: Path, tmp_path: Path) -> None:
    command = ["single", "--work", str(work)]
    settings = ["loop.steps=1", "loop.autocast=false", "batch_tokens=64", "depth=4", "asr=[set]", "tts=[set]"]
    settings += ["loss.levels=[4,4]", "mixture=[1,1,1]", "loop.warmup=1"]
    cli.main([*command, *(word for setting in settings for word in ("--set", setting))])
    out = tmp_path / "out"
    assemble(model_folder, out)  # tokenizer and detokenizer, and a Zipper whose place it takes
    cli.main(["assemble", "--work", str(work), "--out", str(out), "--model", "single"])
    made = Zipper.from_pretrained(out)
    assert isinstance(made.model, SingleDecoder)
    assert made.complete("Hello there", max_tokens=3) is not None
    cost = Cost(**json.loads((work / "runs" / "single" / "cost.json").read_text()))
    assert cost.parameters == cost.trained == sum(p.numel() for p in made.model.parameters())
    with pytest.raises(ConfigError, match="holds no model other"):
        assemble(work, out, model="other")


def test_it_starts_from_a_tower_a_zipper_or_itself(work: Path, model_folder: Path) -> None:
    tower = checkpoint.load_tower(work / "pretrain-text")
    ids = torch.arange(2, 12)[None]
    for start in ("", str(work / "pretrain-text"), str(model_folder / "zipper")):
        made = pair_stages.single_model(replace(ONE_STEP, start=start, depth=5), work)
        torch.testing.assert_close(made.text_alone(ids), tower(ids))
        assert made.config.speech.vocab_size == 18
    pair_stages.train_single(replace(ONE_STEP, depth=5), work, resume=False)
    again = replace(ONE_STEP, start=str(work / "single"))
    before = checkpoint.load(work / "single").state_dict()
    for name, weight in pair_stages.single_model(again, work).state_dict().items():
        assert torch.equal(weight, before[name]), name
    with pytest.raises(ConfigError, match="has 5 blocks"):
        pair_stages.single_model(replace(again, depth=6), work)
    with pytest.raises(ConfigError, match="16 codes"):
        pair_stages.single_model(replace(again, loss=PairLoss()), work)
    with pytest.raises(ConfigError, match="too few"):
        pair_stages.single_model(replace(ONE_STEP, depth=2), work)
    with pytest.raises(WeightsError, match="cannot be read"):
        pair_stages.single_model(replace(ONE_STEP, start=str(work / "nothing")), work)
    with pytest.raises(ConfigError, match="single decoder; name the folder of a Zipper"):
        pair_stages.train_fusion(FusionConfig(LOOP, ("set",), ("set",), start=again.start), work, False)


def test_everything_is_tuned(work: Path) -> None:
    before = pair_stages.single_model(ONE_STEP, work).state_dict()
    pair_stages.train_single(ONE_STEP, work, resume=False)
    after = checkpoint.load(work / "single").state_dict()
    assert [name for name, weight in before.items() if torch.equal(after[name], weight)] == []


def test_settings_of_two_towers_are_none_of_a_single_decoder() -> None:
    for setting in ("positions=none", "gates=false", "loss.time_noise=0.1"):
        with pytest.raises(ConfigError, match=setting.split("=")[0].split(".")[-1]):
            load_config(SingleConfig, CONFIGS / "single.yaml", [setting])


@pytest.fixture(scope="module")
def costs() -> dict[str, Cost]:
    """Of the configurations that are compared, in the size of the shipped towers."""
    codes, begin, end = SHIPPED["speech"]
    text, speech = (Tower(tower_config(SIZE, *args)) for args in ((SHIPPED["text"], 0, 1), (codes, begin, end)))
    fusion, single = load_config(FusionConfig, CONFIGS / "zip.yaml"), load_config(SingleConfig, CONFIGS / "single.yaml")
    found = {"zip": measure_cost(ZipStage(pair_stages.fused_model(text, speech, fusion), fusion.loss), fusion.mixture)}
    for name, depth in (("single", single.depth), ("depth 11", 11)):
        stage = SingleStage(extended(text, codes, begin, end, depth), single.loss)
        found[name] = measure_cost(stage, single.mixture)
    return found


def test_the_baseline_has_the_parameters_and_the_compute_of_a_zipper(costs: dict[str, Cost]) -> None:
    fusion, single = load_config(FusionConfig, CONFIGS / "zip.yaml"), load_config(SingleConfig, CONFIGS / "single.yaml")
    assert costs["zip"].parameters == pytest.approx(SHIPPED["parameters"], rel=0.01)
    assert costs["zip"].trained == costs["zip"].parameters - 7_640_320  # all but the text tower
    assert costs["single"].parameters == costs["single"].trained
    assert costs["single"].parameters == pytest.approx(costs["zip"].parameters, rel=0.1)
    per_step = (fusion.batch_tokens * fusion.loop.accumulate, single.batch_tokens * single.loop.accumulate)
    assert per_step[0] == per_step[1] and fusion.mixture == single.mixture and fusion.asr == single.asr
    compute = {"zip": fusion.loop.steps, "single": single.loop.steps}
    used = {name: steps * costs[name].training_flops for name, steps in compute.items()}
    assert used["single"] == pytest.approx(used["zip"], rel=0.1)
    assert costs["depth 11"].training_flops == pytest.approx(costs["zip"].training_flops, rel=0.1)  # with equal steps


def test_operations_are_those_of_the_matrices(costs: dict[str, Cost]) -> None:
    """Two for each weight forward, four backward; attention and the softmax over the own states come on top."""
    least = 6 * (costs["single"].parameters - 5122 * 256)
    assert least < costs["single"].training_flops < 1.2 * least


def test_counting_leaves_no_trace(model_folder: Path) -> None:
    fusion = FusionConfig(LOOP, ("set",), ("set",))
    stage = ZipStage(checkpoint.load_zipper(model_folder / "zipper"), fusion.loss)
    random = torch.get_rng_state()
    assert measure_cost(stage, (1, 1, 1)) == measure_cost(stage, (2, 2, 2))
    assert measure_cost(stage, (1, 0, 0)).training_flops != measure_cost(stage, (0, 1, 0)).training_flops
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in stage.parameters())
