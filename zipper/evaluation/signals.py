"""Sounds that are no speech, made from nothing: what a microphone, a telephone, a street or a player gives.

Each is float32 (n,) at 16 kHz and the same every time. :data:`SIGNALS` names them all.
"""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from zipper.audio.io import Samples
from zipper.rates import SPEECH_RATE

Array = npt.NDArray[np.float64]

DTMF_ROWS = (697, 770, 852, 941)  # Hz
DTMF_COLUMNS = (1209, 1336, 1477, 1633)  # Hz
ROOM_DB = -60.0  # dB full scale, a quiet room through a usual microphone
SCALE = (0, 4, 7, 12, 9, 5, 7, 2, 0, 7, 4, 12)  # half tones of a melody
BELL_PARTIALS = (1.0, 2.76, 5.4, 8.9)  # of a struck bar


def silence(seconds: float) -> Samples:
    """Digital zeros."""
    return np.zeros(round(seconds * SPEECH_RATE), np.float32)


def room_noise(seconds: float, level: float = ROOM_DB, seed: int = 0) -> Samples:
    """Noise of a room: pink, at a level in dB full scale."""
    return colored(seconds, 1.0, level, seed)


def colored(seconds: float, slope: float, level: float = -30.0, seed: int = 0) -> Samples:
    """Noise whose power falls with frequency ** slope: 0 white, 1 pink, 2 brown; level in dB full scale."""
    count = round(seconds * SPEECH_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SPEECH_RATE), 20.0)
    sound = np.fft.irfft(spectrum * frequency ** (-slope / 2), count)
    return np.asarray(sound / np.sqrt(np.square(sound).mean()) * 10 ** (level / 20), np.float32)


def dtmf(seconds: float) -> Samples:
    """A telephone number dialed: two tones at once, 120 ms on and 80 ms off."""
    t = _times(seconds)
    digits = np.random.default_rng(0).integers(0, 16, int(seconds / 0.2) + 1)[(t / 0.2).astype(int)]
    tones = _tone(np.array(DTMF_ROWS, float)[digits // 4]) + _tone(np.array(DTMF_COLUMNS, float)[digits % 4])
    return _finish(tones * (t % 0.2 < 0.12))


def ringing(seconds: float) -> Samples:
    """The tone that a caller hears: 440 and 480 Hz, 2 s of every 3."""
    t = _times(seconds)
    return _finish((_tone(np.full(len(t), 440.0)) + _tone(np.full(len(t), 480.0))) * (t % 3 < 2))


def old_bell(seconds: float) -> Samples:
    """A telephone's bell, struck twenty times a second for 1.5 s of every 3."""
    t = _times(seconds)
    strike = np.exp(-(t % 0.05) * 30)
    struck = np.sum([np.sin(2 * np.pi * 900 * p * t) / p for p in BELL_PARTIALS], axis=0)
    return _finish(struck * strike * (t % 3 < 1.5))


def knocks(seconds: float) -> Samples:
    """Three knocks on a door every two seconds: damped low resonances and a click."""
    t = _times(seconds)
    since = np.where(t % 2 < 0.75, t % 0.25, 1.0)
    resonances = [np.sin(2 * np.pi * f * since) * np.exp(-since * d) for f, d in ((140, 30), (310, 45), (620, 70))]
    return _finish(np.sum(resonances, axis=0) + 0.5 * _noise(len(t)) * np.exp(-since * 200))


def siren(seconds: float) -> Samples:
    """A wail between 600 and 1,400 Hz with its overtones."""
    t = _times(seconds)
    pitch = 1000 + 400 * np.sin(2 * np.pi * t / 2.5)
    return _finish(_voice(pitch, 3))


def two_tone_siren(seconds: float) -> Samples:
    """435 and 580 Hz in turn, with overtones, as European ambulances have it."""
    pitch = np.where(_times(seconds) % 1.4 < 0.7, 435.0, 580.0)
    return _finish(_voice(pitch, 7))


def birds(seconds: float) -> Samples:
    """Chirps that fall from some 5 to 3 kHz, in groups."""
    t = _times(seconds)
    since = t % 0.16
    pitch = 3000 + 2500 * np.exp(-since * 25) + 300 * np.sin(2 * np.pi * 28 * t)
    return _finish(_tone(pitch) * np.exp(-since * 30) * (t % 1.3 < 0.8))


def melody(seconds: float) -> Samples:
    """A piano-like tune, three notes a second."""
    t = _times(seconds)
    since = t % (1 / 3)
    pitch = 262.0 * 2 ** (_steps(t * 3) / 12)
    return _finish(_voice(pitch, 8, 1.5) * np.exp(-since * 6))


def flute(seconds: float) -> Samples:
    """The tune on held notes with vibrato, as a flute or a violin plays it."""
    t = _times(seconds)
    pitch = 440.0 * 2 ** (_steps(t * 2) / 12) * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * t))
    envelope = np.minimum(1.0, (t % 0.5) * 12) * (1 + 0.2 * np.sin(2 * np.pi * 5.5 * t))
    return _finish(_voice(pitch, 5, 2.0) * envelope)


