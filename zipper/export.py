"""Transcripts, and the words of synthesized speech, as plain text, subtitles (SRT, WebVTT) and JSON."""

import json
from collections.abc import Callable, Sequence

from zipper.errors import OptionError
from zipper.results import Speech, Transcript
from zipper.subtitles import Cue, cues

Exportable = Transcript | Speech


def export(spoken: Exportable, file_format: str, each_word: bool = False) -> str:
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


def _srt(found: Sequence[Cue]) -> str:
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_text(cue).replace('-->', '->')}\n"
        for number, cue in enumerate(found, start=1)
    ]
    return "\n".join(blocks)


def _vtt(found: Sequence[Cue]) -> str:
    blocks = [f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escape(_text(cue))}\n" for cue in found]
    return "\n".join(["WEBVTT\n", *blocks])


def _json(spoken: Exportable) -> str:
    words = []
    for word in spoken.words:
        entry: dict[str, object] = {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
        if word.confidence is not None:
            entry["confidence"] = round(word.confidence, 4)
        words.append(entry)
    whole: dict[str, object] = {"text": spoken.text, "seconds": round(spoken.seconds, 3), "words": words}
    if isinstance(spoken, Transcript):
        known = spoken.confidence
        whole["confidence"] = None if known is None else round(known, 4)
        whole |= {"doubtful": spoken.doubtful, "complete": spoken.complete}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _text(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _escape(text: str) -> str:
    """WebVTT reads tags and entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, mark: str) -> str:
    """Seconds as HH:MM:SS,mmm."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
