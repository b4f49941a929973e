"""Sentences for generated speech: those that cover the words of a lexicon, and what sentences alone do not teach.

A sentence has two forms, as it is written in transcripts and as a generator is asked to say it; they differ where
letters are spelled. Everything is drawn from a seed.

python -m zipper.data.tts_sentences CORPUS --lexicon assets/zipper/words.txt --out sentences.tsv

writes id, written and spoken form of each sentence, without the held-out words; it takes some seven minutes
for 1.3 million lines of text.
"""

import argparse
import random
import string
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from num2words import num2words

from zipper.data.held_out import held_out_words
from zipper.data.sentences import draw_sentences, sentences
from zipper.text.dates import MONTHS
from zipper.text.lexicon import WORD, count_words

KINDS = {"cover": 60_000, "random": 12_000, "call": 6_000, "word": 5_000, "spell": 4_000, "number": 4_000}  # sentences
TIMES = 3  # that each word of the lexicon is spoken, as far as the corpus holds it
NAMES = 6_000  # most frequent proper names, which are spelled
NEEDED_WORDS = (5, 4, 3, 2, 1)  # words still to be said that a sentence must hold, pass by pass
SENTENCE_CHARACTERS = (12, 150)
CALL_CHARACTERS = (2, 24)
LETTER_SPOKEN = {"A": "eh"}  # the others are read as their names when they stand alone
DIGITS = ("oh", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MINUTES = ("fifteen", "thirty", "forty five", "oh five", "twenty", "ten", "fifty")
STREETS = ("Street", "Avenue", "Road", "Drive", "Lane", "Court", "Boulevard", "Place", "Way")
SPELLING_OPENERS = ("", "", "", "It is spelled ", "My name is ", "That is ", "The code is ", "Enter ", "Please write ")


@dataclass(frozen=True)
class Sentence:
    """One utterance to generate."""

    written: str
    spoken: str


def cover_words(
    lines: Sequence[str], lexicon: Collection[str], times: int, without: Collection[str], seed: int, limit: int
) -> list[str]:
    """Sentences in which each word of the lexicon occurs `times` times, as far as the lines hold it.

    Sentences with many words that are still needed come first, so that few hours suffice. without: words that none
    of the sentences may hold; limit: sentences at most.
    """
    wanted, refused, said = frozenset(lexicon), frozenset(without), Counter[str]()
    worded = ((s, frozenset(WORD.findall(s.lower()))) for s in sorted(set(sentences(lines, SENTENCE_CHARACTERS))))
    pool = [(s, words & wanted) for s, words in worded if not words & refused]
    random.Random(seed).shuffle(pool)
    chosen: list[str] = []
    for least in NEEDED_WORDS:
        rest = []
        for sentence, words in pool:
            if len(chosen) < limit and sum(said[w] < times for w in words) >= least:
                chosen.append(sentence)
                said.update(words)
            else:
                rest.append((sentence, words))
        pool = rest
    return chosen


def calls(lines: Sequence[str], count: int, without: Collection[str], seed: int) -> list[str]:
    """Sentences of one to three words."""
    drawn = draw_sentences(lines, 3 * count, seed, CALL_CHARACTERS)
    return [s for s in drawn if not set(WORD.findall(s.lower())) & set(without)][:count]


def single_words(counts: Counter[str], count: int, without: Collection[str]) -> list[str]:
    """The most frequent words, each alone."""
    chosen = (w for w, _ in counts.most_common(count + len(without)) if w not in without and (len(w) > 1 or w in "ai"))
    return [word.capitalize() + "." for word in chosen][:count]


def _digits(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(DIGITS) for _ in range(count))


def _letters(rng: random.Random, name: str) -> tuple[str, str]:
    """A name spelled: as written, "P I T T", and as said, at one of two paces."""
    letters = list(name.upper())
    said = [LETTER_SPOKEN.get(letter, letter) for letter in letters]
    return " ".join(letters), rng.choice((" ", ", ")).join(said)


def spelled(names: Sequence[str], count: int, seed: int) -> Iterator[Sentence]:
    """Names and random groups of letters, letter by letter, some behind the whole name."""
    rng = random.Random(seed)
    for _ in range(count):
        name = rng.choice(names)
        if rng.random() < 0.4:
            name = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 5)))
        written, said = _letters(rng, name)
        opener = rng.choice(SPELLING_OPENERS)
        if opener and rng.random() < 0.4 and name.isalpha() and len(name) > 3:
            opener += name.capitalize() + ", "
        tail = f" {digits}" if rng.random() < 0.2 and (digits := _digits(rng, rng.randint(1, 3))) else ""
        yield Sentence(f"{opener}{written}{tail}.", f"{opener}{said}{tail}.")


