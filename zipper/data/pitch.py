"""Fundamental frequency of clean speech, one value for each vocoder frame, as a training target.

Boersma's method ("Accurate short-term analysis of the fundamental frequency", 1993): the autocorrelation of
the windowed signal divided by that of the window, and the best path through the peaks. Shapes: T frames,
L lags, K candidates.
"""

import numpy as np
import torch
import torch.nn.functional as F

from zipper.rates import VOCODER_HOP, VOCODER_RATE

MIN_HZ, MAX_HZ = 60.0, 500.0
WINDOW = 1024  # samples; 2.8 periods of the lowest pitch
PEAKS = 6  # candidates a frame, besides "unvoiced"
VOICING_THRESHOLD = 0.45  # correlation of a peak below which a frame is rather unvoiced
SILENCE_THRESHOLD = 0.03  # peak amplitude, of the clip's, below which a frame is rather unvoiced
OCTAVE_COST = 0.01  # an octave, in favor of the higher of two equal peaks
JUMP_COST = 0.35 * 0.01 * VOCODER_RATE / VOCODER_HOP  # an octave between two frames, 0.35 if 10 ms apart
VOICING_COST = 0.14 * 0.01 * VOCODER_RATE / VOCODER_HOP  # for each change between voiced and unvoiced


def track_pitch(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) at 22.05 kHz -> Hz (n // 256,) float32, 0 where unvoiced; n must be above 384."""
    frames = _frames(torch.from_numpy(samples))
    correlation = _correlation(frames)
    hz, strength = _peaks(correlation)
    amplitude = frames.abs().amax(1)
    loudness = amplitude / amplitude.max().clamp(min=1e-9)
    silence = (2 - loudness / (SILENCE_THRESHOLD / (1 + VOICING_THRESHOLD))).clamp(min=0)
    unvoiced = VOICING_THRESHOLD + silence
    candidates = F.pad(hz, (1, 0))  # (T, 1 + K), 0 Hz first
    return _best_path(candidates.numpy(), torch.cat([unvoiced[:, None], strength], 1).numpy())


def _frames(samples: torch.Tensor) -> torch.Tensor:
    """Mean-free windows (T, 1024), centered as the vocoder's mel frames."""
    pad = (WINDOW - VOCODER_HOP) // 2
    padded = F.pad(samples[None, None].float(), (pad, pad), mode="reflect")[0, 0]
    frames = padded.unfold(0, WINDOW, VOCODER_HOP)
    return frames - frames.mean(1, keepdim=True)


def _correlation(frames: torch.Tensor) -> torch.Tensor:
    """Normalized autocorrelation (T, L) at lags up to a period of the lowest pitch."""
    lags = int(VOCODER_RATE / MIN_HZ) + 2
    window = torch.hann_window(WINDOW, periodic=False)

    def autocorrelation(x: torch.Tensor) -> torch.Tensor:
        power = torch.fft.rfft(x, 2 * WINDOW).abs().square()
        products: torch.Tensor = torch.fft.irfft(power)[..., :lags]
        return products / products[..., :1].clamp(min=1e-9)

    return autocorrelation(frames * window) / autocorrelation(window)


def _peaks(correlation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hz and strength of the best K maxima of each frame (T, K); missing ones have strength -inf."""
    left, middle, right = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    curvature = (2 * middle - left - right).clamp(min=1e-6)
    shift = ((right - left) / (2 * curvature)).clamp(-1, 1)  # of the parabola's top from the middle sample
    height = middle + (right - left) ** 2 / (8 * curvature)
    hz = VOCODER_RATE / (torch.arange(1, correlation.shape[1] - 1) + shift)
    valid = (middle > left) & (middle >= right) & (hz >= MIN_HZ) & (hz <= MAX_HZ)
    strength = height.clamp(max=1) - OCTAVE_COST * torch.log2(MIN_HZ / hz)
    strength = strength.masked_fill(~valid, -torch.inf)
    best = strength.topk(PEAKS, 1)
    return hz.gather(1, best.indices).where(best.values > -torch.inf, MIN_HZ), best.values


def _best_path(hz: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Viterbi: candidates (T, 1 + K), the first unvoiced -> Hz (T,) of the best path."""
    octaves = np.log2(np.maximum(hz, 1.0))
    voiced = hz > 0
    score, back = strength[0], np.zeros(hz.shape, np.int64)
    for t in range(1, len(hz)):
        jump = np.abs(octaves[t - 1][:, None] - octaves[t][None, :])
        both = voiced[t - 1][:, None] & voiced[t][None, :]
        change = voiced[t - 1][:, None] != voiced[t][None, :]
        total = score[:, None] - JUMP_COST * jump * both - VOICING_COST * change
        back[t] = total.argmax(0)
        score = total.max(0) + strength[t]
    path = np.empty(len(hz), np.int64)
    path[-1] = score.argmax()
    for t in range(len(hz) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return hz[np.arange(len(hz)), path].astype(np.float32)
