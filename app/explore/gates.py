"""Explore, Gates: close single gates of the zips, run again, and compare the transcripts or the speech."""

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import gradio as gr

from app.errors import guarded
from app.examples import example_of
from app.explore import inputs, pair
from app.explore.pair import PairOutputs
from app.links import Link
from app.opening import Opening
from app.panel import check_seed, connect_run, connect_stop, run_buttons
from app.state import UNQUEUED, DisplayedResult
from app.wer import WordErrorReport, word_errors
from zipper import GateScale, Zipper
from zipper.audio.io import Samples
from zipper.errors import NoSpeechError, OptionError
from zipper.rates import SPEECH_RATE

Task = Literal["recognition", "synthesis"]
TASKS: list[tuple[str, Task]] = [
    ("Recognition: text looks at speech", "recognition"),
    ("Synthesis: speech looks at text", "synthesis"),
]
KINDS = ("attention", "feed-forward")
AS_TRAINED, AS_SET = "Gates as trained", "Gates as set"
TRANSCRIPT, TRANSCRIPT_OF_SPEECH = "What is read", "What the model's own recognition hears in it"
READY = "Close some gates, or all of them, then compare."
EXAMPLE = (
    "This is an example, made earlier with all gates closed on the right; your own takes its place when you start."
)
INTRODUCTION = (
    "Each zip point has two gates in each direction: one on what attention brings over from the other tower, one on "
    "the layers that digest it. All were closed when the fusion began; training opened them, some with a negative "
    "sign. **Close them again and the towers come apart:** the transcript loses its ear, the speech loses its words. "
    "The map of closed gates still shows where the model looked, but nothing of it came through."
)


def compare_recording(
    model: Zipper, path: str | None, reference: str | None, factors: Sequence[float | None]
) -> Iterator[PairOutputs]:
    """Transcribe a recording with the gates as trained and as set."""
    scale = gate_scale(model, "recognition", factors)
    yield pair.cleared("Opening the recording …")
    samples = pair.load_recording(path)
    reference = reference or ""
    link = _link_to_example(samples, reference, factors)
    before = yield from pair.transcribe(model, samples, SPEECH_RATE, f"Recognition, {AS_TRAINED.lower()}", link=link)
    if before is None:
        raise NoSpeechError("No speech found in the recording.")
    first = pair.text_of(before)
    yield pair.left_result(before, pair.marked_against(reference, "what is said", first, TRANSCRIPT))
    errors_before = word_errors(reference, first)
    name = "what is said" if errors_before else "the reading with the gates as trained"
    reference = reference if errors_before else first
    after = yield from pair.transcribe(model, samples, SPEECH_RATE, f"Recognition, {AS_SET.lower()}", scale, link)
    second = pair.text_of(after)
    yield pair.right_result(after, pair.marked_against(reference, name, second, TRANSCRIPT))
    yield pair.finished(recognition_summary(errors_before, word_errors(reference, second)))


def compare_text(
    model: Zipper, text: str | None, voice: str | None, seed: float | None, factors: Sequence[float | None]
) -> Iterator[PairOutputs]:
    """Speak a text with the gates as trained and as set, and count the errors that recognition finds in it."""
    scale = gate_scale(model, "synthesis", factors)
    text = pair.check_text(text)
    yield pair.cleared("Speaking …")
    link = _link_to_text(text, voice or model.voices[0], seed, factors)
    before = yield from pair.synthesize(model, text, voice, seed, f"Synthesis, {AS_TRAINED.lower()}", link=link)
    first = pair.text_of((yield from _transcribe_speech(model, before)))
    yield pair.left_result(before, pair.marked_against(text, "the sentence", first, TRANSCRIPT_OF_SPEECH))
    after = yield from pair.synthesize(model, text, voice, seed, f"Synthesis, {AS_SET.lower()}", scale, link)
    second = pair.text_of((yield from _transcribe_speech(model, after)))
    yield pair.right_result(after, pair.marked_against(text, "the sentence", second, TRANSCRIPT_OF_SPEECH))
    yield pair.finished(synthesis_summary(word_errors(text, first), word_errors(text, second), after))


def gate_scale(model: Zipper, task: str, factors: Sequence[float | None]) -> GateScale:
    """The sliders, 0..1, of attention and feed-forward of each zip point in turn, as the model takes them."""
    points = len(model.gates("text_from_speech"))
    if len(factors) != 2 * points:
        raise OptionError(f"{2 * points} gates can be set, not {len(factors)}.")
    values = [min(max(float(1 if factor is None else factor), 0.0), 1.0) for factor in factors]
    pairs = tuple(zip(values[::2], values[1::2], strict=True))
    trained = (1.0,) * points
    return GateScale(pairs, trained) if task == "recognition" else GateScale(trained, pairs)


def recognition_summary(before: WordErrorReport | None, after: WordErrorReport | None) -> str:
    """How the gates changed a transcript; before: None where the reference is not known."""
    if before and after:
        return (
            f"Word error rate against what is said: {before.wer:.0f} % with the gates as trained, {after.wer:.0f} % as "
            f"set ({after.words} words)."
        )
    if after:
        return (
            f"With the gates as set, {after.wer:.0f} % of the words differ from those with the gates as trained. Write "
            "down what is said to see word error rates."
        )
    return "No word was found with the gates as trained, so there is nothing to compare."


