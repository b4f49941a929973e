"""The Transcribe panel: record, upload or pick a recording, and read it word by word."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.context import Context

from app import examples
from app.components.attention_map import AttentionMap, serving
from app.components.attention_map.payload import map_payload
from app.components.live_microphone import Take, hear, live_microphone
from app.components.status import busy, idle, status_line, stoppable
from app.errors import guarded, plain
from app.examples import Recording, Results
from app.settings import Settings
from app.sound import audio_url, to_file, to_wav
from app.state import MODEL, STATE_SECONDS, Shown
from zipper import Zipper, limits
from zipper.audio.io import AudioSource, Samples, load_audio
from zipper.errors import AudioError, ZipperError
from zipper.export import export
from zipper.rates import SPEECH_RATE
from zipper.results import Transcript

REFRESH_SECONDS = 0.1  # s between two updates of the page; words come faster than people read
READY = "Record something, upload a file or choose an example; it is read as soon as it is there."
NOTHING = "There is no recording yet: record something, upload a file or choose an example."
FORMATS = ("txt", "srt", "vtt", "json")


class View(NamedTuple):
    """What a handler changes on the page; what is left out stays as it is."""

    status: Any = gr.skip()
    text: Any = gr.skip()
    heatmap: Any = gr.skip()
    shown: Any = gr.skip()
    recording: Any = gr.skip()
    reference: Any = gr.skip()
    txt: Any = gr.skip()
    srt: Any = gr.skip()
    vtt: Any = gr.skip()
    json: Any = gr.skip()
    wav: Any = gr.skip()


def transcribe(model: Zipper, path: str | None) -> Iterator[View]:
    """Read a recording; the views show the text as it comes, the last one the whole result."""
    if not path:
        raise AudioError(NOTHING)
    if not Path(path).is_file():
        raise AudioError("That recording is no longer here; please record or upload it again.")
    yield cleared("Opening the recording …")._replace(reference=_reference(None))
    yield from _told(_read(model, path))


def transcribe_samples(model: Zipper, samples: Samples) -> Iterator[View]:
    """The same for samples (n,) at 16 kHz, such as those of the live microphone."""
    wav = to_wav(samples, SPEECH_RATE, "recording.wav")
    yield cleared("Reading the whole recording …")._replace(reference=_reference(None), recording=wav)
    yield from _told(_read(model, (samples, SPEECH_RATE)))


def transcribe_example(model: Zipper, results: Results, offered: tuple[Recording, ...], number: int) -> Iterator[View]:
    """Read an example recording, or show what this model made of it before."""
    example = offered[results.checked(number)]
    kept = results.get(number)
    samples = kept.samples if kept else load_audio(example.path)
    wav = to_wav(samples, SPEECH_RATE, f"{example.name}.wav")
    opened = cleared("Opening the recording …")._replace(reference=_reference(example.text), recording=wav)
    if kept is not None:
        told = idle(f"{summary(kept)} Computed earlier.")
        yield result_view(model, kept, wav)._replace(status=told, reference=opened.reference, recording=wav)
        return
    yield opened
    for view in _told(_read(model, (samples, SPEECH_RATE))):
        if isinstance(view.shown, Shown):
            results.keep(number, view.shown)
        yield view


def example_steps(model: Zipper, recording: Recording) -> Iterator[Shown | None]:
    """What `transcribe_example` shows for a recording, computed step by step as `Results` wants it."""
    samples = load_audio(recording.path)
    for part in model.transcribe_stream((samples, SPEECH_RATE)):
        yield _shown(part.transcript, samples, 0.0) if part.transcript is not None else None


def result_view(model: Zipper, shown: Shown, wav: str | None = None) -> View:
    """A finished result: text, map and files."""
    wav = wav or to_wav(shown.samples, SPEECH_RATE, "recording.wav")
    files = {name: _download(to_file(export(shown.result, name).encode(), f"transcript.{name}")) for name in FORMATS}
    return View(
        status=idle(summary(shown)),
        text=shown.result.text,
        heatmap=map_payload(shown, model.heads, audio_url(wav)),
        shown=shown,
        wav=_download(wav),
        **files,
    )


def summary(shown: Shown) -> str:
    """A few sentences on a result: how long it took, whether words may be missing, and whether to doubt them."""
    seconds, taken = shown.result.seconds, shown.seconds_taken
    words = len(shown.result.words)
    told = (
        f"{words} word{'' if words == 1 else 's'} in {seconds:.1f} s of sound, read in {taken:.2f} s: "
        f"real-time factor {taken / seconds:.2f}."
    )
    warnings = shown.result.warnings if isinstance(shown.result, Transcript) else ()
    return " ".join([told, *warnings])


def cleared(text: str) -> View:
    """The page at the start of a run: nothing of an earlier result is left."""
    files: dict[str, Any] = {name: gr.update(value=None, interactive=False) for name in (*FORMATS, "wav")}
    return View(busy(text), "", None, None, **files)


def _read(model: Zipper, source: AudioSource) -> Iterator[View]:
    started = refreshed = time.monotonic()
    samples = load_audio(source)
    with closing(model.transcribe_stream((samples, SPEECH_RATE))) as parts:
        for part in parts:
            now = time.monotonic()
            if part.transcript is not None:
                yield result_view(model, _shown(part.transcript, samples, now - started))
            elif now - refreshed >= REFRESH_SECONDS:
                refreshed = now
                told = _progress(part.seconds_done, part.seconds)
                yield View(busy(told, part.seconds_done / part.seconds), part.text)


def _told(views: Iterator[View]) -> Iterator[View]:
    """The same views; what goes wrong also stands in the status line, where it does not vanish as a toast does."""
    try:
        yield from views
    except (ZipperError, gr.Error) as error:
        yield View(idle(plain(error)))
        raise


def _progress(done: float, seconds: float) -> str:
    if seconds <= limits.MAX_WINDOW_SECONDS:
        return f"Reading {seconds:.1f} s …"
    return f"Reading: {done:.0f} of {seconds:.0f} s …"


def _shown(transcript: Transcript, samples: Samples, taken: float) -> Shown:
    return Shown(transcript, samples, SPEECH_RATE, taken, "Recognition")


def _download(path: str) -> dict[str, Any]:
    return gr.update(value=path, interactive=True)


def _reference(text: str | None) -> dict[str, Any]:
    return gr.update(value=text or "", visible=text is not None)


def panel(model: Zipper, settings: Settings) -> None:
    """Build the panel inside the Blocks that is being made."""
    offered = examples.recordings()
    page = Context.root_block
    assert page is not None
    results = Results(lambda number: example_steps(model, offered[number]), len(offered), examples.in_use(page))
    take = gr.State(None, time_to_live=STATE_SECONDS)
    shown = gr.State(None, time_to_live=STATE_SECONDS)
    with gr.Row():
        with gr.Column(min_width=300):
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
            with gr.Row():
                again = gr.Button("Transcribe again", elem_id="transcribe-again", min_width=120)
                stop = gr.Button("Stop", variant="stop", elem_id="transcribe-stop", min_width=120)
            chosen = _offer(offered)
        with gr.Column(min_width=300):
            status = status_line(READY, "transcribe-status")
            text = gr.Textbox(
                label="Text", lines=3, max_lines=12, buttons=["copy"], interactive=False, elem_id="transcribe-text"
            )
            reference = gr.Textbox(
                label="What the speaker read", interactive=False, visible=False, elem_id="transcribe-reference"
            )
            with gr.Row():
                files = [_file_button(name) for name in (*FORMATS, "wav")]
    heatmap = AttentionMap(elem_id="transcribe-map")
    serving.offer(model, heatmap, shown)

    outputs = list(View(status, text, heatmap, shown, recording, reference, *files))
    common: dict[str, Any] = {
        "outputs": outputs,
        "show_progress": "minimal",
        "show_progress_on": status,
        "api_visibility": "private",
        **MODEL,
    }
    starts = [recording.stop_recording, recording.upload, again.click]
    runs = [
        gr.on(starts, guarded(partial(transcribe, model)), recording, **common),
        chosen.click(guarded(partial(transcribe_example, model, results, offered)), chosen, **common),
        _listen(model, live, take, common),
    ]
    stoppable(stop, status, runs)
    results.prepare()


def _offer(offered: tuple[Recording, ...]) -> gr.Dataset:
    chosen = gr.Dataset(
        label="Examples: click one to hear and read it",
        components=["textbox"],
        type="index",
        samples=[[example.name] for example in offered],
        sample_labels=[f"{example.name} · {example.seconds:.0f} s" for example in offered],
        elem_id="transcribe-examples",
    )
    credits = dict.fromkeys(f"{example.source}, {example.license}" for example in offered)
    gr.Markdown(f"<small>Recordings: {'; '.join(credits)}</small>")
    return chosen


def _file_button(name: str) -> gr.DownloadButton:
    label = "Recording" if name == "wav" else name.upper()
    return gr.DownloadButton(label, interactive=False, size="sm", min_width=70, elem_id=f"transcribe-{name}")


def _listen(model: Zipper, live: gr.HTML, take: gr.State, common: dict[str, Any]) -> Any:
    """Connect the live microphone; returns the event that reads the whole recording in the end."""

    @guarded
    def heard(current: Take | None, event: gr.EventData) -> tuple[dict[str, Any], Take | None]:
        return hear(model, current, event._data)

    @guarded
    def whole(current: Take | None) -> Iterator[View]:
        if current is None or not current.samples.size:
            raise AudioError("The live microphone has recorded nothing yet.")
        yield from transcribe_samples(model, current.samples)

    often: dict[str, Any] = {"trigger_mode": "multiple", "show_progress": "hidden", "api_visibility": "private"}
    live.heard(heard, take, [live, take], **often, **MODEL)
    return live.whole(whole, take, **common)
