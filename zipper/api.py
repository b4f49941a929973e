"""The API people use: recordings to text, text to speech, and the continuation of either, with attention."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from zipper import checked, decoding, limits
from zipper.activity import Window, has_speech, windows
from zipper.align.heads import AlignmentHead, Direction
from zipper.align.words import voiced_tokens
from zipper.audio import AudioSource, Samples, load_audio
from zipper.clock import Clock
from zipper.components import Components, Detokens, SpeechTokens, TextTokens, load_components
from zipper.errors import LimitError, NoSpeechError, OptionError, TextError
from zipper.model.beam import Preference
from zipper.model.config import Modality
from zipper.model.generate import Step, generate
from zipper.model.sampling import SamplingOptions
from zipper.model.zipper import Segment, ZipperModel
from zipper.model.zips import GateScale, resolve_gate_scale
from zipper.passages import Given, alignment_heads, gates_into, make_passage, readable
from zipper.rates import SPEECH_RATE, TOKEN_RATE, TOKEN_SAMPLES
from zipper.results import Passage, Speech, SpeechPart, Transcript, TranscriptPart
from zipper.speech.tail import without_tail
from zipper.text.cutting import Part, cut
from zipper.text.normalize import normalize
from zipper.text.words import KnownWords

ASSETS = Path(__file__).resolve().parents[1] / "assets"
HALF_CHARACTER = "\ufffd"  # how a character reads while the token of its last byte is missing
SOUND_TOKENS = 100  # speech tokens, 4 s, handed to the detokenizer at once where nobody listens yet
CHUNK_TOKENS = 5  # speech tokens, 0.2 s, handed to the detokenizer at once while streaming

Gates = GateScale | float | None


class Zipper:
    """A trained model with its tokenizers and voices. Holds no state between calls; threads may share it.

    `gate_scale` in every call scales the gates of the zips: None or 1 as trained, 0 unzipped. A call that takes
    longer than :mod:`zipper.limits` allows raises LimitError at its next token.
    """

    def __init__(
        self,
        model: ZipperModel,
        speech_tokenizer: SpeechTokens,
        text_tokenizer: TextTokens,
        detokenizer: Detokens,
        heads: Sequence[AlignmentHead] = (),
        folder: Path = ASSETS,
        words: KnownWords | None = None,
    ) -> None:
        """Parts that do not fit each other raise WeightsError.

        folder: where they come from; words: those that the beams of recognition are held to.
        """
        Components(model, speech_tokenizer, text_tokenizer, detokenizer, tuple(heads), words)
        self.model = model
        self.speech_tokenizer = speech_tokenizer
        self.text_tokenizer = text_tokenizer
        self.detokenizer = detokenizer
        self.heads = tuple(heads)
        self.folder = folder
        self._prefer = None if words is None else decoding.known_words(words, text_tokenizer, model.config.text)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str] = ASSETS) -> "Zipper":
        """Load a model folder, by default the one that comes with the repository.

        Raises WeightsError or ConfigError when a part is missing, corrupt or of another model.
        """
        parts = load_components(folder)
        return cls(
            parts.model,
            parts.speech_tokenizer,
            parts.text_tokenizer,
            parts.detokenizer,
            parts.heads,
            Path(folder),
            parts.words,
        )

    @property
    def voices(self) -> list[str]:
        """Names that `synthesize` takes as voice; the first is the default."""
        return self.detokenizer.voices

    def transcribe(self, source: AudioSource, *, beams: int = decoding.BEAMS, gate_scale: Gates = None) -> Transcript:
        """What is said in a recording: a path, or (samples, sample_rate).

        beams: 1 takes the likeliest token each time, more search for the likeliest text. Raises AudioError,
        NoSpeechError, OptionError, LimitError.
        """
        for part in self.transcribe_stream(source, beams=beams, gate_scale=gate_scale):
            if part.transcript is not None:
                return part.transcript
        raise AssertionError("the last part of a stream holds the transcript")

    def transcribe_stream(
        self, source: AudioSource, *, beams: int = decoding.BEAMS, gate_scale: Gates = None
    ) -> Generator[TranscriptPart, None, None]:
        """The same as it comes: a part after each token that is settled, the last with the
        transcript.

        A bad recording raises here, before the first part; closing the iterator stops the work.
        """
        beams = checked.whole(beams, "The number of beams", 1, limits.MAX_BEAMS)
        gate_scale, clock = self._gates(gate_scale, "text"), Clock()
        samples = load_audio(source)
        spoken = windows(samples)
        if not spoken:
            raise NoSpeechError("No speech found in the recording.")
        return self._recognise(samples, spoken, beams, gate_scale, clock)

    def synthesize(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = decoding.SPEECH_TEMPERATURE,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Speech:
        """Speak a text. The same text, voice and seed give the same sound.

        A sentence whose speech does not end is tried again with other seeds derived from this one; with
        keep_unended it is cut off where it stands, as one wants it to hear what closed gates do. Raises
        TextError, OptionError for an unknown voice, LimitError.
        """
        *_, speech = self.synthesize_steps(
            text, voice, seed, temperature=temperature, gate_scale=gate_scale, keep_unended=keep_unended
        )
        assert speech is not None
        return speech

    def synthesize_steps(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = decoding.SPEECH_TEMPERATURE,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Generator[Speech | None, None, None]:
        """The same, token by token, so that it can be watched and stopped; the last item is what `synthesize` returns.

        Speech is None until all of it is there: other than with `synthesize_stream`, a sentence may be tried again.
        """
        written, voice, seed, temperature = self._request(text, voice, seed, temperature)
        gates = self._gates(gate_scale, "speech")
        return self._synthesize(cut(written), voice, seed, temperature, gates, keep_unended, Clock())

    def _synthesize(
        self,
        parts: Sequence[Part],
        voice: str,
        seed: int,
        temperature: float,
        gate_scale: Gates,
        keep_unended: bool,
        clock: Clock,
    ) -> Generator[Speech | None, None, None]:
        passages: list[Passage] = []
        sound: list[Samples] = []
        complete = True
        for part in parts:
            sentence = part.text
            if keep_unended:
                steps = yield from _watched(self._speech_steps(sentence, seed, temperature, gate_scale, clock))
                complete = _ended(steps) and complete
            else:
                steps = yield from self._speak(sentence, seed, temperature, gate_scale, clock)
            steps = list(_without_end(steps))
            codes = np.array([step.id for step in steps], np.int64)
            before = sum(map(len, sound))
            whole = yield from self._sound(codes, voice, seed, clock)
            samples = np.concatenate(list(without_tail([whole], self.detokenizer.sample_rate)))
            passages.append(self._spoken_passage(sentence, steps, samples, before, gate_scale))
            sound += [samples, self._silence(part.pause)]
        rate = self.detokenizer.sample_rate
        yield Speech(tuple(passages), np.concatenate(sound), rate, voice, seed, complete)

    def synthesize_stream(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = decoding.SPEECH_TEMPERATURE,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Generator[SpeechPart, None, None]:
        """The same sound as it comes; the last part holds the whole speech.

        What has been played cannot be taken back: a sentence whose speech does not end raises LimitError or, with
        keep_unended, is cut off where it stands.
        """
        written, voice, seed, temperature = self._request(text, voice, seed, temperature)
        gates = self._gates(gate_scale, "speech")
        return self._speak_stream(cut(written), voice, seed, temperature, gates, keep_unended, Clock())

    @overload
    def complete(
        self,
        prompt: str,
        modality: Literal["text"] = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
    ) -> str: ...

    @overload
    def complete(
        self,
        prompt: AudioSource,
        modality: Literal["speech"],
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Speech: ...

    def complete(
        self,
        prompt: str | AudioSource,
        modality: Modality = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> str | Speech:
        """Continue a text, or a recording, by its own tower alone; only what follows the prompt is returned.

        max_tokens: 25 of speech are one second. Raises TextError, AudioError, OptionError, LimitError.
        """
        *_, whole = self._continue(prompt, modality, max_tokens, seed, temperature, voice)
        assert whole is not None
        return whole

    @overload
    def complete_stream(
        self,
        prompt: str,
        modality: Literal["text"] = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
    ) -> Generator[str, None, None]: ...

    @overload
    def complete_stream(
        self,
        prompt: AudioSource,
        modality: Literal["speech"],
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Generator[Speech | None, None, None]: ...

    def complete_stream(
        self,
        prompt: str | AudioSource,
        modality: Modality = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = decoding.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Generator[str | Speech | None, None, None]:
        """The same, token by token, so that it can be watched and stopped; the last item is what `complete` returns.

        A text grows from item to item; speech is None until all of its tokens are there.
        """
        return self._continue(prompt, modality, max_tokens, seed, temperature, voice)

    def _continue(
        self,
        prompt: str | AudioSource,
        modality: Modality,
        max_tokens: int,
        seed: int,
        temperature: float,
        voice: str | None,
    ) -> Generator[str | Speech | None, None, None]:
        most = limits.MAX_COMPLETION_TOKENS
        max_tokens = checked.whole(max_tokens, "The number of tokens", 1, most, LimitError)
        temperature = checked.real(temperature, "The temperature", 0.0)
        options, clock = decoding.completion(max_tokens, checked.seed(seed), temperature), Clock()
        if modality == "text":
            return self._continue_text(checked.text(prompt), options, clock)
        if modality == "speech":
            voice = checked.voice(voice, self.voices)
            return self._continue_speech(load_audio(prompt), options, voice, clock)
        raise OptionError(f"There is no modality {modality!r}; choose text or speech.")

    def _recognise(
        self, samples: Samples, spoken: Sequence[Window], beams: int, gate_scale: Gates, clock: Clock
    ) -> Generator[TranscriptPart, None, None]:
        """Window after window; a part for each token."""
        seconds, complete = len(samples) / SPEECH_RATE, True
        passages: list[Passage] = []
        for window in spoken:
            clock.check()
            heard = samples[window.start : window.stop]
            codes = [int(code) for code in self.speech_tokenizer.encode(heard)]
            until = window.speech_end if gate_scale is None else 0.0  # unzipped, there is no place to follow
            options = decoding.recognition(len(heard) / SPEECH_RATE, beams, until)
            prompt = [self._segment("speech", codes)]
            before = Transcript(tuple(passages), seconds)
            steps: list[Step] = []
            for step in self._steps(prompt, "text", options, clock, gate_scale, self._prefer):
                steps.append(step)
                text = f"{before.text} {self._text(steps)}".strip().rstrip(HALF_CHARACTER)
                yield TranscriptPart(text, before.words, window.start / SPEECH_RATE, seconds)
            understood = _ended(steps) and bool(self._text(steps))
            if self._text(steps):
                passages.append(self._heard_passage(steps, codes, heard, window, gate_scale))
                understood = understood and passages[-1].unheard <= decoding.UNHEARD_SECONDS
            complete = complete and understood
        if not passages:
            raise NoSpeechError("No speech found in the recording.")
        whole = Transcript(tuple(passages), seconds, complete)
        yield TranscriptPart(whole.text, whole.words, seconds, seconds, whole)

    def _speak(
        self, sentence: str, seed: int, temperature: float, gate_scale: Gates, clock: Clock
    ) -> Generator[None, None, list[Step]]:
        """Speech tokens of one sentence; LimitError if no attempt comes to an end."""
        for attempt in range(decoding.ATTEMPTS):
            other = checked.later_seed(seed, attempt)
            steps = yield from _watched(self._speech_steps(sentence, other, temperature, gate_scale, clock))
            if _ended(steps):
                return steps
        raise LimitError(f'The speech of "{_excerpt(sentence)}" came to no end; try another seed.')

    def _speak_stream(
        self,
        parts: Sequence[Part],
        voice: str,
        seed: int,
        temperature: float,
        gate_scale: Gates,
        keep_unended: bool,
        clock: Clock,
    ) -> Generator[SpeechPart, None, None]:
        rate, complete = self.detokenizer.sample_rate, True
        done: list[Passage] = []
        sound: list[Samples] = []
        for part in parts:
            sentence = part.text
            steps: list[Step] = []
            before, first = sum(map(len, sound)), len(sound)
            chunks = _chunks(self._speech_steps(sentence, seed, temperature, gate_scale, clock), steps)
            for samples in without_tail(self.detokenizer.stream(chunks, voice, seed), rate):
                sound.append(samples)
                yield SpeechPart(samples, rate)
            ended = _ended(steps)
            if not (ended or keep_unended):
                raise LimitError(f'The speech of "{_excerpt(sentence)}" came to no end; try another seed.')
            complete = complete and ended
            spoken = np.concatenate(sound[first:])
            done.append(self._spoken_passage(sentence, _without_end(steps), spoken, before, gate_scale))
            sound.append(self._silence(part.pause))
            if len(done) < len(parts):
                yield SpeechPart(sound[-1], rate)
        whole = Speech(tuple(done), np.concatenate(sound), rate, voice, seed, complete)
        yield SpeechPart(sound[-1], rate, whole)

    def _speech_steps(
        self, sentence: str, seed: int, temperature: float, gate_scale: Gates, clock: Clock
    ) -> Iterator[Step]:
        pieces = self.text_tokenizer.encode(sentence)
        prompt = [self._segment("text", pieces)]
        long = len(pieces) * self.model.config.seconds_per_token("text") if gate_scale is None else 0.0
        options = decoding.synthesis(sentence, seed, temperature, long)
        return self._steps(prompt, "speech", options, clock, gate_scale)

    def _steps(
        self,
        prompt: Sequence[Segment],
        modality: Modality,
        options: SamplingOptions,
        clock: Clock,
        gate_scale: Gates = None,
        prefer: Preference | None = None,
    ) -> Iterator[Step]:
        """Tokens of one passage; LimitError as soon as one comes later than the clock allows."""
        options = replace(options, deadline_seconds=clock.passage_seconds())
        for step in generate(self.model, prompt, [modality], options, gate_scale=gate_scale, prefer=prefer):
            if step.stop_reason == "deadline":
                raise clock.late()
            yield step

    def _continue_text(self, prompt: str, options: SamplingOptions, clock: Clock) -> Generator[str, None, None]:
        if not prompt.strip():
            raise TextError("There is no text to continue.")
        if len(prompt) > limits.MAX_TEXT_CHARACTERS:
            raise LimitError(f"At most {limits.MAX_TEXT_CHARACTERS:,} characters of text are continued.")
        ids = self.text_tokenizer.encode(prompt.rstrip())
        given = len(self.text_tokenizer.decode(ids))
        opened = [Segment("text", (self.model.config.text.begin_id, *ids))]
        steps: list[Step] = []
        for step in self._steps(opened, "text", options, clock):
            steps.append(step)
            whole = self.text_tokenizer.decode([*ids, *(step.id for step in _without_end(steps))])
            yield whole[given:].rstrip(HALF_CHARACTER)

    def _continue_speech(
        self, samples: Samples, options: SamplingOptions, voice: str, clock: Clock
    ) -> Generator[Speech | None, None, None]:
        if len(samples) > limits.MAX_WINDOW_SECONDS * SPEECH_RATE:
            raise LimitError(f"At most {limits.MAX_WINDOW_SECONDS:.0f} s of speech are continued.")
        if not has_speech(samples):
            raise NoSpeechError("No speech found in the recording.")
        codes = [int(code) for code in self.speech_tokenizer.encode(samples)]
        opened = [Segment("speech", (self.model.config.speech.begin_id, *codes))]
        steps: list[Step] = []
        for step in self._steps(opened, "speech", options, clock):
            steps.append(step)
            yield None
        new = [step.id for step in _without_end(steps)]
        sound = yield from self._sound(np.array([*codes, *new], np.int64), voice, options.seed, clock)
        rate = self.detokenizer.sample_rate
        yield Speech((), sound[len(codes) * rate // TOKEN_RATE :], rate, voice, options.seed)

    def _heard_passage(
        self, steps: Sequence[Step], codes: Sequence[int], heard: Samples, window: Window, gate_scale: Gates
    ) -> Passage:
        kept = _without_end(steps)
        pieces = [self.text_tokenizer.piece(step.id) for step in kept]
        probabilities = [step.probability for step in kept]
        start, end = window.start / SPEECH_RATE, window.stop / SPEECH_RATE
        spoken = window.speech_tokens(TOKEN_SAMPLES)
        loud = spoken & voiced_tokens(heard, TOKEN_SAMPLES)
        voiced = loud if loud.any() else spoken
        given = Given(self._text(steps), pieces, codes, voiced, start, end, probabilities)
        return self._passage(given, kept, "text_from_speech", gate_scale)

    def _spoken_passage(
        self, sentence: str, steps: Sequence[Step], samples: Samples, before: int, gate_scale: Gates
    ) -> Passage:
        pieces = [self.text_tokenizer.piece(token) for token in self.text_tokenizer.encode(sentence)]
        rate = self.detokenizer.sample_rate
        start, end = before / rate, (before + len(samples)) / rate
        voiced = voiced_tokens(samples, rate // TOKEN_RATE)
        given = Given(sentence, pieces, [step.id for step in steps], voiced, start, end)
        return self._passage(given, steps, "speech_from_text", gate_scale)

    def _passage(self, given: Given, steps: Sequence[Step], direction: Direction, gate_scale: Gates) -> Passage:
        generated: Modality = "text" if direction == "text_from_speech" else "speech"
        heads = alignment_heads(self.heads, direction, self.model)
        return make_passage(given, steps, direction, heads, gates_into(self.model, generated, gate_scale))

    def _request(
        self, text: str, voice: str | None, seed: int, temperature: float
    ) -> tuple[str, str, int, float]:
        """What is to be spoken and how, each in the form and the range that the model takes."""
        heat = checked.real(temperature, "The temperature", 0.0)
        return normalize(checked.text(text)), checked.voice(voice, self.voices), checked.seed(seed), heat

    def _gates(self, gate_scale: Gates, modality: Modality) -> Gates:
        """None where the gates into the tower that writes are as trained, however that is said.

        Only then is a passage held to its end: with other gates, the place that is looked at means little.
        """
        scale = resolve_gate_scale(gate_scale, self.model.config.zip_points)
        trained = all(factor == 1 for pair in scale.into(modality) for factor in pair)
        return None if trained else scale

    def _segment(self, modality: Modality, ids: Sequence[int]) -> Segment:
        tower = self.model.config.tower(modality)
        return Segment(modality, (tower.begin_id, *ids, tower.end_id))

    def _text(self, steps: Sequence[Step]) -> str:
        """Text of the tokens so far."""
        return readable(self.text_tokenizer.decode([step.id for step in _without_end(steps)]))

    def _sound(
        self, codes: npt.NDArray[np.int64], voice: str, seed: int, clock: Clock
    ) -> Generator[None, None, Samples]:
        """Sound of speech tokens; after each second of it, the clock is looked at and whoever asks may leave."""
        pieces = [np.zeros(0, np.float32)]
        chunks = (codes[first : first + SOUND_TOKENS] for first in range(0, len(codes), SOUND_TOKENS))
        for piece in self.detokenizer.stream(chunks, voice, seed):
            clock.check()
            pieces.append(piece)
            yield None
        return np.concatenate(pieces)

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


def _ended(steps: Sequence[Step]) -> bool:
    """Whether the model itself closed the segment."""
    return bool(steps) and steps[-1].stop_reason == "end"


def _without_end(steps: Sequence[Step]) -> Sequence[Step]:
    return steps[:-1] if steps and steps[-1].stop_reason == "end" else steps


def _excerpt(sentence: str) -> str:
    return sentence if len(sentence) <= 40 else sentence[:37] + "..."