def chords(seconds: float) -> Samples:
    """Chords over a bass and a drum: a band without a singer."""
    t = _times(seconds)
    root = 131.0 * 2 ** (_steps(t, (0, 5, 7, 9)) / 12)
    played = np.sum([_voice(root * 2 ** (n / 12), 6) for n in (0, 4, 7, 12)], axis=0)
    drum = _noise(len(t)) * np.exp(-(t % 0.5) * 40) * 3
    return _finish(played * np.exp(-(t % 0.5) * 2) + drum)


def typing(seconds: float) -> Samples:
    """Keys struck at uneven times."""
    random, count = np.random.default_rng(0), round(seconds * SPEECH_RATE)
    struck = np.zeros(count)
    struck[random.integers(0, count, int(seconds * 7))] = random.uniform(0.3, 1.0, int(seconds * 7))
    click = random.standard_normal(400) * np.exp(-np.arange(400) / 60)
    return _finish(np.convolve(struck, click)[:count])


def hum(seconds: float) -> Samples:
    """The mains, 50 Hz and its overtones."""
    t = _times(seconds)
    return _finish(_voice(np.full(len(t), 50.0), 19))


def beeps(seconds: float) -> Samples:
    """800 Hz, twice a second."""
    t = _times(seconds)
    return _finish(np.sin(2 * np.pi * 800 * t) * (np.sin(4 * np.pi * t) > 0))


def waves(seconds: float) -> Samples:
    """Noise that swells three times a second."""
    t = _times(seconds)
    return _finish(colored(seconds, 1.0) * (1 + np.sin(6 * np.pi * t)) / 2)


def engine(seconds: float) -> Samples:
    """A motor that speeds up and slows down: pulses of 60 to 140 Hz."""
    t = _times(seconds)
    pitch = 100 + 40 * np.sin(2 * np.pi * t / 4)
    return _finish(_voice(pitch, 29) + 0.5 * _noise(len(t)))


def babble(voices: Sequence[Samples], seconds: float, level: float = -30.0) -> Samples:
    """Many people at once: recordings, repeated and laid over each other; level in dB full scale."""
    count = round(seconds * SPEECH_RATE)
    mixed = np.zeros(count)
    for voice in voices:
        mixed += np.resize(voice, count) / (np.sqrt(np.square(voice).mean()) + 1e-9)
    return np.asarray(mixed / (np.sqrt(np.square(mixed).mean()) + 1e-9) * 10 ** (level / 20), np.float32)


SIGNALS: dict[str, Callable[[float], Samples]] = {
    "silence": silence,
    "room noise": room_noise,
    "loud room noise": lambda seconds: room_noise(seconds, -35.0),
    "white noise": lambda seconds: colored(seconds, 0.0),
    "brown noise": lambda seconds: colored(seconds, 2.0),
    "waves": waves,
    "hum": hum,
    "engine": engine,
    "beeps": beeps,
    "dtmf": dtmf,
    "ringing": ringing,
    "old bell": old_bell,
    "knocks": knocks,
    "typing": typing,
    "siren": siren,
    "two-tone siren": two_tone_siren,
    "birds": birds,
    "melody": melody,
    "flute": flute,
    "chords": chords,
}


def _times(seconds: float) -> Array:
    return np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE


def _tone(frequency: Array) -> Array:
    """A sine of a frequency in Hz that may change with every sample."""
    return np.asarray(np.sin(2 * np.pi * np.cumsum(frequency) / SPEECH_RATE))


def _voice(pitch: Array, count: int, fall: float = 1.0) -> Array:
    """A tone of a pitch in Hz with its overtones up to number `count`, number k weaker by k ** fall."""
    return np.asarray(np.sum([_tone(k * pitch) / k**fall for k in range(1, count + 1)], axis=0))


def _steps(position: Array, scale: Sequence[int] = SCALE) -> Array:
    """Half tones of a tune at places counted in notes."""
    return cast(Array, np.array(scale, float)[position.astype(int) % len(scale)])


def _noise(count: int) -> Array:
    return np.random.default_rng(0).standard_normal(count)


def _finish(sound: Array) -> Samples:
    """With a peak of 0.4, over the noise of a room."""
    peak = max(float(np.abs(sound).max()), 1e-9)
    return np.asarray(0.4 * sound / peak, np.float32) + room_noise(len(sound) / SPEECH_RATE)
