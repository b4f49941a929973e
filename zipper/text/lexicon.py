"""The lexicon: words that exist, and what a hypothesis of a beam search loses by words that do not."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from zipper.errors import WeightsError

FILE_NAME = "words.txt"
MIN_COUNT = 5  # times that a word must occur in the corpus; rarer ones are mostly misprints
APOSTROPHES = str.maketrans("\u2019", "'")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
BETWEEN_WORDS = re.compile(r"[^a-z']+")
CACHE_SIZE = 50_000  # groups of text tokens whose count is kept


def count_words(lines: Iterable[str]) -> Counter[str]:
    """How often each word, in small letters, occurs."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(WORD.findall(line.lower().translate(APOSTROPHES)))
    return counts


class Lexicon:
    """Words in lower case, and the prefixes of words."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = sorted(set(words))

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: str) -> bool:
        index = bisect_left(self._words, word)
        return index < len(self._words) and self._words[index] == word

    def has_prefix(self, letters: str) -> bool:
        """Whether some word begins with these letters."""
        index = bisect_left(self._words, letters)
        return index < len(self._words) and self._words[index].startswith(letters)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Lexicon | None:
        """words.txt of a model folder, one word a line; None where a model has none. Raises WeightsError."""
        path = Path(folder) / FILE_NAME
        if not path.exists():
            return None
        try:
            return cls(path.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"{FILE_NAME} cannot be read; fetch the model files again.") from error

    def save(self, folder: Path) -> None:
        """Write words.txt, one word a line."""
        (folder / FILE_NAME).write_text("\n".join(self._words) + "\n", encoding="utf-8")


class LexiconPenalty:
    """Callable: what is added (0 or less) to the log-probability of a hypothesis for its last text token.

    A hypothesis loses `penalty` nats when its last word is no prefix of a known word, or ends as an unknown one.
    """

    def __init__(self, known: Lexicon, pieces: Sequence[str], end_id: int, penalty: float) -> None:
        """pieces: how each id reads, empty for begin and end; the first piece of a word opens with a space."""
        self.known, self.penalty = known, penalty
        self._pieces = [piece.lower() for piece in pieces]
        self._opens = [piece.startswith(" ") or i == end_id for i, piece in enumerate(pieces)]
        self._unknown = lru_cache(CACHE_SIZE)(self._count_unknown)

    def __call__(self, ids: Sequence[int]) -> float:
        """Nats for the last of the ids, 0 or less."""
        start = len(ids) - 1  # of the word that the last piece opens or goes on with
        while start > 0 and not self._opens[ids[start]]:
            start -= 1
        now = "".join(self._pieces[i] for i in ids[start:])
        lost = self._unknown(now, False)
        if start < len(ids) - 1:
            lost -= self._unknown("".join(self._pieces[i] for i in ids[start:-1]), False)
        elif start > 0:
            begun = start - 1
            while begun > 0 and not self._opens[ids[begun]]:
                begun -= 1
            before = "".join(self._pieces[i] for i in ids[begun:start])
            lost += self._unknown(before, True) - self._unknown(before, False)
        return -self.penalty * lost

    def _count_unknown(self, letters: str, ended: bool) -> int:
        """How many words in the pieces of one space-separated group cannot be, or become, known ones."""
        *whole, last = BETWEEN_WORDS.split(letters)
        count = sum(1 for word in whole if not self._is_word(word))
        fine = self._is_word(last) if ended else not last.strip("'") or self.known.has_prefix(last.lstrip("'"))
        return count + (not fine)

    def _is_word(self, letters: str) -> bool:
        word = letters.strip("'")
        return not word or word in self.known
