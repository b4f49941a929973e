"""Synthesis: the sentences of a text, one after the other, to speech, as a whole or as it comes."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zipper.alignment.words import voiced_tokens
from zipper.audio.io import Samples
from zipper.audio.trim import without_tail
from zipper.errors import LimitError
from zipper.inference import arguments, presets
from zipper.inference.deadline import Clock
from zipper.inference.engine import Engine, Gates, ended, without_end
from zipper.inference.generate import Step
from zipper.inference.passages import PassageInput
from zipper.rates import TOKEN_RATE
from zipper.results import Passage, Speech, SpeechPart
from zipper.speech.delivery import Delivery
from zipper.text.cutting import Part

CHUNK_TOKENS = 5  # speech tokens, 0.2 s, handed to the detokenizer at once while streaming


@dataclass(frozen=True)
class SpeechRequest:
    """A text cut into parts and how it is spoken, every option in the form that the model takes."""

    parts: Sequence[Part]
    voice: str
    seed: int
    temperature: float
    gate_scale: Gates
    keep_unended: bool
    delivery: Delivery
    clock: Clock


class Synthesis(Engine):
    """How a Zipper speaks texts."""

    def _synthesize(self, request: SpeechRequest) -> Generator[Speech | None, None, None]:
        passages: list[Passage] = []
        sound: list[Samples] = []
        complete = True
        for part in request.parts:
            sentence = part.text
            if request.keep_unended:
                steps = yield from _watched(self._speech_steps(sentence, request.seed, request))
                complete = ended(steps) and complete
            else:
                steps = yield from self._speak(sentence, request)
            steps = list(without_end(steps))
            codes = np.array([step.id for step in steps], np.int64)
            before = sum(map(len, sound))
            whole = yield from self._sound(codes, request.voice, request.seed, request.clock, request.delivery)
            samples = np.concatenate(list(without_tail([whole], self.detokenizer.sample_rate)))
            passages.append(self._synthesized_passage(sentence, steps, samples, before, request))
            sound += [samples, self._silence(part.pause / request.delivery.speed)]
        rate = self.detokenizer.sample_rate
        yield Speech(tuple(passages), np.concatenate(sound), rate, request.voice, request.seed, complete)

    def _speak(self, sentence: str, request: SpeechRequest) -> Generator[None, None, list[Step]]:
        """Speech tokens of one sentence; LimitError if no attempt comes to an end."""
        for attempt in range(presets.ATTEMPTS):
            other = arguments.later_seed(request.seed, attempt)
            steps = yield from _watched(self._speech_steps(sentence, other, request))
            if ended(steps):
                return steps
        raise LimitError(f'The speech of "{_excerpt(sentence)}" came to no end; try another seed.')

    def _speak_stream(self, request: SpeechRequest) -> Generator[SpeechPart, None, None]:
        rate, complete = self.detokenizer.sample_rate, True
        done: list[Passage] = []
        sound: list[Samples] = []
        for part in request.parts:
            sentence = part.text
            steps: list[Step] = []
            before, first = sum(map(len, sound)), len(sound)
            chunks = _chunks(self._speech_steps(sentence, request.seed, request), steps)
            for samples in without_tail(
                self.detokenizer.stream(chunks, request.voice, request.seed, request.delivery), rate
            ):
                sound.append(samples)
                yield SpeechPart(samples, rate)
            closed = ended(steps)
            if not (closed or request.keep_unended):
                raise LimitError(f'The speech of "{_excerpt(sentence)}" came to no end; try another seed.')
            complete = complete and closed
            samples = np.concatenate(sound[first:])
            done.append(self._synthesized_passage(sentence, without_end(steps), samples, before, request))
            sound.append(self._silence(part.pause / request.delivery.speed))
            if len(done) < len(request.parts):
                yield SpeechPart(sound[-1], rate)
        whole = Speech(tuple(done), np.concatenate(sound), rate, request.voice, request.seed, complete)
        yield SpeechPart(sound[-1], rate, whole)

    def _speech_steps(self, sentence: str, seed: int, request: SpeechRequest) -> Iterator[Step]:
        pieces = self.text_tokenizer.encode(sentence)
        prompt = [self._segment("text", pieces)]
        long = len(pieces) * self.model.config.seconds_per_token("text") if request.gate_scale is None else 0.0
        options = presets.synthesis(sentence, seed, request.temperature, long)
        return self._steps(prompt, "speech", options, request.clock, request.gate_scale)

    def _synthesized_passage(
        self, sentence: str, steps: Sequence[Step], samples: Samples, before: int, request: SpeechRequest
    ) -> Passage:
        pieces = [self.text_tokenizer.piece(token) for token in self.text_tokenizer.encode(sentence)]
        rate = self.detokenizer.sample_rate
        start, end = before / rate, (before + len(samples)) / rate
        voiced = voiced_tokens(samples, rate / TOKEN_RATE / request.delivery.speed)
        given = PassageInput(
            sentence, pieces, [step.id for step in steps], voiced, start, end, speed=request.delivery.speed
        )
        return self._passage(given, steps, "speech_from_text", request.gate_scale)

    def _silence(self, seconds: float) -> npt.NDArray[np.float32]:
        return np.zeros(round(seconds * self.detokenizer.sample_rate), np.float32)


def _chunks(steps: Iterator[Step], seen: list[Step]) -> Iterator[npt.NDArray[np.int64]]:
    """Codes of a generation, a few at a time; every step is added to `seen`."""
    waiting: list[int] = []
    for step in steps:
        seen.append(step)
        if step.stop_reason != "end":
            waiting.append(step.id)
        if len(waiting) >= CHUNK_TOKENS:
            yield np.array(waiting, np.int64)
            waiting = []
    if waiting:
        yield np.array(waiting, np.int64)


def _watched(steps: Iterable[Step]) -> Generator[None, None, list[Step]]:
    """All steps of a generation; None for each, so that whoever asks for the next may leave."""
    seen: list[Step] = []
    for step in steps:
        seen.append(step)
        yield None
    return seen


def _excerpt(sentence: str) -> str:
    return sentence if len(sentence) <= 40 else sentence[:37] + "..."
