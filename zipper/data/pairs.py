"""Aligned utterances as batches: speech then text for recognition, text then speech for synthesis."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zipper.data.batching import BatchPlan
from zipper.data.labels import Aligned
from zipper.data.store import Store
from zipper.model.zipper import PAD_ORDER
from zipper.rates import FRAMES_PER_TOKEN, TOKEN_RATE
from zipper.text.tokenizer import TextTokenizer

Task = Literal["recognize", "synthesize"]
SLACK = 2  # speech tokens that attention may stray from a piece's own time before it is guided back


class PairBatch(NamedTuple):
    """B utterances of one task.

    text, speech: (B, T) ids with begin and end, 0 behind the end; text_length, speech_length: (B,);
    spans: (B, T text, 2) first and last speech position of each text token, -1 where the time is unknown;
    phones: (B, T speech) the phone that each speech token begins with, -1 where it is unknown.
    """

    task: Task
    text: Tensor
    speech: Tensor
    text_length: Tensor
    speech_length: Tensor
    spans: Tensor
    phones: Tensor


@dataclass(frozen=True)
class Pair:
    """One utterance in tokens; spans and phones as in PairBatch, without begin and end."""

    text: list[int]
    speech: np.ndarray
    spans: list[tuple[int, int]]
    phones: np.ndarray


def piece_spans(
    pieces: Sequence[int], tokenizer: TextTokenizer, words: Sequence[tuple[str, float, float]]
) -> list[tuple[int, int]]:
    """First and last speech token (25 Hz) of each piece: a word's time is shared by the length of its pieces.

    Returns -1s for all pieces when the words are unknown or do not match the pieces.
    """
    groups: list[list[int]] = []
    for index, piece in enumerate(pieces):
        if tokenizer.starts_word(piece) or not groups:
            groups.append([])
        groups[-1].append(index)
    spans = [(-1, -1)] * len(pieces)
    if len(groups) != len(words):
        return spans
    for group, (_, start, end) in zip(groups, words, strict=True):
        sizes = np.array([max(1, len(tokenizer.piece(pieces[i]).strip())) for i in group], dtype=float)
        edges = start + (end - start) * np.concatenate([[0], np.cumsum(sizes) / sizes.sum()])
        for index, a, b in zip(group, edges[:-1], edges[1:], strict=True):
            spans[index] = (int(a * TOKEN_RATE), max(int(a * TOKEN_RATE), int(np.ceil(b * TOKEN_RATE)) - 1))
    return spans


class Pairs:
    """Batch number -> PairBatch of one task over several sources."""

    def __init__(
        self,
        task: Task,
        work: Path,
        utterances: Sequence[tuple[str, Aligned]],
        tokenizer: TextTokenizer,
        ids: tuple[int, int],
        budget: int,
        seed: int,
        dropout: float,
    ) -> None:
        """utterances: (source, row); ids: begin and end of speech; budget: speech tokens of a batch with padding."""
        self.task, self.ids, self.exact = task, ids, tokenizer
        self.tokenizer = tokenizer.with_dropout(dropout) if dropout else tokenizer
        sources = {source for source, _ in utterances}
        self.stores = {name: Store(work / "tokens" / name) for name in sources}
        self.phones = {name: Store(work / "labels" / name) for name in sources}
        self.utterances = [(s, u) for s, u in utterances if u.id in self.stores[s]]
        self.plan = BatchPlan([self.stores[s].length(u.id) for s, u in self.utterances], budget, seed)

    def __call__(self, number: int) -> PairBatch:
        """Batch `number` of an endless sequence of epochs."""
        return self.collate([self._pair(*self.utterances[i]) for i in self.plan[number]])

    def _pair(self, source: str, row: Aligned) -> Pair:
        pieces = self.tokenizer.encode(row.text)
        speech, phones = np.array(self.stores[source][row.id]), np.array(self.phones[source][row.id])
        spans = piece_spans(pieces, self.exact, row.words)
        return Pair(pieces, speech, spans, phones[::FRAMES_PER_TOKEN][: len(speech)])

    def collate(self, pairs: Sequence[Pair]) -> PairBatch:
        """Pad pairs to a PairBatch, each segment between its begin and end."""
        begin, end = self.ids
        text = [[self.exact.begin_id, *p.text, self.exact.end_id] for p in pairs]
        speech = [[begin, *p.speech.tolist(), end] for p in pairs]
        spans = torch.full((len(pairs), max(map(len, text)), 2), -1)
        phones = torch.full((len(pairs), max(map(len, speech))), -1)
        for row, pair in enumerate(pairs):
            phones[row, 1 : 1 + len(pair.phones)] = torch.from_numpy(pair.phones.astype(np.int64))
            if pair.spans:
                known = torch.tensor(pair.spans)
                spans[row, 1 : 1 + len(known)] = torch.where(known >= 0, known + 1, known)  # begin stands before it
        return PairBatch(
            self.task,
            _pad(text),
            _pad(speech),
            torch.tensor([len(t) for t in text]),
            torch.tensor([len(s) for s in speech]),
            spans,
            phones,
        )


def orders(batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Interleaved positions of the text and the speech tokens, PAD_ORDER behind the end."""
    first, second = ("speech", "text") if batch.task == "recognize" else ("text", "speech")
    lengths = {"text": batch.text_length, "speech": batch.speech_length}
    ids = {"text": batch.text, "speech": batch.speech}
    out = {}
    for name, offset in ((first, torch.zeros_like(lengths[first])), (second, lengths[first])):
        positions = torch.arange(ids[name].shape[1], device=ids[name].device)[None]
        out[name] = torch.where(positions < lengths[name][:, None], positions + offset[:, None], PAD_ORDER)
    return out["text"], out["speech"]


def _pad(rows: Sequence[Sequence[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
