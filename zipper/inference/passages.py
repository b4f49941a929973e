"""A passage from what was generated: its attention as data, the times of its tokens and words, its
confidence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zipper.alignment.dtw import dtw_path
from zipper.alignment.words import (
    decode_pieces,
    group_words,
    mean_weights,
    token_spans,
    unheard_seconds,
    word_times_of_mean,
)
from zipper.inference.generate import Step
from zipper.model.config import Modality
from zipper.model.cross_attention import GateScale
from zipper.model.fused import FusedModel
from zipper.rates import TOKEN_RATE
from zipper.results import AlignmentHead, Attention, Direction, Passage, Token, Word

TOKEN_SECONDS = 1 / TOKEN_RATE


@dataclass(frozen=True)
class PassageInput:
    """Everything about a passage but the attention: pieces and ids without begin and end, in order.

    voiced: which of the codes hold speech. probabilities of the text tokens, None where the text was given.
    start and end: of the passage within the whole, seconds. speed: of the speech, against that of its tokens.
    """

    text: str
    pieces: Sequence[str]
    codes: Sequence[int]
    voiced: npt.NDArray[np.bool_]
    start: float
    end: float
    probabilities: Sequence[float] | None = None
    speed: float = 1.0

    def clock(self, seconds: float) -> float:
        """A time within this passage as one of the whole; the last token may reach beyond the last sample."""
        return min(self.start + seconds / self.speed, self.end)


def make_passage(
    given: PassageInput,
    steps: Sequence[Step],
    direction: Direction,
    heads: Sequence[AlignmentHead],
    gates: npt.NDArray[np.float32],
) -> Passage:
    """Put together what was given and what was generated; steps without the one of the end token.

    heads: the alignment heads of the direction.
    """
    weights = _weights(steps, direction)  # (Z, H, T text, T speech)
    voiced = given.voiced[: len(given.codes)]
    mean = mean_weights(weights, heads, len(given.pieces))
    times = word_times_of_mean(mean, given.pieces, TOKEN_SECONDS, voiced)
    path = dtw_path(-mean)
    starts, stops = token_spans(*path)
    text_tokens = tuple(
        Token(_token_text(piece), given.clock(first * TOKEN_SECONDS), given.clock(stop * TOKEN_SECONDS))
        for piece, first, stop in zip(given.pieces, starts.tolist(), stops.tolist(), strict=True)
    )
    speech_tokens = tuple(
        Token(str(code), given.clock(index * TOKEN_SECONDS), given.clock((index + 1) * TOKEN_SECONDS))
        for index, code in enumerate(given.codes)
    )
    best_first = tuple(sorted(heads, key=lambda head: -head.score))
    attention = Attention(
        direction, weights.astype(np.float16), gates, text_tokens, speech_tokens, best_first, np.stack(path, axis=1)
    )
    unheard = unheard_seconds(times, voiced, TOKEN_SECONDS)
    return Passage(given.text, _words(given, times), attention, given.start, given.end, unheard)


def alignment_heads(
    chosen: Sequence[AlignmentHead], direction: Direction, model: FusedModel
) -> tuple[AlignmentHead, ...]:
    """The chosen heads of a direction; all heads while none has been chosen."""
    found = tuple(head for head in chosen if head.direction == direction)
    points, heads = model.config.attention_points, model.config.attention_heads
    every = tuple(AlignmentHead(direction, z, h, 0.0) for z in range(points) for h in range(heads))
    return found or every


@torch.no_grad()
def gates_into(model: FusedModel, modality: Modality, gate_scale: GateScale | float | None) -> npt.NDArray[np.float32]:
    """Factors on attention and feed-forward of each place that writes into a modality, (Z, 2)."""
    return model.gates(modality, model.gate_scale(gate_scale)).float().cpu().numpy()


def _weights(steps: Sequence[Step], direction: Direction) -> npt.NDArray[np.float32]:
    """Rows of the generated tokens as (Z, H, T text, T speech), without the begin and end they attend to."""
    rows: list[Tensor] = [step.attention for step in steps if step.attention is not None]
    weights = torch.stack(rows, dim=2)[:, :, :, 1:-1]  # (Z, H, generated, given)
    if direction == "speech_from_text":
        weights = weights.transpose(2, 3)
    return weights.contiguous().numpy()


def _token_text(piece: str) -> str:
    """A byte-level piece as it reads; as it is where it holds only part of a character."""
    text = decode_pieces([piece])
    return piece if "\ufffd" in text else text  # the replacement character: bytes that are no whole character


def readable(text: str) -> str:
    """Generated text on one line: a model may well produce control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _words(given: PassageInput, times: Sequence[tuple[str, float, float]]) -> tuple[Word, ...]:
    confidences: list[float | None] = [None] * len(times)
    if given.probabilities is not None:
        logs = [math.log(max(p, 1e-12)) for p in given.probabilities]
        groups = group_words(given.pieces)
        confidences = [math.exp(sum(logs[g.first : g.stop]) / (g.stop - g.first)) for g in groups]
    return tuple(
        Word(readable(text), given.clock(start), given.clock(end), confidence)
        for (text, start, end), confidence in zip(times, confidences, strict=True)
        if readable(text)
    )
