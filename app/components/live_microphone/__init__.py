"""Reading along while a person still speaks.

A window over the newest sound is read again about once a second. A word is final as soon as two readings in a row
agree on it and on all words before it (LocalAgreement, Macháček et al. 2023), and never changes after that. Sound
whose words are final leaves the window, so that both the window and the work for it stay bounded.
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
from app.errors import plain, told
from zipper import Zipper, limits
from zipper.audio.io import Samples
from zipper.errors import AudioError, LimitError, NoSpeechError
from zipper.rates import SPEECH_RATE
from zipper.results import Word

HERE = Path(__file__).resolve().parent

TRIM_SECONDS = 6.0  # s of window from which sound with final words leaves it
QUIET_SECONDS = 1.0  # s at the end of a window without speech that stay, as a word may have begun there
KEEP_SECONDS = 2.0  # s at the end of a full window that stay although nothing in it is final
OVERLAP_SECONDS = 0.1  # s by which word times may be off
LATE_SECONDS = 10.0  # s beyond the most that a page may send before its own clock stops it
MOST_PIECES = 2_000  # messages of one recording; the page sends one a second


def live_microphone(elem_id: str) -> gr.HTML:
    """A microphone that sends its sound while it records, and shows what `hear` answers: script.js.

    Event `heard`: more sound, for `hear`. Event `whole`: the recording has ended and everything was answered.
    """
    return component(HERE, elem_id, seconds=limits.MAX_LIVE_SECONDS)


@dataclass
class Agreement:
    """LocalAgreement over readings of a growing window; times in seconds from the start of the recording.

    final: words that stay. tentative: those of the last reading that may still change.
    """

    final: list[Word] = field(default_factory=list)
    tentative: list[Word] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When the last final word ends."""
        return self.final[-1].end if self.final else 0.0

    def add(self, reading: Sequence[Word]) -> None:
        """Take another reading, which may begin with words that are final already."""
        fresh = self._after_final(reading)
        agreed = 0
        for old, new in zip(self.tentative, fresh, strict=False):
            if _plain(old.text) != _plain(new.text):
                break
            agreed += 1
        self.final += fresh[:agreed]
        self.tentative = fresh[agreed:]

    def settle(self, before: float = float("inf")) -> None:
        """Make the tentative words final that end by a time."""
        count = 0
        while count < len(self.tentative) and self.tentative[count].end <= before:
            count += 1
        self.final += self.tentative[:count]
        self.tentative = self.tentative[count:]

    def _after_final(self, reading: Sequence[Word]) -> list[Word]:
        """The words of a reading that are spoken after the last final one.

        Its time decides; a word that is the last final one once more, with a time that is a little off, goes too.
        """
        fresh = [word for word in reading if (word.start + word.end) / 2 > self.end]
        if fresh and self.final and fresh[0].start < self.end + OVERLAP_SECONDS:
            if _plain(fresh[0].text) == _plain(self.final[-1].text):
                return fresh[1:]
        return fresh


