"""Stage `punctuate`: commas and full stops for transcripts that came without, where a reader paused.

What a pause means is learned from readers whose transcripts are punctuated: a linear layer over the length of the
pause and over how likely the text tower finds a comma and of a full stop there. No word is changed.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zipper.data.batching import pack_sorted
from zipper.data.held_out import is_held_out
from zipper.data.labels import Aligned, read_aligned, write_aligned
from zipper.errors import DataError
from zipper.model.tower import Tower
from zipper.text.tokenizer import TextTokenizer

log = logging.getLogger(__name__)

PAUSE = 0.1  # s between two words below which no mark is looked for
MARKS = ("", ",", ".")  # what may stand in a pause, by class
COMMA, STOP = 1, 2
INNER = ",;:.?!"  # marks that end a word
KEPT = frozenset(("I", "I'm", "I'll", "I've", "I'd"))  # stay large wherever they stand
BATCH_TOKENS = 8192  # of text, padding counted
HELD_OUT = 0.1  # of the punctuated rows, to see how often the marks are right
STEPS = 300  # of the linear layer; it has nine weights and three biases


@dataclass(frozen=True)
class Gap:
    """A pause behind the word at `index`: its seconds and how much likelier a comma or a stop makes the text (nats)."""

    index: int
    pause: float
    comma: float
    stop: float

    @property
    def signs(self) -> list[float]:
        """What the linear layer sees."""
        return [float(np.log(self.pause)), self.comma, self.stop]


def bare(text: str) -> tuple[list[str], list[int]]:
    """Words without the marks between them, and the class of the mark that stood behind each.

    A word behind a full stop loses its large letter, which tells it; a name there does, too.
    """
    words, classes = [], []
    opens = False
    for word in text.split():
        core = word.rstrip(INNER + "\"'") or word
        mark = word[len(core) :]
        kind = STOP if any(c in ".?!" for c in mark) else COMMA if any(c in ",;:" for c in mark) else 0
        words.append(core[:1].lower() + core[1:] if opens and core not in KEPT else core)
        classes.append(kind)
        opens = kind == STOP
    return words, classes


def marked(words: Sequence[str], classes: Sequence[int], closing: str) -> str:
    """The words with a mark of its class behind each; the last one gets `closing`."""
    out = []
    for index, word in enumerate(words):
        before = classes[index - 1] if index else STOP
        shown = word[:1].upper() + word[1:] if before == STOP else word
        out.append(shown + (MARKS[classes[index]] if index + 1 < len(words) else closing))
    return " ".join(out)


class Punctuator:
    """Finds pauses, asks the text tower, and decides."""

    def __init__(self, tower: Tower, tokenizer: TextTokenizer) -> None:
        self.tower, self.tokenizer = tower.eval(), tokenizer
        self.decide = nn.Linear(3, len(MARKS))

    def fit(self, rows: Sequence[Aligned]) -> None:
        """Learn from rows whose text is punctuated; DataError where they hold no pause of a kind."""
        signs: list[list[float]] = []
        truth: list[int] = []
        for row, gaps in self.gaps(rows):
            _, classes = bare(row.text)
            signs += [gap.signs for gap in gaps]
            truth += [classes[gap.index] for gap in gaps]
        if len(set(truth)) < len(MARKS):
            raise DataError("The punctuated sources need pauses with a comma, with a full stop and with neither.")
        x, y = torch.tensor(signs), torch.tensor(truth)
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
            self.decide.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            loss = F.cross_entropy(self.decide(x), y)
            torch.autograd.backward(loss)
            return float(loss.detach())

        optimizer.step(closure)

    def __call__(self, rows: Sequence[Aligned]) -> Iterator[Aligned]:
        """The rows with marks in their pauses; those whose word times are unknown, or that have marks, as they are."""
        for row, gaps in self.gaps(rows):
            words, classes = bare(row.text)
            if any(classes[:-1]) or not gaps:
                yield row
                continue
            with torch.no_grad():
                chosen = self.decide(torch.tensor([gap.signs for gap in gaps])).argmax(1).tolist()
            for gap, mark in zip(gaps, chosen, strict=True):
                classes[gap.index] = mark
            text = marked(words, classes, row.text.rstrip()[-1])
            times = zip(text.split(), row.words, strict=True)
            yield replace(row, text=text, words=[(word, a, b) for word, (_, a, b) in times])

    def gaps(self, rows: Sequence[Aligned]) -> Iterator[tuple[Aligned, list[Gap]]]:
        """Each row with its pauses inside the text."""
        plans = [(row, pauses(row)) for row in rows]
        texts: list[str] = []
        for row, breaks in plans:
            if breaks:
                words, _ = bare(row.text)
                nothing = [0] * len(words)
                texts.append(marked(words, nothing, "."))
                for index, _ in breaks:
                    texts += [marked(words, [*nothing[:index], m, *nothing[index + 1 :]], ".") for m in (COMMA, STOP)]
        scores = iter(self.scores(texts))
        for row, breaks in plans:
            plain = next(scores) if breaks else 0.0
            gaps = [Gap(index, pause, next(scores) - plain, next(scores) - plain) for index, pause in breaks]
            yield row, gaps

    @torch.inference_mode()
    def scores(self, texts: Sequence[str]) -> list[float]:
        """Log-probability of each text by the tower, begin and end included."""
        ids = [[self.tokenizer.begin_id, *self.tokenizer.encode(text), self.tokenizer.end_id] for text in texts]
        out = [0.0] * len(ids)
        for batch in pack_sorted([len(row) for row in ids], BATCH_TOKENS):
            padded = nn.utils.rnn.pad_sequence([torch.tensor(ids[i]) for i in batch], batch_first=True)
            logits = self.tower(padded[:, :-1]).float()
            loss = F.cross_entropy(logits.transpose(1, 2), padded[:, 1:], reduction="none")
            for row, i in enumerate(batch):
                out[i] = -float(loss[row, : len(ids[i]) - 1].sum())
        return out


def pauses(row: Aligned) -> list[tuple[int, float]]:
    """(index of the word before, seconds) of the pauses between words whose times are known."""
    return [
        (index, after[1] - before[2])
        for index, (before, after) in enumerate(zip(row.words, row.words[1:], strict=False))
        if after[1] - before[2] >= PAUSE
    ]


def punctuate(work: Path, like: Iterable[str], sources: Iterable[str], punctuator: Punctuator) -> dict[str, float]:
    """Learn from the sources `like`, rewrite the labels of `sources`; how well it did on held-out rows of `like`."""
    rows = [row for name in like for row in read_aligned(work / "labels" / name)]
    punctuator.fit([row for row in rows if not is_held_out(row.id, HELD_OUT)])
    figures = agreement(punctuator, [row for row in rows if is_held_out(row.id, HELD_OUT)])
    for name in sources:
        folder = work / "labels" / name
        write_aligned(folder, list(punctuator(read_aligned(folder))))
        log.info("%s: punctuated", name)
    return figures


def agreement(punctuator: Punctuator, rows: Sequence[Aligned]) -> dict[str, float]:
    """How many marks in pauses are right, and how many of the right ones are found, by kind."""
    truth, guess = [], []
    for row, gaps in punctuator.gaps(rows):
        _, classes = bare(row.text)
        truth += [classes[gap.index] for gap in gaps]
        with torch.no_grad():
            guess += [int(punctuator.decide(torch.tensor(gap.signs)).argmax()) for gap in gaps]
    t, g = np.array(truth), np.array(guess)
    figures = {"pauses": float(len(t))}
    for name, kind in (("comma", COMMA), ("stop", STOP)):
        both = float(((t == kind) & (g == kind)).sum())
        figures[f"{name} precision"] = round(both / max(1, int((g == kind).sum())), 3)
        figures[f"{name} recall"] = round(both / max(1, int((t == kind).sum())), 3)
    return figures
