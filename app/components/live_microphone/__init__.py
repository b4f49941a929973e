"""Live transcription while a person still speaks.

A window over the newest sound is transcribed again about once a second. A word is final as soon as two transcripts in a
row agree on it and on all words before it (LocalAgreement, Macháček et al. 2023), and never changes after that. Sound
whose words are final is removed from the window, so that both the window and the work for it stay bounded.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import gradio as gr
import numpy as np
import numpy.typing as npt
import soxr

from app.components.html import component
from app.errors import plain_text, user_errors
from zipper import Zipper, limits
from zipper.audio.io import Samples
from zipper.errors import AudioError, LimitError, NoSpeechError
from zipper.rates import SPEECH_RATE
from zipper.results import Word

HERE = Path(__file__).resolve().parent

TRIM_SECONDS = 6.0  # s, length of the window from which sound with final words is removed
QUIET_SECONDS = 1.0  # s kept at the end of a window without speech, because a word may have begun there
KEEP_SECONDS = 2.0  # s kept at the end of a full window in which no word is final
OVERLAP_SECONDS = 0.1  # s, tolerance of word times
LATE_SECONDS = 10.0  # s over the limit that a page may send before its own clock stops it
MAX_CHUNKS = 2_000  # messages of one recording; the page sends one a second


def live_microphone(elem_id: str) -> gr.HTML:
    """A microphone that sends its sound while it records, and shows the answers of `transcribe_chunk`: script.js.

    Event `chunk`: more sound, for `transcribe_chunk`. Event `finished`: the recording has ended, and all of it was
    answered.
    """
    return component(HERE, elem_id, seconds=limits.MAX_LIVE_SECONDS)


@dataclass
class Agreement:
    """LocalAgreement over transcripts of a growing window; times in seconds from the start of the recording.

    final: words that stay. tentative: those of the last transcript, which may still change.
    """

    final: list[Word] = field(default_factory=list)
    tentative: list[Word] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When the last final word ends."""
        return self.final[-1].end if self.final else 0.0

    def add(self, transcript: Sequence[Word]) -> None:
        """Add another transcript, which may begin with words that are final already."""
        fresh = self._after_final(transcript)
        agreed = 0
        for old, new in zip(self.tentative, fresh, strict=False):
            if _normalized(old.text) != _normalized(new.text):
                break
            agreed += 1
        self.final += fresh[:agreed]
        self.tentative = fresh[agreed:]

    def finalize(self, before: float = float("inf")) -> None:
        """Make those tentative words final that end at or before a time."""
        count = 0
        while count < len(self.tentative) and self.tentative[count].end <= before:
            count += 1
        self.final += self.tentative[:count]
        self.tentative = self.tentative[count:]

    def _after_final(self, transcript: Sequence[Word]) -> list[Word]:
        """The words of a transcript that are spoken after the last final word.

        Their times decide; the last final word itself, with a time that is a little off, is left out too.
        """
        fresh = [word for word in transcript if (word.start + word.end) / 2 > self.end]
        if not fresh or not self.final or fresh[0].start >= self.end + OVERLAP_SECONDS:
            return fresh
        repeated = _normalized(fresh[0].text) == _normalized(self.final[-1].text)
        return fresh[1:] if repeated else fresh