def numbers(count: int, seed: int, names: Sequence[str]) -> Iterator[Sentence]:
    """Numbers, dates, times, telephone numbers, prices and addresses, all in words."""
    rng = random.Random(seed)
    kinds: tuple[Callable[[], str], ...] = (
        lambda: num2words(rng.randint(0, 10 ** rng.randint(1, 6))),
        lambda: _day(rng),
        lambda: f"{_day(rng)}, {num2words(rng.randint(1900, 2030), to='year')}",
        lambda: f"{num2words(rng.randint(1, 12))} {rng.choice(MINUTES)} {rng.choice(('A M', 'P M', ''))}".strip(),
        lambda: ", ".join(_digits(rng, n) for n in rng.choice(((3, 4), (3, 3, 4), (5,), (4, 4)))),
        lambda: f"{num2words(rng.randint(2, 900))} dollars and {num2words(rng.randint(2, 99))} cents",
        lambda: f"{_house(rng)} {rng.choice(names).capitalize()} {rng.choice(STREETS)}",
        lambda: f"zip code {_digits(rng, 5)}",
        lambda: f"{num2words(rng.randint(1, 99))} point {_digits(rng, rng.randint(1, 3))}",
        lambda: f"{num2words(rng.randint(1, 100))} percent",
        lambda: num2words(rng.randint(1, 120), to="ordinal"),
    )
    for _ in range(count):
        text = rng.choice(kinds)().replace("-", " " if rng.random() < 0.5 else "-")
        sentence = f"{text[:1].upper()}{text[1:]}."
        yield Sentence(sentence, sentence)


def _day(rng: random.Random) -> str:
    return f"{rng.choice(MONTHS)} {num2words(rng.randint(1, 31), to='ordinal')}"


def _house(rng: random.Random) -> str:
    """A house number as Americans read it: in pairs of digits, or digit by digit."""
    number = rng.randint(1, 99)
    if rng.random() < 0.5:
        return f"{num2words(number)} {num2words(rng.randint(10, 99))}"
    return num2words(number) if rng.random() < 0.5 else _digits(rng, 3)


def proper_names(lines: Iterable[str], least: int = 5) -> list[str]:
    """Words that the lines write with a capital inside sentences, letters only."""
    counts: Counter[str] = Counter()
    for line in lines:
        words = line.split()
        for before, word in zip(words, words[1:], strict=False):
            name = word.rstrip(".,;:!?")
            if name.isalpha() and name.istitle() and 2 < len(name) < 11 and before[-1].isalpha() and before.islower():
                counts[name] += 1
    return [name for name, count in counts.most_common() if count >= least]


def plain(texts: Iterable[str]) -> list[Sentence]:
    """Sentences that are said as they are written."""
    return [Sentence(text, text) for text in texts]


def draw(
    lines: Sequence[str], lexicon: Sequence[str], counts: Mapping[str, int], seed: int = 0
) -> Iterator[tuple[str, Sentence]]:
    """(id, sentence) of every kind, shuffled; counts: how many sentences of each kind, by the names of KINDS."""
    frequency = count_words(lines)
    without = held_out_words(frequency, lexicon)
    known = [word for word in lexicon if word not in without]
    names = proper_names(lines)[:NAMES]
    spoken = draw_sentences(lines, 2 * counts["random"], seed + 1, SENTENCE_CHARACTERS)
    fit = [s for s in spoken if not set(WORD.findall(s.lower())) & without]
    kinds = {
        "cover": plain(cover_words(lines, known, TIMES, without, seed, counts["cover"])),
        "random": plain(fit[: counts["random"]]),
        "call": plain(calls(lines, counts["call"], without, seed + 2)),
        "word": plain(single_words(frequency, counts["word"], without)),
        "spell": list(spelled(names, counts["spell"], seed + 3)),
        "number": list(numbers(counts["number"], seed + 4, names)),
    }
    rows = [(f"{kind}{number:05d}", sentence) for kind, items in kinds.items() for number, sentence in enumerate(items)]
    random.Random(seed).shuffle(rows)
    yield from rows


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--lexicon", type=Path, required=True, help="words that should be spoken, one a line")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    for kind, count in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, help="sentences of this kind (default %(default)s)")
    a = parser.parse_args(argv)
    lines = a.corpus.read_text(encoding="utf-8").splitlines()
    lexicon = a.lexicon.read_text(encoding="utf-8").split()
    rows = draw(lines, lexicon, {kind: getattr(a, kind) for kind in KINDS}, a.seed)
    a.out.write_text("".join(f"{name}\t{x.written}\t{x.spoken}\n" for name, x in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
