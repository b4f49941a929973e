"""Word and character error rates under Whisper's English normalizer, and the errors of word times."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from zipper.alignment.words import WordTime
from zipper.errors import DataError

WORST = 5
CLOSE_SECONDS = 0.08  # s, the project's bound on the median error of word times


@dataclass(frozen=True)
class Pair:
    """One utterance: what was said, what was recognized (both normalized), and its word error rate in %."""

    id: str
    reference: str
    hypothesis: str
    wer: float


@dataclass(frozen=True)
class ErrorRates:
    """Error rates in % over all words or characters, the counts behind them, and the worst utterances.

    right: % of the utterances without an error.
    """

    wer: float
    cer: float
    right: float
    words: int
    substitutions: int
    deletions: int
    insertions: int
    worst: list[Pair] = field(repr=False)


@dataclass(frozen=True)
class TimeErrors:
    """Errors of word starts and ends together, in ms: absolute, and signed (`bias`, late is positive)."""

    words: int
    median_ms: float
    mean_ms: float
    p90_ms: float
    bias_start_ms: float
    bias_end_ms: float
    within_80_ms: float  # % of the errors below 80 ms


def normalizer() -> Callable[[str], str]:
    """Whisper's English normalizer: lower case, no punctuation, one spelling, numbers in digits.

    Of several full stops in a row it leaves one behind as a word, so they go first.
    """
    normal = EnglishTextNormalizer()
    return lambda text: str(normal(re.sub(r"\.{2,}", " ", text)))


def error_rates(
    ids: Sequence[str], references: Sequence[str], hypotheses: Sequence[str], normal: Callable[[str], str] | None = None
) -> ErrorRates:
    """Compare transcripts, case, punctuation and spelling aside; ValueError without a reference word.

    normal: what is done to both before, by default Whisper's normalizer.
    """
    normal = normal or normalizer()
    triples = [(i, r, normal(h)) for i, ref, h in zip(ids, references, hypotheses, strict=True) if (r := normal(ref))]
    if not triples:
        raise ValueError("No reference has a word in it.")
    said, heard = [r for _, r, _ in triples], [h for _, _, h in triples]
    total = jiwer.process_words(said, heard)
    pairs = [Pair(i, r, h, round(100 * jiwer.wer(r, h), 1)) for i, r, h in triples]
    worst = sorted((pair for pair in pairs if pair.wer > 0), key=lambda pair: -pair.wer)[:WORST]
    return ErrorRates(
        wer=round(100 * total.wer, 2),
        cer=round(100 * jiwer.cer(said, heard), 2),
        right=round(100 * sum(pair.wer == 0 for pair in pairs) / len(pairs), 1),
        words=sum(len(r.split()) for r in said),
        substitutions=total.substitutions,
        deletions=total.deletions,
        insertions=total.insertions,
        worst=worst,
    )


def match_words(true: Sequence[WordTime], found: Sequence[WordTime]) -> list[tuple[WordTime, WordTime]]:
    """Pairs (true, found) of the words that were recognized correctly, in order."""
    normal = normalizer()
    # A word that the normalizer drops ("um") still needs its place; none is equal to a real word.
    said = [normal(w.word).replace(" ", "_") or "<dropped>" for w in true]
    heard = [normal(w.word).replace(" ", "_") or "<dropped>" for w in found]
    if not said or not heard:
        return []
    chunks = jiwer.process_words(" ".join(said), " ".join(heard)).alignments[0]
    return [
        (true[chunk.ref_start_idx + k], found[chunk.hyp_start_idx + k])
        for chunk in chunks
        if chunk.type == "equal"
        for k in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def time_errors(pairs: Sequence[tuple[WordTime, WordTime]]) -> TimeErrors:
    """Errors of pairs (true, found); DataError without any."""
    if not pairs:
        raise DataError("No word was recognized right, so there are no times to judge: give more recordings.")
    signed = 1000 * np.array([(f.start - t.start, f.end - t.end) for t, f in pairs])  # (words, 2) ms
    absolute = np.abs(signed)
    bias = np.median(signed, axis=0)
    return TimeErrors(
        words=len(pairs),
        median_ms=round(float(np.median(absolute)), 1),
        mean_ms=round(float(absolute.mean()), 1),
        p90_ms=round(float(np.percentile(absolute, 90)), 1),
        bias_start_ms=round(float(bias[0]), 1),
        bias_end_ms=round(float(bias[1]), 1),
        within_80_ms=round(100 * float((absolute < 1000 * CLOSE_SECONDS).mean()), 1),
    )
