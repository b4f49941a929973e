"""Whisper's audio encoder (Radford et al. 2022, arXiv 2212.04356) for clips of any length up to 30 s.

Only the encoder: it is the frozen front end of the speech tokenizer. Clips are *not* padded to 30 s, so a short
clip costs what it is worth; features of a padded and an unpadded clip differ a little, and everything here was
trained on the unpadded ones.
"""

import functools
import math
from dataclasses import asdict, dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from zipper.rates import MELS_PER_TOKEN, SPEECH_RATE, TOKEN_SAMPLES, WHISPER_HOP, WHISPER_MELS, WHISPER_WINDOW

MAX_FRAMES = 1500  # encoder frames (50 Hz) that Whisper has positions for: 30 s
DYNAMIC_RANGE = 8.0  # decades below the loudest bin that the log-mel keeps
LOG_FLOOR = 1e-10


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder; the defaults are those of Whisper base."""

    width: int = 512
    depth: int = 6
    heads: int = 8
    mels: int = WHISPER_MELS

    def to_dict(self) -> dict[str, int]:
        """Plain values, ready for JSON."""
        return asdict(self)


@functools.cache
def mel_filters(mels: int) -> Tensor:
    """Slaney mel filterbank, (mels, 201), for 16 kHz and 400-point spectra."""
    bins = WHISPER_WINDOW // 2 + 1
    with torch.inference_mode(False):  # the cached tensor must serve training too, whoever asks first
        filters = melscale_fbanks(bins, 0.0, SPEECH_RATE / 2, mels, SPEECH_RATE, norm="slaney", mel_scale="slaney")
        return cast(Tensor, filters.T.contiguous())


def log_mel(samples: Tensor, mels: int = WHISPER_MELS) -> Tensor:
    """Whisper's log-mel spectrogram.

    samples: (n,) float32 at 16 kHz. Returns (ceil(n / 640) * 4, mels) at 100 Hz: the clip is filled with silence to
    a whole number of speech tokens. Independent of gain, because the range hangs from the loudest bin.
    """
    length = math.ceil(len(samples) / TOKEN_SAMPLES) * TOKEN_SAMPLES
    padded = F.pad(samples, (0, length - len(samples)))
    window = torch.hann_window(WHISPER_WINDOW)
    spectrum = torch.stft(padded, WHISPER_WINDOW, WHISPER_HOP, window=window, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2  # (201, frames)
    logs = (mel_filters(mels) @ power).clamp(min=LOG_FLOOR).log10()
    logs = torch.maximum(logs, logs.max() - DYNAMIC_RANGE)
    return ((logs + 4) / 4).T.contiguous()


def log_mels(samples: Tensor, lengths: Tensor, mels: int = WHISPER_MELS) -> tuple[Tensor, Tensor]:
    """log_mel of a padded batch, on its device.

    samples: (B, n) float32 with zeros behind the end of each clip; lengths: (B,) samples. Returns (B, T, mels) with
    zeros behind the end of each clip, and the mel frames (B,) of each. The last frame may differ a little from that
    of log_mel, which mirrors the end of a clip where here zeros follow.
    """
    frames = -(-lengths // TOKEN_SAMPLES) * MELS_PER_TOKEN  # (B,)
    count = max(int(frames.max()), -(-samples.shape[1] // TOKEN_SAMPLES) * MELS_PER_TOKEN)
    padded = F.pad(samples, (0, count * WHISPER_HOP - samples.shape[1]))
    window = torch.hann_window(WHISPER_WINDOW, device=samples.device)
    spectrum = torch.stft(padded, WHISPER_WINDOW, WHISPER_HOP, window=window, return_complex=True)
    power = spectrum[..., :-1].abs().square()  # (B, 201, T)
    logs = (mel_filters(mels).to(samples.device) @ power).clamp(min=LOG_FLOOR).log10()
    mask = (torch.arange(count, device=samples.device) < frames[:, None])[:, None]  # (B, 1, T)
    loudest = logs.masked_fill(~mask, -torch.inf).amax((1, 2), keepdim=True)
    logs = (torch.maximum(logs, loudest - DYNAMIC_RANGE) + 4) / 4
    return (logs * mask).transpose(1, 2).contiguous(), frames


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's fixed positions, (length, width)."""
    step = math.log(10_000) / (width // 2 - 1)
    scales = torch.exp(-step * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * scales[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class EncoderBlock(nn.Module):
    """Pre-norm transformer block with full attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: (B, T, C); mask: (B, 1, 1, T) bool or None. Returns (B, T, C)."""
        B, T, C = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, H, T, D)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        return cast(Tensor, x + self.down(F.gelu(self.up(self.mlp_norm(x)))))


class WhisperEncoder(nn.Module):
    """Log-mel (100 Hz) to features (50 Hz)."""

    positions: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(MAX_FRAMES, config.width), persistent=False)
        self.blocks = nn.ModuleList(EncoderBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, mels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of a batch.

        mels: (B, T, mels) with zeros after each clip; lengths: (B,) mel frames of each clip, even, None when all
        are full. Returns (B, T / 2, width); what lies behind the end of a clip is undefined.
        """
        mask = None if lengths is None else torch.arange(mels.shape[1], device=mels.device) < lengths[:, None]  # (B, T)
        x = F.gelu(self.conv1(mels.transpose(1, 2)))
        if mask is not None:
            x = x * mask[:, None]  # conv2 must see the zeros it would see at the end of a clip alone
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        mask = None if mask is None else mask[:, None, None, ::2]
        for block in self.blocks:
            x = block(x, mask)
        return cast(Tensor, self.norm(x))


def from_hugging_face(tensors: dict[str, Tensor], config: EncoderConfig) -> WhisperEncoder:
    """The encoder out of the tensors of a `WhisperForConditionalGeneration` checkpoint."""
    state: dict[str, Tensor] = {}
    source = "model.encoder."
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            state[f"{conv}.{part}"] = tensors[f"{source}{conv}.{part}"]
    for i in range(config.depth):
        _copy_block(tensors, f"{source}layers.{i}.", state, f"blocks.{i}.")
    state["norm.weight"], state["norm.bias"] = (
        tensors[source + "layer_norm.weight"],
        tensors[source + "layer_norm.bias"],
    )
    encoder = WhisperEncoder(config)
    encoder.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return encoder.eval().requires_grad_(False)


def _copy_block(tensors: dict[str, Tensor], source: str, state: dict[str, Tensor], target: str) -> None:
    names = {
        "self_attn_layer_norm": "attention_norm",
        "self_attn.out_proj": "out",
        "final_layer_norm": "mlp_norm",
        "fc1": "up",
        "fc2": "down",
    }
    for old, new in names.items():
        for part in ("weight", "bias"):
            state[f"{target}{new}.{part}"] = tensors[f"{source}{old}.{part}"]
    parts = [f"{source}self_attn.{letter}_proj." for letter in "qkv"]
    query_bias, value_bias = tensors[parts[0] + "bias"], tensors[parts[2] + "bias"]
    state[target + "qkv.weight"] = torch.cat([tensors[part + "weight"] for part in parts])
    state[target + "qkv.bias"] = torch.cat([query_bias, torch.zeros_like(query_bias), value_bias])  # keys have none


def mel_frames(tokens: int) -> int:
    """Mel frames of a clip of `tokens` speech tokens."""
    return tokens * MELS_PER_TOKEN
