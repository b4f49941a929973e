"""The API people use: recordings to text, text to speech, and the continuation of either, with attention."""

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
import torch

from zipper import limits, weights
from zipper.audio.io import AudioSource, load_audio
from zipper.audio.speech_windows import windows
from zipper.errors import NoSpeechError
from zipper.inference import arguments, presets
from zipper.inference.completion import Completion
from zipper.inference.components import Components, Detokens, SpeechTokens, TextTokens, load_components
from zipper.inference.deadline import Clock
from zipper.inference.engine import Gates
from zipper.inference.passages import gates_into
from zipper.inference.recognition import Recognition
from zipper.inference.synthesis import SpeechRequest, Synthesis
from zipper.model.config import Modality
from zipper.model.fused import FusedModel
from zipper.results import AlignmentHead, Direction, Speech, SpeechPart, Transcript, TranscriptPart
from zipper.text.cutting import cut
from zipper.text.lexicon import Lexicon
from zipper.text.normalize import normalize


class Zipper(Recognition, Synthesis, Completion):
    """A trained model with its tokenizers and voices. Holds no state between calls; threads may share it.

    The model is a text and a speech tower zipped together or, to compare with, a single decoder, as the config.json of
    its folder says. `gate_scale` in every call scales the gates of the zips: None or 1 as trained, 0 unzipped; a single
    decoder has none and raises OptionError for any other. A call that takes
    longer than :mod:`zipper.limits` allows raises LimitError at its next token. BEAMS, SPEECH_TEMPERATURE and
    COMPLETION_TEMPERATURE are what calls take where nothing else is said.
    """

    BEAMS = presets.BEAMS
    SPEECH_TEMPERATURE = presets.SPEECH_TEMPERATURE
    COMPLETION_TEMPERATURE = presets.COMPLETION_TEMPERATURE

    def __init__(
        self,
        model: FusedModel,
        speech_tokenizer: SpeechTokens,
        text_tokenizer: TextTokens,
        detokenizer: Detokens,
        heads: Sequence[AlignmentHead] = (),
        folder: Path | None = None,
        words: Lexicon | None = None,
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
        self._word_penalty = (
            None if words is None else presets.lexicon_penalty(words, text_tokenizer, model.config.text)
        )

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str] | None = None) -> "Zipper":
        """Load a model folder; without one what :func:`zipper.weights.find` finds, in a checkout its own.

        Raises WeightsError or ConfigError when a part is missing, corrupt or of another model.
        """
        place = weights.find(folder)
        parts = load_components(place)
        return cls(
            parts.model,
            parts.speech_tokenizer,
            parts.text_tokenizer,
            parts.detokenizer,
            parts.heads,
            place,
            parts.words,
        )

    @property
    def voices(self) -> list[str]:
        """Names that `synthesize` takes as voice; the first is the default."""
        return self.detokenizer.voices

    @property
    def sample_rate(self) -> int:
        """Hz of the speech that is synthesized."""
        return self.detokenizer.sample_rate

    def gates(self, direction: Direction) -> npt.NDArray[np.float32]:
        """Factors, as trained, on attention and feed-forward of each zip point in a direction, (zip points, 2).

        Of a single decoder: ones, for each block whose attention is returned.
        """
        return gates_into(self.model, "text" if direction == "text_from_speech" else "speech", None)

    def to(self, device: str | torch.device) -> "Zipper":
        """Move the towers to a device, such as "cuda"; tokenizers and vocoder stay on the processor. Returns itself."""
        self.model.to(device)
        return self

    def transcribe(self, source: AudioSource, *, beams: int = presets.BEAMS, gate_scale: Gates = None) -> Transcript:
        """What is said in a recording: a path, or (samples, sample_rate).

        beams: 1 takes the likeliest token each time, more search for the likeliest text. Raises AudioError,
        NoSpeechError, OptionError, LimitError.
        """
        for part in self.transcribe_stream(source, beams=beams, gate_scale=gate_scale):
            if part.transcript is not None:
                return part.transcript
        raise AssertionError("the last part of a stream holds the transcript")

    def transcribe_stream(
        self, source: AudioSource, *, beams: int = presets.BEAMS, gate_scale: Gates = None
    ) -> Generator[TranscriptPart, None, None]:
        """The same as it comes: a part after each token that is settled, the last with the
        transcript.

        A bad recording raises here, before the first part; closing the iterator stops the work.
        """
        beams = arguments.whole(beams, "The number of beams", 1, limits.MAX_BEAMS)
        gate_scale, clock = self._gates(gate_scale, "text"), Clock()
        samples = load_audio(source)
        speech_windows = windows(samples)
        if not speech_windows:
            raise NoSpeechError("No speech found in the recording.")
        return self._recognize(samples, speech_windows, beams, gate_scale, clock)

    def synthesize(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = presets.SPEECH_TEMPERATURE,
        speed: float = 1.0,
        pitch: float = 0.0,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Speech:
        """Speak a text. The same text, voice and seed give the same sound.

        speed: 0.6 to 1.6 times that at which the speech was generated; pitch: up to 4 semitones up or down, the pace
        stays.
        A sentence whose speech does not end is tried again with other seeds derived from this one; with
        keep_unended it is cut off where it stands, as one wants it to hear what closed gates do. Raises
        TextError, OptionError for an unknown voice, LimitError.
        """
        *_, speech = self.synthesize_steps(
            text,
            voice,
            seed,
            temperature=temperature,
            speed=speed,
            pitch=pitch,
            gate_scale=gate_scale,
            keep_unended=keep_unended,
        )
        assert speech is not None
        return speech

    def synthesize_steps(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = presets.SPEECH_TEMPERATURE,
        speed: float = 1.0,
        pitch: float = 0.0,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Generator[Speech | None, None, None]:
        """The same, token by token, so that it can be watched and stopped; the last item is what `synthesize` returns.

        Speech is None until all of it is there: other than with `synthesize_stream`, a sentence may be tried again.
        """
        return self._synthesize(self._request(text, voice, seed, temperature, speed, pitch, gate_scale, keep_unended))

    def synthesize_stream(
        self,
        text: str,
        voice: str | None = None,
        seed: int = 0,
        *,
        temperature: float = presets.SPEECH_TEMPERATURE,
        speed: float = 1.0,
        pitch: float = 0.0,
        gate_scale: Gates = None,
        keep_unended: bool = False,
    ) -> Generator[SpeechPart, None, None]:
        """The same sound as it comes; the last part holds the whole speech.

        What has been played cannot be taken back: a sentence whose speech does not end raises LimitError or, with
        keep_unended, is cut off where it stands.
        """
        return self._speak_stream(self._request(text, voice, seed, temperature, speed, pitch, gate_scale, keep_unended))

    @overload
    def complete(
        self,
        prompt: str,
        modality: Literal["text"] = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = presets.COMPLETION_TEMPERATURE,
    ) -> str: ...

    @overload
    def complete(
        self,
        prompt: AudioSource,
        modality: Literal["speech"],
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = presets.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Speech: ...

    def complete(
        self,
        prompt: str | AudioSource,
        modality: Modality = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = presets.COMPLETION_TEMPERATURE,
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
        temperature: float = presets.COMPLETION_TEMPERATURE,
    ) -> Generator[str, None, None]: ...

    @overload
    def complete_stream(
        self,
        prompt: AudioSource,
        modality: Literal["speech"],
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = presets.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Generator[Speech | None, None, None]: ...

    def complete_stream(
        self,
        prompt: str | AudioSource,
        modality: Modality = "text",
        *,
        max_tokens: int = 60,
        seed: int = 0,
        temperature: float = presets.COMPLETION_TEMPERATURE,
        voice: str | None = None,
    ) -> Generator[str | Speech | None, None, None]:
        """The same, token by token, so that it can be watched and stopped; the last item is what `complete` returns.

        A text grows from item to item; speech is None until all of its tokens are there.
        """
        return self._continue(prompt, modality, max_tokens, seed, temperature, voice)

    def _request(
        self,
        text: str,
        voice: str | None,
        seed: int,
        temperature: float,
        speed: float,
        pitch: float,
        gate_scale: Gates,
        keep_unended: bool,
    ) -> SpeechRequest:
        """What is to be spoken and how, each in the form and the range that the model takes."""
        temperature = arguments.real(temperature, "The temperature", 0.0)
        return SpeechRequest(
            cut(normalize(arguments.text(text))),
            arguments.voice(voice, self.voices),
            arguments.seed(seed),
            temperature,
            self._gates(gate_scale, "speech"),
            keep_unended,
            arguments.delivery(speed, pitch),
            Clock(),
        )
