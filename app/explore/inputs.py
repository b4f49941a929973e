"""The inputs of Explore's tabs: a recording and its reference text, or a sentence and a voice."""

from functools import partial
from typing import Any

import gradio as gr

from app import examples
from app.errors import guarded
from app.examples import ExampleRecording
from app.links import Link
from app.panel import LARGEST_SEED
from app.sound import to_wav
from app.state import UNQUEUED
from zipper import Zipper, limits
from zipper.audio.io import load_audio
from zipper.errors import OptionError
from zipper.rates import SPEECH_RATE

DEFAULT_RECORDING, DEFAULT_TEXT = "clear", "Can you tell me when the next train to Bristol leaves?"


def recording_input(name: str) -> gr.Audio:
    """A recording from the microphone, an upload or an example; name starts the ids."""
    recordings = _recordings()
    picker, audio = _recorder(name, recordings)
    picker.input(guarded(partial(open_example, recordings)), picker, audio, **UNQUEUED)
    gr.on([audio.stop_recording, audio.upload, audio.clear], lambda: None, None, picker, **UNQUEUED)
    return audio


def recording_and_reference(name: str) -> tuple[gr.Dropdown, gr.Audio, gr.Textbox]:
    """The same with the choice of an example, and a text that says what is said in the recording; an example fills in
    both."""
    recordings = _recordings()
    picker, audio = _recorder(name, recordings)
    reference = gr.Textbox(
        recordings[DEFAULT_RECORDING].text,
        label="What is said in it",
        info="For the word error rate; may stay empty.",
        lines=2,
        max_length=limits.MAX_TEXT_CHARACTERS,
        elem_id=f"{name}-said",
    )

    @guarded
    def open_both(chosen: str | None) -> tuple[Any, Any]:
        return open_example(recordings, chosen), recordings[chosen].text if chosen else gr.skip()

    picker.input(open_both, picker, [audio, reference], **UNQUEUED)
    # The reference of an example does not belong to a person's own recording
    own = [audio.stop_recording, audio.upload, audio.clear]
    gr.on(own, lambda: (None, ""), None, [picker, reference], **UNQUEUED)
    return picker, audio, reference


def text_voice_and_seed(name: str, model: Zipper) -> tuple[gr.Textbox, gr.Dropdown, gr.Number]:
    """A text to speak, with example texts, a voice and a seed."""
    text = gr.Textbox(
        DEFAULT_TEXT,
        label=f"Sentence, at most {limits.MAX_COMPARED_CHARACTERS} characters",
        lines=2,
        max_length=limits.MAX_COMPARED_CHARACTERS,
        elem_id=f"{name}-text",
    )
    with gr.Row():
        voice, seed = voice_and_seed(name, model)
    example_texts("Example sentences", examples.texts(), text, f"{name}-texts")
    return text, voice, seed


def example_texts(label: str, texts: tuple[str, ...], text: gr.Textbox, elem_id: str) -> None:
    """Example texts; a click puts one into the text box."""
    picker = gr.Dataset(
        components=["textbox"], samples=[[each] for each in texts], label=label, type="values", elem_id=elem_id
    )
    picker.click(lambda row: row[0], picker, text, **UNQUEUED)


def filled_recording(link: Link) -> list[Any]:
    """Choice, recording and reference text as a link has them; unchanged where it names no example."""
    if link.example is None:
        return [gr.skip()] * 3
    example = _recordings()[link.example]
    return [example.name, _wav(example), example.text]


def filled_voice_and_seed(link: Link) -> list[Any]:
    """Voice and seed as a link has them; unchanged where it says nothing."""
    return [gr.skip() if value is None else value for value in (link.voice, link.seed)]


def linked_recording(link: Link) -> tuple[str | None, str]:
    """Path and text of the example that a link names."""
    if link.example is None:
        return None, ""
    example = _recordings()[link.example]
    return str(example.path), example.text


def voice_and_seed(name: str, model: Zipper) -> tuple[gr.Dropdown, gr.Number]:
    """Voice and seed."""
    voice = gr.Dropdown(model.voices, value=model.voices[0], label="Voice", min_width=110, elem_id=f"{name}-voice")
    return voice, seed_input(name)


def seed_input(name: str) -> gr.Number:
    """A seed: the same one gives the same result again."""
    return gr.Number(
        0, label="Seed", precision=0, minimum=0, maximum=LARGEST_SEED, min_width=110, elem_id=f"{name}-seed"
    )


def open_example(recordings: dict[str, ExampleRecording], name: str | None) -> Any:
    """Path of the sound of an example recording; unchanged where none is chosen."""
    if name is None:
        return gr.skip()
    if name not in recordings:
        raise OptionError("There is no such example.")
    return _wav(recordings[name])


def _recordings() -> dict[str, ExampleRecording]:
    return {example.name: example for example in examples.recordings()}


def _recorder(name: str, recordings: dict[str, ExampleRecording]) -> tuple[gr.Dropdown, gr.Audio]:
    """The choice of an example, and the recorder with its upload."""
    picker = gr.Dropdown(
        [(f"{example.name} ({example.seconds:.0f} s)", example.name) for example in recordings.values()],
        value=DEFAULT_RECORDING,
        label="Example recording",
        elem_id=f"{name}-example",
    )
    audio = gr.Audio(
        _wav(recordings[DEFAULT_RECORDING]),
        sources=["microphone", "upload"],
        type="filepath",
        buttons=["download"],
        label=f"Recording, at most {limits.MAX_COMPARED_SECONDS:g} s",
        elem_id=f"{name}-recording",
    )
    return picker, audio


def _wav(example: ExampleRecording) -> str:
    """As WAV, because not every browser plays Opus."""
    return to_wav(load_audio(example.path), SPEECH_RATE, f"{example.name}.wav")
