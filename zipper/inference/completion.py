"""Continuation of a text, or of a recording, by its own tower alone."""

from collections.abc import Generator

import numpy as np

from zipper import limits
from zipper.audio.io import AudioSource, Samples, load_audio
from zipper.audio.speech_windows import has_speech
from zipper.errors import LimitError, NoSpeechError, OptionError, TextError
from zipper.inference import arguments, presets
from zipper.inference.deadline import Clock
from zipper.inference.engine import HALF_CHARACTER, Engine, without_end
from zipper.inference.generate import Step
from zipper.inference.sampling import SamplingOptions
from zipper.model.config import Modality
from zipper.model.zipper import Segment
from zipper.rates import SPEECH_RATE, TOKEN_RATE
from zipper.results import Speech


class Completion(Engine):
    """How a Zipper goes on with what it is given."""

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
        max_tokens = arguments.whole(max_tokens, "The number of tokens", 1, most, LimitError)
        temperature = arguments.real(temperature, "The temperature", 0.0)
        options, clock = presets.completion(max_tokens, arguments.seed(seed), temperature), Clock()
        if modality == "text":
            return self._continue_text(arguments.text(prompt), options, clock)
        if modality == "speech":
            voice = arguments.voice(voice, self.detokenizer.voices)
            return self._continue_speech(load_audio(prompt), options, voice, clock)
        raise OptionError(f"There is no modality {modality!r}; choose text or speech.")

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
            whole = self.text_tokenizer.decode([*ids, *(step.id for step in without_end(steps))])
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
        new = [step.id for step in without_end(steps)]
        sound = yield from self._sound(np.array([*codes, *new], np.int64), voice, options.seed, clock)
        rate = self.detokenizer.sample_rate
        yield Speech((), sound[len(codes) * rate // TOKEN_RATE :], rate, voice, options.seed)
