"""The Synthesize panel: type a text and hear it while the rest is still being made."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.context import Context

from app import examples
from app.components.attention_map import AttentionMap, serving
from app.components.attention_map.payload import map_payload
from app.components.player import Stream, player
from app.components.status import busy, idle, status_line, stoppable
from app.errors import guarded, plain
from app.examples import Results
from app.settings import Settings
from app.sound import audio_url, to_file, to_wav
from app.state import MODEL, STATE_SECONDS, Shown
from zipper import Zipper, limits
from zipper.errors import OptionError, ZipperError
from zipper.export import export
from zipper.inference import presets
from zipper.results import Speech

SEED = 0  # to begin with
NEW_SEEDS = 1_000_000  # a seed that people can remember
LARGEST_SEED = 2**53 - 1  # browsers keep whole numbers exact up to here
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 1.5
READY = "Type a sentence or click an example; it is spoken while the rest is still being made."
PLAYER = "synthesize-player"
SILENCE = "new Event('silence', {bubbles: true})"
QUIET = f"() => {{ document.querySelector('#{PLAYER} .player').dispatchEvent({SILENCE}); return []; }}"


class View(NamedTuple):
    """What a handler changes on the page; what is left out stays as it is."""

    status: Any = gr.skip()
    sound: Any = gr.skip()
    heatmap: Any = gr.skip()
    shown: Any = gr.skip()
    text: Any = gr.skip()
    wav: Any = gr.skip()
    srt: Any = gr.skip()
    json: Any = gr.skip()


def speak(model: Zipper, text: str | None, voice: str | None, seed: float | None, temperature: float) -> Iterator[View]:
    """Speak a text; the views bring the sound chunk by chunk, the last one the whole result."""
    yield cleared("Reading the text …")
    yield from _told(_speak(model, text or "", voice, seed, temperature))


def speak_example(
    model: Zipper,
    results: Results,
    offered: tuple[str, ...],
    number: int,
    voice: str | None,
    seed: float | None,
    temperature: float,
) -> Iterator[View]:
    """Speak an example text; at once, where this model has spoken it before with these options."""
    text = offered[results.checked(number)]
    as_offered = (voice or model.voices[0], seed, temperature) == _options(model)
    kept = results.get(number) if as_offered else None
    if kept is None:
        for view in speak(model, text, voice, seed, temperature):
            if as_offered and isinstance(view.shown, Shown):
                results.keep(number, view.shown)
            yield view._replace(text=text)
        return
    view = result_view(model, kept, Stream(kept.sample_rate))
    yield view._replace(text=text, status=idle(f"{summary(kept)} Computed earlier."))


def example_steps(model: Zipper, text: str) -> Iterator[Shown | None]:
    """What `speak_example` shows for a text, computed step by step as `Results` wants it."""
    voice, seed, temperature = _options(model)
    for part in model.synthesize_stream(text, voice, seed, temperature=temperature, keep_unended=True):
        yield _shown(part.speech, 0.0) if part.speech is not None else None


def result_view(model: Zipper, shown: Shown, stream: Stream) -> View:
    """A finished result: sound, map and files."""
    wav = to_wav(shown.samples, shown.sample_rate, "speech.wav")
    subtitles = export(shown.result, "srt", each_word=True)
    return View(
        status=idle(summary(shown)),
        sound=stream.end(audio_url(wav)),
        heatmap=map_payload(shown, model.heads, audio_url(wav)),
        shown=shown,
        wav=_download(wav),
        srt=_download(to_file(subtitles.encode(), "speech.srt")),
        json=_download(to_file(export(shown.result, "json").encode(), "speech.json")),
    )


def summary(shown: Shown) -> str:
    """One or two sentences on a result: voice and seed, how long it took, and whether its end is missing."""
    speech, taken = shown.result, shown.seconds_taken
    assert isinstance(speech, Speech)
    told = (
        f"{speech.seconds:.1f} s of speech by {speech.voice} with seed {speech.seed}, made in {taken:.1f} s: "
        f"real-time factor {taken / speech.seconds:.2f}."
    )
    if not speech.complete:
        told += " The model found no end to a sentence and was cut off there; try a new seed."
    return told


def whole_seed(seed: float | None) -> int:
    """A seed as it comes from the page; OptionError for none, a fraction or one that is out of range."""
    if seed is None or seed != seed or not 0 <= seed <= LARGEST_SEED or seed != int(seed):
        raise OptionError(f"The seed must be a whole number from 0 to {LARGEST_SEED:,}.")
    return int(seed)


def new_seed() -> int:
    """Another seed, by chance."""
    return secrets.randbelow(NEW_SEEDS)


def cleared(text: str) -> View:
    """The page at the start of a run: nothing of an earlier result is left."""
    files: dict[str, Any] = {name: gr.update(value=None, interactive=False) for name in ("wav", "srt", "json")}
    return View(busy(text), heatmap=None, shown=None, **files)


def _speak(model: Zipper, text: str, voice: str | None, seed: float | None, temperature: float) -> Iterator[View]:
    started, stream = time.monotonic(), Stream(model.detokenizer.sample_rate)
    spoken, first = 0.0, 0.0
    parts = model.synthesize_stream(text, voice, whole_seed(seed), temperature=temperature, keep_unended=True)
    with closing(parts):
        for part in parts:
            spoken += len(part.samples) / part.sample_rate
            first = first or time.monotonic() - started
            told = f"Speaking: {spoken:.1f} s so far, the first after {first:.1f} s …"
            yield View(busy(told), stream.add(part.samples))
            if part.speech is not None:
                yield result_view(model, _shown(part.speech, time.monotonic() - started), stream)


def _told(views: Iterator[View]) -> Iterator[View]:
    """The same views; what goes wrong also stands in the status line, where it does not vanish as a toast does."""
    try:
        yield from views
    except (ZipperError, gr.Error) as error:
        yield View(idle(plain(error)))
        raise


def _options(model: Zipper) -> tuple[str, int, float]:
    """Voice, seed and temperature that the page shows to begin with."""
    return model.voices[0], SEED, presets.SPEECH_TEMPERATURE


def _shown(speech: Speech, taken: float) -> Shown:
    return Shown(speech, speech.samples, speech.sample_rate, taken, "Synthesis")


def _download(path: str) -> dict[str, Any]:
    return gr.update(value=path, interactive=True)


def panel(model: Zipper, settings: Settings) -> None:
    """Build the panel inside the Blocks that is being made."""
    offered = examples.texts()
    page = Context.root_block
    assert page is not None
    results = Results(lambda number: example_steps(model, offered[number]), len(offered), examples.in_use(page))
    shown = gr.State(None, time_to_live=STATE_SECONDS)
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(
                label="Text",
                lines=3,
                max_lines=12,
                placeholder="What shall be said?",
                elem_id="synthesize-text",
                info=f"English, at most {limits.MAX_TEXT_CHARACTERS:,} characters; Shift+Enter speaks it.",
            )
            options = _controls(model)
            with gr.Row():
                go = gr.Button("Speak", variant="primary", elem_id="synthesize-go", min_width=120)
                stop = gr.Button("Stop", variant="stop", elem_id="synthesize-stop", min_width=120)
            chosen = gr.Dataset(
                label="Examples: click one to hear it",
                components=["textbox"],
                type="index",
                samples=[[line] for line in offered],
                elem_id="synthesize-examples",
            )
        with gr.Column(min_width=300):
            status = status_line(READY, "synthesize-status")
            sound = player(PLAYER)
            with gr.Row():
                files = [_file_button(name) for name in ("wav", "srt", "json")]
    heatmap = AttentionMap(elem_id="synthesize-map", player=f"#{PLAYER}")
    serving.offer(model, heatmap, shown)

    common: dict[str, Any] = {
        "outputs": list(View(status, sound, heatmap, shown, text, *files)),
        "show_progress": "minimal",
        "show_progress_on": status,
        "api_visibility": "private",
        **MODEL,
    }
    said = guarded(partial(speak, model))
    sampled = guarded(partial(speak_example, model, results, offered))
    gr.on([go.click, text.submit, chosen.click, stop.click], None, js=QUIET)
    runs = [
        gr.on([go.click, text.submit], said, [text, *options], **common),
        chosen.click(sampled, [chosen, *options], **common),
    ]
    stoppable(stop, status, runs)
    results.prepare()


def _controls(model: Zipper) -> list[gr.components.Component]:
    """Voice, seed and temperature, in the order of the arguments of `speak`."""
    voice, seed, temperature = _options(model)
    with gr.Row():
        voices = gr.Dropdown(model.voices, value=voice, label="Voice", elem_id="synthesize-voice", min_width=120)
        with gr.Column(min_width=120):
            seeds = gr.Number(seed, label="Seed: same seed, same sound", precision=0, elem_id="synthesize-seed")
            again = gr.Button("New seed", elem_id="synthesize-new-seed", size="sm")
    with gr.Accordion("Advanced", open=False):
        heat = gr.Slider(
            LOWEST_TEMPERATURE,
            HIGHEST_TEMPERATURE,
            temperature,
            step=0.05,
            label="Temperature",
            info="Lower is steadier, higher is livelier and errs more",
            elem_id="synthesize-temperature",
        )
    again.click(new_seed, None, seeds, queue=False, show_progress="hidden", api_visibility="private")
    return [voices, seeds, heat]


def _file_button(name: str) -> gr.DownloadButton:
    label = "SRT, word by word" if name == "srt" else name.upper()
    return gr.DownloadButton(label, interactive=False, size="sm", min_width=70, elem_id=f"synthesize-{name}")
