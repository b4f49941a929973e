"""Beam search over one segment. Shapes as in session.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from zipper.inference.sampling import SamplingOptions, constrain
from zipper.inference.session import Prediction, Session
from zipper.model.config import Modality

PREFERRED_FROM = 4  # times as many candidates as are kept are looked at where lines are preferred
Preference = Callable[[Sequence[int]], float]  # what a line gains in log-probability by its last token


@dataclass(frozen=True)
class Hypothesis:
    """A line of tokens: its summed log-probability and, per token, probability and attention (Z, H, S)."""

    ids: tuple[int, ...] = ()
    score: float = 0.0
    probabilities: tuple[float, ...] = ()
    attention: tuple[Tensor | None, ...] = ()

    @property
    def mean(self) -> float:
        """Log-probability per token: a plain sum would favour short lines."""
        return self.score / max(1, len(self.ids))


@dataclass(frozen=True)
class _Beam:
    """A live hypothesis, the row of the session that holds it and what the model predicts after it."""

    hypothesis: Hypothesis
    row: int


def beam_search(
    session: Session,
    modality: Modality,
    prediction: Prediction,
    options: SamplingOptions,
    stop: Callable[[], bool],
    prefer: Preference | None = None,
) -> Iterator[tuple[Hypothesis, int]]:
    """A line and how many of its first tokens are settled, after each step that settles more of them.

    Settled are tokens that all lines share. The last line is the best by log-probability per token, all settled;
    where a limit or `stop` cut the search, one that had not ended may be the best, and has no end token.
    `prediction` is what the session predicts for the first token; the session itself reads nothing. `prefer` brings
    in what is known about lines from elsewhere.
    """
    tower = session.model.config.tower(modality)
    live, finished = [_Beam(Hypothesis(), 0)], list[Hypothesis]()
    branch: Session | None = None
    settled = 0
    for count in range(1, options.max_tokens + 1):
        candidates = _extend(live, prediction, options, (tower.begin_id, tower.end_id), prefer)
        ended = [c.hypothesis for c in candidates[: options.beams] if c.hypothesis.ids[-1] == tower.end_id]
        finished.extend(ended)
        live = [c for c in candidates if c.hypothesis.ids[-1] != tower.end_id][: options.beams]
        if not live or len(finished) >= options.beams:
            break
        if count == options.max_tokens or stop():
            finished.extend(beam.hypothesis for beam in live)  # to be cut short is no reason to lose to a short line
            break
        common = _common([*finished, *(beam.hypothesis for beam in live)])
        if common > settled:
            settled = common
            yield live[0].hypothesis, settled
        rows = torch.tensor([beam.row for beam in live], device=prediction.logits.device)
        branch = (session if branch is None else branch).branch(modality, rows)
        prediction = branch.feed(modality, torch.tensor([[beam.hypothesis.ids[-1]] for beam in live]))
        live = [_Beam(beam.hypothesis, row) for row, beam in enumerate(live)]
    best = max(finished, key=lambda line: line.mean)
    yield best, len(best.ids)


def _common(lines: Sequence[Hypothesis]) -> int:
    """How many first tokens all lines share."""
    columns = zip(*(line.ids for line in lines), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _extend(
    live: list[_Beam], prediction: Prediction, options: SamplingOptions, ids: tuple[int, int], prefer: Preference | None
) -> list[_Beam]:
    """The best next lines, best first; enough that `beams` of them do not end."""
    logits = prediction.logits.cpu()
    probabilities = logits.softmax(dim=-1)
    totals = []
    for beam in live:
        place = None if prediction.place is None else float(prediction.place[beam.row])
        allowed = constrain(logits[beam.row], beam.hypothesis.ids, options, *ids, place)
        totals.append(beam.hypothesis.score + allowed.log_softmax(dim=-1))
    scores = torch.stack(totals)  # (live, V)
    extended = []
    for score, place in _best(scores, live, 2 * options.beams, prefer):
        beam, token = live[place // scores.shape[1]], place % scores.shape[1]
        rows = prediction.attention
        line = beam.hypothesis
        longer = Hypothesis(
            (*line.ids, token),
            score,
            (*line.probabilities, float(probabilities[beam.row, token])),
            (*line.attention, None if rows is None else rows[:, beam.row]),
        )
        extended.append(_Beam(longer, beam.row))
    return extended


def _best(scores: Tensor, live: Sequence[_Beam], count: int, prefer: Preference | None) -> list[tuple[float, int]]:
    """The best (score, place in the flat scores), best first; what `prefer` lowers makes room for others."""
    wanted = count if prefer is None else PREFERRED_FROM * count
    best = scores.flatten().topk(min(wanted, scores.numel()))
    found = [(s, p) for s, p in zip(best.values.tolist(), best.indices.tolist(), strict=True) if s > -math.inf]
    if prefer is None:
        return found
    size = scores.shape[1]
    judged = [(s + prefer((*live[p // size].hypothesis.ids, p % size)), p) for s, p in found]
    return sorted(judged, key=lambda pair: -pair[0])[:count]
