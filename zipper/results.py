"""What requests return: frozen dataclasses of text, sound, words with times, and the attention behind them.

A request runs passage by passage (a window of the recording, a sentence of the text); a result holds its
passages and presents them as one. Times are in seconds from the start of the whole recording or of the
whole speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from zipper import limits
from zipper.errors import LimitError, OptionError

Direction = Literal["text_from_speech", "speech_from_text"]  # recognition, synthesis: who attends from whom
Weights = npt.NDArray[np.float16]

# Of 114 held-out recordings of English 2 are less sure, with half of their words wrong; of 72 sentences of German,
# Spanish and French 68 (`zipper evaluate doubt`).
DOUBTFUL_CONFIDENCE = 0.58
MISSING = "Part of the recording was not understood to its end, so words may be missing."
UNSURE = "The model was unsure of most words: it knows only English, and this may be something else or unclear."


@dataclass(frozen=True)
class Word:
    """A word as written, with its punctuation.

    start and end in seconds. confidence 0..1: geometric mean of its tokens' probabilities; None in speech
    that was synthesized, where the text was given.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True)
class Token:
    """A text piece as it reads, or the number of a speech token, and when it is spoken, in seconds.

    A text piece that opens a word begins with a space. A piece that holds only part of a character is written in the
    alphabet of byte-level BPE, one letter for each byte.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class AlignmentHead:
    """One head of one zip point in one direction, and how monotonic it is, 0 to 1."""

    direction: Direction
    zip_point: int
    head: int
    score: float


@dataclass(frozen=True, eq=False)
class Attention:
    """Where each token looked, as the softmax gave it, how far each gate was open, and how text and speech align.

    weights (Z, H, T text, T speech) float16: zip points, heads, text tokens, speech tokens; in recognition
    each text token's row is a distribution over the speech, in synthesis each speech token's column one
    over the text. Begin and end tokens are left out, so that a distribution sums to at most 1. gates (Z, 2)
    float32: factors on attention and feed-forward of each zip point into the tower that was generated.
    heads: the alignment heads, best first; all heads with a score of 0 where none was chosen. path (n, 2) int64: text
    and speech index of each cell of the warping path through the mean of those heads, from which the times of the text
    tokens are read; computed on the exact weights, before they are rounded to float16.
    """

    direction: Direction
    weights: Weights
    gates: npt.NDArray[np.float32]
    text_tokens: tuple[Token, ...]
    speech_tokens: tuple[Token, ...]
    heads: tuple[AlignmentHead, ...]
    path: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Passage:
    """One stretch that the towers saw at once: its text, words, attention and place in the whole, in
    seconds.

    unheard: seconds of the longest stretch of its speech that belongs to no word, as where words are missing.
    """

    text: str
    words: tuple[Word, ...]
    attention: Attention
    start: float
    end: float
    unheard: float = 0.0


@dataclass(frozen=True, eq=False)
class _Passages:
    passages: tuple[Passage, ...]

    @property
    def text(self) -> str:
        """The passages' texts, with spaces between."""
        return " ".join(passage.text for passage in self.passages)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order."""
        return tuple(word for passage in self.passages for word in passage.words)

    @cached_property
    def attention(self) -> Attention:
        """One map over all passages, 0 between different ones; LimitError if that would not fit the
        memory.
        """
        return merge_attention([passage.attention for passage in self.passages])


@dataclass(frozen=True, eq=False)
class Transcript(_Passages):
    """What was said in a recording.

    seconds: its length. complete: False if words may be missing: a passage broke off before the model's end token,
    or speech belongs to no word.
    """

    seconds: float
    complete: bool = True

    @property
    def confidence(self) -> float | None:
        """Mean confidence of the words, 0..1; None where there are none."""
        known = [word.confidence for word in self.words if word.confidence is not None]
        return sum(known) / len(known) if known else None

    @property
    def doubtful(self) -> bool:
        """Whether the model was so unsure that this may be another language than English, or no language at all."""
        return self.confidence is not None and self.confidence < DOUBTFUL_CONFIDENCE

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know before they trust the text, one sentence each."""
        told = {MISSING: not self.complete, UNSURE: self.doubtful}
        return tuple(sentence for sentence, true in told.items() if true)


@dataclass(frozen=True, eq=False)
class TranscriptPart:
    """Progress of a transcription: the whole text so far, the words with known times, seconds done of all.

    transcript: the result, in the last part only.
    """

    text: str
    words: tuple[Word, ...]
    seconds_done: float
    seconds: float
    transcript: Transcript | None = None


@dataclass(frozen=True, eq=False)
class Speech(_Passages):
    """Sound, samples (n,) float32 in -1..1 at sample_rate Hz, and what it says.

    voice and seed give the same sound again. A continuation of a recording has no passages. complete: False
    if a passage was cut off because its speech came to no end.
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    voice: str
    seed: int
    complete: bool = True

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, eq=False)
class SpeechPart:
    """The next piece of sound, samples (n,) float32, never empty; speech: the whole result, in the last
    part only.
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    speech: Speech | None = None


def merge_attention(parts: Sequence[Attention]) -> Attention:
    """Maps of consecutive passages, of the same direction, as one along the diagonal.

    Raises OptionError if there is none, LimitError if they are too large for one array.
    """
    if not parts:
        raise OptionError("There is no attention between the modalities here: only one was used.")
    if len(parts) == 1:
        return parts[0]
    points, heads = parts[0].weights.shape[:2]
    rows = sum(part.weights.shape[2] for part in parts)
    columns = sum(part.weights.shape[3] for part in parts)
    if points * heads * rows * columns > limits.MAX_ATTENTION_CELLS:
        raise LimitError("The attention of the whole is too large for one array; take it passage by passage.")
    merged = np.zeros((points, heads, rows, columns), np.float16)
    path: list[npt.NDArray[np.int64]] = []
    row = column = 0
    for part in parts:
        height, width = part.weights.shape[2:]
        merged[:, :, row : row + height, column : column + width] = part.weights
        path.append(part.path + (row, column))
        row, column = row + height, column + width
    text = tuple(token for part in parts for token in part.text_tokens)
    speech = tuple(token for part in parts for token in part.speech_tokens)
    first = parts[0]
    return Attention(first.direction, merged, first.gates, text, speech, first.heads, np.concatenate(path))
