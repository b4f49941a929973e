"""The word error rate of a hypothesis, a text from the model, against a reference, and its words with errors marked.

Case, punctuation and spelling are ignored as in the project's evaluation, so that the numbers agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jiwer

from zipper import error_rates, limits, normalizer
from zipper.errors import LimitError

MarkedWords = list[tuple[str, str | None]]  # words, with the kind of error or None

WRONG, MISSING, ADDED = "wrong", "left out", "added"
KINDS = {"equal": None, "substitute": WRONG, "delete": MISSING, "insert": ADDED}
NO_WORDS: MarkedWords = [("no words", ADDED)]


@dataclass(frozen=True)
class WordErrorReport:
    """Word error rate in %, the number of reference words that it refers to, and the marked words of the hypothesis."""

    wer: float
    words: int
    marked: MarkedWords


def word_errors(reference: str, hypothesis: str) -> WordErrorReport | None:
    """Compare two texts; None where the reference has no word, LimitError where it is very long."""
    if len(reference) > limits.MAX_TEXT_CHARACTERS:
        raise LimitError(f"At most {limits.MAX_TEXT_CHARACTERS:,} characters of text are compared.")
    normal = normalizer()
    if not normal(reference):
        return None
    rates = error_rates(["1"], [reference], [hypothesis])
    return WordErrorReport(rates.wer, rates.words, _marked(reference, hypothesis, normal))


def _marked(reference: str, hypothesis: str, normal: Callable[[str], str]) -> MarkedWords:
    """The words of the hypothesis, and at their positions the missing words of the reference."""
    expected, actual = _Words(reference, normal(reference)), _Words(hypothesis, normal(hypothesis))
    words: MarkedWords = []
    for chunk in jiwer.process_words(expected.normalized, actual.normalized).alignments[0]:
        missing = expected.displayed[chunk.ref_start_idx : chunk.ref_end_idx]
        found = actual.displayed[chunk.hyp_start_idx : chunk.hyp_end_idx]
        kind = KINDS[chunk.type]
        words.append((" ".join(missing if kind == MISSING else found), kind))
    return words


class _Words:
    """Words as they are compared and as they are displayed: as written, if normalization keeps their number."""

    def __init__(self, written: str, normalized: str) -> None:
        self.normalized = normalized
        words = written.split()
        self.displayed = words if len(words) == len(normalized.split()) else normalized.split()
