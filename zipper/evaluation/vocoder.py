"""Two vocoders on the same mels: how natural each sounds, what is understood of it, and how far its mels are off."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
import torch
from torch import Tensor

from zipper.api import Zipper
from zipper.audio.mel import MelSpectrogram
from zipper.errors import DataError
from zipper.evaluation.manifest import Recording
from zipper.evaluation.sets import Lines
from zipper.evaluation.tts import Spoken, SynthesisResult
from zipper.rates import SPEECH_RATE, VOCODER_RATE
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.vocoder import Vocoder, sound_of


@dataclass(frozen=True)
class Mels:
    """Log-mels (T, 80) to be spoken, and the texts that should be heard."""

    ids: list[str]
    texts: list[str]
    mels: list[Tensor]


def mels_of_sentences(zipper: Zipper, detokenizer: Detokenizer, lines: Lines, voice: str | None) -> Mels:
    """What the detokenizer makes of the tokens that Zipper speaks, with seed 0; the passages one after another."""
    mels = []
    for typed in lines.typed:
        speech = zipper.synthesize(typed, voice=voice, seed=0)
        codes = [[int(token.text) for token in p.attention.speech_tokens] for p in speech.passages]
        parts = [detokenizer.mel(np.array(part, np.int64), speech.voice, speech.seed) for part in codes]
        mels.append(torch.cat(parts))
    return Mels([f"{index:03d}" for index in range(len(mels))], lines.said, mels)


def mels_of_recordings(recordings: Sequence[Recording]) -> Mels:
    """Those of recordings; their 16 kHz hold all that the mels do, which end at 8 kHz."""
    spectrogram = MelSpectrogram()
    sounds = [soxr.resample(recording.samples, SPEECH_RATE, VOCODER_RATE) for recording in recordings]
    mels = [spectrogram(torch.from_numpy(sound)[None])[0] for sound in sounds]
    return Mels([r.id for r in recordings], [r.text for r in recordings], mels)


def speak_mels(name: str, vocoder: Vocoder, mels: Mels) -> Spoken:
    """The mels as one vocoder speaks them."""
    start = time.perf_counter()
    sounds = [sound_of(vocoder, mel) for mel in mels.mels]
    seconds = time.perf_counter() - start
    return Spoken(name, mels.ids, mels.texts, [(sound, VOCODER_RATE) for sound in sounds], seconds)


def mel_distance(spoken: Spoken, mels: Mels) -> float:
    """Mean difference of the log-mels of what was spoken and of those that should have been; natural logarithm."""
    spectrogram = MelSpectrogram()
    differences = [
        (spectrogram(torch.from_numpy(sound[0])[None])[0] - mel).abs().mean(1)
        for sound, mel in zip(spoken.sounds, mels.mels, strict=True)
        if sound is not None
    ]
    if not differences:
        raise DataError("There is no mel to speak.")
    return float(torch.cat(differences).mean())


def row_of(result: SynthesisResult, mels: Mels) -> dict[str, Any]:
    """One line of the table: that of `evaluate tts` and the distance of the mels."""
    return result.row() | {"mel distance": round(mel_distance(result.spoken, mels), 4)}
