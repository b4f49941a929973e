"""Two results side by side, each with its words and its map; Explore compares with nothing else.

A run is a generator that yields what changes on the page and returns what it made, so that it can be stopped
between any two tokens.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.components.attention_map import AttentionMap, serving
from app.components.attention_map.payload import map_payload
from app.components.marked_words import marked_words, marks
from app.components.status import busy, idle, status_line
from app.errors import guarded, plain
from app.sound import audio_url, to_wav
from app.state import MODEL, STATE_SECONDS, Shown
from app.wer import EMPTY, judge
from zipper import Zipper, limits
from zipper.audio.io import Samples, load_audio
from zipper.errors import AudioError, LimitError, NoSpeechError, TextError, ZipperError
from zipper.inference.engine import Gates
from zipper.rates import SPEECH_RATE

REFRESH_SECONDS = 0.2  # s between two updates of the page


class View(NamedTuple):
    """The parts of the page that a comparison fills; in a handler's answer, their values."""

    status: Any = gr.skip()
    left_words: Any = gr.skip()
    left_map: Any = gr.skip()
    left_wav: Any = gr.skip()
    left: Any = gr.skip()
    right_words: Any = gr.skip()
    right_map: Any = gr.skip()
    right_wav: Any = gr.skip()
    right: Any = gr.skip()


def build(model: Zipper, name: str, left: str, right: str, ready: str) -> View:
    """Put the parts on the page; name starts their ids, left and right are the headings."""
    status = status_line(ready, f"{name}-status")
    sides: list[Any] = []
    with gr.Row():
        for side, heading in (("left", left), ("right", right)):
            with gr.Column(min_width=320):
                gr.Markdown(f"### {heading}")
                words = marked_words(f"{name}-{side}-words")
                heatmap = AttentionMap(elem_id=f"{name}-{side}-map")
                shown = gr.State(None, time_to_live=STATE_SECONDS)
                serving.offer(model, heatmap, shown)
                wav = gr.DownloadButton("Save this sound (WAV)", interactive=False, size="sm")
                sides += [words, heatmap, wav, shown]
    return View(status, *sides)


def cleared(text: str) -> View:
    """The page at the start of a run: nothing of an earlier one is left."""
    nothing = gr.update(value=None, interactive=False)
    empty = marks("", [])
    return View(busy(text), empty, None, nothing, None, empty, None, nothing, None)


def on_left(model: Zipper, shown: Shown | None, words: dict[str, Any]) -> View:
    """A result on the left; None where there was nothing to read."""
    heatmap, wav = _seen(model, shown)
    return View(left_words=words, left_map=heatmap, left_wav=wav, left=shown)


def on_right(model: Zipper, shown: Shown | None, words: dict[str, Any]) -> View:
    """A result on the right; None where there was nothing to read."""
    heatmap, wav = _seen(model, shown)
    return View(right_words=words, right_map=heatmap, right_wav=wav, right=shown)


def done(text: str) -> View:
    """The end of a run, in a sentence."""
    return View(idle(text))


def connect(event: Any, handler: Any, inputs: list[Any], parts: View, stop: gr.Button) -> None:
    """Run a handler, a generator of views, on an event; the button stops it."""
    run = event(
        told(handler),
        inputs,
        list(parts),
        show_progress="minimal",
        show_progress_on=parts.status,
        api_visibility="private",
        **MODEL,
    )
    stop.click(lambda: idle("Stopped."), None, parts.status, cancels=[run], queue=False, api_visibility="private")


def told(handler: Callable[..., Iterator[View]]) -> Callable[..., Iterator[View]]:
    """The handler, guarded; what goes wrong also stands in the status line, as a toast vanishes."""

    @guarded
    def run(*inputs: Any) -> Iterator[View]:
        try:
            yield from handler(*inputs)
        except (ZipperError, gr.Error) as error:
            yield done(plain(error))
            raise

    return run


def recording(path: str | None) -> Samples:
    """A recording at 16 kHz, short enough to be read several times over."""
    if not path:
        raise AudioError("There is no recording yet: record something, upload a file or choose an example.")
    if not Path(path).is_file():
        raise AudioError("That recording is no longer here; please record or upload it again.")
    samples = load_audio(path)
    if len(samples) > limits.MAX_COMPARED_SECONDS * SPEECH_RATE:
        raise LimitError(
            f"Recordings of up to {limits.MAX_COMPARED_SECONDS:g} s are explored; longer ones can be transcribed."
        )
    return samples


def sentence(text: str | None) -> str:
    """A text short enough to be spoken several times over."""
    if not text or not text.strip():
        raise TextError("There is no text to speak yet: type a sentence or choose an example.")
    if len(text) > limits.MAX_COMPARED_CHARACTERS:
        raise LimitError(
            f"Texts of up to {limits.MAX_COMPARED_CHARACTERS} characters are explored; longer ones can be synthesized."
        )
    return text


def read(
    model: Zipper, samples: Samples, rate: int, title: str, gates: Gates = None
) -> Generator[View, None, Shown | None]:
    """Recognize samples (n,) at a rate; None where there is no word in them, as with closed gates."""
    started = told = time.monotonic()
    try:
        with closing(model.transcribe_stream((samples, rate), gate_scale=gates)) as parts:
            for part in parts:
                now = time.monotonic()
                if part.transcript is not None:
                    return Shown(part.transcript, samples, rate, now - started, title)
                if now - told > REFRESH_SECONDS:
                    told = now
                    yield View(busy(f"{title}: {part.text}"))
    except NoSpeechError:
        pass
    return None


def speak(
    model: Zipper, text: str, voice: str | None, seed: int, title: str, gates: Gates = None
) -> Generator[View, None, Shown]:
    """Speak a text; speech that comes to no end, as it may with closed gates, is cut off."""
    started = told = time.monotonic()
    seconds = 0.0
    parts = model.synthesize_stream(text, voice, seed, gate_scale=gates, keep_unended=gates is not None)
    with closing(parts):
        for part in parts:
            now, seconds = time.monotonic(), seconds + len(part.samples) / part.sample_rate
            if part.speech is not None:
                return Shown(part.speech, part.speech.samples, part.sample_rate, now - started, title)
            if now - told > REFRESH_SECONDS:
                told = now
                yield View(busy(f"{title}: {seconds:.1f} s of speech"))
    raise AssertionError("the last part of a stream holds the speech")


def compared(what: str, heard: str, said: str, whose: str) -> dict[str, Any]:
    """Words that were heard, marked against those that were said, if they are known; what and whose name the two."""
    verdict = judge(said, heard)
    if not heard.strip():
        return marks(what, EMPTY)
    return marks(f"{what}, marked against {whose}", verdict.marked) if verdict else marks(what, [(heard, None)])


def text(shown: Shown | None) -> str:
    """The words of a result."""
    return shown.result.text if shown else ""


def _seen(model: Zipper, shown: Shown | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The map, and the sound to take along."""
    if shown is None:
        return None, gr.update(value=None, interactive=False)
    path = to_wav(shown.samples, shown.sample_rate, "sound.wav")
    return map_payload(shown, model.heads, audio_url(path)), gr.update(value=path, interactive=True)
