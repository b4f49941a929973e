"""Word times against true ones, for recognition and for synthesis; and the choice of alignment heads.

Recognition is judged as people meet it: the times of the words that a transcript got right. For synthesis
nobody knows the true times of generated speech, so the model is given a text and the tokens of speech whose
times are known (teacher forcing), and its synthesis attention is read as it would be after generating them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from zipper.alignment.heads import choose_heads, score_heads
from zipper.alignment.words import WordTime, voiced_tokens, word_times
from zipper.api import Zipper
from zipper.errors import DataError, ZipperError
from zipper.evaluation.manifest import Recording
from zipper.evaluation.metrics import TimeErrors, match_words, time_errors
from zipper.inference.forced import forced_attention
from zipper.inference.passages import alignment_heads
from zipper.rates import SPEECH_RATE, TOKEN_RATE, TOKEN_SAMPLES
from zipper.results import AlignmentHead, Direction

DIRECTIONS: tuple[Direction, Direction] = ("text_from_speech", "speech_from_text")


def evaluate_recognition(zipper: Zipper, recordings: Sequence[Recording]) -> TimeErrors:
    """Errors of the times of correctly recognized words; recordings that are refused are left out."""
    pairs: list[tuple[WordTime, WordTime]] = []
    for recording in _timed(recordings):
        try:
            words = zipper.transcribe((recording.samples, SPEECH_RATE)).words
        except ZipperError:
            continue
        pairs += match_words(recording.words, [WordTime(w.text, w.start, w.end) for w in words])
    return time_errors(pairs)


def evaluate_forced(zipper: Zipper, recordings: Sequence[Recording], direction: Direction) -> TimeErrors:
    """Errors of word times in one direction when text and speech are both given."""
    chosen = alignment_heads(zipper.heads, direction, zipper.model)
    pairs: list[tuple[WordTime, WordTime]] = []
    for recording in _timed(recordings):
        ids, weights = _attention(zipper, recording, direction)
        pieces = [zipper.text_tokenizer.piece(i) for i in ids]
        voiced = voiced_tokens(recording.samples, TOKEN_SAMPLES)
        pairs += match_words(recording.words, word_times(weights, chosen, pieces, 1 / TOKEN_RATE, voiced))
    return time_errors(pairs)


def choose(zipper: Zipper, recordings: Sequence[Recording]) -> list[AlignmentHead]:
    """The best few heads of both directions by how monotonic they are here; true times are not needed."""
    return [
        head
        for direction in DIRECTIONS
        for head in choose_heads(
            score_heads((_attention(zipper, recording, direction)[1] for recording in recordings), direction)
        )
    ]


def _attention(zipper: Zipper, recording: Recording, direction: Direction) -> tuple[list[int], np.ndarray]:
    """Text ids of a recording and the attention between them and its speech, (Z, H, T_text, T_speech)."""
    ids = zipper.text_tokenizer.encode(recording.text)
    speech = [int(token) for token in zipper.speech_tokenizer.encode(recording.samples)]
    return ids, forced_attention(zipper.model, ids, speech, direction)


def _timed(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """The recordings whose word times are known; DataError if there are none."""
    timed = [recording for recording in recordings if recording.words]
    if not timed:
        raise DataError("No recording of this manifest has word times: it needs a column words or phonemes.")
    return iter(timed)
