"""Tokens to sound on a tiny network with random weights: length, voices, seeds, streams and bad input."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zipper.audio.mel import band_edges
from zipper.errors import ConfigError, OptionError, WeightsError
from zipper.rates import VOCODER_HOP, VOCODER_RATE, VOCODER_SAMPLES_PER_TOKEN
from zipper.speech.acoustic import AcousticConfig, AcousticModel, HarmonicTemplate, token_position
from zipper.speech.delivery import Delivery, frames_of
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig

CODES = 64
SMALL = {"width": 16, "ff_width": 16, "token_blocks": 2, "mel_blocks": 1, "flow_blocks": 1, "flow_steps": 2}


def make() -> Detokenizer:
    """Random weights, large enough that every input can be heard."""
    torch.manual_seed(0)
    acoustic = AcousticModel(AcousticConfig(CODES, 3, ("ada", "carl"), **SMALL))
    vocoder = HifiGan(HifiGanConfig(channels=16, block_kernels=(3,), block_dilations=(1,)))
    with torch.no_grad():
        acoustic.codes.get_buffer("grid").uniform_(-1, 1)
        torch.nn.init.normal_(acoustic.flow.outlet.weight, std=0.3)
        for name, weight in vocoder.named_parameters():
            weight *= 1.8 if name.endswith("weight") else 0
    return Detokenizer(acoustic, vocoder)


@pytest.fixture(scope="module")
def detokenizer() -> Detokenizer:
    return make()


def random_tokens(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CODES, count)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_882_samples_a_token(detokenizer: Detokenizer, count: int) -> None:
    samples = detokenizer.decode(random_tokens(count), "ada")
    assert samples.shape == (count * VOCODER_SAMPLES_PER_TOKEN,) and samples.dtype == np.float32
    assert np.abs(samples).max(initial=0) < 1 and detokenizer.sample_rate == VOCODER_RATE


@settings(max_examples=15, deadline=None)
@given(count=st.integers(0, 260), chunk=st.integers(1, 90))
def test_stream_is_decode(count: int, chunk: int) -> None:
    detokenizer, tokens = make(), random_tokens(count)
    chunks = (tokens[start : start + chunk] for start in range(0, count, chunk))
    pieces = list(detokenizer.stream(chunks, "carl", seed=3))
    streamed = np.concatenate([np.zeros(0, np.float32), *pieces])
    np.testing.assert_allclose(streamed, detokenizer.decode(tokens, "carl", seed=3), atol=1e-5)


@pytest.mark.parametrize("delivery", [Delivery(0.6), Delivery(1.37, 2.0), Delivery(1.6, -4.0)])
def test_stream_is_decode_at_any_speed_and_pitch(delivery: Delivery) -> None:
    detokenizer, tokens = make(), random_tokens(60)
    chunks = (tokens[start : start + 7] for start in range(0, len(tokens), 7))
    streamed = np.concatenate(list(detokenizer.stream(chunks, "carl", 3, delivery)))
    whole = detokenizer.decode(tokens, "carl", 3, delivery)
    assert len(whole) == math.ceil(60 * 882 / delivery.speed)
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_pitch_is_shifted_by_semitones(detokenizer: Detokenizer) -> None:
    """An octave lies twelve semitones higher: the network is given twice the F0 that it predicts."""
    acoustic, voice = detokenizer.acoustic, torch.tensor([0])
    h = torch.randn(1, 20, acoustic.config.width, generator=torch.Generator().manual_seed(0))
    plain = acoustic.coarse(h, voice)
    mean, deviation = acoustic.get_buffer("pitch_mean")[0], acoustic.get_buffer("pitch_deviation")[0]
    octave = torch.exp(mean + deviation * plain.pitch) * 2 * (plain.voicing > 0)
    expected = acoustic.coarse(h, voice, octave)
    torch.testing.assert_close(acoustic.coarse(h, voice, delivery=Delivery(pitch=12.0)).mel, expected.mel)


def test_stream_speaks_before_the_end(detokenizer: Detokenizer) -> None:
    taken = 0

    def arriving():
        nonlocal taken
        for token in random_tokens(300):
            taken += 1
            yield np.array([token])

    stream = detokenizer.stream(arriving(), "ada")
    next(stream)
    reach = detokenizer.acoustic.config
    seconds = (reach.frame_reach[1] + detokenizer.vocoder.config.reach + 24) * VOCODER_HOP / VOCODER_RATE
    assert taken <= reach.token_reach[1] + 3 + 25 * seconds


def test_far_tokens_do_not_change_the_sound(detokenizer: Detokenizer) -> None:
    tokens = random_tokens(200)
    changed = tokens.copy()
    changed[150:] = (changed[150:] + 1) % CODES
    first, second = (detokenizer.decode(some, "ada") for some in (tokens, changed))
    same = 100 * VOCODER_SAMPLES_PER_TOKEN
    np.testing.assert_allclose(first[:same], second[:same], atol=1e-5)
    assert np.abs(first[-same // 4 :] - second[-same // 4 :]).max() > 0.03


def test_seed_and_voice_decide(detokenizer: Detokenizer) -> None:
    tokens = random_tokens(40)
    sound = detokenizer.decode(tokens, "ada", seed=5)
    assert np.array_equal(sound, detokenizer.decode(tokens, "ada", seed=5))
    assert not np.allclose(sound, detokenizer.decode(tokens, "ada", seed=6), atol=1e-3)
    assert not np.allclose(sound, detokenizer.decode(tokens, "carl", seed=5), atol=1e-3)
    assert np.isfinite(detokenizer.decode(tokens, "ada", seed=-1)).all()


def test_unknown_voice_and_token(detokenizer: Detokenizer) -> None:
    assert detokenizer.voices == ["ada", "carl"]
    with pytest.raises(OptionError, match="no voice 'bob'; choose one of ada, carl"):
        detokenizer.decode(random_tokens(3), "bob")
    with pytest.raises(OptionError, match="no voice"):
        detokenizer.stream([], "bob")
    for bad in (-1, CODES):
        with pytest.raises(OptionError, match="0..63"):
            detokenizer.decode(np.array([0, bad]), "ada")


def test_saved_and_loaded(detokenizer: Detokenizer, tmp_path: Path) -> None:
    detokenizer.vocoder.half().float()  # saved in half precision
    detokenizer.save(tmp_path)
    loaded = Detokenizer.from_pretrained(tmp_path)
    tokens = random_tokens(20)
    assert loaded.voices == detokenizer.voices
    np.testing.assert_allclose(loaded.decode(tokens, "ada"), detokenizer.decode(tokens, "ada"), atol=1e-6)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "hifigan.safetensors"])
def test_bad_weights(detokenizer: Detokenizer, tmp_path: Path, name: str) -> None:
    detokenizer.save(tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(WeightsError, match="corrupt"):
        Detokenizer.from_pretrained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=f"lacks {name}"):
        Detokenizer.from_pretrained(tmp_path)


def test_frames_lie_between_the_right_tokens() -> None:
    frames = torch.arange(frames_of(100))
    token, fraction = token_position(frames)
    center = (token + fraction + 0.5) * VOCODER_SAMPLES_PER_TOKEN
    torch.testing.assert_close(center, (frames + 0.5) * VOCODER_HOP)
    assert fraction.min() >= 0 and fraction.max() < 1


def test_padding_changes_nothing(detokenizer: Detokenizer) -> None:
    model = detokenizer.acoustic
    short, long = torch.from_numpy(random_tokens(20)), torch.from_numpy(random_tokens(30, seed=1))
    codes = torch.zeros(2, 30, dtype=torch.int64)
    codes[0, :20], codes[1] = short, long
    lengths, voice = torch.tensor([20, 30]), torch.tensor([0, 1])
    frames = torch.arange(frames_of(30))
    together = model.spread(model.encode(codes, voice, lengths), frames, lengths=lengths)
    alone = model.spread(model.encode(short[None], voice[:1]), frames[: frames_of(20)])
    torch.testing.assert_close(together[:1, : frames_of(20)], alone, atol=1e-5, rtol=0)


def test_unheard_codes_sound_like_their_neighbors(detokenizer: Detokenizer) -> None:
    codes = detokenizer.acoustic.codes
    grid = codes.get_buffer("grid")
    distance = torch.cdist(grid, grid)
    apart = torch.cdist(codes(torch.arange(CODES)), codes(torch.arange(CODES)))
    near = distance.fill_diagonal_(torch.inf).argmin(1)
    assert (apart.gather(1, near[:, None])[:, 0] < apart.mean(1)).float().mean() > 0.95


def test_harmonics_are_peaks_of_the_template() -> None:
    center = torch.from_numpy(band_edges()[1:-1])
    comb = HarmonicTemplate()(torch.tensor([[0.0, 200.0]]))[0]
    assert comb[0].abs().max() == 0
    harmonic, between = (int((center - hz).abs().argmin()) for hz in (400.0, 500.0))
    assert comb[1, harmonic] > 0.5 and comb[1, between] < -0.5


@pytest.mark.parametrize("change", [{"voices": ()}, {"voices": ("a", "a")}, {"width": 0}, {"frame_context": (-1, 2)}])
def test_impossible_sizes_are_refused(change: dict) -> None:
    values = {"codes": 8, "code_dims": 2, "voices": ("ada",), **SMALL, **change}
    with pytest.raises(ConfigError):
        AcousticConfig(**values)