def synthesis_summary(before: WordErrorReport | None, after: WordErrorReport | None, displayed: DisplayedResult) -> str:
    """How the gates changed speech, and how that is measured."""
    summary = "There is no word to compare."
    if before and after:
        summary = (
            f"Word error rate of the speech: {before.wer:.0f} % with the gates as trained, {after.wer:.0f} % as set. "
            "The judge is the model's own recognition, with its gates as trained; it mishears too."
        )
    if not displayed.result.complete:
        summary += " With the gates as set the speech came to no end and was cut off."
    return summary


def gate_labels(model: Zipper, task: str) -> list[str]:
    """A label for each gate: its zip point and kind, and its factor as trained."""
    trained = model.gates("text_from_speech" if task == "recognition" else "speech_from_text")
    return [
        f"Zip point {point + 1}, {kind} ({trained[point, index]:+.2f})"
        for point in range(len(trained))
        for index, kind in enumerate(KINDS)
    ]


def _given(factors: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(1.0 if factor is None else float(factor) for factor in factors)


def _link_to_example(samples: Samples, reference: str, factors: Sequence[float | None]) -> str | None:
    """The link to an example with gates; None for other recordings, or with another text of what is said."""
    example = example_of(samples)
    if example is None or reference.strip() != example.text:
        return None
    return Link("gates", direction="recognition", example=example.name, gates=_given(factors)).query()


def _link_to_text(text: str, voice: str, seed: float | None, factors: Sequence[float | None]) -> str | None:
    seeded = check_seed(seed)
    return Link("gates", direction="synthesis", text=text, voice=voice, seed=seeded, gates=_given(factors)).query()


def panel(model: Zipper, opening: Opening) -> None:
    """Build the tab."""
    gr.Markdown(INTRODUCTION)
    with gr.Row():
        with gr.Column(min_width=320):
            task = gr.Radio(TASKS, value="recognition", label="Direction", elem_id="gates-task")
            with gr.Column() as recognition:
                picker, *recording = inputs.recording_and_reference("gates")
            with gr.Column(visible=False) as synthesis:
                sentence = inputs.text_voice_and_seed("gates", model)
        with gr.Column(min_width=320):
            sliders = _sliders(model)
            with gr.Row():
                close = gr.Button("Close all", min_width=110, elem_id="gates-close")
                trained = gr.Button("As trained", min_width=110, elem_id="gates-trained")
    run, stop = run_buttons("Compare before and after", "gates")
    outputs = pair.build_pair("gates", AS_TRAINED, AS_SET, READY, opening.look, EXAMPLE)

    def compare_gates(
        task: str, path: str | None, reference: str, text: str | None, voice: str | None, seed: float, *factors: float
    ) -> Iterator[PairOutputs]:
        if task == "recognition":
            return compare_recording(model, path, reference, factors)
        return compare_text(model, text, voice, seed, factors)

    going = connect_run([run.click], compare_gates, [task, *recording, *sentence, *sliders], outputs)

    def fill(link: Link) -> list[Any]:
        gates = link.gates or [gr.skip()] * len(sliders)
        spoken = [link.text or gr.skip(), *inputs.filled_voice_and_seed(link)]
        return [link.direction or "recognition", *inputs.filled_recording(link), *spoken, *gates]

    def run_link(link: Link) -> Iterator[PairOutputs]:
        path, said = inputs.linked_recording(link)
        factors = link.gates or (1.0,) * len(sliders)
        return compare_gates(
            link.direction or "recognition", path, said, link.text, link.voice, link.seed or 0, *factors
        )

    linked = opening.connect(model, run_link, outputs, fill, [task, picker, *recording, *sentence, *sliders])
    connect_stop(stop, outputs.status, [going, linked])
    task.change(guarded(partial(_switch, model)), task, [recognition, synthesis, *sliders], **UNQUEUED)
    close.click(lambda: [0.0] * len(sliders), None, sliders, **UNQUEUED)
    trained.click(lambda: [1.0] * len(sliders), None, sliders, **UNQUEUED)


def _sliders(model: Zipper) -> list[gr.Slider]:
    """Attention and feed-forward of each zip point in a row."""
    labels = gate_labels(model, "recognition")
    sliders: list[gr.Slider] = []
    gr.Markdown("How far each gate is open: 1 as trained, 0 closed. In brackets its factor as trained.")
    for point in range(len(labels) // 2):
        with gr.Row():
            for index in range(2):
                number = 2 * point + index
                sliders.append(
                    gr.Slider(
                        0,
                        1,
                        value=1,
                        step=0.05,
                        label=labels[number],
                        min_width=150,
                        buttons=[],
                        elem_id=f"gates-slider-{number}",
                    )
                )
    return sliders


def _switch(model: Zipper, task: str) -> list[Any]:
    """Show the inputs of a direction and label its gates."""
    recognition = task == "recognition"
    labels = [gr.update(label=label) for label in gate_labels(model, task)]
    return [gr.update(visible=recognition), gr.update(visible=not recognition), *labels]


def _transcribe_speech(
    model: Zipper, displayed: DisplayedResult
) -> Generator[PairOutputs, None, DisplayedResult | None]:
    return pair.transcribe(model, displayed.samples, displayed.sample_rate, "Reading it back")
