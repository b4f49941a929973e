"""A small spectrogram for display: log-mel bands of speech at any rate, as bytes."""

import functools

import numpy as np
import numpy.typing as npt

from zipper.audio.mel_scale import hz_to_mel, mel_to_hz

BANDS = 40
FRAMES = 50  # a second
WINDOW_SECONDS = 0.025  # s, one analysis window
HIGHEST_HZ = 8000.0  # upper edge of the last band, the highest frequency in a recording at 16 kHz
RANGE_DB = 70.0  # dB under the loudest band, below which everything is drawn as silence
SILENCE = 1e-8  # power of the loudest band up to which the strip stays empty


def mel_strip(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.uint8]:
    """Samples (n,) -> (BANDS, frames): 0 silence, 255 the loudest; low bands first."""
    hop, window = rate // FRAMES, round(rate * WINDOW_SECONDS)
    count = -(-len(samples) // hop)
    power = np.zeros((count, window // 2 + 1), np.float32)
    if count:
        padded = np.pad(samples, (window // 2, window + hop))
        frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: count * hop : hop]
        power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    bands = power @ _filterbank(rate, window).T  # (frames, bands)
    loudest = max(float(bands.max(initial=0.0)), SILENCE)
    decibels = 10 * np.log10(np.maximum(bands / loudest, 1e-12))
    strip: npt.NDArray[np.uint8] = np.rint(255 * np.clip(1 + decibels / RANGE_DB, 0, 1)).astype(np.uint8).T
    return strip


@functools.lru_cache(maxsize=4)
def _filterbank(rate: int, window: int) -> npt.NDArray[np.float32]:
    """Weights of each band over the Fourier bins: triangles of equal area, on Slaney's mel scale."""
    bins = np.linspace(0, rate / 2, window // 2 + 1)
    low_mel, high_mel = hz_to_mel(np.array([0.0, min(HIGHEST_HZ, rate / 2)]))
    edges = mel_to_hz(np.linspace(low_mel, high_mel, BANDS + 2))[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    # A band narrower than the spacing of the bins would stay empty: it takes the bin nearest to its middle
    nearest = np.abs(bins - middle).argmin(1)
    triangles[np.arange(BANDS), nearest] = np.maximum(triangles[np.arange(BANDS), nearest], 0.5)
    weights: npt.NDArray[np.float32] = (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
    return weights
