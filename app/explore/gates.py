"""Explore, Gates: close single gates of the zips, run again, and compare what is read or said."""

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import gradio as gr

from app.errors import guarded
from app.explore import pair, sources
from app.explore.pair import View
from app.state import Shown
from app.wer import Verdict, judge
from zipper import Zipper
from zipper.errors import NoSpeechError, OptionError
from zipper.inference.passages import gates_into
from zipper.model.config import Modality
from zipper.model.cross_attention import GateScale
from zipper.rates import SPEECH_RATE

Task = Literal["recognition", "synthesis"]
TASKS: list[tuple[str, Task]] = [
    ("Recognition: text looks at speech", "recognition"),
    ("Synthesis: speech looks at text", "synthesis"),
]
KINDS = ("attention", "feed-forward")
OPEN, SHUT = "Gates as trained", "Gates as set"
READ, HEARD = "What is read", "What the model's own recognition hears in it"
SAID, SENTENCE, UNCHANGED = "what is said", "the sentence", "the reading with the gates as trained"
READY = "Close some gates, or all of them, then compare."
INTRODUCTION = (
    "Each zip point has two gates in each direction: one on what attention brings over from the other tower, one on "
    "the layers that digest it. All were closed when the fusion began; training opened them, some with a negative "
    "sign. **Close them again and the towers come apart:** the transcript loses its ear, the speech loses its words. "
    "The map of closed gates still shows where the model looked, but nothing of it came through."
)


def unzip_recording(
    model: Zipper, path: str | None, said: str | None, factors: Sequence[float | None]
) -> Iterator[View]:
    """Read a recording with the gates as trained and as set."""
    scale = gate_scale(model, "recognition", factors)
    yield pair.cleared("Opening the recording …")
    samples = pair.recording(path)
    said = said or ""
    before = yield from pair.read(model, samples, SPEECH_RATE, f"Recognition, {OPEN.lower()}")
    if before is None:
        raise NoSpeechError("No speech found in the recording.")
    yield pair.on_left(model, before, pair.compared(READ, pair.text(before), said, SAID))
    known = judge(said, pair.text(before))
    reference = said if known else pair.text(before)
    after = yield from pair.read(model, samples, SPEECH_RATE, f"Recognition, {SHUT.lower()}", scale)
    yield pair.on_right(model, after, pair.compared(READ, pair.text(after), reference, SAID if known else UNCHANGED))
    yield pair.done(recognition_verdict(known, judge(reference, pair.text(after))))


def unzip_sentence(
    model: Zipper, text: str | None, voice: str | None, seed: float | None, factors: Sequence[float | None]
) -> Iterator[View]:
    """Speak a sentence with the gates as trained and as set, and let the model's recognition judge the words."""
    scale = gate_scale(model, "synthesis", factors)
    said, number = pair.sentence(text), int(seed or 0)
    yield pair.cleared("Speaking …")
    before = yield from pair.speak(model, said, voice, number, f"Synthesis, {OPEN.lower()}")
    read = pair.text((yield from _read_back(model, before)))
    yield pair.on_left(model, before, pair.compared(HEARD, read, said, SENTENCE))
    after = yield from pair.speak(model, said, voice, number, f"Synthesis, {SHUT.lower()}", scale)
    reread = pair.text((yield from _read_back(model, after)))
    yield pair.on_right(model, after, pair.compared(HEARD, reread, said, SENTENCE))
    yield pair.done(synthesis_verdict(judge(said, read), judge(said, reread), after))


def gate_scale(model: Zipper, task: str, factors: Sequence[float | None]) -> GateScale:
    """Sliders, 0..1, of attention and feed-forward of each zip point in turn, as the model takes them."""
    points = model.model.config.zip_points
    if len(factors) != 2 * points:
        raise OptionError(f"{2 * points} gates can be set, not {len(factors)}.")
    values = [min(max(float(1 if factor is None else factor), 0.0), 1.0) for factor in factors]
    pairs = tuple(zip(values[::2], values[1::2], strict=True))
    trained = (1.0,) * points
    return GateScale(pairs, trained) if task == "recognition" else GateScale(trained, pairs)


def recognition_verdict(before: Verdict | None, after: Verdict | None) -> str:
    """What closing the gates did to a transcript; before: None where what is said is not known."""
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


def synthesis_verdict(before: Verdict | None, after: Verdict | None, shown: Shown) -> str:
    """What closing the gates did to speech, and who judges that."""
    told = "There is no word to compare."
    if before and after:
        told = (
            f"Word error rate of the speech: {before.wer:.0f} % with the gates as trained, {after.wer:.0f} % as set. "
            "The judge is the model's own recognition, with its gates as trained; it mishears too."
        )
    cut = " With the gates as set the speech came to no end and was cut off." if not _complete(shown) else ""
    return told + cut


def gate_labels(model: Zipper, task: str) -> list[str]:
    """A label for each gate: where it is, and how far training opened it."""
    modality: Modality = "text" if task == "recognition" else "speech"
    trained = gates_into(model.model, modality, None)
    return [
        f"Zip point {point + 1}, {kind} ({trained[point, index]:+.2f})"
        for point in range(len(trained))
        for index, kind in enumerate(KINDS)
    ]


def panel(model: Zipper) -> None:
    """Build the tab."""
    gr.Markdown(INTRODUCTION)
    with gr.Row():
        with gr.Column(min_width=320):
            task = gr.Radio(TASKS, value="recognition", label="Direction", elem_id="gates-task")
            with gr.Column() as hearing:
                recording = sources.recording_input("gates")
            with gr.Column(visible=False) as speaking:
                sentence = sources.sentence_input("gates", model)
        with gr.Column(min_width=320):
            sliders = _sliders(model)
            with gr.Row():
                shut = gr.Button("Close all", min_width=110, elem_id="gates-close")
                trained = gr.Button("As trained", min_width=110, elem_id="gates-trained")
    with gr.Row():
        run = gr.Button("Compare before and after", variant="primary", elem_id="gates-run")
        stop = gr.Button("Stop", variant="stop", min_width=110, scale=0, elem_id="gates-stop")
    parts = pair.build(model, "gates", OPEN, SHUT, READY)

    def compare(
        task: str, path: str | None, said: str, text: str, voice: str, seed: float, *factors: float
    ) -> Iterator[View]:
        if task == "recognition":
            return unzip_recording(model, path, said, factors)
        return unzip_sentence(model, text, voice, seed, factors)

    pair.connect(run.click, compare, [task, *recording, *sentence, *sliders], parts, stop)
    light: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    task.change(guarded(partial(_switch, model)), task, [hearing, speaking, *sliders], **light)
    shut.click(lambda: [0.0] * len(sliders), None, sliders, **light)
    trained.click(lambda: [1.0] * len(sliders), None, sliders, **light)


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
    """Show the input of a direction and label its gates."""
    hearing = task == "recognition"
    labels = [gr.update(label=label) for label in gate_labels(model, task)]
    return [gr.update(visible=hearing), gr.update(visible=not hearing), *labels]


def _read_back(model: Zipper, shown: Shown) -> Generator[View, None, Shown | None]:
    return pair.read(model, shown.samples, shown.sample_rate, "Reading it back")


def _complete(shown: Shown) -> bool:
    return bool(shown.result.complete)
