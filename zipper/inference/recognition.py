"""Recognition: the windows of a recording that hold speech, one after the other, to text."""

from collections.abc import Generator, Sequence

from zipper.alignment.words import voiced_tokens
from zipper.audio.io import Samples
from zipper.audio.speech_windows import Window
from zipper.errors import NoSpeechError
from zipper.inference import presets
from zipper.inference.beam_search import ScoreFunction
from zipper.inference.deadline import Clock
from zipper.inference.engine import HALF_CHARACTER, Engine, Gates, ended, without_end
from zipper.inference.generate import Step
from zipper.inference.passages import PassageInput
from zipper.rates import SPEECH_RATE, TOKEN_SAMPLES
from zipper.results import Passage, Transcript, TranscriptPart


class Recognition(Engine):
    """How a Zipper reads recordings."""

    _word_penalty: ScoreFunction | None

    def _recognize(
        self, samples: Samples, speech_windows: Sequence[Window], beams: int, gate_scale: Gates, clock: Clock
    ) -> Generator[TranscriptPart, None, None]:
        """Window after window; a part for each token."""
        seconds, complete = len(samples) / SPEECH_RATE, True
        passages: list[Passage] = []
        for window in speech_windows:
            clock.check()
            part = samples[window.start : window.stop]
            codes = [int(code) for code in self.speech_tokenizer.encode(part)]
            until = (
                window.speech_end if gate_scale is None else 0.0
            )  # with other gates the source time is not tracked well
            options = presets.recognition(len(part) / SPEECH_RATE, beams, until)
            prompt = [self._segment("speech", codes)]
            before = Transcript(tuple(passages), seconds)
            steps: list[Step] = []
            for step in self._steps(prompt, "text", options, clock, gate_scale, self._word_penalty):
                steps.append(step)
                text = f"{before.text} {self._text(steps)}".strip().rstrip(HALF_CHARACTER)
                yield TranscriptPart(text, before.words, window.start / SPEECH_RATE, seconds)
            understood = ended(steps) and bool(self._text(steps))
            if self._text(steps):
                passages.append(self._recognized_passage(steps, codes, part, window, gate_scale))
                understood = understood and passages[-1].unheard <= presets.UNHEARD_SECONDS
            complete = complete and understood
        if not passages:
            raise NoSpeechError("No speech found in the recording.")
        whole = Transcript(tuple(passages), seconds, complete)
        yield TranscriptPart(whole.text, whole.words, seconds, seconds, whole)

    def _recognized_passage(
        self, steps: Sequence[Step], codes: Sequence[int], part: Samples, window: Window, gate_scale: Gates
    ) -> Passage:
        kept = without_end(steps)
        pieces = [self.text_tokenizer.piece(step.id) for step in kept]
        probabilities = [step.probability for step in kept]
        start, end = window.start / SPEECH_RATE, window.stop / SPEECH_RATE
        speech = window.speech_tokens(TOKEN_SAMPLES)
        loud = speech & voiced_tokens(part, TOKEN_SAMPLES)
        voiced = loud if loud.any() else speech
        given = PassageInput(self._text(steps), pieces, codes, voiced, start, end, probabilities)
        return self._passage(given, kept, "text_from_speech", gate_scale)
