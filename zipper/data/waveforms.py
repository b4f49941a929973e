"""Recordings of many utterances in one flat array on a device, and the changes that microphones and rooms make to them.

Shapes: B clips, N samples at 16 kHz with zeros behind the end of each clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zipper.rates import SPEECH_RATE

FULL_SCALE = 32767.0
LOWEST_HZ = 20.0  # where colored noise stops to rise
BUCKETS = (3.2, 6.4, 9.6, 12.8, 17.6, 28.8)  # seconds
SHORTEST_FFT = 1 << 14


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) in -1..1 as 16-bit integers; louder ones are clipped."""
    return (samples.clip(-1, 1) * FULL_SCALE).astype(np.int16)


def bucket(samples: int) -> int:
    """The next length of a few: every new shape makes a GPU plan its transforms and convolutions anew."""
    return next(int(seconds * SPEECH_RATE) for seconds in BUCKETS if samples <= seconds * SPEECH_RATE)


class Waveforms:
    """Name -> samples, kept as 16-bit integers on one device."""

    def __init__(self, clips: Mapping[str, np.ndarray], device: torch.device) -> None:
        """clips: int16 samples (n,) at 16 kHz."""
        self.device = device
        self.index = {name: i for i, name in enumerate(clips)}
        counts = np.array([len(samples) for samples in clips.values()], np.int64)
        self.counts = counts
        self.lengths = torch.from_numpy(counts).to(device)
        self.starts = torch.from_numpy(np.cumsum(counts) - counts).to(device)
        self.data = torch.from_numpy(np.concatenate(list(clips.values()))).to(device)

    def gather(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Samples (B, N) float32 in -1..1 and lengths (B,)."""
        rows = torch.tensor([self.index[name] for name in names], device=self.device)
        lengths = self.lengths[rows]
        position = torch.arange(bucket(int(max(self.counts[self.index[name]] for name in names))), device=self.device)
        index = (self.starts[rows][:, None] + position).clamp(max=len(self.data) - 1)
        return self.data[index].float() / FULL_SCALE * (position < lengths[:, None]), lengths


@dataclass(frozen=True)
class DeviceAugmentConfig:
    """How often and how strongly; probabilities are independent of each other."""

    speed: tuple[float, float] = (0.9, 1.1)  # ratio; pitch moves along, as when a tape runs faster
    noise: float = 0.45  # probability of colored noise
    recorded_noise: float = 0.25  # probability of a recorded noise
    babble: float = 0.1  # probability of other speakers behind the speech
    snr: tuple[float, float] = (4.0, 30.0)  # dB
    room: float = 0.4  # probability of reverberation
    decay: tuple[float, float] = (0.1, 0.6)  # seconds to fall by 60 dB
    wet: tuple[float, float] = (0.1, 0.7)  # size of the reverberation next to the direct sound
    band: float = 0.3  # probability of a band limit
    band_high: tuple[float, float] = (2800.0, 7500.0)  # Hz
    band_low: tuple[float, float] = (20.0, 300.0)  # Hz
    tilt: float = 6.0  # dB over the band, at most, up or down


def change_speed(samples: Tensor, lengths: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (B, N) faster by ratio (B,), by linear interpolation; new samples and lengths."""
    changed = (lengths / ratio).long().clamp(min=1)
    position = torch.arange(bucket(int(changed.max())), device=samples.device) * ratio[:, None]  # (B, N')
    low = position.long().clamp(max=samples.shape[1] - 1)
    high = (low + 1).clamp(max=samples.shape[1] - 1)
    mixed = torch.lerp(samples.gather(1, low), samples.gather(1, high), position - low)
    return mixed * (torch.arange(mixed.shape[1], device=samples.device) < changed[:, None]), changed


class DeviceAugmenter:
    """Callable (samples, lengths) -> samples, all of a batch at once on its device; random numbers from torch."""

    def __init__(self, config: DeviceAugmentConfig, noises: Tensor) -> None:
        """noises: (n,) float32, recorded noises one after another; may be empty."""
        self.config, self.noises = config, noises

    def speed(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clips at another speed, their lengths, and the ratio (B,) of each."""
        ratio = self._uniform(len(samples), self.config.speed, samples.device)
        return *change_speed(samples, lengths, ratio), ratio

    def __call__(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """(B, N) -> (B, N): room, band, tilt and noise."""
        mask = torch.arange(samples.shape[1], device=samples.device) < lengths[:, None]
        changed = self._filter(samples)
        return (changed + self._noise(changed, lengths)) * mask

    def _uniform(self, count: int, span: tuple[float, float], device: torch.device) -> Tensor:
        return torch.rand(count, device=device) * (span[1] - span[0]) + span[0]

    def _chance(self, count: int, share: float, device: torch.device) -> Tensor:
        """(B, 1) of 0 and 1."""
        return (torch.rand(count, 1, device=device) < share).float()

    def _filter(self, samples: Tensor) -> Tensor:
        """Room, band and tilt by one multiplication of spectra."""
        config, device, count = self.config, samples.device, len(samples)
        tail = int(config.decay[1] * SPEECH_RATE)
        size = max(SHORTEST_FFT, 1 << (samples.shape[1] + tail - 1).bit_length())
        frequency = torch.fft.rfftfreq(size, 1 / SPEECH_RATE, device=device)  # (F,)
        time = torch.arange(tail, device=device) / SPEECH_RATE
        decay = self._uniform(count, config.decay, device)[:, None]
        response = torch.randn(count, tail, device=device) * 10 ** (-3 * time / decay)
        size_of = self._uniform(count, config.wet, device)[:, None] * self._chance(count, config.room, device)
        response = response * size_of / response.norm(dim=1, keepdim=True)
        response[:, 0] = 1.0
        high = self._uniform(count, config.band_high, device)[:, None]
        low = self._uniform(count, config.band_low, device)[:, None]
        banded = self._chance(count, config.band, device)
        inside = torch.sigmoid((high - frequency) / 60) * torch.sigmoid((frequency - low) / 15)
        tilt = (torch.rand(count, 1, device=device) * 2 - 1) * config.tilt
        gain = 10 ** (tilt * (frequency / (SPEECH_RATE / 2) - 0.5) / 20) * (1 - banded + banded * inside)
        spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(response, size) * gain
        filtered: Tensor = torch.fft.irfft(spectrum, size)
        return filtered[:, : samples.shape[1]]

    def _noise(self, samples: Tensor, lengths: Tensor) -> Tensor:
        config, device, (count, width) = self.config, samples.device, samples.shape
        level = (samples.square().sum(1, keepdim=True) / lengths[:, None]).sqrt()  # (B, 1) of the speech
        total = torch.zeros_like(samples)
        babble = samples.roll(1, 0) + samples.roll(2, 0)
        kinds = [(self._colored(count, width, device), config.noise), (babble, config.babble)]
        if len(self.noises) > width:
            start = torch.randint(len(self.noises) - width, (count, 1), device=device)
            kinds.append((self.noises[start + torch.arange(width, device=device)], config.recorded_noise))
        for noise, share in kinds:
            snr = self._uniform(count, config.snr, device)[:, None]
            size = noise.square().mean(1, keepdim=True).sqrt().clamp(min=1e-5)
            total += self._chance(count, share, device) * noise / size * level * 10 ** (-snr / 20)
        return total

    def _colored(self, count: int, width: int, device: torch.device) -> Tensor:
        """White to brown noise (B, N)."""
        size = max(SHORTEST_FFT, 1 << (width - 1).bit_length())  # a power of two: other sizes take long to plan
        frequency = torch.fft.rfftfreq(size, 1 / SPEECH_RATE, device=device).clamp(min=LOWEST_HZ)
        slope = torch.rand(count, 1, device=device) * 2
        spectrum = torch.fft.rfft(torch.randn(count, size, device=device)) * frequency ** (-slope / 2)
        noise: Tensor = torch.fft.irfft(spectrum, size)
        return noise[:, :width]
