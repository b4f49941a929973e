"""Explore, Both ways and Round trip: one sentence recognized and synthesized, map beside map."""

from collections.abc import Iterator

import gradio as gr

from app.components.marked_words import marks
from app.explore import pair, sources
from app.explore.pair import View
from app.wer import Verdict, judge
from zipper import Zipper
from zipper.errors import NoSpeechError
from zipper.rates import SPEECH_RATE

HEARD, SPOKEN = "Recognition: text looks at speech", "Synthesis: speech looks at text"
OWN, BACK = "Synthesis: speech looks at text", "Recognition of that speech: text looks at it"
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
    model: Zipper, path: str | None, said: str | None, voice: str | None, seed: float | None
) -> Iterator[View]:
    """Read a recording and speak what is said in it; where that is not known, what was read."""
    yield pair.cleared("Opening the recording …")
    samples = pair.recording(path)
    said = (said or "").strip()
    heard = yield from pair.read(model, samples, SPEECH_RATE, "Recognition")
    if heard is None:
        raise NoSpeechError("No speech found in the recording.")
    yield pair.on_left(model, heard, pair.compared("What is read", heard.result.text, said, "what is said"))
    text = pair.sentence(said or heard.result.text)
    spoken = yield from pair.speak(model, text, voice, int(seed or 0), "Synthesis")
    yield pair.on_right(model, spoken, marks("What is spoken", [(spoken.result.text, None)]))
    yield pair.done(_told(judge(said, heard.result.text), heard.result.seconds, spoken.result.seconds))


def round_trip(model: Zipper, text: str | None, voice: str | None, seed: float | None) -> Iterator[View]:
    """Speak a sentence and read the sound."""
    said = pair.sentence(text)
    yield pair.cleared("Speaking …")
    spoken = yield from pair.speak(model, said, voice, int(seed or 0), "Synthesis")
    yield pair.on_left(model, spoken, marks("What is spoken", [(spoken.result.text, None)]))
    back = yield from pair.read(model, spoken.samples, spoken.sample_rate, "Recognition of synthesized speech")
    yield pair.on_right(model, back, pair.compared("What comes back", pair.text(back), said, "the sentence"))
    yield pair.done(_returned(judge(said, pair.text(back))))


def both_panel(model: Zipper) -> None:
    """Build the tab of both directions."""
    gr.Markdown(BOTH)
    with gr.Row():
        with gr.Column(min_width=320):
            recording = sources.recording_input("both")
        with gr.Column(min_width=320):
            with gr.Row():
                voice, seed = sources.voice_input("both", model)
            run = gr.Button("Read it and speak it", variant="primary", elem_id="both-run")
            stop = gr.Button("Stop", variant="stop", elem_id="both-stop")
    parts = pair.build(model, "both", HEARD, SPOKEN, "Choose a recording, then start.")

    def compare(path: str | None, said: str, voice: str, seed: float) -> Iterator[View]:
        return both_directions(model, path, said, voice, seed)

    pair.connect(run.click, compare, [*recording, voice, seed], parts, stop)


def round_panel(model: Zipper) -> None:
    """Build the tab of the round trip."""
    gr.Markdown(ROUND)
    sentence = sources.sentence_input("round", model)
    with gr.Row():
        run = gr.Button("Speak it and read it back", variant="primary", elem_id="round-run")
        stop = gr.Button("Stop", variant="stop", min_width=110, scale=0, elem_id="round-stop")
    parts = pair.build(model, "round", OWN, BACK, "Type a sentence, then start.")

    def there_and_back(text: str, voice: str, seed: float) -> Iterator[View]:
        return round_trip(model, text, voice, seed)

    pair.connect(run.click, there_and_back, list(sentence), parts, stop)


def _told(verdict: Verdict | None, heard: float, spoken: float) -> str:
    lengths = f"The recording lasts {heard:.1f} s, the model's speech {spoken:.1f} s."
    if verdict is None:
        return f"What is said was not given, so the words that were read are spoken. {lengths}"
    return f"Word error rate of the recognition: {verdict.wer:.0f} % of {verdict.words} words. {lengths}"


def _returned(verdict: Verdict | None) -> str:
    if verdict is None:
        return "The sentence has no word that could be compared."
    return f"Word error rate of the round trip: {verdict.wer:.0f} % of {verdict.words} words."
