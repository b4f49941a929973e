"""Explore, Towers: each tower continues its own modality, without the other tower and without the zips."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from app.components.marked_words import marked_words, marks
from app.components.status import busy, idle, status_line
from app.explore import inputs, pair
from app.panel import PanelOutputs, check_seed, connect_run, connect_stop, run_buttons, unchanged
from app.sound import to_wav
from zipper import Zipper, limits
from zipper.errors import AudioError, TextError
from zipper.rates import SPEECH_RATE, TOKEN_RATE
from zipper.results import Speech

MAX_TEXT_TOKENS = 200  # tokens that the page continues a text by
MAX_SPEECH_SECONDS = 8.0  # s that the page continues a recording by
assert max(MAX_TEXT_TOKENS, MAX_SPEECH_SECONDS * TOKEN_RATE) <= limits.MAX_COMPLETION_TOKENS

INTRODUCTION = (
    "Before they were zipped together, one tower had only ever read text and the other only ever heard speech; each "
    "learned to say what comes next. Here they still do, without the zips. **The text tower was frozen while they "
    "were fused:** on text alone the fused model computes what it computed before, to the last bit. The speech tower "
    "went on learning in the fusion."
)
PROMPTS = ("She opened the letter and", "It was a dark and stormy night, and", "The old man looked at")


@dataclass(frozen=True)
class TextTowerOutputs(PanelOutputs):
    """What continuing a text changes on the page."""

    words: Any = unchanged()


@dataclass(frozen=True)
class SpeechTowerOutputs(PanelOutputs):
    """What continuing a recording changes on the page: the added sound, and the words recognized in it."""

    sound: Any = unchanged()
    transcript: Any = unchanged()


def continue_text(
    model: Zipper, prompt: str | None, tokens: float, seed: float | None, temperature: float
) -> Iterator[TextTowerOutputs]:
    """A text with what the text tower adds to it, as it grows."""
    if not prompt or not prompt.strip():
        raise TextError("There is no text to continue yet.")
    options: dict[str, Any] = {"max_tokens": int(tokens), "seed": check_seed(seed), "temperature": temperature}
    parts, added = model.complete_stream(prompt, **options), ""
    for count, added in enumerate(parts, start=1):
        yield TextTowerOutputs(busy("Continuing …", count / tokens), _continued(prompt, added))
    yield TextTowerOutputs(idle("Done."), _continued(prompt, added or "(the end)"))


def _continued(prompt: str, added: str) -> dict[str, Any]:
    words: list[tuple[str, str | None]] = [(prompt.strip(), None), (added.strip(), "continued")]
    return marks("The text and what the tower adds", [word for word in words if word[0]])


def continue_recording(
    model: Zipper, path: str | None, seconds: float, seed: float | None, temperature: float, voice: str | None
) -> Iterator[SpeechTowerOutputs]:
    """What the speech tower adds to a recording, and the words that recognition finds in it."""
    samples, tokens = pair.load_recording(path), max(1, round(seconds * TOKEN_RATE))
    options: dict[str, Any] = {"seed": check_seed(seed), "temperature": temperature, "voice": voice}
    parts = model.complete_stream((samples, SPEECH_RATE), "speech", max_tokens=tokens, **options)
    speech: Speech | None = None
    for count, part in enumerate(parts, start=1):
        speech = part
        yield SpeechTowerOutputs(busy("Continuing …", count / tokens))
    if speech is None or not len(speech.samples):
        yield SpeechTowerOutputs(idle("Done."), sound=None, transcript="(it ends here)")
        return
    sound = to_wav(speech.samples, speech.sample_rate, "continuation.wav")
    yield SpeechTowerOutputs(busy("Listening to it …"), sound=sound)
    try:
        transcript = model.transcribe((speech.samples, speech.sample_rate)).text
    except AudioError:  # too short, or no speech
        transcript = "(no words)"
    yield SpeechTowerOutputs(idle("Done."), sound=sound, transcript=transcript)


def panel(model: Zipper) -> None:
    """Build the tab."""
    gr.Markdown(INTRODUCTION)
    with gr.Row():
        with gr.Column(min_width=320):
            _text_tower(model)
        with gr.Column(min_width=320):
            _speech_tower(model)


def _text_tower(model: Zipper) -> None:
    gr.Markdown("### Text tower")
    prompt = gr.Textbox(
        PROMPTS[0], label="Beginning of a text", lines=2, max_length=limits.MAX_TEXT_CHARACTERS, elem_id="towers-prompt"
    )
    inputs.example_texts("Examples", PROMPTS, prompt, "towers-prompts")
    tokens = gr.Slider(10, MAX_TEXT_TOKENS, value=60, step=10, label="Tokens at most", elem_id="towers-tokens")
    seed, temperature = _seed_and_temperature("towers-text")
    run, stop = run_buttons("Continue the text", "towers-text")
    outputs = TextTowerOutputs(status_line("", "towers-text-status"), marked_words("towers-text-result"))
    going = connect_run([run.click], partial(continue_text, model), [prompt, tokens, seed, temperature], outputs)
    connect_stop(stop, outputs.status, [going])


def _speech_tower(model: Zipper) -> None:
    gr.Markdown("### Speech tower")
    audio = inputs.recording_input("towers")
    seconds = gr.Slider(1, MAX_SPEECH_SECONDS, value=4, step=0.5, label="Seconds at most", elem_id="towers-seconds")
    voice = gr.Dropdown(model.voices, value=model.voices[0], label="Voice of what follows", elem_id="towers-voice")
    seed, temperature = _seed_and_temperature("towers-speech")
    run, stop = run_buttons("Continue the recording", "towers-speech")
    status = status_line("", "towers-speech-status")
    sound = gr.Audio(
        label="What the tower adds", interactive=False, buttons=["download"], elem_id="towers-speech-result"
    )
    transcript = gr.Textbox(
        label="Words that recognition finds in it",
        info="The tower knows sounds, not words: it babbles.",
        interactive=False,
        elem_id="towers-speech-words",
    )
    outputs = SpeechTowerOutputs(status, sound, transcript)
    values = [audio, seconds, seed, temperature, voice]
    going = connect_run([run.click], partial(continue_recording, model), values, outputs)
    connect_stop(stop, outputs.status, [going])


def _seed_and_temperature(name: str) -> tuple[gr.Number, gr.Slider]:
    """Seed and temperature, folded away."""
    with gr.Accordion("Advanced", open=False):
        seed = inputs.seed_input(name)
        temperature = gr.Slider(
            0,
            1.5,
            value=Zipper.COMPLETION_TEMPERATURE,
            step=0.05,
            label="Temperature",
            info="0: always the likeliest token.",
            elem_id=f"{name}-temperature",
        )
    return seed, temperature
