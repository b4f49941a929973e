"""The vocoder's view of speech: log-mel spectrogram at 22.05 kHz, as HiFi-GAN (Kong et al., 2020) has it.

Frame t covers samples [256 t, 256 (t + 1)) and is centered on the middle of them, because the signal is padded
by (window - hop) / 2 on both sides. Shapes: B clips, T frames, 80 bands.
"""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from zipper.audio.mel_scale import hz_to_mel, mel_to_hz
from zipper.rates import MELS, VOCODER_HOP, VOCODER_RATE

WINDOW = 1024  # samples of one analysis window, and points of its Fourier transform
MIN_HZ = 0.0  # lower edge of the first band
MAX_HZ = 8000.0  # upper edge of the last band
FLOOR = 1e-5  # smallest magnitude, before the logarithm


def band_edges() -> np.ndarray:
    """Edges of the triangular bands in Hz (82,): band m rises from edge m to m + 1 and falls to m + 2."""
    low, high = hz_to_mel(np.array([MIN_HZ, MAX_HZ]))
    return mel_to_hz(np.linspace(low, high, MELS + 2))


def filterbank() -> Tensor:
    """Weights of each band over the Fourier bins (80, 513): triangles of equal area."""
    bins = WINDOW // 2 + 1
    bands = melscale_fbanks(bins, MIN_HZ, MAX_HZ, MELS, VOCODER_RATE, norm="slaney", mel_scale="slaney")
    return cast(Tensor, bands.T.contiguous())


class MelSpectrogram(torch.nn.Module):
    """Samples at 22.05 kHz to log-mel frames."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("bands", filterbank(), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, n) -> (B, n // 256, 80); n must be above 384 samples, the reach of the mirrored edges."""
        pad = (WINDOW - VOCODER_HOP) // 2
        padded = F.pad(samples[:, None], (pad, pad), mode="reflect")[:, 0]
        window = self.get_buffer("window")
        spectrum = torch.stft(padded, WINDOW, VOCODER_HOP, window=window, center=False, return_complex=True)
        magnitude = (spectrum.abs().square() + 1e-9).sqrt()  # (B, 513, T)
        mel = self.get_buffer("bands") @ magnitude  # (B, 80, T)
        return mel.clamp(min=FLOOR).log().transpose(1, 2)  # (B, T, 80)
