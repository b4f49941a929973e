"""Cutting spoken text into passages that the model can say in one go, and the pause that belongs after each.

A sentence is a passage; one that is too long is cut where a reader would breathe: at the ends of clauses, else
before a word that opens one, and between any two words only where there is nothing better.
"""

import re
from dataclasses import dataclass

from zipper import limits

SENTENCE_PAUSE = 0.45  # s of silence after a sentence, a heading or an item of a list
CLAUSE_PAUSE = 0.2  # s after a clause
WORD_PAUSE = 0.05  # s where a sentence is cut between two words

SENTENCE_START = r"(?=[\"'(]*[A-Z0-9])"
SENTENCE_END = re.compile(rf"(?<=[.!?])\s+{SENTENCE_START}|(?<=[.!?][\"')])\s+{SENTENCE_START}|\n+")
OPENS_CLAUSE = frozenset(
    "and but because although though while when whenever where which who whom whose if unless until since "
    "before after whether".split()
)
OPENS_PHRASE = frozenset(
    "to with without in into on onto at by for from of over under through about between or nor yet so that as "
    "than".split()
)
MARKS = " ,;:-"

# What a cut costs, in arbitrary units, by what stands around it; PIECE is paid for each passage.
STRONG, COMMA, CLAUSE, PHRASE, WORD, PIECE = 0.0, 0.5, 2.0, 4.0, 8.0, 3.0
SHORT = 25  # characters; a passage shorter than this is said less well and costs up to SHORT_COST
SHORT_COST = 6.0
UNEVEN = 2.0  # cost of a passage that fills the limit, by the square of how far it fills it


@dataclass(frozen=True)
class Part:
    """A passage as it is given to the model, and the silence that follows it in seconds."""

    text: str
    pause: float


def cut(text: str, longest: int | None = None) -> list[Part]:
    """Normalized text in passages of at most `longest` characters (MAX_SENTENCE_CHARACTERS).

    Each starts in upper case and ends in a mark, as the sentences that the model learned.
    """
    longest = longest or limits.MAX_SENTENCE_CHARACTERS
    parts: list[Part] = []
    for sentence in SENTENCE_END.split(text):
        pieces = [piece for piece in _fit(sentence.strip(), longest - 1) if any(c.isalpha() for c in piece)]
        for number, piece in enumerate(pieces):
            last = number + 1 == len(pieces)
            pause = SENTENCE_PAUSE if last else CLAUSE_PAUSE if piece[-1] in MARKS else WORD_PAUSE
            parts.append(Part(_as_sentence(piece), pause))
    return parts


def _as_sentence(piece: str) -> str:
    ended = piece if piece[-1] in ".!?\"')" else piece.rstrip(MARKS) + "."
    return ended[0].upper() + ended[1:]


def _fit(sentence: str, longest: int) -> list[str]:
    """A sentence in pieces of at most `longest` characters, by the cheapest cuts."""
    if len(sentence) <= longest:
        return [sentence] if sentence else []
    words = [part for word in sentence.split() for part in _pieces(word, longest)]
    ends = [0]  # characters up to the end of each word, with a space after every one
    for word in words:
        ends.append(ends[-1] + len(word) + 1)
    best, cut_at = [0.0] + [float("inf")] * len(words), [0] * (len(words) + 1)
    for stop in range(1, len(words) + 1):
        here = 0.0 if stop == len(words) else _cut_cost(words[stop - 1], words[stop])
        for start in range(stop - 1, -1, -1):
            length = ends[stop] - ends[start] - 1
            if length > longest:
                break
            cost = best[start] + here + PIECE + UNEVEN * (length / longest) ** 2
            cost += SHORT_COST * max(0.0, 1 - length / SHORT)
            if cost < best[stop]:
                best[stop], cut_at[stop] = cost, start
    pieces: list[str] = []
    stop = len(words)
    while stop:
        pieces.append(" ".join(words[cut_at[stop] : stop]))
        stop = cut_at[stop]
    return pieces[::-1]


def _cut_cost(before: str, after: str) -> float:
    """What a cut between two words costs."""
    opens = after.strip("\"'(").lower()
    mark = before.rstrip("\"')")[-1:]
    if mark in (";", ":", ".", "!", "?") or before == "-" or after == "-":
        return STRONG
    if mark == ",":
        return STRONG if opens in OPENS_CLAUSE or opens in ("so", "or", "nor", "yet", "as") else COMMA
    return CLAUSE if opens in OPENS_CLAUSE else PHRASE if opens in OPENS_PHRASE else WORD


def _pieces(word: str, longest: int) -> list[str]:
    """A "word" longer than the limit, in parts."""
    return [word[i : i + longest] for i in range(0, len(word), longest)]
