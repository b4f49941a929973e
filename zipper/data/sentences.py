"""Stage `sentences`: which sentences of a corpus to have spoken, so that few hours cover many words."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

SPEAKABLE = re.compile(r"[A-Z][A-Za-z ,.;:'?!\"-]+[.?!]")  # nothing that a reader would have to interpret
SENTENCE_END = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
WORD = re.compile(r"[a-z']+")
LENGTHS = (25, 120)  # characters of a sentence, where nothing else is asked for
COMMON = 24  # times that a word must occur in the corpus to be worth covering; rarer ones are mostly misprints
ENOUGH = 2  # sentences after which a word counts as covered
NEW_SHARE = 0.18  # of the words of a sentence that are not yet covered, and at least two


def sentences(lines: Iterable[str], lengths: tuple[int, int] = LENGTHS) -> Iterator[str]:
    """The sentences of the lines that can be read aloud as they stand."""
    for line in lines:
        for sentence in SENTENCE_END.split(line.strip()):
            if lengths[0] <= len(sentence) <= lengths[1] and SPEAKABLE.fullmatch(sentence):
                yield sentence


def choose_sentences(
    lines: Sequence[str],
    count: int,
    known: Iterable[str] = (),
    seed: int = 0,
    common: int = COMMON,
    lengths: tuple[int, int] = LENGTHS,
) -> list[str]:
    """Up to `count` sentences that add words which neither those before them nor the lines in `known` hold.

    Words that occur fewer than `common` times in all lines do not count.
    """
    frequency: Counter[str] = Counter()
    for line in lines:
        frequency.update(WORD.findall(line.lower()))
    covered: Counter[str] = Counter()
    for line in known:
        covered.update(set(WORD.findall(line.lower())))
    chosen: list[str] = []
    for sentence in sentences(random.Random(seed).sample(lines, len(lines)), lengths):
        words = set(WORD.findall(sentence.lower()))
        new = [w for w in words if len(w) > 2 and frequency[w] >= common and covered[w] < ENOUGH]
        if len(new) >= 2 and len(new) > NEW_SHARE * len(words):
            chosen.append(sentence)
            covered.update(words)
            if len(chosen) == count:
                break
    return chosen


def draw_sentences(lines: Iterable[str], count: int, seed: int, lengths: tuple[int, int] = LENGTHS) -> list[str]:
    """Up to `count` different sentences of the lines, whatever their words: what an evaluation should be made of."""
    candidates = list(sentences(lines, lengths))
    random.Random(seed).shuffle(candidates)
    return list(dict.fromkeys(candidates))[:count]
