"""Explore, Both ways and Round trip: one sentence recognized and synthesized, map beside map."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from app.components.marked_words import marks
from app.examples import example_of
from app.explore import inputs, pair
from app.explore.pair import PairOutputs
from app.links import Link
from app.opening import Opening
from app.panel import check_seed, connect_run, connect_stop, run_buttons
from app.wer import WordErrorReport, word_errors
from zipper import Zipper
from zipper.audio.io import Samples
from zipper.errors import NoSpeechError
from zipper.rates import SPEECH_RATE

RECOGNITION, SYNTHESIS = "Recognition: text looks at speech", "Synthesis: speech looks at text"
RECOGNITION_OF_SYNTHESIS = "Recognition of that speech: text looks at it"
BOTH = (
    "The same sentence twice: a recording is read, and its words are spoken. On the left each **text** token spreads "
    "its attention over the speech, on the right each **speech** token spreads it over the text. The pace on the left "
    "is the speaker's, on the right the model's own."
)
ROUND = (
    "A sentence is spoken, and the sound goes straight back into recognition. What comes back wrong was misspoken or "
    "misheard; the word error rate cannot tell which."
)


def both_directions(
    model: Zipper, path: str | None, reference: str | None, voice: str | None, seed: float | None
) -> Iterator[PairOutputs]:
    """Transcribe a recording and speak what is said in it; the transcript, where that is not known."""
    yield pair.cleared("Opening the recording …")
    samples = pair.load_recording(path)
    reference = (reference or "").strip()
    link = _link_to_both(samples, reference, voice or model.voices[0], seed)
    recognized = yield from pair.transcribe(model, samples, SPEECH_RATE, "Recognition", link=link)
    if recognized is None:
        raise NoSpeechError("No speech found in the recording.")
    transcript = recognized.result.text
    yield pair.left_result(recognized, pair.marked_against(reference, "what is said", transcript, "What is read"))
    text = pair.check_text(reference or transcript)
    synthesized = yield from pair.synthesize(model, text, voice, seed, "Synthesis", link=link)
    yield pair.right_result(synthesized, marks("What is spoken", [(synthesized.result.text, None)]))
    report = word_errors(reference, transcript)
    yield pair.finished(_both_summary(report, recognized.result.seconds, synthesized.result.seconds))


def round_trip(model: Zipper, text: str | None, voice: str | None, seed: float | None) -> Iterator[PairOutputs]:
    """Speak a sentence and transcribe the sound."""
    text = pair.check_text(text)
    yield pair.cleared("Speaking …")
    link = Link("round", text=text, voice=voice or model.voices[0], seed=check_seed(seed)).query()
    synthesized = yield from pair.synthesize(model, text, voice, seed, "Synthesis", link=link)
    yield pair.left_result(synthesized, marks("What is spoken", [(synthesized.result.text, None)]))
    recognized = yield from pair.transcribe(
        model, synthesized.samples, synthesized.sample_rate, "Recognition of synthesized speech", link=link
    )
    transcript = pair.text_of(recognized)
    yield pair.right_result(recognized, pair.marked_against(text, "the sentence", transcript, "What comes back"))
    yield pair.finished(_round_trip_summary(word_errors(text, transcript)))


def both_panel(model: Zipper, opening: Opening) -> None:
    """Build the tab of both directions."""
    gr.Markdown(BOTH)
    with gr.Row():
        with gr.Column(min_width=320):
            picker, audio, reference = inputs.recording_and_reference("both")
        with gr.Column(min_width=320):
            with gr.Row():
                voice, seed = inputs.voice_and_seed("both", model)
            run, stop = run_buttons("Read it and speak it", "both")
    outputs = pair.build_pair("both", RECOGNITION, SYNTHESIS, "Choose a recording, then start.", opening.look)
    going = connect_run([run.click], partial(both_directions, model), [audio, reference, voice, seed], outputs)

    def fill(link: Link) -> list[Any]:
        return [*inputs.filled_recording(link), *inputs.filled_voice_and_seed(link)]

    def run_link(link: Link) -> Iterator[PairOutputs]:
        path, said = inputs.linked_recording(link)
        return both_directions(model, path, said, link.voice, link.seed or 0)

    linked = opening.connect(model, run_link, outputs, fill, [picker, audio, reference, voice, seed])
    connect_stop(stop, outputs.status, [going, linked])


def round_panel(model: Zipper, opening: Opening) -> None:
    """Build the tab of the round trip."""
    gr.Markdown(ROUND)
    text, voice, seed = inputs.text_voice_and_seed("round", model)
    run, stop = run_buttons("Speak it and read it back", "round")
    outputs = pair.build_pair(
        "round", SYNTHESIS, RECOGNITION_OF_SYNTHESIS, "Type a sentence, then start.", opening.look
    )
    going = connect_run([run.click], partial(round_trip, model), [text, voice, seed], outputs)

    def fill(link: Link) -> list[Any]:
        return [link.text or gr.skip(), *inputs.filled_voice_and_seed(link)]

    def run_link(link: Link) -> Iterator[PairOutputs]:
        return round_trip(model, link.text, link.voice, link.seed or 0)

    linked = opening.connect(model, run_link, outputs, fill, [text, voice, seed])
    connect_stop(stop, outputs.status, [going, linked])


def _link_to_both(samples: Samples, reference: str, voice: str, seed: float | None) -> str | None:
    """The link to both directions of an example; None for other recordings, or where other words are to be spoken."""
    example = example_of(samples)
    if example is None or reference != example.text:
        return None
    return Link("both", example=example.name, voice=voice, seed=check_seed(seed)).query()


def _both_summary(report: WordErrorReport | None, recorded_seconds: float, synthesized_seconds: float) -> str:
    lengths = f"The recording lasts {recorded_seconds:.1f} s, the model's speech {synthesized_seconds:.1f} s."
    if report is None:
        return f"What is said was not given, so the words that were read are spoken. {lengths}"
    return f"Word error rate of the recognition: {report.wer:.0f} % of {report.words} words. {lengths}"


def _round_trip_summary(report: WordErrorReport | None) -> str:
    if report is None:
        return "The sentence has no word that could be compared."
    return f"Word error rate of the round trip: {report.wer:.0f} % of {report.words} words."
