"""The Transcribe panel: record, upload or choose a recording, and see its words as they are recognized."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app import examples
from app.components.attention_map import AttentionMap
from app.components.attention_map.payload import map_payload
from app.components.attention_map.serving import connect_map
from app.components.events import event_data
from app.components.live_microphone import LiveRecording, live_microphone, transcribe_chunk
from app.components.status import busy, idle, status_line
from app.errors import guarded
from app.examples import ExampleRecording, ExampleResults, example_of
from app.guard import Blocks
from app.links import Link
from app.opening import Opening
from app.panel import (
    PanelOutputs,
    connect_run,
    connect_stop,
    download,
    initial,
    no_download,
    on_maps,
    require_recording,
    run_buttons,
    unchanged,
)
from app.sound import audio_url, to_file, to_wav
from app.state import MODEL, STATE_SECONDS, DisplayedResult
from zipper import Zipper, limits
from zipper.audio.io import AudioSource, Samples, load_audio
from zipper.errors import AudioError
from zipper.export import export
from zipper.rates import SPEECH_RATE
from zipper.results import Transcript

REFRESH_SECONDS = 0.1  # s between two updates of the page; words come faster than people read
READY = "Record something, upload a file or choose an example; it is read as soon as it is there."
EXAMPLE = "This is an example, read earlier: record something, upload a file or choose another, and it takes its place."
FORMATS = ("txt", "srt", "vtt", "json")


@dataclass(frozen=True)
class TranscribeOutputs(PanelOutputs):
    """What a handler changes on the page."""

    text: Any = unchanged()
    heatmap: Any = unchanged()
    result: Any = unchanged()
    recording: Any = unchanged()
    reference: Any = unchanged()
    txt: Any = unchanged()
    srt: Any = unchanged()
    vtt: Any = unchanged()
    json: Any = unchanged()
    wav: Any = unchanged()


def transcribe(model: Zipper, path: str | None) -> Iterator[TranscribeOutputs]:
    """Transcribe a recording; the updates show the text as it comes, the last one the whole result."""
    path = require_recording(path)
    yield replace(cleared("Opening the recording …"), reference=_reference(None))
    yield from _transcribe(model, path)


def transcribe_samples(model: Zipper, samples: Samples) -> Iterator[TranscribeOutputs]:
    """The same for samples (n,) at 16 kHz, such as those of the live microphone."""
    wav = to_wav(samples, SPEECH_RATE, "recording.wav")
    yield replace(cleared("Reading the whole recording …"), reference=_reference(None), recording=wav)
    yield from _transcribe(model, (samples, SPEECH_RATE))


def transcribe_example(
    model: Zipper, results: ExampleResults, recordings: tuple[ExampleRecording, ...], number: int
) -> Iterator[TranscribeOutputs]:
    """Transcribe an example recording, or show the result that this model has computed before."""
    example = recordings[results.checked(number)]
    stored = results.get(number)
    samples = stored.samples if stored else load_audio(example.path)
    wav = to_wav(samples, SPEECH_RATE, f"{example.name}.wav")
    reference = _reference(example.text)
    if stored is not None:
        status = idle(f"{summary(stored)} Computed earlier.")
        yield replace(result_outputs(stored, wav), status=status, reference=reference, recording=wav)
        return
    yield replace(cleared("Opening the recording …"), reference=reference, recording=wav)
    for update in _transcribe(model, (samples, SPEECH_RATE)):
        if isinstance(update.result, DisplayedResult):
            results.keep(number, update.result)
        yield update


def example_steps(model: Zipper, recording: ExampleRecording) -> Iterator[DisplayedResult | None]:
    """The result that `transcribe_example` shows, computed step by step for `ExampleResults`."""
    samples = load_audio(recording.path)
    for part in model.transcribe_stream((samples, SPEECH_RATE)):
        yield _displayed(part.transcript, samples, 0.0) if part.transcript is not None else None


def result_outputs(displayed: DisplayedResult, wav: str | None = None) -> TranscribeOutputs:
    """A finished result: text, map and files; wav: path of its sound, if there is one."""
    wav = wav or to_wav(displayed.samples, SPEECH_RATE, "recording.wav")
    result = displayed.result
    files = {name: download(to_file(export(result, name).encode(), f"transcript.{name}")) for name in FORMATS}
    return TranscribeOutputs(
        status=idle(summary(displayed)),
        text=result.text,
        heatmap=map_payload(displayed, audio_url(wav)),
        result=displayed,
        wav=download(wav),
        **files,
    )


def summary(displayed: DisplayedResult) -> str:
    """A few sentences on a result: how long it took, whether words may be missing, and whether it is doubtful."""
    result, taken = displayed.result, displayed.seconds_taken
    words = len(result.words)
    sentence = (
        f"{words} word{'' if words == 1 else 's'} in {result.seconds:.1f} s of sound, read in {taken:.2f} s: "
        f"real-time factor {taken / result.seconds:.2f}."
    )
    warnings = result.warnings if isinstance(result, Transcript) else ()
    return " ".join([sentence, *warnings])


def cleared(text: str) -> TranscribeOutputs:
    """The page at the start of a run, without the result before."""
    files = {name: no_download() for name in (*FORMATS, "wav")}
    return TranscribeOutputs(busy(text), text="", heatmap=None, result=None, **files)


def _transcribe(model: Zipper, source: AudioSource) -> Iterator[TranscribeOutputs]:
    started = refreshed = time.monotonic()
    samples = load_audio(source)
    with closing(model.transcribe_stream((samples, SPEECH_RATE))) as parts:
        for part in parts:
            now = time.monotonic()
            if part.transcript is not None:
                yield result_outputs(_displayed(part.transcript, samples, now - started))
            elif now - refreshed >= REFRESH_SECONDS:
                refreshed = now
                status = busy(_progress(part.seconds_done, part.seconds), part.seconds_done / part.seconds)
                yield TranscribeOutputs(status, text=part.text)


def _progress(done: float, seconds: float) -> str:
    if seconds <= limits.MAX_WINDOW_SECONDS:
        return f"Reading {seconds:.1f} s …"
    return f"Reading: {done:.0f} of {seconds:.0f} s …"


def _displayed(transcript: Transcript, samples: Samples, seconds_taken: float) -> DisplayedResult:
    example = example_of(samples)
    link = Link("transcribe", example=example.name).query() if example else None
    return DisplayedResult(transcript, samples, SPEECH_RATE, seconds_taken, "Recognition", link)


def _reference(text: str | None) -> dict[str, Any]:
    return gr.update(value=text or "", visible=text is not None)


def opened(opening: Opening) -> TranscribeOutputs:
    """What the panel shows until the first run."""
    if opening.look is None:
        return replace(cleared(""), status=idle(READY), reference=_reference(None))
    (displayed,) = opening.look.displayed
    assert displayed is not None
    said = example_of(displayed.samples)
    outputs = on_maps(result_outputs(displayed), example=True)
    return replace(outputs, status=idle(EXAMPLE), reference=_reference(said.text if said else None))


def panel(model: Zipper, page: Blocks, opening: Opening) -> None:
    """Build the panel inside the page that is being made."""
    recordings = examples.recordings()
    paused = partial(page.is_busy, MODEL["concurrency_id"])
    results = ExampleResults(lambda number: example_steps(model, recordings[number]), len(recordings), paused)
    first = opened(opening)
    with gr.Row():
        with gr.Column(min_width=300):
            recording, live = _inputs()
            again, stop = run_buttons("Transcribe again", "transcribe", run_id="again", variant="secondary")
            chosen = _example_picker(recordings)
        with gr.Column(min_width=300):
            outputs = _outputs(recording, first)
    heatmap = AttentionMap(first.heatmap, elem_id="transcribe-map")
    connect_map(heatmap, outputs.result)
    outputs = replace(outputs, heatmap=heatmap)

    of_example = partial(transcribe_example, model, results, recordings)
    names: list[str | None] = [example.name for example in recordings]
    starts = [recording.stop_recording, recording.upload, again.click]
    runs = [
        connect_run(starts, partial(transcribe, model), [recording], outputs),
        connect_run([chosen.click], of_example, [chosen], outputs),
        _connect_live(model, live, outputs),
        opening.connect(model, lambda link: of_example(names.index(link.example)), outputs),
    ]
    connect_stop(stop, outputs.status, runs)
    results.prepare()


def _inputs() -> tuple[gr.Audio, gr.HTML]:
    """The recorder with its upload, and the live microphone."""
    with gr.Tabs():
        with gr.Tab("Recording", id="recording"):
            recording = gr.Audio(
                sources=["microphone", "upload"],
                type="filepath",
                label="Record or upload",
                buttons=["download"],
                elem_id="transcribe-recording",
            )
        with gr.Tab("Live", id="live"):
            live = live_microphone("transcribe-live")
    return recording, live


def _outputs(recording: gr.Audio, first: TranscribeOutputs) -> TranscribeOutputs:
    """The components that show a result, without its map; first: what they show to begin with."""
    status = status_line(first.status["text"], "transcribe-status")
    text = gr.Textbox(
        first.text, label="Text", lines=3, max_lines=12, buttons=["copy"], interactive=False, elem_id="transcribe-text"
    )
    reference = gr.Textbox(
        **initial(first.reference), label="What the speaker read", interactive=False, elem_id="transcribe-reference"
    )
    with gr.Row():
        files = {name: _file_button(name, getattr(first, name)) for name in (*FORMATS, "wav")}
    result = gr.State(first.result, time_to_live=STATE_SECONDS)
    return TranscribeOutputs(status, text=text, result=result, recording=recording, reference=reference, **files)


def _example_picker(recordings: tuple[ExampleRecording, ...]) -> gr.Dataset:
    picker = gr.Dataset(
        label="Examples: click one to hear and read it",
        components=["textbox"],
        type="index",
        samples=[[example.name] for example in recordings],
        sample_labels=[f"{example.name} · {example.seconds:.0f} s" for example in recordings],
        elem_id="transcribe-examples",
    )
    credits = dict.fromkeys(f"{example.source}, {example.license}" for example in recordings)
    gr.Markdown(f"<small>Recordings: {'; '.join(credits)}</small>")
    return picker


def _file_button(name: str, first: dict[str, Any]) -> gr.DownloadButton:
    label = "Recording" if name == "wav" else name.upper()
    return gr.DownloadButton(label, **initial(first), size="sm", min_width=70, elem_id=f"transcribe-{name}")


def _connect_live(model: Zipper, live: gr.HTML, outputs: TranscribeOutputs) -> Dependency:
    """Connect the live microphone; returns the event that transcribes the whole recording in the end."""
    recording = gr.State(None, time_to_live=STATE_SECONDS)

    @guarded
    def chunk(current: LiveRecording | None, event: gr.EventData) -> tuple[dict[str, Any], LiveRecording | None]:
        message = event_data(event, "recording", "rate", "start", "sound", "last")
        return transcribe_chunk(model, current, message)

    def whole(current: LiveRecording | None) -> Iterator[TranscribeOutputs]:
        if current is None or not current.samples.size:
            raise AudioError("The live microphone has recorded nothing yet.")
        yield from transcribe_samples(model, current.samples)

    often: dict[str, Any] = {"trigger_mode": "multiple", "show_progress": "hidden", "api_visibility": "private"}
    live.chunk(chunk, recording, [live, recording], **often, **MODEL)
    return connect_run([live.finished], whole, [recording], outputs)
