"""Every stage on a device that is not the CPU: no tensor is left behind, neither in a step nor in what follows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.second_device import GPU, OnGpu, second_device
from training.test_tokenizer_asr import stage_and_batches
from training.work import TOKENS, make_work
from zipper.data.clips import Clips
from zipper.data.held_out import is_held_out
from zipper.data.store import StoreWriter
from zipper.rates import MELS
from zipper.speech.delivery import frames_of
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder
from zipper.text.tokenizer import TextTokenizer
from zipper.training import detokenizer, pair_stages, stages
from zipper.training.config import FusionConfig, PretrainConfig, SingleConfig, TokenizerConfig, TowerSize
from zipper.training.fusion import PairLoss
from zipper.training.loop import Trainer
from zipper.training.quantization_cost import KINDS, InputKind, train_recognizer
from zipper.training.schedule import LoopConfig

LOOP = LoopConfig(steps=2, warmup=1, autocast=False, average=0.5)
MORE = replace(LOOP, steps=4)
NAMES = [f"set/{i}" for i in range(300)]
NAMES = [name for name in NAMES if is_held_out(name)][:2] + [name for name in NAMES if not is_held_out(name)][:6]
SIZE = TowerSize(16, 3, 2, 1, 24)


@pytest.fixture
def work(tmp_path: Path, model_folder: Path) -> Path:
    make_work(tmp_path, model_folder, NAMES)
    SpeechTokenizer.from_pretrained(model_folder / "speech_tokenizer").save_pretrained(tmp_path / "speech_tokenizer")
    random = np.random.default_rng(0)
    with StoreWriter(tmp_path / "features" / "set", "float16", (16,)) as store:
        for name in NAMES:
            store.add(name, random.normal(size=(2 * TOKENS, 16)))
    return tmp_path


@pytest.fixture
def gpu(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Training goes to the pretended device; what the test prepares before lies on the CPU."""
    with second_device(monkeypatch):
        yield GPU


def test_a_tensor_of_the_cpu_is_caught(gpu: torch.device) -> None:
    layer = nn.Linear(3, 3).to(gpu)
    assert isinstance(layer.weight, OnGpu) and layer.weight.device == gpu
    assert layer(torch.ones(1, 3).to(gpu)).device == gpu
    for left_behind in (torch.ones(1, 3), nn.Linear(3, 3).weight):
        with pytest.raises(RuntimeError, match="same device"):
            layer(left_behind)
    with pytest.raises(RuntimeError, match="same device"):
        torch.arange(3)[torch.arange(2, device=gpu)]
    assert type(layer.cpu().weight) is nn.Parameter


def test_the_tokenizer(work: Path, gpu: torch.device) -> None:
    encoder = WhisperEncoder(EncoderConfig(width=16, depth=1, heads=2))
    for loop in (LOOP, MORE):
        config = TokenizerConfig(loop, ("set",), width=8, levels=(4, 4))
        stages.train_tokenizer(config, work, encoder, resume=True)
    figures = (work / "runs" / "tokenizer" / "validation.json").read_text()
    assert '"clips": 2' in figures
    SpeechTokenizer.from_pretrained(work / "speech_tokenizer").quantizer.encode(torch.zeros(1, 4, 16))


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_tokenizer_through_whisper(tmp_path: Path, gpu: torch.device, average: float) -> None:
    stage, batches = stage_and_batches(gpu)
    held_out = {"readers": [batches.collate(batches.names[:2])]}
    for loop in (LOOP, MORE):
        Trainer(stage, batches, replace(loop, average=average), tmp_path, held_out).run(resume=True)
    assert "held_out.readers.text" in (tmp_path / "log.jsonl").read_text()


def test_the_towers_and_the_fusion(work: Path, gpu: torch.device) -> None:
    for loop in (LOOP, MORE):
        pretraining = PretrainConfig(loop, SIZE, rows=2, length=8, sources=("set",))
        stages.pretrain_text(pretraining, work, resume=True)
        stages.pretrain_speech(pretraining, work, resume=True)
        config = FusionConfig(
            loop, ("set",), ("set",), text_interval=1, speech_interval=1, heads=2, batch_tokens=64, mixture=(1, 1, 1)
        )
        pair_stages.train_fusion(
            replace(config, loss=replace(config.loss, asr_jitter=0.5, levels=(4, 4))), work, resume=True
        )
        single = SingleConfig(loop, ("set",), ("set",), batch_tokens=64, mixture=(1, 1, 1), depth=4)
        loss = PairLoss(asr_jitter=0.5, levels=(4, 4))
        pair_stages.train_single(replace(single, loss=loss), work, resume=True)
    for stage in ("zip", "single"):
        assert "held_out.voice.tts" in (work / "runs" / stage / "log.jsonl").read_text()


def test_the_detokenizer(work: Path, gpu: torch.device) -> None:
    voices = {"ada": {"source": "set", "speaker": "someone", "share": 1.0, "hours": 1.0}}
    network = {"width": 16, "ff_width": 24, "token_blocks": 1, "mel_blocks": 1, "flow_blocks": 1, "flow_steps": 1}
    config = detokenizer.DetokenizerTraining(LOOP, voices, network, batch_frames=256)
    random = np.random.default_rng(0)
    with (
        StoreWriter(work / "mels" / "ada", "float16", (MELS,)) as mels,
        StoreWriter(work / "pitch" / "ada", "float16") as pitch,
    ):
        for name in NAMES:
            mels.add(name, random.normal(size=(frames_of(TOKENS), MELS)))
            pitch.add(name, random.uniform(90, 200, frames_of(TOKENS)))
    assert Clips(config.chosen(), work, 256, 0).held_out[0]
    vocoder = HifiGan(HifiGanConfig(channels=16, block_kernels=(3,), block_dilations=(1,)))
    for loop in (LOOP, MORE):
        grid = detokenizer.code_grid(work / "speech_tokenizer")
        detokenizer.train(replace(config, loop=loop), work, grid, vocoder, resume=True)
    assert '"ada"' in (work / "runs" / "detokenizer" / "validation.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_recognizers_of_the_quantization_cost(work: Path, gpu: torch.device, kind: InputKind) -> None:
    quantizer = Quantizer(QuantizerConfig(phones=4, feature_width=16, width=8, levels=(4, 4))).eval()
    tokenizer = TextTokenizer.from_pretrained(work / "text")
    for loop in (LOOP, MORE):
        recognizer = train_recognizer(kind, work, ["set"], quantizer, tokenizer, loop, resume=True)
    assert {weight.device.type for weight in recognizer.parameters()} == {"cpu"}
