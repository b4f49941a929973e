"""Named endpoints for programs: `gradio_client`, curl, MCP. docs/api.md shows each with an example that is tested."""

import functools
import io
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any, TypeVar

import gradio as gr
import numpy as np
from gradio.context import LocalContext

from app.errors import guarded
from app.guard import Blocks
from app.panel import LARGEST_SEED
from app.sound import to_file, to_wav
from app.state import MODEL
from zipper import Zipper, limits
from zipper.errors import AudioError, OptionError
from zipper.export import export
from zipper.results import Attention, Speech, Token, Transcript

Step = TypeVar("Step")


class Endpoints:
    """The functions behind the endpoints, for one model; they keep nothing between calls.

    page: tells whether the client of a call still waits; None where there is no page.
    """

    def __init__(self, model: Zipper, page: Blocks | None = None) -> None:
        self.model, self.page = model, page

    def transcribe(self, recording: str | None, beams: int = Zipper.BEAMS, gates: float = 1.0) -> dict[str, Any]:
        """Read a recording: its text, and each word with start and end in seconds and a confidence from 0 to 1.

        complete: false if words may be missing. confidence: the mean of the words; doubtful: true if it is so low that
        this may be another language than English.
        """
        result = self._transcribe(_require(recording), beams=beams, gate_scale=gates)
        answer: dict[str, Any] = json.loads(export(result, "json"))
        return answer

    def synthesize(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        temperature: float = Zipper.SPEECH_TEMPERATURE,
        gates: float = 1.0,
        speed: float = 1.0,
        pitch: float = 0.0,
    ) -> tuple[str, dict[str, Any]]:
        """Speak a text: a WAV file, and when each word is spoken. The same text, voice and seed give the same sound."""
        options = {"temperature": temperature, "gate_scale": gates, "speed": speed, "pitch": pitch}
        speech = self._synthesize(text or "", voice or None, seed, **options)
        answer = {**json.loads(export(speech, "json")), "voice": speech.voice, "seed": speech.seed}
        return to_wav(speech.samples, speech.sample_rate, "speech.wav"), answer

    def attention(
        self, recording: str | None, text: str = "", voice: str | None = None, seed: int = 0
    ) -> tuple[dict[str, Any], str]:
        """Where the model looked, for a recording that it reads or, without one, a text that it speaks.

        Returns both token lists with times, gates and alignment heads; and an NPZ file with the softmax weights
        (zip points, heads, text tokens, speech tokens), one array `weights_N` for each passage N.
        """
        result: Transcript | Speech
        if recording:
            result = self._transcribe(recording)
        elif (text or "").strip():
            result = self._synthesize(text, voice or None, seed)
        else:
            raise OptionError("Give either a recording to read or a text to speak.")
        maps = [passage.attention for passage in result.passages]
        return _describe(result, maps[0]), _npz(maps)

    def complete(
        self, text: str, tokens: int = 60, seed: int = 0, temperature: float = Zipper.COMPLETION_TEMPERATURE
    ) -> str:
        """Continue a text by the text tower alone, as it was before the fusion; returns only what follows."""
        return str(
            self._last_item(
                self.model.complete_stream(text or "", max_tokens=tokens, seed=seed, temperature=temperature)
            )
        )

    def voices(self) -> list[str]:
        """Names that /synthesize takes as voice; the first is the default."""
        return self.model.voices

    def _transcribe(self, recording: str, **options: Any) -> Transcript:
        transcript = self._last_item(self.model.transcribe_stream(recording, **options)).transcript
        assert transcript is not None
        return transcript

    def _synthesize(self, text: str, voice: str | None, seed: int, **options: Any) -> Speech:
        speech = self._last_item(self.model.synthesize_steps(text, voice, seed, **options))
        assert speech is not None
        return speech

    def _last_item(self, steps: Generator[Step, None, None]) -> Step:
        """The last item of a generation, which is stopped between two items when its client has left."""
        last: Step | None = None
        event = LocalContext.event_id.get(None)
        with closing(steps):
            for step in steps:
                if self.page is not None and event is not None and not self.page.client_waits(event):
                    raise gr.Error("Nobody waits for this result any more.", print_exception=False)
                last = step
        assert last is not None
        return last


