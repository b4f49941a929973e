"""The vocoder on a tiny configuration: shapes, windows, and that it can learn to copy a sound."""

import pytest
import torch
import torch.nn.functional as F

from zipper.audio.mel import MelSpectrogram
from zipper.errors import ConfigError
from zipper.rates import MELS, VOCODER_HOP, VOCODER_RATE
from zipper.speech.hifigan import LATE_FRAMES, HifiGan, HifiGanConfig

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


def as_published(vocoder: HifiGan, mel: torch.Tensor) -> torch.Tensor:
    """The generator as its authors wrote it, one-dimensional and all at once: mel (B, T, 80) -> (B, 256 T)."""
    rates, kernels = vocoder.config.upsample_rates, vocoder.config.block_kernels

    def convolved(x: torch.Tensor, layer: torch.nn.Conv1d) -> torch.Tensor:
        return F.conv1d(x, layer.weight, layer.bias, 1, layer.padding, layer.dilation)

    x = convolved(mel.transpose(1, 2), vocoder.conv_pre)
    for stage, (up, rate) in enumerate(zip(vocoder.ups, rates, strict=True)):
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), up.weight, up.bias, rate, up.padding)
        total = torch.zeros(())
        for block in vocoder.resblocks[stage * len(kernels) : (stage + 1) * len(kernels)]:
            y = x
            for dilated, plain in zip(block.convs1, block.convs2, strict=True):
                y = y + convolved(F.leaky_relu(convolved(F.leaky_relu(y, 0.1), dilated), 0.1), plain)
            total = total + y
        x = total / len(kernels)
    return convolved(F.leaky_relu(x), vocoder.conv_post)[:, 0].tanh()


@pytest.mark.parametrize("arranged", [False, True])
@pytest.mark.parametrize("frames", [1, 2 * LATE_FRAMES + 5])
def test_the_published_generator(vocoder: HifiGan, arranged: bool, frames: int) -> None:
    mel = torch.randn(2, frames, MELS)
    expected, names = as_published(vocoder, mel), {name: w.shape for name, w in vocoder.state_dict().items()}
    if arranged:
        vocoder.arrange()
    torch.testing.assert_close(vocoder(mel), expected, atol=1e-5, rtol=0)
    assert {name: w.shape for name, w in vocoder.state_dict().items()} == names


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
