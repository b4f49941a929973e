"""Changes to a recording that a microphone, a room or a codec could have made. Seeded by the recording's id."""

import io
import zlib
from dataclasses import dataclass

import numpy as np
import scipy.signal
import soundfile
import soxr

from zipper.rates import SPEECH_RATE


@dataclass(frozen=True)
class AugmentConfig:
    """How often and how strongly; probabilities are independent of each other."""

    speed: tuple[float, float] = (0.9, 1.1)  # ratio; pitch moves along, as when a tape runs faster
    noise: float = 0.5  # probability of added noise
    snr: tuple[float, float] = (8.0, 30.0)  # dB
    room: float = 0.35  # probability of reverberation
    decay: tuple[float, float] = (0.1, 0.5)  # seconds to fall by 60 dB
    band: float = 0.25  # probability of a band limit
    band_high: tuple[float, float] = (3000.0, 7000.0)  # Hz
    codec: float = 0.2  # probability of a pass through Opus at 8 to 16 kHz


class Augmenter:
    """Callable (id, samples) -> samples at 16 kHz; the same id and seed always give the same result."""

    def __init__(self, config: AugmentConfig, seed: int = 0) -> None:
        self.config, self.seed = config, seed

    def speed(self, name: str) -> float:
        """How many times faster the recording becomes: times in it divide by this."""
        return float(self._draws(name).uniform(*self.config.speed))

    def _draws(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def __call__(self, name: str, samples: np.ndarray) -> np.ndarray:
        """Samples (n,) changed as a microphone and a room would; the same name always takes the same change."""
        rng, config = self._draws(name), self.config
        samples = change_speed(samples, rng.uniform(*config.speed))  # drawn first, see `speed`
        if rng.random() < config.room:
            samples = reverberate(samples, rng.uniform(*config.decay), rng)
        if rng.random() < config.noise:
            samples = add_noise(samples, rng.uniform(*config.snr), rng)
        if rng.random() < config.band:
            samples = limit_band(samples, rng.uniform(*config.band_high))
        if rng.random() < config.codec:
            samples = through_opus(samples, int(rng.choice([8_000, 12_000, 16_000])))
        return samples.astype(np.float32)


def change_speed(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Faster for ratio > 1, by resampling."""
    changed: np.ndarray = soxr.resample(samples, SPEECH_RATE * ratio, SPEECH_RATE, quality="MQ")
    return changed


def colored_noise(length: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency ** slope: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SPEECH_RATE), 20.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), length)


def add_noise(samples: np.ndarray, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise of a random color, `snr` dB below the recording's mean power."""
    noise = colored_noise(len(samples), rng.uniform(0, 2), rng)
    gain = np.sqrt(np.mean(samples**2) / (np.mean(noise**2) + 1e-12) * 10 ** (-snr / 10))
    noisy: np.ndarray = samples + gain * noise
    return noisy


def reverberate(samples: np.ndarray, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Convolve with a synthetic room: a direct path and an exponentially decaying noise tail."""
    time = np.arange(int(decay * SPEECH_RATE)) / SPEECH_RATE
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    response *= rng.uniform(0.1, 0.5) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    convolved: np.ndarray = scipy.signal.fftconvolve(samples, response)
    return convolved[: len(samples)]


def limit_band(samples: np.ndarray, high: float) -> np.ndarray:
    """Low-pass at `high` Hz and high-pass at 150 Hz, like a small microphone or a telephone."""
    sections = scipy.signal.butter(4, [150.0, high], "bandpass", fs=SPEECH_RATE, output="sos")
    filtered: np.ndarray = scipy.signal.sosfilt(sections, samples)
    return filtered


def through_opus(samples: np.ndarray, rate: int) -> np.ndarray:
    """Encode and decode with Opus at a low sample rate."""
    buffer = io.BytesIO()
    narrow = soxr.resample(samples, SPEECH_RATE, rate) if rate != SPEECH_RATE else samples
    soundfile.write(buffer, np.clip(narrow, -1, 1), rate, format="OGG", subtype="OPUS")
    buffer.seek(0)
    decoded: np.ndarray
    decoded, _ = soundfile.read(buffer, dtype="float32")
    if rate != SPEECH_RATE:
        decoded = soxr.resample(decoded, rate, SPEECH_RATE)
    return decoded
