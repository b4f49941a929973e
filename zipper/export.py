"""Transcripts, and the words of synthesised speech, as plain text, subtitles (SRT, WebVTT) and JSON."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from zipper.errors import OptionError
from zipper.results import Word

CUE_CHARACTERS = 84  # two lines of 42, what broadcasters allow
CUE_SECONDS = 6.0  # s, longest cue
CUE_PAUSE = 0.8  # s of silence that ends a cue
CUE_MINIMUM = 0.001  # s, a cue may not be empty; subtitles count in milliseconds


class Spoken(Protocol):
    """What an export needs: a Transcript or a Speech."""

    @property
    def text(self) -> str:
        """The whole text."""

    @property
    def words(self) -> tuple[Word, ...]:
        """Its words in order."""

    @property
    def seconds(self) -> float:
        """Length of the recording."""


class Cue(NamedTuple):
    """One subtitle."""

    text: str
    start: float
    end: float


def export(spoken: Spoken, file_format: str, each_word: bool = False) -> str:
    """A result as txt, srt, vtt or json, ending in a newline; OptionError for another format.

    each_word: subtitles show one word at a time.
    """
    writers: dict[str, Callable[[], str]] = {
        "txt": lambda: spoken.text + "\n",
        "srt": lambda: _srt(cues(spoken.words, each_word)),
        "vtt": lambda: _vtt(cues(spoken.words, each_word)),
        "json": lambda: _json(spoken),
    }
    if file_format not in writers:
        raise OptionError(f"There is no export format {file_format!r}; choose one of {', '.join(writers)}.")
    return writers[file_format]()


def cues(words: Sequence[Word], each_word: bool = False) -> list[Cue]:
    """Words grouped into subtitles: a new one after a sentence, at a pause, or when one is full; or each alone.

    Cues hold every word once, in order, are never empty, and neither overlap nor run backwards.
    """
    groups: list[list[Word]] = []
    for word in words:
        if not groups or each_word or _ends(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    found: list[Cue] = []
    for group in groups:
        start = max(group[0].start, found[-1].end if found else 0.0)
        end = max(word.end for word in group)
        found.append(Cue(" ".join(w.text for w in group), start, max(end, start + CUE_MINIMUM)))
    return found


def _ends(group: Sequence[Word], word: Word) -> bool:
    """Whether a word begins a new cue."""
    characters = sum(len(w.text) + 1 for w in group) + len(word.text)
    sentence = group[-1].text.rstrip("\"')").endswith((".", "!", "?"))
    pause = word.start - group[-1].end > CUE_PAUSE
    return sentence or pause or characters > CUE_CHARACTERS or word.end - group[0].start > CUE_SECONDS


def _srt(found: Sequence[Cue]) -> str:
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text.replace('-->', '->')}\n"
        for number, cue in enumerate(found, start=1)
    ]
    return "\n".join(blocks)


def _vtt(found: Sequence[Cue]) -> str:
    blocks = [f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escape(cue.text)}\n" for cue in found]
    return "\n".join(["WEBVTT\n", *blocks])


def _json(spoken: Spoken) -> str:
    words = []
    for word in spoken.words:
        entry: dict[str, object] = {
            "text": word.text,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
        }
        if word.confidence is not None:
            entry["confidence"] = round(word.confidence, 4)
        words.append(entry)
    whole = {"text": spoken.text, "seconds": round(spoken.seconds, 3), "words": words}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _escape(text: str) -> str:
    """WebVTT reads tags and entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, mark: str) -> str:
    """Seconds as HH:MM:SS,mmm."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
