"""What Explore's tabs start from: a recording and what is said in it, or a sentence and a voice."""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from app import examples
from app.errors import guarded
from app.examples import Recording
from app.sound import to_wav
from zipper import Zipper, limits
from zipper.audio.io import load_audio
from zipper.errors import OptionError
from zipper.rates import SPEECH_RATE

DEFAULT_RECORDING, DEFAULT_TEXT = "clear", "Can you tell me when the next train to Bristol leaves?"
LARGEST_SEED = 2**53 - 1  # JavaScript keeps whole numbers exact up to here


class RecordingInput(NamedTuple):
    """Components: the sound, and what is said in it, where the tab asks for that."""

    audio: gr.Audio
    said: gr.Textbox


class SentenceInput(NamedTuple):
    """Components: the text and how it is spoken."""

    text: gr.Textbox
    voice: gr.Dropdown
    seed: gr.Number


def recording_input(name: str, known: bool = True) -> RecordingInput:
    """Microphone, upload or an example; known: whether to ask for what is said in it."""
    offered = {example.name: example for example in examples.recordings()}
    first = offered[DEFAULT_RECORDING]
    chosen = gr.Dropdown(
        [(f"{example.name} ({example.seconds:.0f} s)", example.name) for example in offered.values()],
        value=first.name,
        label="Example recording",
        elem_id=f"{name}-example",
    )
    audio = gr.Audio(
        _sound(first),
        sources=["microphone", "upload"],
        type="filepath",
        buttons=["download"],
        label=f"Recording, at most {limits.MAX_COMPARED_SECONDS:g} s",
        elem_id=f"{name}-recording",
    )
    said = gr.Textbox(
        first.text,
        label="What is said in it",
        info="For the word error rate; may stay empty.",
        visible=known,
        lines=2,
        max_length=limits.MAX_TEXT_CHARACTERS,
        elem_id=f"{name}-said",
    )
    light: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    chosen.input(guarded(partial(open_example, offered)), chosen, [audio, said], **light)
    # What was said in an example is not what is said in somebody's own recording
    gr.on([audio.stop_recording, audio.upload, audio.clear], lambda: (None, ""), None, [chosen, said], **light)
    return RecordingInput(audio, said)


def sentence_input(name: str, model: Zipper) -> SentenceInput:
    """A text to speak, with example texts, a voice and a seed."""
    text = gr.Textbox(
        DEFAULT_TEXT,
        label=f"Sentence, at most {limits.MAX_COMPARED_CHARACTERS} characters",
        lines=2,
        max_length=limits.MAX_COMPARED_CHARACTERS,
        elem_id=f"{name}-text",
    )
    with gr.Row():
        voice, seed = voice_input(name, model)
    chosen = gr.Dataset(
        components=["textbox"],
        samples=[[line] for line in examples.texts()],
        label="Example sentences",
        type="values",
        elem_id=f"{name}-texts",
    )
    chosen.click(lambda row: row[0], chosen, text, queue=False, show_progress="hidden", api_visibility="private")
    return SentenceInput(text, voice, seed)


def voice_input(name: str, model: Zipper) -> tuple[gr.Dropdown, gr.Number]:
    """Voice and seed."""
    voice = gr.Dropdown(model.voices, value=model.voices[0], label="Voice", min_width=110, elem_id=f"{name}-voice")
    return voice, seed_input(name)


def seed_input(name: str) -> gr.Number:
    """A seed: the same one gives the same result again."""
    return gr.Number(
        0, label="Seed", precision=0, minimum=0, maximum=LARGEST_SEED, min_width=110, elem_id=f"{name}-seed"
    )


def open_example(offered: dict[str, Recording], name: str | None) -> tuple[Any, Any]:
    """Sound and text of an example recording; nothing changes where none is chosen."""
    if name is None:
        return gr.skip(), gr.skip()
    if name not in offered:
        raise OptionError("There is no such example.")
    return _sound(offered[name]), offered[name].text


def _sound(example: Recording) -> str:
    """As WAV: not every browser plays Opus."""
    return to_wav(load_audio(example.path), SPEECH_RATE, f"{example.name}.wav")
