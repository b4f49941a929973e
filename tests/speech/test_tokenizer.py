"""Quantizer and speech tokenizer: shapes, determinism, windows without a seam, files."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zipper.errors import WeightsError
from zipper.speech.quantizer import FiniteScalarQuantizer, Quantizer, QuantizerConfig
from zipper.speech.tokenizer import OVERLAP, WINDOW, SpeechTokenizer, windows
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder, log_mel


@pytest.fixture(scope="module")
def tokenizer() -> SpeechTokenizer:
    torch.manual_seed(0)
    encoder = WhisperEncoder(EncoderConfig(width=32, depth=2, heads=2))
    quantizer = Quantizer(QuantizerConfig(phones=5, feature_width=32, width=32, kernel=3, levels=(4, 4, 3)))
    return SpeechTokenizer(encoder.eval().requires_grad_(False), quantizer.eval().requires_grad_(False))


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(seconds * 16000)).astype(np.float32) * 0.1


@given(st.integers(0, 4095))
def test_code_ids_and_grid_points_are_one_to_one(code: int) -> None:
    quantizer = FiniteScalarQuantizer((8, 8, 8, 8))
    point = quantizer.latents(torch.tensor([[code]]))
    inside = ((point + 1) / 2).clamp(1e-3, 1 - 1e-3)
    latents, ids = quantizer(torch.logit(inside))
    assert ids.item() == code
    torch.testing.assert_close(latents, point)


def test_rounding_passes_the_gradient_through() -> None:
    z = torch.zeros(1, 1, 2, requires_grad=True)
    latents, _ = FiniteScalarQuantizer((8, 8))(z)
    latents.sum().backward()
    assert z.grad is not None and bool((z.grad > 0).all())


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000, 40001])
def test_a_token_for_every_40_ms_begun(tokenizer: SpeechTokenizer, samples: int) -> None:
    ids = tokenizer.encode(noise(samples / 16000 + 0.001)[:samples])
    assert len(ids) == math.ceil(samples / 640)
    assert ids.min() >= 0 and ids.max() < tokenizer.codes


def test_same_sound_same_tokens_whatever_its_loudness(tokenizer: SpeechTokenizer) -> None:
    samples = noise(3)
    np.testing.assert_array_equal(tokenizer.encode(samples), tokenizer.encode(samples))
    assert (tokenizer.encode(samples) == tokenizer.encode(samples * 0.25)).mean() > 0.95


def test_batched_features_equal_single_ones(tokenizer: SpeechTokenizer) -> None:
    long, short = log_mel(torch.from_numpy(noise(2.0))), log_mel(torch.from_numpy(noise(1.2)))
    lengths = torch.tensor([len(long), len(short)])
    batch = tokenizer.encoder(torch.nn.utils.rnn.pad_sequence([long, short], batch_first=True), lengths)
    alone = tokenizer.encoder(short[None])[0]
    torch.testing.assert_close(batch[1, : len(alone)], alone, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 20_000))
def test_windows_cover_a_clip_once_and_cut_far_from_their_edges(tokens: int) -> None:
    found = windows(tokens)
    assert found[0].first == 0 and found[-1].last == tokens
    assert all(a.last == b.first for a, b in zip(found[:-1], found[1:], strict=True))
    assert all(0 <= w.start <= w.first < w.last <= w.end <= max(tokens, WINDOW) for w in found)
    assert all(w.end - w.start <= WINDOW for w in found)
    for a, b in zip(found[:-1], found[1:], strict=True):
        assert a.end - a.last >= OVERLAP // 2 - 1 and b.first - b.start >= OVERLAP // 2 - 1


def test_long_audio_has_no_seam(tokenizer: SpeechTokenizer) -> None:
    """Away from the seam a window's tokens are those of the same audio tokenized alone."""
    samples = noise(40)
    ids = tokenizer.encode(samples)
    first = windows(1000)[0]
    alone = tokenizer.encode(samples[: first.end * 640])
    assert len(ids) == 1000
    np.testing.assert_array_equal(ids[: first.last], alone[: first.last])


def test_saved_and_loaded_tokenizer_gives_the_same_tokens(tokenizer: SpeechTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = SpeechTokenizer.from_pretrained(tmp_path)
    assert (loaded.encode(noise(5)) == tokenizer.encode(noise(5))).mean() > 0.95  # the encoder is stored in float16


def test_missing_and_damaged_files_are_one_sentence(tokenizer: SpeechTokenizer, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing, damaged"):
        SpeechTokenizer.from_pretrained(tmp_path / "nowhere")
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "quantizer.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(WeightsError, match="missing, damaged"):
        SpeechTokenizer.from_pretrained(tmp_path)
