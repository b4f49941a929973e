"""Explore, Towers: each tower continues its own modality, without the other and without the zips."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from app.components.marked_words import marked_words, marks
from app.components.status import busy, idle, status_line, stoppable
from app.errors import guarded
from app.explore import pair, sources
from app.sound import to_wav
from app.state import MODEL
from zipper import Zipper, limits
from zipper.errors import AudioError, TextError
from zipper.inference import presets
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


def continue_text(
    model: Zipper, prompt: str | None, tokens: float, seed: float | None, temperature: float
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The status line, and a text with what the text tower adds to it, as it grows."""
    if not prompt or not prompt.strip():
        raise TextError("There is no text to continue yet.")
    options: dict[str, Any] = {"max_tokens": int(tokens), "seed": int(seed or 0), "temperature": temperature}
    parts, added = model.complete_stream(prompt, **options), ""
    for count, added in enumerate(parts, start=1):
        yield busy("Continuing …", count / tokens), _continued(prompt, added)
    yield idle("Done."), _continued(prompt, added or "(the end)")


def _continued(prompt: str, added: str) -> dict[str, Any]:
    words: list[tuple[str, str | None]] = [(prompt.strip(), None), (added.strip(), "continued")]
    return marks("The text and what the tower adds", [word for word in words if word[0]])


def continue_recording(
    model: Zipper, path: str | None, seconds: float, seed: float | None, temperature: float, voice: str | None
) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """The status line, what the speech tower adds to a recording, and the words that recognition finds in it."""
    samples, tokens = pair.recording(path), max(1, round(seconds * TOKEN_RATE))
    parts = model.complete_stream(
        (samples, SPEECH_RATE), "speech", max_tokens=tokens, seed=int(seed or 0), temperature=temperature, voice=voice
    )
    speech: Speech | None = None
    for count, part in enumerate(parts, start=1):
        speech = part
        yield busy("Continuing …", count / tokens), gr.skip(), gr.skip()
    if speech is None or not len(speech.samples):
        yield idle("Done."), None, "(it ends here)"
        return
    sound = to_wav(speech.samples, speech.sample_rate, "continuation.wav")
    yield busy("Listening to it …"), sound, gr.skip()
    try:
        heard = model.transcribe((speech.samples, speech.sample_rate)).text
    except AudioError:  # too short, or no speech
        heard = "(no words)"
    yield idle("Done."), sound, heard


def panel(model: Zipper) -> None:
    """Build the tab."""
    gr.Markdown(INTRODUCTION)
    common: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", **MODEL}
    with gr.Row():
        with gr.Column(min_width=320):
            _text_tower(model, common)
        with gr.Column(min_width=320):
            _speech_tower(model, common)


def _text_tower(model: Zipper, common: dict[str, Any]) -> None:
    gr.Markdown("### Text tower")
    prompt = gr.Textbox(
        PROMPTS[0], label="Beginning of a text", lines=2, max_length=limits.MAX_TEXT_CHARACTERS, elem_id="towers-prompt"
    )
    chosen = gr.Dataset(
        components=["textbox"],
        samples=[[line] for line in PROMPTS],
        label="Examples",
        type="values",
        elem_id="towers-prompts",
    )
    tokens = gr.Slider(10, MAX_TEXT_TOKENS, value=60, step=10, label="Tokens at most", elem_id="towers-tokens")
    seed, temperature = _chance("towers-text")
    run, stop = _buttons("Continue the text", "towers-text")
    status = status_line("", "towers-text-status")
    result = marked_words("towers-text-result")
    inputs = [prompt, tokens, seed, temperature]
    going = run.click(guarded(partial(continue_text, model)), inputs, [status, result], **common)
    stoppable(stop, status, [going])
    chosen.click(lambda row: row[0], chosen, prompt, queue=False, show_progress="hidden", api_visibility="private")


def _speech_tower(model: Zipper, common: dict[str, Any]) -> None:
    gr.Markdown("### Speech tower")
    audio = sources.recording_input("towers", known=False).audio
    seconds = gr.Slider(1, MAX_SPEECH_SECONDS, value=4, step=0.5, label="Seconds at most", elem_id="towers-seconds")
    voice = gr.Dropdown(model.voices, value=model.voices[0], label="Voice of what follows", elem_id="towers-voice")
    seed, temperature = _chance("towers-speech")
    run, stop = _buttons("Continue the recording", "towers-speech")
    status = status_line("", "towers-speech-status")
    sound = gr.Audio(
        label="What the tower adds", interactive=False, buttons=["download"], elem_id="towers-speech-result"
    )
    heard = gr.Textbox(
        label="Words that recognition finds in it",
        info="The tower knows sounds, not words: it babbles.",
        interactive=False,
        elem_id="towers-speech-words",
    )
    inputs = [audio, seconds, seed, temperature, voice]
    going = run.click(guarded(partial(continue_recording, model)), inputs, [status, sound, heard], **common)
    stoppable(stop, status, [going])


def _buttons(label: str, name: str) -> tuple[gr.Button, gr.Button]:
    """The one that starts and the one that stops."""
    with gr.Row():
        run = gr.Button(label, variant="primary", elem_id=f"{name}-run", min_width=120)
        stop = gr.Button("Stop", variant="stop", elem_id=f"{name}-stop", min_width=120)
    return run, stop


def _chance(name: str) -> tuple[gr.Number, gr.Slider]:
    """Seed and temperature, folded away."""
    with gr.Accordion("Advanced", open=False):
        seed = sources.seed_input(name)
        temperature = gr.Slider(
            0,
            1.5,
            value=presets.COMPLETION_TEMPERATURE,
            step=0.05,
            label="Temperature",
            info="0: always the likeliest token.",
            elem_id=f"{name}-temperature",
        )
    return seed, temperature