@dataclass
class LiveRecording:
    """One live recording of one person: the sound at 16 kHz, and its words so far.

    name: chosen by the page for each recording. rate: Hz of the sound that the page sends. received: number of samples
    received, at that rate. chunks: all sound at 16 kHz. window: the part that is transcribed, which starts at
    window_start s.
    """

    name: str
    rate: int
    received: int = 0
    chunks: list[npt.NDArray[np.int16]] = field(default_factory=list)
    window: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    window_start: float = 0.0
    words: Agreement = field(default_factory=Agreement)
    finished: bool = False

    def __post_init__(self) -> None:
        if not limits.MIN_SAMPLE_RATE <= self.rate <= limits.MAX_SAMPLE_RATE:
            raise AudioError(f"The microphone's sample rate of {self.rate} Hz is not supported.")
        self._resampler = soxr.ResampleStream(self.rate, SPEECH_RATE, 1, dtype="float32")

    @property
    def samples(self) -> Samples:
        """Everything recorded, at 16 kHz."""
        whole = np.concatenate([np.zeros(0, np.int16), *self.chunks])
        return whole.astype(np.float32) / np.float32(32768)

    @property
    def seconds(self) -> float:
        """Length of the recording so far."""
        return self.received / self.rate

    def add(self, start: int, sound: npt.NDArray[np.int16], last: bool) -> None:
        """Add sound that begins at sample `start` of the recording; samples received before are left out.

        Nothing is kept beyond MAX_LIVE_SECONDS.
        """
        if start > self.received:
            raise AudioError("A piece of the live recording is missing.")
        room = round(limits.MAX_LIVE_SECONDS * self.rate) - self.received
        new = sound[self.received - start :][:room]
        self.received += len(new)
        resampled = self._resampler.resample_chunk(new.astype(np.float32) / np.float32(32768), last=last)
        resampled = np.clip(resampled, -1.0, 1.0).astype(np.float32)
        self.chunks.append(np.round(resampled * 32767).astype(np.int16))
        self.window = np.concatenate([self.window, resampled])

    def transcribe(self, model: Zipper) -> None:
        """Transcribe the window again, make final what two transcripts agree on, and drop its sound.

        If more sound than a window has arrived in the meantime, the older part is finalized first.
        """
        size = round(limits.MAX_LIVE_WINDOW_SECONDS * SPEECH_RATE)
        while len(self.window) > size:
            self.words.add(self._words(model, self.window[:size]))
            self._drop_full(size)
        words = self._words(model, self.window)
        self.words.add(words)
        if words:
            self._drop_final()
        else:  # do not transcribe silence again and again
            self._drop(self.window_start + len(self.window) / SPEECH_RATE - QUIET_SECONDS)

    def finish(self) -> None:
        """There is no more sound: every word is final."""
        self.words.finalize()
        self.window = np.zeros(0, np.float32)
        self.finished = True

    def _words(self, model: Zipper, window: Samples) -> list[Word]:
        if len(window) < limits.MIN_AUDIO_SECONDS * SPEECH_RATE:
            return []
        try:
            words = model.transcribe((window, SPEECH_RATE), beams=1).words  # greedy, to keep up with the speaker
        except NoSpeechError:
            return []
        offset = self.window_start
        return [Word(w.text, w.start + offset, w.end + offset, w.confidence) for w in words]

    def _drop_full(self, size: int) -> None:
        """Shorten a full window: words that end well before its end become final, and their sound is dropped."""
        keep = self.window_start + size / SPEECH_RATE - KEEP_SECONDS
        self.words.finalize(keep)
        has_final = self.words.end > self.window_start + KEEP_SECONDS
        self._drop(self.words.end if has_final else keep)
        self.words.tentative = []  # they belong to another window, so the next transcript cannot be compared with them

    def _drop_final(self) -> None:
        if len(self.window) > TRIM_SECONDS * SPEECH_RATE and self.words.end > self.window_start:
            self._drop(self.words.end)

    def _drop(self, until: float) -> None:
        dropped = min(max(0, round((until - self.window_start) * SPEECH_RATE)), len(self.window))
        self.window = self.window[dropped:]
        self.window_start += dropped / SPEECH_RATE


def transcribe_chunk(
    model: Zipper, recording: LiveRecording | None, message: object
) -> tuple[dict[str, Any], LiveRecording | None]:
    """Answer a message of script.js: more sound of the present or of a new recording.

    There is always an answer, because the page waits for it; an error is in it as `problem`. After an error of the
    transcription the recording continues; after a message that cannot be used it ends with the sound received before.
    """
    name = str(message.get("recording", ""))[:40] if isinstance(message, Mapping) else ""
    try:
        with user_errors():
            recording, last = _add_message(recording, message)
    except gr.Error as error:
        problem = {"recording": name, "problem": plain_text(error)}
        if recording is None or recording.name != name or not recording.received:
            return problem, recording
        recording.finish()
        return recording_state(recording) | problem, recording
    problem = {}
    try:
        with user_errors():
            if not recording.finished:  # it is finished when the last message is repeated
                recording.transcribe(model)
    except gr.Error as error:
        problem = {"problem": plain_text(error)}
    if last or recording.seconds >= limits.MAX_LIVE_SECONDS:
        recording.finish()
    return recording_state(recording) | problem, recording


def recording_state(recording: LiveRecording) -> dict[str, Any]:
    """The state of a recording, as script.js takes it."""
    return {
        "recording": recording.name,
        "received": recording.received,
        "final": " ".join(word.text for word in recording.words.final),
        "tentative": " ".join(word.text for word in recording.words.tentative),
        "finished": recording.finished,
        "full": recording.finished and recording.seconds >= limits.MAX_LIVE_SECONDS,
    }


def _add_message(recording: LiveRecording | None, message: object) -> tuple[LiveRecording, bool]:
    """The recording with the sound of a message, and whether that is its last."""
    if not isinstance(message, Mapping):
        raise AudioError("The microphone's message could not be read.")
    name, rate, start, last = (message.get(key) for key in ("recording", "rate", "start", "last"))
    if not (isinstance(name, str) and _is_natural(rate) and _is_natural(start) and isinstance(last, bool)):
        raise AudioError("The microphone's message could not be read.")
    sound = _decode_sound(message.get("sound"), rate)
    if recording is None or recording.name != name[:40]:
        recording = LiveRecording(name[:40], rate)
    if recording.finished:
        return recording, True
    if len(recording.chunks) >= MAX_CHUNKS:
        raise LimitError("The live recording came in too many pieces.")
    recording.add(start, sound, last)
    return recording, last


def _decode_sound(sound: object, rate: int) -> npt.NDArray[np.int16]:
    """Samples from base64 of little-endian 16-bit integers."""
    max_characters = (limits.MAX_LIVE_SECONDS + LATE_SECONDS) * max(rate, limits.MIN_SAMPLE_RATE) * 2 * 4 / 3
    if not isinstance(sound, str) or len(sound) > max_characters:
        raise LimitError(f"At most {limits.MAX_LIVE_SECONDS:.0f} s are recorded live.")
    try:
        data = base64.b64decode(sound, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AudioError("The microphone's sound could not be read.") from error
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def _is_natural(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _normalized(text: str) -> str:
    """A word without case and punctuation, which change between transcripts."""
    return "".join(character for character in text.casefold() if character.isalnum()) or text
