"""Slaney's mel scale: linear up to 1 kHz, logarithmic above; and bands that are equally wide on it."""

import numpy as np

LINEAR_HZ_PER_MEL = 200 / 3
BREAK_HZ = 1000.0
BREAK_MEL = BREAK_HZ / LINEAR_HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27  # natural logarithm of the frequency ratio of one mel above 1 kHz


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Frequency in Hz on Slaney's mel scale."""
    above = BREAK_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, hz / LINEAR_HZ_PER_MEL, above)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Inverse of :func:`hz_to_mel`."""
    above = BREAK_HZ * np.exp(LOG_STEP * (np.maximum(mel, BREAK_MEL) - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * LINEAR_HZ_PER_MEL, above)


def band_edges(bands: int, low: float, high: float) -> np.ndarray:
    """Edges in Hz (bands + 2,) of bands between two frequencies: band m rises from edge m to m + 1, falls to m + 2."""
    first, last = hz_to_mel(np.array([low, high]))
    return mel_to_hz(np.linspace(first, last, bands + 2))


def filterbank(rate: int, window: int, edges: np.ndarray) -> np.ndarray:
    """Weights of each band between edges (bands + 2,) over the Fourier bins: (bands, window // 2 + 1), float32.

    Triangles of equal area, as librosa has them. rate: of the samples in Hz; window: samples of a Fourier transform.
    """
    hz = np.linspace(0, rate / 2, window // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle))
    return np.asarray(np.maximum(triangles, 0) * 2 / (high - low), np.float32)
