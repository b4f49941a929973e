"""Going on from a model: its pieces kept, its text tower learning on, the fusion taking that tower over."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.work import LINES, make_work
from zipper.data.held_out import is_held_out
from zipper.data.store import Store, StoreWriter
from zipper.errors import ConfigError
from zipper.model import checkpoint
from zipper.model.zipper import ZipperModel
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.text.tokenizer import TextTokenizer
from zipper.training import pair_stages, stages
from zipper.training.assemble import assemble, between
from zipper.training.config import FusionConfig, PretrainConfig, TokenizerConfig, TowerSize
from zipper.training.fusion import ZipLoss, ZipStage
from zipper.training.schedule import LoopConfig

LEVELS = (4, 4)  # of the tiny quantizer: the codes are 0 .. 15
ONE_STEP = LoopConfig(steps=1, lr=1e-2, warmup=1, autocast=False)


@pytest.fixture
def work(tmp_path: Path, model_folder: Path) -> Path:
    """A work folder with text in the pieces of the tiny model and one source of spoken lines."""
    return make_work(tmp_path, model_folder, [name for name in (f"set/{i}" for i in range(9)) if not is_held_out(name)])


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_text_is_written_in_the_pieces_of_the_model(work: Path, model_folder: Path) -> None:
    tokenizer = TextTokenizer.from_pretrained(model_folder / "zipper")
    ids = np.load(work / "text" / "ids.npy").tolist()
    end = ids.index(tokenizer.end_id)
    assert tokenizer.decode(ids[1:end]).strip() in LINES
    assert (work / "text" / "text_tokenizer.json").read_text() == (
        model_folder / "zipper" / "text_tokenizer.json"
    ).read_text()


def test_fusion_goes_on_with_the_text_tower_that_learned_on(work: Path, model_folder: Path) -> None:
    start = str(model_folder / "zipper")
    before = checkpoint.load(start)
    size = TowerSize(**dict.fromkeys(("width", "depth", "heads", "kv_heads", "ff_width"), 999))
    stages.pretrain_text(PretrainConfig(ONE_STEP, size, rows=2, length=8, start=start), work, False)
    learned = checkpoint.load_tower(work / "pretrain-text")
    assert learned.config == before.text.config  # of the model that goes on, not of the settings
    assert not torch.equal(learned.embedding.weight, before.text.embedding.weight)

    def fuse(new_text_tower: bool) -> ZipperModel:
        pair_stages.train_fusion(
            FusionConfig(ONE_STEP, ("set",), ("set",), batch_tokens=64, start=start, new_text_tower=new_text_tower),
            work,
            False,
        )
        return checkpoint.load(work / "zipper")

    for new, tower in ((False, before.text), (True, learned)):
        after = fuse(new)
        for name, tensor in weights(tower).items():
            assert torch.equal(tensor, after.text.state_dict()[name]), name
        assert not torch.equal(after.speech.embedding.weight, before.speech.embedding.weight)


def test_an_encoder_half_learns_on_while_codes_keep_their_meaning(tmp_path: Path, model_folder: Path) -> None:
    start = model_folder / "speech_tokenizer"
    before = SpeechTokenizer.from_pretrained(start)
    features = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float16)
    grown = stages.keep_codes(before.quantizer, 4).eval()
    sample = torch.from_numpy(features)[None]
    assert torch.equal(grown.encode(sample)[1], before.quantizer.encode(sample)[1])  # new blocks add nothing yet

    stores = (("features", "float16", (16,), features), ("labels", "int8", (), np.arange(40) % 4))
    for kind, dtype, row, array in stores:
        with StoreWriter(tmp_path / kind / "set", dtype, row) as store:
            for name in ("set/1", "set/2", "set/3"):
                store.add(name, array)
    config = TokenizerConfig(ONE_STEP, ("set",), encoder_blocks=4, start=str(start))
    stages.train_tokenizer(config, tmp_path, before.encoder, False)
    after = SpeechTokenizer.from_pretrained(tmp_path / "speech_tokenizer").quantizer
    old = grown.state_dict()
    changed = {name for name, tensor in after.state_dict().items() if not torch.equal(tensor, old[name])}
    assert "enter.weight" in changed and "encoder.3.depthwise.weight" in changed
    assert {name.split(".")[0] for name in changed} == {"enter", "encoder", "squeeze"}


def test_tokens_of_two_tokenizers_lie_side_by_side(work: Path, model_folder: Path) -> None:
    quantizer = SpeechTokenizer.from_pretrained(model_folder / "speech_tokenizer").quantizer
    names = sorted(Store(work / "tokens" / "set"))
    with StoreWriter(work / "features" / "set", "float16", (quantizer.config.feature_width,)) as store:
        for name in names:
            store.add(name, torch.randn(28, quantizer.config.feature_width).numpy())
    stages.tokenize(quantizer, work, ["set"], ".before")
    stages.tokenize(quantizer, work, ["set"], ".before")  # again: nothing is added
    before, now = Store(work / "tokens" / "set.before"), Store(work / "tokens" / "set")
    assert sorted(before) == names and before.length(names[0]) == 14
    assert not np.array_equal(before[names[0]], now[names[0]])
    assert np.array_equal(now[names[0]], np.arange(14))
    assert pair_stages.aligned_rows(work, ["set.before"]) == [
        ("set.before", row) for _, row in pair_stages.aligned_rows(work, ["set"])
    ]


def test_an_encoder_half_cannot_shrink(model_folder: Path) -> None:
    trained = SpeechTokenizer.from_pretrained(model_folder / "speech_tokenizer").quantizer
    with pytest.raises(ConfigError, match="encoder blocks"):
        stages.keep_codes(trained, 1)


def test_jitter_moves_codes_to_neighbors_and_nothing_else(model_folder: Path) -> None:
    stage = ZipStage(checkpoint.load(model_folder / "zipper"), ZipLoss(asr_jitter=0.5, levels=LEVELS))
    ids = torch.arange(18).repeat(4000, 1)  # 16 codes, begin and end
    moved = stage._jitter(ids, 0.5)
    assert torch.equal(moved[:, 16:], ids[:, 16:])
    codes, found = ids[:, :16], moved[:, :16]
    steps = (codes % 4 - found % 4).abs() + (codes // 4 - found // 4).abs()
    assert steps.max() == 1
    # Half are picked; at a border half of the moves lead outside and stay, which is a quarter of all moves here.
    assert float(steps.float().mean()) == pytest.approx(0.5 * 0.75, abs=0.01)
    assert stage._jitter(ids, 0.0) is ids


def test_levels_that_do_not_fit_the_codes_are_refused(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="levels"):
        ZipStage(checkpoint.load(model_folder / "zipper"), ZipLoss(asr_jitter=0.1, levels=(8, 8)))


def test_the_mean_of_two_models_keeps_what_they_share(tmp_path: Path, model_folder: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "out")
    before = checkpoint.load(model_folder / "zipper").float()
    after = checkpoint.load(model_folder / "zipper").float()
    with torch.no_grad():
        after.speech.embedding.weight += 1.0
    checkpoint.save(after, tmp_path / "work" / "zipper")
    assemble(tmp_path / "work", tmp_path / "out", share=0.25)
    text_tower = tmp_path / "out" / "zipper" / "text_tower.safetensors"
    written = text_tower.stat().st_mtime_ns
    assemble(tmp_path / "work", tmp_path / "out", share=1e-6)  # in half precision now, as it is shipped
    assert text_tower.stat().st_mtime_ns == written
    mean = checkpoint.load(tmp_path / "out" / "zipper").float()
    torch.testing.assert_close(
        mean.speech.embedding.weight, before.speech.embedding.weight + 0.25, atol=1e-3, rtol=1e-3
    )
    for name, weight in mean.text.state_dict().items():
        assert torch.equal(weight, before.text.state_dict()[name].half().float()), name
    for share in (0.0, 1.5):
        with pytest.raises(ConfigError, match="share"):
            assemble(tmp_path / "work", tmp_path / "out", share)
    with pytest.raises(ConfigError, match="average with"):
        assemble(tmp_path / "work", tmp_path / "nothing", 0.5)
    with pytest.raises(ConfigError, match="same model"):
        between({"a": torch.zeros(2)}, {"a": torch.zeros(3)}, 0.5)
