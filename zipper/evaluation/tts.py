"""Synthesis: what recognizers understand, and how natural it sounds; the first sample, no picking."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zipper.api import Zipper
from zipper.audio.io import Samples, load_audio, write_wav
from zipper.data.manifest import SUFFIXES
from zipper.errors import DataError, ZipperError
from zipper.evaluation.manifest import Recording
from zipper.evaluation.metrics import ErrorRates, error_rates, normalizer
from zipper.evaluation.peers import Recognizer, Sound, Voice
from zipper.evaluation.sets import Lines, Normal, closest
from zipper.inference.components import Detokens, SpeechTokens
from zipper.rates import SPEECH_RATE

Mos = Callable[[Samples], float]


@dataclass(frozen=True)
class Spoken:
    """Sentences as one system spoke them, None where it refused; recordings took no compute, 0.0.

    texts: what should be heard.
    """

    name: str
    ids: list[str]
    texts: list[str]
    sounds: list[Sound | None]
    compute_seconds: float

    @property
    def audio_seconds(self) -> float:
        """Seconds of speech in all."""
        return sum(len(sound[0]) / sound[1] for sound in self.sounds if sound)


@dataclass(frozen=True)
class SynthesisResult:
    """One system's error rates by each judge and its naturalness, 1 to 5 (None if not judged)."""

    spoken: Spoken
    rates: dict[str, ErrorRates]
    mos: float | None

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        audio = self.spoken.audio_seconds
        return {
            "speech": self.spoken.name,
            "sentences": len(self.spoken.texts),
            **{f"WER % {judge}": rates.wer for judge, rates in self.rates.items()},
            **{f"right % {judge}": rates.right for judge, rates in self.rates.items()},
            "MOS": self.mos,
            "refused": sum(sound is None for sound in self.spoken.sounds),
            "audio s": round(audio, 1),
            "RTF": round(self.spoken.compute_seconds / audio, 3) if audio and self.spoken.compute_seconds else None,
        }

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON, with the worst utterances of each judge."""
        return self.row() | {"judges": {name: asdict(rates) for name, rates in self.rates.items()}}


def zipper_voice(zipper: Zipper, voice: str | None, seed: int = 0, one_try: bool = False) -> Voice:
    """Zipper speaking with one seed.

    one_try: speech that does not end is cut off and kept, as it came; else it is tried with other seeds and refused.
    """

    def speak(text: str) -> Sound:
        speech = zipper.synthesize(text, voice=voice, seed=seed, keep_unended=one_try)
        return speech.samples, speech.sample_rate

    return speak


def speak_all(name: str, voice: Voice, lines: Lines, out: Path | None) -> Spoken:
    """Speak each line once as it is typed, and save OUT/NAME/000.wav and on."""
    ids = [f"{index:03d}" for index in range(len(lines.typed))]
    sounds: list[Sound | None] = []
    start = time.perf_counter()
    for typed in lines.typed:
        try:
            sounds.append(voice(typed))
        except ZipperError:
            sounds.append(None)
    spoken = Spoken(name, ids, lines.said, sounds, time.perf_counter() - start)
    if out is not None:
        save_all(spoken, out / name)
    return spoken


def recorded(folder: Path, sentences: Sequence[str]) -> Spoken:
    """Speech that was made before: file n, ordered by the numbers in the names, is sentence n."""
    names = sorted((path for path in folder.glob("*") if path.suffix in SUFFIXES), key=_by_number)
    files = names[: len(sentences)]
    if len(files) < len(sentences):
        raise DataError(f"{folder} holds {len(files)} recordings for {len(sentences)} sentences.")
    sounds: list[Sound | None] = [(load_audio(path), SPEECH_RATE) for path in files]
    return Spoken(folder.name, [path.stem for path in files], list(sentences), sounds, 0.0)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts 10.wav behind 9.wav."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.stem)]


def from_tokens(
    spoken: Spoken, tokenizer: SpeechTokens, detokenizer: Detokens, voice: str, name: str, out: Path | None
) -> Spoken:
    """The same speech made again from its own tokens (saved in OUT/NAME): the bound of synthesis."""
    start = time.perf_counter()
    sounds: list[Sound | None] = [
        (detokenizer.decode(tokenizer.encode(load_audio(sound)), voice), detokenizer.sample_rate) if sound else None
        for sound in spoken.sounds
    ]
    again = Spoken(name, spoken.ids, spoken.texts, sounds, time.perf_counter() - start)
    if out is not None:
        save_all(again, out / name)
    return again


def as_recorded(recordings: Sequence[Recording]) -> Spoken:
    """The recordings of a manifest as they are."""
    sounds: list[Sound | None] = [(r.samples, SPEECH_RATE) for r in recordings]
    return Spoken("recording", [r.id for r in recordings], [r.text for r in recordings], sounds, 0.0)


def save_all(spoken: Spoken, folder: Path) -> None:
    """Write every sound as FOLDER/ID.wav."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sound in zip(spoken.ids, spoken.sounds, strict=True):
        if sound:
            write_wav(folder / f"{name.replace('/', '_')}.wav", *sound)


def judge(
    spoken: Spoken, judges: Mapping[str, Recognizer], mos: Mos | None, normal: Normal | None = None
) -> SynthesisResult:
    """Error rates by every judge and mean naturalness; a refused sentence counts as silence to judges.

    normal: what is done to texts before they are compared, by default Whisper's normalizer.
    """
    normal = normal or normalizer()
    sounds = [load_audio(sound) if sound else None for sound in spoken.sounds]  # 16 kHz
    rates = {}
    for name, recognizer in judges.items():
        heard = [recognizer(sound) if sound is not None else "" for sound in sounds]
        rates[name] = error_rates(spoken.ids, closest(spoken.texts, heard, normal), heard, normal)
    scores = [mos(sound) for sound in sounds if sound is not None] if mos else []
    return SynthesisResult(spoken, rates, round(float(np.mean(scores)), 2) if scores else None)
