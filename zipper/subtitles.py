"""Words with times as subtitles: where one ends and the next begins, and how each is set in lines.

A subtitle holds at most two lines of 42 characters and stands for 1 to 7 s, as broadcasters want them. Of all ways to
divide the words, the best is searched: it ends subtitles at the ends of sentences, at pauses and at commas, in this
order, holds no long pause within one, and leaves each at least its second.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from zipper.results import Word

LINE_CHARACTERS = 42  # characters of a line; a longer word has a line of its own
SHORTEST_SECONDS = 1.0  # s that a cue stands at least
LONGEST_SECONDS = 7.0  # s that it stands at most
WORD_SECONDS = 0.001  # s that a cue of one word stands at least; subtitles count in milliseconds

# What it costs, in any unit, to divide the words like this
CUE = 1.0  # another cue
WITHIN_PHRASE = 2.0  # a cue that ends without a sign or a pause
AT_COMMA = 0.5  # one that ends at a comma, colon or dash
AT_PAUSE = 0.3  # one that ends at a pause without a sign
FULL_STOP_WITHIN = 1.5  # a sentence that ends within a cue
SECOND_OF_PAUSE = 3.0  # each second of the pauses within a cue beyond PAUSE
TOO_SHORT = 20.0  # each second that a cue lacks, which would push the next one back
PAUSE = 0.4  # s between words that are heard as a pause

SENTENCE_ENDS, PHRASE_ENDS = (".", "!", "?", "…"), (",", ";", ":", "–", "—")
CLOSING = "\"')]}»”’"


class Cue(NamedTuple):
    """One subtitle: its lines, and from when to when it stands, in seconds."""

    lines: tuple[str, ...]
    start: float
    end: float


def cues(words: Sequence[Word], each_word: bool = False) -> list[Cue]:
    """Words grouped into subtitles, or each alone.

    Cues hold every word once, in order, and neither overlap nor run backwards.
    """
    groups = [[word] for word in words] if each_word else _divide(words)
    shortest = WORD_SECONDS if each_word else SHORTEST_SECONDS
    found: list[Cue] = []
    for group in groups:
        start = max(group[0].start, found[-1].end if found else 0.0)
        end = max(max(word.end for word in group), start + shortest)
        found.append(Cue(_set(group), start, end if each_word else min(end, start + LONGEST_SECONDS)))
    return found


def _divide(words: Sequence[Word]) -> list[Sequence[Word]]:
    """The cheapest division of the words into cues, found from the last word to the first."""
    count = len(words)
    cost, ends = [math.inf] * count + [0.0], [0] * count
    for first in range(count - 1, -1, -1):
        within = 0.0
        for end in range(first + 1, count + 1):
            group = words[first:end]
            if end > first + 1:
                within += _within(words[end - 2], words[end - 1])
                if not _fits(group):
                    break
            total = CUE + within + _end(words, first, end) + cost[end]
            if total < cost[first]:
                cost[first], ends[first] = total, end
    groups: list[Sequence[Word]] = []
    first = 0
    while first < count:
        groups.append(words[first : ends[first]])
        first = ends[first]
    return groups


def _within(before: Word, after: Word) -> float:
    """What it costs to have two words in one cue."""
    pause = SECOND_OF_PAUSE * max(0.0, after.start - before.end - PAUSE)
    return pause + (FULL_STOP_WITHIN if _ends_with(before, SENTENCE_ENDS) else 0.0)


def _end(words: Sequence[Word], first: int, end: int) -> float:
    """What it costs to end a cue of words[first:end] there."""
    if end == len(words):
        return 0.0
    last, following = words[end - 1], words[end]
    lacking = TOO_SHORT * max(0.0, SHORTEST_SECONDS - (following.start - words[first].start))
    if _ends_with(last, SENTENCE_ENDS):
        return lacking
    if _ends_with(last, PHRASE_ENDS):
        return lacking + AT_COMMA
    return lacking + (AT_PAUSE if following.start - last.end > PAUSE else WITHIN_PHRASE)


def _fits(group: Sequence[Word]) -> bool:
    return group[-1].end - group[0].start <= LONGEST_SECONDS and _break(group) is not None


def _set(group: Sequence[Word]) -> tuple[str, ...]:
    """The words in lines; a single word may be longer than one."""
    texts = [word.text for word in group]
    index = _break(group) or 0
    return tuple(" ".join(part) for part in (texts[:index], texts[index:]) if part)


def _break(group: Sequence[Word]) -> int | None:
    """How many words stand in the first of two lines, so that the longer is as short as can be; 0 if all fit in one.

    None where they need more than two.
    """
    whole = sum(len(word.text) for word in group) + len(group) - 1
    if whole <= LINE_CHARACTERS:
        return 0
    first, best, shortest = -1, None, LINE_CHARACTERS + 1
    for index, word in enumerate(group[:-1], start=1):
        first += len(word.text) + 1
        longest = max(first, whole - first - 1)
        if longest < shortest:
            best, shortest = index, longest
    return best


def _ends_with(word: Word, signs: tuple[str, ...]) -> bool:
    return word.text.rstrip(CLOSING).endswith(signs)
