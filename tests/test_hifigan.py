"""The vocoder on a tiny configuration: shapes, windows, and that it can learn to copy a sound."""

import pytest
import torch

from zipper.audio.mel import MelSpectrogram
from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP, VOCODER_RATE
from zipper.speech.hifigan import HifiGan, HifiGanConfig

TINY = HifiGanConfig(channels=16, block_kernels=(3, 5), block_dilations=(1, 3))


@pytest.fixture
def vocoder() -> HifiGan:
    torch.manual_seed(0)
    return HifiGan(TINY).requires_grad_(False)


def test_256_samples_a_frame(vocoder: HifiGan) -> None:
    assert vocoder(torch.randn(2, 7, MELS)).shape == (2, 7 * VOCODER_HOP)


def test_windows_are_the_whole(vocoder: HifiGan) -> None:
    mel = torch.randn(90, MELS)
    whole = vocoder(mel[None])[0]
    pieces = torch.cat([vocoder.window(mel, first, min(first + 16, 90)) for first in range(0, 90, 16)])
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)


def test_nothing_beyond_its_reach_is_heard(vocoder: HifiGan) -> None:
    mel = torch.randn(1, 100, MELS)
    changed = mel.clone()
    changed[:, 50] += 5
    differs = (vocoder(mel) != vocoder(changed))[0].nonzero()[:, 0] // VOCODER_HOP
    reach = TINY.reach
    assert 50 - reach <= differs.min() < 50 < differs.max() <= 50 + reach


def test_published_size() -> None:
    with torch.device("meta"):
        vocoder = HifiGan(HifiGanConfig())
    assert sum(weight.numel() for weight in vocoder.parameters()) == 13_926_017
    assert vocoder.config.reach == 14


def test_copies_a_sound_after_some_training() -> None:
    torch.manual_seed(0)
    vocoder, spectrogram = HifiGan(TINY), MelSpectrogram()
    time = torch.arange(12 * VOCODER_HOP) / VOCODER_RATE
    mel = spectrogram((0.3 * torch.sin(2 * torch.pi * 220 * time))[None])
    optimizer = torch.optim.Adam(vocoder.parameters(), 3e-3)

    def distance() -> torch.Tensor:
        return (spectrogram(vocoder(mel)) - mel).abs().mean()

    before = distance().item()
    for _ in range(20):
        loss = distance()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert distance().item() < 0.7 * before


@pytest.mark.parametrize("change", [{"upsample_rates": (8, 8, 2)}, {"upsample_kernels": (16,)}, {"channels": 40}])
def test_impossible_sizes_are_refused(change: dict) -> None:
    with pytest.raises(ConfigError):
        HifiGanConfig(**change)
