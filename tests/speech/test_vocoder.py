"""The inverse-STFT vocoder on tiny networks: shapes, streams, look-ahead; and both kinds from one folder."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zipper.audio.mel import WINDOW, MelSpectrogram
from zipper.errors import ConfigError, WeightsError
from zipper.rates import MELS, VOCODER_HOP, VOCODER_RATE
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.istft import SILENCE, IstftConfig, IstftVocoder, OverlapAdd
from zipper.speech.vocoder import load_vocoder, new_vocoder, save_vocoder, sound_of

TINY = IstftConfig(width=24, ff_width=32, blocks=2)
TINY_HIFIGAN = HifiGanConfig(channels=16, block_kernels=(3,), block_dilations=(1,))


def make(config: IstftConfig = TINY) -> IstftVocoder:
    """Random weights, large enough that every frame can be heard in every other within reach."""
    torch.manual_seed(0)
    vocoder = IstftVocoder(config).eval().requires_grad_(False)
    for block in vocoder.backbone.blocks:
        torch.nn.init.normal_(block.depthwise.weight, std=0.5)
    return vocoder


def some_mel(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(frames, MELS, generator=torch.Generator().manual_seed(seed)) * 2 - 5


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_256_samples_a_frame(frames: int) -> None:
    samples = make()(torch.stack([some_mel(frames), some_mel(frames, 1)]))
    assert samples.shape == (2, frames * VOCODER_HOP) and samples.dtype == torch.float32
    assert samples.abs().max() > 0.001 and not torch.equal(samples[0], samples[1])


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 60), cuts=st.lists(st.integers(0, 60), max_size=6), ahead=st.integers(2, 8))
def test_the_stream_is_the_whole(frames: int, cuts: list[int], ahead: int) -> None:
    vocoder, mel = make(replace(TINY, look_ahead=ahead)), some_mel(frames)
    edges = sorted({0, frames, *(cut for cut in cuts if cut < frames)})
    speak = vocoder.start()
    pieces = []
    for first, last in zip(edges, edges[1:], strict=False):
        known = min(frames, last + ahead)  # no more of the mel than what the look-ahead needs
        pieces.append(speak(mel[:known], first, last))
        assert pieces[-1].shape == ((last - first) * VOCODER_HOP,)
    torch.testing.assert_close(torch.cat(pieces), vocoder(mel[None])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("n_fft", "ahead"), [(1024, 4), (1024, 2), (1024, 8), (512, 3)])
def test_the_look_ahead_is_what_it_says(n_fft: int, ahead: int) -> None:
    vocoder, mel = make(replace(TINY, n_fft=n_fft, look_ahead=ahead)), some_mel(60)
    changed = mel.clone()
    changed[30] += 3
    differs = (vocoder(mel[None]) != vocoder(changed[None]))[0].nonzero()[:, 0] // VOCODER_HOP
    assert vocoder.look_ahead == ahead and differs.min() == 30 - ahead


def test_the_inverse_of_a_true_spectrum_is_the_signal() -> None:
    signal = torch.randn(2, 20 * VOCODER_HOP, generator=torch.Generator().manual_seed(0))
    for n_fft in (512, 1024, 2048):
        inverse = OverlapAdd(n_fft)
        padded = torch.nn.functional.pad(signal, (inverse.lead, inverse.lead))
        window = torch.hann_window(n_fft)
        spectrum = torch.stft(padded, n_fft, VOCODER_HOP, window=window, center=False, return_complex=True)
        torch.testing.assert_close(inverse(spectrum.transpose(1, 2)), signal, atol=1e-5, rtol=0)


def test_frames_are_those_of_the_mel() -> None:
    """A click lies in the middle of the frame of the mel in which it is loudest."""
    signal = torch.zeros(1, 20 * VOCODER_HOP)
    signal[0, 10 * VOCODER_HOP + VOCODER_HOP // 2] = 1
    assert MelSpectrogram()(signal)[0].sum(1).argmax() == 10
    spectrum = torch.zeros(1, 20, WINDOW // 2 + 1, dtype=torch.complex64)
    spectrum[0, 10] = torch.fft.rfft(torch.eye(WINDOW)[WINDOW // 2])
    assert OverlapAdd(WINDOW)(spectrum)[0].argmax() == signal[0].argmax()


@pytest.mark.parametrize("value", [1e4, -1e4, SILENCE, 0.0])
def test_any_mel_gives_samples_and_gradients_that_are_finite(value: float) -> None:
    vocoder = make().requires_grad_(True).train()
    mel = torch.full((1, 12, MELS), value, requires_grad=True)
    samples = vocoder(mel)
    samples.square().sum().backward()
    assert torch.isfinite(samples).all() and mel.grad is not None and torch.isfinite(mel.grad).all()
    assert all(torch.isfinite(weight.grad).all() for weight in vocoder.parameters() if weight.grad is not None)
    assert vocoder.eval()(mel.detach()).abs().max() <= 1


def test_the_phase_fades_where_it_has_no_direction() -> None:
    head = make().head
    torch.nn.init.zeros_(head.direction.weight), torch.nn.init.zeros_(head.direction.bias)
    spectrum = head(torch.ones(1, 3, TINY.width))
    assert spectrum.abs().max() == 0 and head.loudest == math.log(WINDOW / 2)


def test_published_size() -> None:
    with torch.device("meta"):
        vocoder = IstftVocoder(IstftConfig())
    assert sum(weight.numel() for weight in vocoder.parameters()) == 7_933_443


def test_learns_one_sound() -> None:
    torch.manual_seed(0)
    vocoder, time = IstftVocoder(TINY), torch.arange(16 * VOCODER_HOP) / VOCODER_RATE
    sound = 0.3 * torch.sin(2 * torch.pi * (200 + 300 * time) * time)[None]
    mel = MelSpectrogram()(sound)
    optimizer = torch.optim.Adam(vocoder.parameters(), 5e-3)
    history = []
    for _ in range(150):
        loss = (vocoder(mel) - sound).abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        history.append(loss.item())
    assert history[-1] < 0.35 * history[0]


@pytest.mark.parametrize(
    "change", [{"width": 0}, {"blocks": 0}, {"n_fft": 1000}, {"n_fft": 256}, {"look_ahead": 1}, {"look_ahead": 9}]
)
def test_impossible_sizes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="The vocoder's"):
        replace(TINY, **change)


@pytest.mark.parametrize("vocoder", [make(), HifiGan(TINY_HIFIGAN).eval()], ids=["istft", "hifigan"])
def test_both_kinds_are_saved_and_loaded(vocoder: IstftVocoder | HifiGan, tmp_path: Path) -> None:
    for weight in vocoder.parameters():
        weight.data = weight.data.half().float()  # as they are saved
    save_vocoder(vocoder, tmp_path, {"more": 1})
    loaded, mel = load_vocoder(tmp_path), some_mel(300)
    assert type(loaded) is type(vocoder) and loaded.look_ahead == vocoder.look_ahead
    assert json.loads((tmp_path / "config.json").read_text())["more"] == 1
    torch.testing.assert_close(torch.from_numpy(sound_of(loaded, mel)), vocoder(mel[None])[0], atol=1e-5, rtol=0)


def test_a_configuration_without_a_kind_is_that_of_a_hifigan(tmp_path: Path) -> None:
    save_vocoder(HifiGan(TINY_HIFIGAN), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["vocoder"].pop("kind") == "hifigan"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert isinstance(load_vocoder(tmp_path), HifiGan)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no vocoder"):
        load_vocoder(tmp_path)
    save_vocoder(make(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"kind": "wavenet"}, "no vocoder of the kind 'wavenet'; the kinds are hifigan and istft"),
        ({"look_ahead": 20}, "look_ahead must lie in 2..8 frames"),
        ({"depth": 3}, "depth"),
        ({"width": 32}, "its weights do not fit"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"vocoder": {**config["vocoder"], **change}}))
        with pytest.raises(WeightsError, match=message):
            load_vocoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "istft.safetensors").write_bytes(b"{}")
    with pytest.raises(WeightsError, match="corrupt"):
        load_vocoder(tmp_path)
    (tmp_path / "istft.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks istft\.safetensors"):
        load_vocoder(tmp_path)
    with pytest.raises(ConfigError, match="no vocoder of the kind"):
        new_vocoder({"kind": 3})
