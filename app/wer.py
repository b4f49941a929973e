"""How what was heard differs from what was said: the word error rate, and the words that are wrong, marked.

Case, punctuation and spelling are put aside as in the project's evaluation, so that numbers agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jiwer

from zipper import limits
from zipper.errors import LimitError
from zipper.evaluation.metrics import error_rates, normalizer

Marked = list[tuple[str, str | None]]  # words, with the kind of error or None

WRONG, MISSING, ADDED = "wrong", "left out", "added"
KINDS = {"equal": None, "substitute": WRONG, "delete": MISSING, "insert": ADDED}
EMPTY: Marked = [("no words", ADDED)]


@dataclass(frozen=True)
class Verdict:
    """Word error rate in %, the number of words that it is a share of, and the words heard, marked."""

    wer: float
    words: int
    marked: Marked


def judge(said: str, heard: str) -> Verdict | None:
    """Compare a text with what should be in it; None where nothing was said. LimitError for a very long text."""
    if len(said) > limits.MAX_TEXT_CHARACTERS:
        raise LimitError(f"At most {limits.MAX_TEXT_CHARACTERS:,} characters of text are compared.")
    normal = normalizer()
    if not normal(said):
        return None
    rates = error_rates(["1"], [said], [heard])
    return Verdict(rates.wer, rates.words, _marked(said, heard, normal))


def _marked(said: str, heard: str, normal: Callable[[str], str]) -> Marked:
    """The words heard, and in their places those that are missing."""
    reference, hypothesis = _Words(said, normal(said)), _Words(heard, normal(heard))
    words: Marked = []
    for chunk in jiwer.process_words(reference.compared, hypothesis.compared).alignments[0]:
        missing = reference.shown[chunk.ref_start_idx : chunk.ref_end_idx]
        found = hypothesis.shown[chunk.hyp_start_idx : chunk.hyp_end_idx]
        kind = KINDS[chunk.type]
        words.append((" ".join(missing if kind == MISSING else found), kind))
    return words


class _Words:
    """Words as they are compared, and as they are shown: as written, where each of them is compared as one word."""

    def __init__(self, written: str, compared: str) -> None:
        self.compared = compared
        as_written = written.split()
        self.shown = as_written if len(as_written) == len(compared.split()) else compared.split()