@dataclass
class Take:
    """One live recording of one person: the sound at 16 kHz, and what has been read of it.

    name: chosen by the page for each recording. received: samples that arrived, at the page's rate.
    """

    name: str
    rate: int
    received: int = 0
    pieces: list[npt.NDArray[np.int16]] = field(default_factory=list)
    window: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    window_start: float = 0.0
    words: Agreement = field(default_factory=Agreement)
    finished: bool = False

    def __post_init__(self) -> None:
        if not limits.MIN_SAMPLE_RATE <= self.rate <= limits.MAX_SAMPLE_RATE:
            raise AudioError(f"The microphone's sample rate of {self.rate} Hz is not within reach.")
        self._resampler = soxr.ResampleStream(self.rate, SPEECH_RATE, 1, dtype="float32")

    @property
    def samples(self) -> Samples:
        """Everything recorded, at 16 kHz."""
        whole = np.concatenate([np.zeros(0, np.int16), *self.pieces])
        return whole.astype(np.float32) / np.float32(32768)

    @property
    def seconds(self) -> float:
        """Length of the recording so far."""
        return self.received / self.rate

    def add(self, start: int, sound: npt.NDArray[np.int16], last: bool) -> None:
        """Take sound that begins at sample `start` of the recording; what is known already is left out.

        Nothing is kept beyond MAX_LIVE_SECONDS.
        """
        if start > self.received:
            raise AudioError("A piece of the live recording is missing.")
        most = round(limits.MAX_LIVE_SECONDS * self.rate) - self.received
        new = sound[self.received - start :][:most]
        self.received += len(new)
        heard = self._resampler.resample_chunk(new.astype(np.float32) / np.float32(32768), last=last)
        heard = np.clip(heard, -1.0, 1.0).astype(np.float32)
        self.pieces.append(np.round(heard * 32767).astype(np.int16))
        self.window = np.concatenate([self.window, heard])

    def read(self, model: Zipper) -> None:
        """Read the window once more, settle what two readings agree on, and let go of what is settled.

        Sound that waited for its turn may be longer than a window; the older part is settled first.
        """
        size = round(limits.MAX_LIVE_WINDOW_SECONDS * SPEECH_RATE)
        while len(self.window) > size:
            self.words.add(self._words(model, self.window[:size]))
            self._drop_full(size)
        words = self._words(model, self.window)
        self.words.add(words)
        if words:
            self._drop_settled()
        else:  # whoever waits before they speak is not read again and again
            self._drop(self.window_start + len(self.window) / SPEECH_RATE - QUIET_SECONDS)

    def finish(self) -> None:
        """There is no more sound: every word is final."""
        self.words.settle()
        self.window = np.zeros(0, np.float32)
        self.finished = True

    def _words(self, model: Zipper, window: Samples) -> list[Word]:
        if len(window) < limits.MIN_AUDIO_SECONDS * SPEECH_RATE:
            return []
        try:
            words = model.transcribe((window, SPEECH_RATE), beams=1).words  # greedy, to keep up
        except NoSpeechError:
            return []
        late = self.window_start
        return [Word(w.text, w.start + late, w.end + late, w.confidence) for w in words]

    def _drop_full(self, size: int) -> None:
        """Make room: what ends well before the end of a full window becomes final, and its sound goes."""
        keep = self.window_start + size / SPEECH_RATE - KEEP_SECONDS
        self.words.settle(keep)
        heard = self.words.end > self.window_start + KEEP_SECONDS
        self._drop(self.words.end if heard else keep)
        self.words.tentative = []  # of a window that begins elsewhere: no reading to compare with

    def _drop_settled(self) -> None:
        if len(self.window) > TRIM_SECONDS * SPEECH_RATE and self.words.end > self.window_start:
            self._drop(self.words.end)

    def _drop(self, until: float) -> None:
        gone = min(max(0, round((until - self.window_start) * SPEECH_RATE)), len(self.window))
        self.window = self.window[gone:]
        self.window_start += gone / SPEECH_RATE


def hear(model: Zipper, take: Take | None, message: object) -> tuple[dict[str, Any], Take | None]:
    """Answer a message of script.js: more sound of this or of a new recording.

    The answer always comes, as the page waits for it: what goes wrong is in it as `problem`. A recording goes on when
    its sound is there and only reading it went wrong; when no more of it can be taken, it ends with what there is.
    """
    name = str(message.get("take", ""))[:40] if isinstance(message, Mapping) else ""
    try:
        with told():
            take, last = _received(take, message)
    except gr.Error as error:
        problem = {"take": name, "problem": plain(error)}
        if take is None or take.name != name or not take.received:
            return problem, take
        take.finish()
        return answer(take) | problem, take
    problem = {}
    try:
        with told():
            if not take.finished:  # else the message came twice
                take.read(model)
    except gr.Error as error:
        problem = {"problem": plain(error)}
    if last or take.seconds >= limits.MAX_LIVE_SECONDS:
        take.finish()
    return answer(take) | problem, take


def answer(take: Take) -> dict[str, Any]:
    """What the page shows of a recording."""
    return {
        "take": take.name,
        "received": take.received,
        "final": " ".join(word.text for word in take.words.final),
        "tentative": " ".join(word.text for word in take.words.tentative),
        "finished": take.finished,
        "full": take.finished and take.seconds >= limits.MAX_LIVE_SECONDS,
    }


def _received(take: Take | None, message: object) -> tuple[Take, bool]:
    """The recording with the sound of a message, and whether that is its last."""
    if not isinstance(message, Mapping):
        raise AudioError("The microphone's message could not be read.")
    name, rate, start, last = (message.get(key) for key in ("take", "rate", "start", "last"))
    if not (isinstance(name, str) and _whole(rate) and _whole(start) and isinstance(last, bool)):
        raise AudioError("The microphone's message could not be read.")
    sound = _decoded(message.get("sound"), rate)
    if take is None or take.name != name[:40]:
        take = Take(name[:40], rate)
    if take.finished:
        return take, True
    if len(take.pieces) >= MOST_PIECES:
        raise LimitError("The live recording came in too many pieces.")
    take.add(start, sound, last)
    return take, last


def _decoded(sound: object, rate: int) -> npt.NDArray[np.int16]:
    """Base64 of little-endian 16-bit samples."""
    most = (limits.MAX_LIVE_SECONDS + LATE_SECONDS) * max(rate, limits.MIN_SAMPLE_RATE) * 2 * 4 / 3
    if not isinstance(sound, str) or len(sound) > most:
        raise LimitError(f"At most {limits.MAX_LIVE_SECONDS:.0f} s are recorded live.")
    try:
        data = base64.b64decode(sound, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AudioError("The microphone's sound could not be read.") from error
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _plain(text: str) -> str:
    """A word without case and punctuation, which change between readings."""
    return "".join(character for character in text.casefold() if character.isalnum()) or text
