"""Two results side by side, each with its words and its map, for all comparisons of Explore.

A run is a generator that yields what changes on the page and returns its result, so that it can be stopped between any
two tokens.
"""

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from app.components.attention_map import AttentionMap
from app.components.attention_map.payload import map_payload
from app.components.attention_map.serving import connect_map
from app.components.marked_words import marked_words, marks
from app.components.status import busy, idle, status_line
from app.first_look.look import FirstLook
from app.panel import PanelOutputs, check_seed, download, initial, no_download, on_maps, require_recording, unchanged
from app.sound import audio_url, to_wav
from app.state import STATE_SECONDS, DisplayedResult
from app.wer import NO_WORDS, word_errors
from zipper import GateScale, Zipper, limits
from zipper.audio.io import Samples, load_audio
from zipper.errors import LimitError, NoSpeechError, TextError
from zipper.rates import SPEECH_RATE

EXAMPLE = "This is an example, made earlier; your own takes its place when you start."
REFRESH_SECONDS = 0.2  # s between two updates of the page


@dataclass(frozen=True)
class PairOutputs(PanelOutputs):
    """What a handler changes on the page: for each side its words, map, sound to download, and state."""

    left_words: Any = unchanged()
    left_map: Any = unchanged()
    left_wav: Any = unchanged()
    left: Any = unchanged()
    right_words: Any = unchanged()
    right_map: Any = unchanged()
    right_wav: Any = unchanged()
    right: Any = unchanged()


def build_pair(
    name: str, left: str, right: str, ready: str, look: FirstLook | None, example: str = EXAMPLE
) -> PairOutputs:
    """Put the components on the page; name starts their ids, left and right are the headings.

    ready: the status line to begin with; look: the example that is shown until the first run,
    and the sentence that says so.
    """
    status = status_line(f"{example} {look.status}" if look else ready, f"{name}-status")
    first = opened(look)
    sides: list[Any] = []
    with gr.Row():
        for side, heading in (("left", left), ("right", right)):
            with gr.Column(min_width=320):
                gr.Markdown(f"### {heading}")
                words = marked_words(f"{name}-{side}-words", getattr(first, f"{side}_words"))
                heatmap = AttentionMap(getattr(first, f"{side}_map"), elem_id=f"{name}-{side}-map")
                result = gr.State(getattr(first, side), time_to_live=STATE_SECONDS)
                connect_map(heatmap, result)
                wav = gr.DownloadButton("Save this sound (WAV)", **initial(getattr(first, f"{side}_wav")), size="sm")
                sides += [words, heatmap, wav, result]
    return PairOutputs(status, *sides)


def opened(look: FirstLook | None) -> PairOutputs:
    """What a comparison shows until the first run."""
    if look is None:
        return cleared("")
    (left, right), words = look.displayed, look.words
    first, second = left_result(left, words[0]), right_result(right, words[1])
    shown = {name: getattr(second, name) for name in ("right_words", "right_map", "right_wav", "right")}
    return on_maps(replace(first, **shown), example=True)


def cleared(text: str) -> PairOutputs:
    """The page at the start of a run, without the results before."""
    empty = marks("", [])
    return PairOutputs(busy(text), empty, None, no_download(), None, empty, None, no_download(), None)


def left_result(displayed: DisplayedResult | None, words: dict[str, Any]) -> PairOutputs:
    """A result on the left; None where no word was recognized."""
    heatmap, wav = _map_and_sound(displayed)
    return PairOutputs(left_words=words, left_map=heatmap, left_wav=wav, left=displayed)


def right_result(displayed: DisplayedResult | None, words: dict[str, Any]) -> PairOutputs:
    """A result on the right; None where no word was recognized."""
    heatmap, wav = _map_and_sound(displayed)
    return PairOutputs(right_words=words, right_map=heatmap, right_wav=wav, right=displayed)


def finished(text: str) -> PairOutputs:
    """The end of a run, in a sentence."""
    return PairOutputs(idle(text))


def load_recording(path: str | None) -> Samples:
    """A recording at 16 kHz, short enough to be transcribed several times."""
    samples = load_audio(require_recording(path))
    if len(samples) > limits.MAX_COMPARED_SECONDS * SPEECH_RATE:
        raise LimitError(
            f"Recordings of up to {limits.MAX_COMPARED_SECONDS:g} s are explored; longer ones can be transcribed."
        )
    return samples


def check_text(text: str | None) -> str:
    """A text short enough to be spoken several times."""
    if not text or not text.strip():
        raise TextError("There is no text to speak yet: type a sentence or choose an example.")
    if len(text) > limits.MAX_COMPARED_CHARACTERS:
        raise LimitError(
            f"Texts of up to {limits.MAX_COMPARED_CHARACTERS} characters are explored; longer ones can be synthesized."
        )
    return text


def transcribe(
    model: Zipper, samples: Samples, rate: int, title: str, gates: GateScale | None = None, link: str | None = None
) -> Generator[PairOutputs, None, DisplayedResult | None]:
    """Transcribe samples (n,) at a rate; None where no word is recognized in them, as with closed gates.

    link: query of the address that leads to the comparison.
    """
    started = refreshed = time.monotonic()
    try:
        with closing(model.transcribe_stream((samples, rate), gate_scale=gates)) as parts:
            for part in parts:
                now = time.monotonic()
                if part.transcript is not None:
                    return DisplayedResult(part.transcript, samples, rate, now - started, title, link)
                if now - refreshed > REFRESH_SECONDS:
                    refreshed = now
                    yield PairOutputs(busy(f"{title}: {part.text}"))
    except NoSpeechError:
        pass
    return None


def synthesize(
    model: Zipper,
    text: str,
    voice: str | None,
    seed: float | None,
    title: str,
    gates: GateScale | None = None,
    link: str | None = None,
) -> Generator[PairOutputs, None, DisplayedResult]:
    """Speak a text; speech that comes to no end, as it may with closed gates, is cut off.

    link: query of the address that leads to the comparison.
    """
    started = refreshed = time.monotonic()
    seconds = 0.0
    parts = model.synthesize_stream(text, voice, check_seed(seed), gate_scale=gates, keep_unended=gates is not None)
    with closing(parts):
        for part in parts:
            now, seconds = time.monotonic(), seconds + len(part.samples) / part.sample_rate
            if part.speech is not None:
                return DisplayedResult.of_speech(part.speech, now - started, title, link)
            if now - refreshed > REFRESH_SECONDS:
                refreshed = now
                yield PairOutputs(busy(f"{title}: {seconds:.1f} s of speech"))
    raise AssertionError("the last part of a stream holds the speech")


def marked_against(reference: str, reference_name: str, hypothesis: str, caption: str) -> dict[str, Any]:
    """The words of a hypothesis, marked against a reference if it has words; caption says what they are."""
    if not hypothesis.strip():
        return marks(caption, NO_WORDS)
    report = word_errors(reference, hypothesis)
    if report is None:
        return marks(caption, [(hypothesis, None)])
    return marks(f"{caption}, marked against {reference_name}", report.marked)


def text_of(displayed: DisplayedResult | None) -> str:
    """The text of a result; empty where no word was recognized."""
    return displayed.result.text if displayed else ""


def _map_and_sound(displayed: DisplayedResult | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The payload of the map, and the update of the download button."""
    if displayed is None:
        return None, no_download()
    path = to_wav(displayed.samples, displayed.sample_rate, "sound.wav")
    return map_payload(displayed, audio_url(path)), download(path)
