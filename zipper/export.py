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


def export(spoken: Spoken, file_format: str) -> str:
    """A result as txt, srt, vtt or json, ending in a newline; OptionError for another format."""
    writers: dict[str, Callable[[Spoken], str]] = {"txt": _txt, "srt": _srt, "vtt": _vtt, "json": _json}
    if file_format not in writers:
        raise OptionError(f"There is no export format {file_format!r}; choose one of {', '.join(writers)}.")
    return writers[file_format](spoken)


def cues(words: Sequence[Word]) -> list[Cue]:
    """Words grouped into subtitles: a new one after a sentence, at a pause, or when one is full.

    Cues hold every word once, in order, are never empty, and neither overlap nor run backwards.
    """
    groups: list[list[Word]] = []
    for word in words:
        if not groups or _ends(groups[-1], word):
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


def _txt(spoken: Spoken) -> str:
    return spoken.text + "\n"


def _srt(spoken: Spoken) -> str:
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text.replace('-->', '->')}\n"
        for number, cue in enumerate(cues(spoken.words), start=1)
    ]
    return "\n".join(blocks)


def _vtt(spoken: Spoken) -> str:
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escape(cue.text)}\n"
        for cue in cues(spoken.words)
    ]
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
