"""The Synthesize panel: type a text and hear it while the rest is still being synthesized."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from app import examples
from app.components.attention_map import AttentionMap
from app.components.attention_map.payload import map_payload
from app.components.attention_map.serving import connect_map
from app.components.player import Stream, player
from app.components.status import busy, idle, status_line
from app.examples import ExampleResults
from app.guard import Blocks
from app.links import Link
from app.opening import Opening
from app.panel import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    PanelOutputs,
    check_seed,
    connect_run,
    connect_stop,
    download,
    initial,
    no_download,
    on_maps,
    run_buttons,
    unchanged,
)
from app.sound import audio_url, to_file, to_wav
from app.state import MODEL, STATE_SECONDS, UNQUEUED, DisplayedResult
from zipper import Zipper, limits
from zipper.export import export
from zipper.results import Speech

SEED = 0  # to begin with
NEW_SEEDS = 1_000_000  # new seeds are below this, so that people can remember them
READY = "Type a sentence or click an example; it is spoken while the rest is still being made."
EXAMPLE = "This is an example, spoken earlier: type a sentence or click one below, and it takes its place."
FORMATS = ("wav", "srt", "json")
PLAYER = "synthesize-player"
STOP_EVENT = "new Event('stop-player', {bubbles: true})"
STOP_PLAYER = f"() => {{ document.querySelector('#{PLAYER} .player').dispatchEvent({STOP_EVENT}); return []; }}"


@dataclass(frozen=True)
class SynthesizeOutputs(PanelOutputs):
    """What a handler changes on the page."""

    sound: Any = unchanged()
    heatmap: Any = unchanged()
    result: Any = unchanged()
    text: Any = unchanged()
    wav: Any = unchanged()
    srt: Any = unchanged()
    json: Any = unchanged()


def synthesize(
    model: Zipper,
    text: str | None,
    voice: str | None,
    seed: float | None,
    temperature: float,
    speed: float = 1.0,
    pitch: float = 0.0,
) -> Iterator[SynthesizeOutputs]:
    """Speak a text; the updates bring the sound chunk by chunk, the last one the whole result."""
    yield cleared("Reading the text …")
    started, stream = time.monotonic(), Stream(model.sample_rate)
    seconds, first = 0.0, 0.0
    options: dict[str, Any] = {"temperature": temperature, "speed": speed, "pitch": pitch, "keep_unended": True}
    parts = model.synthesize_stream(text or "", voice, check_seed(seed), **options)
    with closing(parts):
        for part in parts:
            seconds += len(part.samples) / part.sample_rate
            first = first or time.monotonic() - started
            progress = f"Speaking: {seconds:.1f} s so far, the first after {first:.1f} s …"
            yield SynthesizeOutputs(busy(progress), sound=stream.add(part.samples))
            if part.speech is not None:
                taken, link = (
                    time.monotonic() - started,
                    _link(model, part.speech, text or "", temperature, speed, pitch),
                )
                yield result_outputs(DisplayedResult.of_speech(part.speech, taken, link=link), stream)


def synthesize_example(
    model: Zipper,
    results: ExampleResults,
    texts: tuple[str, ...],
    number: int,
    voice: str | None,
    seed: float | None,
    temperature: float,
    speed: float = 1.0,
    pitch: float = 0.0,
) -> Iterator[SynthesizeOutputs]:
    """Speak an example text; with the default options at once, if this model has spoken it before."""
    text = texts[results.checked(number)]
    by_default = (voice or model.voices[0], seed, temperature, speed, pitch) == _defaults(model)
    stored = results.get(number) if by_default else None
    if stored is None:
        for update in synthesize(model, text, voice, seed, temperature, speed, pitch):
            if by_default and isinstance(update.result, DisplayedResult):
                results.keep(number, update.result)
            yield replace(update, text=text)
        return
    update = result_outputs(stored, Stream(stored.sample_rate))
    yield replace(update, text=text, status=idle(f"{summary(stored)} Computed earlier."))


def example_steps(model: Zipper, text: str) -> Iterator[DisplayedResult | None]:
    """The result that `synthesize_example` shows, computed step by step for `ExampleResults`."""
    voice, seed, temperature, *_ = _defaults(model)
    for part in model.synthesize_stream(text, voice, seed, temperature=temperature, keep_unended=True):
        speech = part.speech
        link = None if speech is None else _link(model, speech, text, temperature)
        yield None if speech is None else DisplayedResult.of_speech(speech, 0.0, link=link)


def result_outputs(displayed: DisplayedResult, stream: Stream) -> SynthesizeOutputs:
    """A finished result: sound, map and files."""
    wav = to_wav(displayed.samples, displayed.sample_rate, "speech.wav")
    subtitles = export(displayed.result, "srt", each_word=True)
    return SynthesizeOutputs(
        status=idle(summary(displayed)),
        sound=stream.end(audio_url(wav)),
        heatmap=map_payload(displayed, audio_url(wav)),
        result=displayed,
        wav=download(wav),
        srt=download(to_file(subtitles.encode(), "speech.srt")),
        json=download(to_file(export(displayed.result, "json").encode(), "speech.json")),
    )


def summary(displayed: DisplayedResult) -> str:
    """One or two sentences on a result: voice and seed, how long it took, and whether its end is missing."""
    speech, taken = displayed.result, displayed.seconds_taken
    assert isinstance(speech, Speech)
    sentence = (
        f"{speech.seconds:.1f} s of speech by {speech.voice} with seed {speech.seed}, made in {taken:.1f} s: "
        f"real-time factor {taken / speech.seconds:.2f}."
    )
    if not speech.complete:
        sentence += " The model found no end to a sentence and was cut off there; try a new seed."
    return sentence


def new_seed() -> int:
    """A random seed."""
    return secrets.randbelow(NEW_SEEDS)


def cleared(text: str) -> SynthesizeOutputs:
    """The page at the start of a run, without the result before."""
    return SynthesizeOutputs(busy(text), heatmap=None, result=None, **{name: no_download() for name in FORMATS})


def _link(
    model: Zipper, speech: Speech, text: str, temperature: float, speed: float = 1.0, pitch: float = 0.0
) -> str | None:
    """The link to speech of a text, without the values that the page shows to begin with."""
    given: dict[str, Any] = {"temperature": float(temperature), "speed": float(speed), "pitch": float(pitch)}
    usual = dict(zip(given, _defaults(model)[2:], strict=True))
    options = {name: value for name, value in given.items() if value != usual[name]}
    return Link("synthesize", text=text, voice=speech.voice, seed=speech.seed, **options).query()


def _defaults(model: Zipper) -> tuple[str, int, float, float, float]:
    """Voice, seed, temperature, speed and pitch that the page shows to begin with."""
    return model.voices[0], SEED, Zipper.SPEECH_TEMPERATURE, 1.0, 0.0


def opened(opening: Opening) -> SynthesizeOutputs:
    """What the panel shows until the first run."""
    if opening.look is None:
        return replace(cleared(""), status=idle(READY), sound=None)
    (displayed,) = opening.look.displayed
    assert displayed is not None
    outputs = on_maps(result_outputs(displayed, Stream(displayed.sample_rate)), example=True)
    return replace(outputs, status=idle(EXAMPLE))


def panel(model: Zipper, page: Blocks, opening: Opening) -> None:
    """Build the panel inside the page that is being made."""
    texts = examples.texts()
    paused = partial(page.is_busy, MODEL["concurrency_id"])
    results = ExampleResults(lambda number: example_steps(model, texts[number]), len(texts), paused)
    first = opened(opening)
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
            options = _options(model)
            go, stop = run_buttons("Speak", "synthesize", run_id="go")
            chosen = gr.Dataset(
                label="Examples: click one to hear it",
                components=["textbox"],
                type="index",
                samples=[[text] for text in texts],
                elem_id="synthesize-examples",
            )
        with gr.Column(min_width=300):
            outputs = _outputs(text, first)
    heatmap = AttentionMap(first.heatmap, elem_id="synthesize-map", player=f"#{PLAYER}")
    connect_map(heatmap, outputs.result)
    outputs = replace(outputs, heatmap=heatmap)

    gr.on([go.click, text.submit, chosen.click, stop.click], None, js=STOP_PLAYER)
    of_example = partial(synthesize_example, model, results, texts)

    def fill(link: Link) -> list[Any]:
        text, *values = _of_link(model, link)
        return [text or "", *values]

    def run_link(link: Link) -> Iterator[SynthesizeOutputs]:
        text, voice, seed, *delivery = _of_link(model, link)
        if text in texts:  # often at once, as it is kept
            return of_example(texts.index(text), voice, seed, *delivery)
        return synthesize(model, text, voice, seed, *delivery)

    runs = [
        connect_run([go.click, text.submit], partial(synthesize, model), [text, *options], outputs),
        connect_run([chosen.click], of_example, [chosen, *options], outputs),
        opening.connect(model, run_link, outputs, fill, [text, *options]),
    ]
    connect_stop(stop, outputs.status, runs)
    results.prepare()


def _of_link(model: Zipper, link: Link) -> tuple[str | None, str, int, float, float, float]:
    """The arguments of `synthesize` that a link carries, and those to begin with where it says nothing."""
    voice, seed, temperature, speed, pitch = _defaults(model)
    return (
        link.text,
        link.voice or voice,
        seed if link.seed is None else link.seed,
        temperature if link.temperature is None else link.temperature,
        speed if link.speed is None else link.speed,
        pitch if link.pitch is None else link.pitch,
    )


def _outputs(text: gr.Textbox, first: SynthesizeOutputs) -> SynthesizeOutputs:
    """The components that show a result, without its map; first: what they show to begin with."""
    status = status_line(first.status["text"], "synthesize-status")
    sound = player(PLAYER, first.sound)
    with gr.Row():
        files = {name: _file_button(name, getattr(first, name)) for name in FORMATS}
    result = gr.State(first.result, time_to_live=STATE_SECONDS)
    return SynthesizeOutputs(status, sound=sound, result=result, text=text, **files)


def _options(model: Zipper) -> list[gr.components.Component]:
    """Voice, seed, temperature, speed and pitch, in the order of the arguments of `synthesize`."""
    voice, seed, temperature, speed, pitch = _defaults(model)
    with gr.Row():
        voices = gr.Dropdown(model.voices, value=voice, label="Voice", elem_id="synthesize-voice", min_width=120)
        with gr.Column(min_width=120):
            seeds = gr.Number(seed, label="Seed: same seed, same sound", precision=0, elem_id="synthesize-seed")
            again = gr.Button("New seed", elem_id="synthesize-new-seed", size="sm")
    with gr.Accordion("Advanced", open=False):
        temperatures = gr.Slider(
            LOWEST_TEMPERATURE,
            HIGHEST_TEMPERATURE,
            temperature,
            step=0.05,
            label="Temperature",
            info="Lower is steadier, higher is livelier and errs more",
            elem_id="synthesize-temperature",
        )
    with gr.Row():
        speeds = gr.Slider(
            limits.MIN_SPEED,
            limits.MAX_SPEED,
            speed,
            step=0.05,
            label="Speed",
            elem_id="synthesize-speed",
            min_width=120,
        )
        pitches = gr.Slider(
            -limits.MAX_PITCH,
            limits.MAX_PITCH,
            pitch,
            step=0.5,
            label="Pitch, in semitones",
            elem_id="synthesize-pitch",
            min_width=120,
        )
    again.click(new_seed, None, seeds, **UNQUEUED)
    return [voices, seeds, temperatures, speeds, pitches]


def _file_button(name: str, first: dict[str, Any]) -> gr.DownloadButton:
    label = "SRT, word by word" if name == "srt" else name.upper()
    return gr.DownloadButton(label, **initial(first), size="sm", min_width=70, elem_id=f"synthesize-{name}")
