"""Beam search over one segment. Shapes as in session.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from zipper.inference.reading import Reader
from zipper.inference.sampling import SamplingOptions, forbidden
from zipper.inference.session import Prediction
from zipper.model.config import Modality

RESCORED_FROM = 4  # candidates that are rescored by a score function, for each that is kept
# Added to the log-probability of a hypothesis for its last token
ScoreFunction = Callable[[Sequence[int]], float]


@dataclass(frozen=True)
class Hypothesis:
    """Tokens, their summed log-probability and, per token, probability and attention (Z, H, S)."""

    ids: tuple[int, ...] = ()
    score: float = 0.0
    probabilities: tuple[float, ...] = ()
    attention: tuple[Tensor | None, ...] = ()

    @property
    def mean(self) -> float:
        """Log-probability per token: a plain sum would favor short hypotheses."""
        return self.score / max(1, len(self.ids))


@dataclass(frozen=True)
class _Beam:
    """A live hypothesis, the row of the session that holds it and what the model predicts after it."""

    hypothesis: Hypothesis
    row: int


def beam_search(
    session: Reader,
    modality: Modality,
    prediction: Prediction,
    options: SamplingOptions,
    stop: Callable[[], bool],
    score_function: ScoreFunction | None = None,
) -> Iterator[tuple[Hypothesis, int]]:
    """The best live hypothesis and how many of its first tokens are settled, after each step that settles some.

    Settled are tokens that all hypotheses share. The last one that is yielded is the best by log-probability per token,
    all settled; where a limit or `stop` cut the search it may lack the end token. `prediction` is what the session
    predicts for the first token; the session itself reads nothing. `score_function` adds knowledge from outside the
    model, such as a lexicon.
    """
    tower = session.model.config.tower(modality)
    live, finished = [_Beam(Hypothesis(), 0)], list[Hypothesis]()
    forked: Reader | None = None
    settled = 0
    for count in range(1, options.max_tokens + 1):
        candidates = _extend(live, prediction, options, (tower.begin_id, tower.end_id), score_function)
        ended = [c.hypothesis for c in candidates[: options.beams] if c.hypothesis.ids[-1] == tower.end_id]
        finished.extend(ended)
        live = [c for c in candidates if c.hypothesis.ids[-1] != tower.end_id][: options.beams]
        if not live or len(finished) >= options.beams:
            break
        if count == options.max_tokens or stop():
            # A hypothesis that was cut must not lose to one that merely ended early
            finished.extend(beam.hypothesis for beam in live)
            break
        common = _common([*finished, *(beam.hypothesis for beam in live)])
        if common > settled:
            settled = common
            yield live[0].hypothesis, settled
        if forked is None or len(live) != len(prediction.logits):
            rows = torch.tensor([beam.row for beam in live], device=prediction.logits.device)
            forked = (session if forked is None else forked).fork(modality, rows)
            live = [_Beam(beam.hypothesis, row) for row, beam in enumerate(live)]
        else:
            live, moves = _placed(live)
            forked.copy_rows(modality, moves)
        last = {beam.row: beam.hypothesis.ids[-1] for beam in live}
        prediction = forked.feed(modality, torch.tensor([[last[row]] for row in range(len(live))]))
    best = max(finished, key=lambda hypothesis: hypothesis.mean)
    yield best, len(best.ids)


def _common(hypotheses: Sequence[Hypothesis]) -> int:
    """How many first tokens all hypotheses share."""
    columns = zip(*(hypothesis.ids for hypothesis in hypotheses), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _placed(live: Sequence[_Beam]) -> tuple[list[_Beam], list[tuple[int, int]]]:
    """The beams with a row each, as many as there are, and which rows are to be copied, (from, to).

    The first that goes on from a row stays there, so that only what branches off is copied.
    """
    free = sorted(set(range(len(live))) - {beam.row for beam in live})
    taken, placed, moves = set[int](), list[_Beam](), list[tuple[int, int]]()
    for beam in live:
        row = beam.row
        if row in taken:
            row = free.pop()
            moves.append((beam.row, row))
        taken.add(row)
        placed.append(_Beam(beam.hypothesis, row))
    return placed, moves


def _extend(
    live: list[_Beam],
    prediction: Prediction,
    options: SamplingOptions,
    ids: tuple[int, int],
    score_function: ScoreFunction | None,
) -> list[_Beam]:
    """The best next hypotheses, best first; enough that `beams` of them do not end."""
    rows = [beam.row for beam in live]
    logits = prediction.logits.cpu()[rows]  # (live, V)
    probabilities = logits.softmax(dim=-1)
    times = None if prediction.source_time is None else prediction.source_time.flatten().tolist()
    ends = probabilities[:, ids[1]].tolist()
    for beam, allowed, end in zip(live, logits, ends, strict=True):
        source_time = None if times is None else times[beam.row]
        allowed[forbidden(end, beam.hypothesis.ids, options, *ids, source_time)] = -math.inf
    scores = logits.log_softmax(dim=-1) + torch.tensor([[beam.hypothesis.score] for beam in live])
    best = _best(scores, live, 2 * options.beams, score_function)
    chosen = probabilities.flatten()[[index for _, index in best]].tolist()
    extended = []
    for (score, index), probability in zip(best, chosen, strict=True):
        beam, token = live[index // scores.shape[1]], index % scores.shape[1]
        looked = prediction.attention
        hypothesis = beam.hypothesis
        longer = Hypothesis(
            (*hypothesis.ids, token),
            score,
            (*hypothesis.probabilities, probability),
            (*hypothesis.attention, None if looked is None else looked[:, beam.row]),
        )
        extended.append(_Beam(longer, beam.row))
    return extended


def _best(
    scores: Tensor, live: Sequence[_Beam], count: int, score_function: ScoreFunction | None
) -> list[tuple[float, int]]:
    """The best (score, index into the flat scores), best first, after `score_function`."""
    wanted = count if score_function is None else RESCORED_FROM * count
    best = scores.flatten().topk(min(wanted, scores.numel()))
    found = [(s, p) for s, p in zip(best.values.tolist(), best.indices.tolist(), strict=True) if s > -math.inf]
    if score_function is None:
        return found
    size = scores.shape[1]
    rescored = [(s + score_function((*live[p // size].hypothesis.ids, p % size)), p) for s, p in found]
    return sorted(rescored, key=lambda pair: -pair[0])[:count]