def add_endpoints(model: Zipper, page: Blocks) -> None:
    """Add the endpoints to the page that is being built, without anything visible."""
    run = Endpoints(model, page)
    temperature = functools.partial(_number_input, label="The temperature", low=0, high=2)
    label = "The number of beams: 1 is greedy, more search for the likeliest text"
    beams = _number_input(Zipper.BEAMS, label, 1, limits.MAX_BEAMS, 0)
    gates = functools.partial(_number_input, 1.0, "The factor on the gates: 1 as trained, 0 unzipped", 0, 1)
    seed = functools.partial(_number_input, 0, "The seed", 0, LARGEST_SEED, 0)
    tokens = _number_input(60, "The number of tokens", 1, limits.MAX_COMPLETION_TOKENS, 0)

    def recording() -> gr.Audio:
        label = f"Recording, at most {limits.MAX_AUDIO_SECONDS:g} s and {limits.MAX_UPLOAD_BYTES / 1000**2:g} MB"
        return gr.Audio(type="filepath", label=label, visible=False)

    def text() -> gr.Textbox:
        return gr.Textbox("", label=f"Text, at most {limits.MAX_TEXT_CHARACTERS:,} characters", visible=False)

    def voice() -> gr.Textbox:
        return gr.Textbox(model.voices[0], label=f"Voice: {', '.join(model.voices)}", visible=False)

    def answer() -> gr.JSON:
        return gr.JSON(label="Answer", visible=False)

    speed = _number_input(1.0, "The speed: 1 as generated", limits.MIN_SPEED, limits.MAX_SPEED)
    pitch = _number_input(0.0, "The pitch: semitones up or down", -limits.MAX_PITCH, limits.MAX_PITCH)
    speech_options = [text(), voice(), seed(), temperature(Zipper.SPEECH_TEMPERATURE), gates(), speed, pitch]
    text_options = [text(), tokens, seed(), temperature(Zipper.COMPLETION_TEMPERATURE)]
    _endpoint(run.transcribe, [recording(), beams, gates()], [answer()])
    _endpoint(run.synthesize, speech_options, [gr.File(label="WAV", visible=False), answer()])
    _endpoint(run.attention, [recording(), text(), voice(), seed()], [answer(), gr.File(label="NPZ", visible=False)])
    _endpoint(run.complete, text_options, [gr.Textbox(label="Continuation", visible=False)])
    _endpoint(run.voices, [], [answer()], needs_model=False)


def _endpoint(
    function: Callable[..., Any],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
    needs_model: bool = True,
) -> None:
    queueing = MODEL if needs_model else {"queue": False}
    gr.Button(visible=False).click(
        guarded(function), inputs, outputs, api_name=function.__name__, show_progress="hidden", **queueing
    )


def _number_input(value: float, label: str, low: float, high: float, precision: int | None = None) -> gr.Number:
    """A number field that refuses other values with a sentence, and takes its default where nothing is given."""
    number = gr.Number(value, label=label, minimum=low, maximum=high, precision=precision, visible=False)
    gradio_preprocess = number.preprocess

    def preprocess(payload: Any) -> float | int | None:
        given = value if payload is None else payload
        if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given <= high:
            subject = label.partition(":")[0]
            raise gr.Error(f"{subject} must be a number from {low:g} to {high:,}.", print_exception=False)
        return gradio_preprocess(given)

    # Set on the object: for a subclass of a component Gradio would write a stub file beside it
    number.preprocess = preprocess  # type: ignore[method-assign]
    return number


def _require(recording: str | None) -> str:
    if not recording:
        raise AudioError("There is no recording.")
    return recording


def _describe(result: Transcript | Speech, first: Attention) -> dict[str, Any]:
    """The answer of /attention; first: the attention of the first passage, which has gates and heads of all."""
    passages = [
        {
            "text": passage.text,
            "start": round(passage.start, 3),
            "end": round(passage.end, 3),
            "shape": list(passage.attention.weights.shape),
            "text_tokens": _tokens(passage.attention.text_tokens),
            "speech_tokens": _tokens(passage.attention.speech_tokens),
        }
        for passage in result.passages
    ]
    return {
        "text": result.text,
        "direction": first.direction,
        "gates": [{"attention": round(float(a), 4), "feed_forward": round(float(f), 4)} for a, f in first.gates],
        "alignment_heads": [
            {"zip_point": head.zip_point, "head": head.head, "score": round(head.score, 4)} for head in first.heads
        ],
        "passages": passages,
    }


def _tokens(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    return [{"text": t.text, "start": round(t.start, 3), "end": round(t.end, 3)} for t in tokens]


def _npz(maps: Sequence[Attention]) -> str:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"weights_{number}": attention.weights for number, attention in enumerate(maps)}
    np.savez_compressed(buffer, **arrays)
    return to_file(buffer.getvalue(), "attention.npz")
