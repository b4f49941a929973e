"""Generation: the caller names the output modalities, each is decoded to its end, one token at a time.

Shapes: Z zip points, H zip heads, T tokens of a generated segment, S tokens of the other modality.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from zipper.errors import OptionError
from zipper.inference.beam_search import Hypothesis, ScoreFunction, beam_search
from zipper.inference.reading import Reader, open_session
from zipper.inference.sampling import SamplingOptions, choose, constrain
from zipper.inference.session import Prediction
from zipper.model.config import MODALITIES, Modality
from zipper.model.cross_attention import GateScale
from zipper.model.fused import FusedModel
from zipper.model.streams import Segment

StopReason = Literal["end", "limit", "deadline"]

__all__ = ["SamplingOptions", "Step", "StopReason", "generate"]


@dataclass(frozen=True)
class Step:
    """One generated token.

    probability: of the token under the unchanged prediction, 0..1. attention (Z, H, S) float32 on the
    CPU: where the model looked when it predicted this token; None when there was nothing to see.
    stop_reason: set on the last token of a segment.
    """

    modality: Modality
    id: int
    probability: float
    attention: Tensor | None
    stop_reason: StopReason | None = None

    @property
    def finished(self) -> bool:
        """Whether this is the last token of its segment."""
        return self.stop_reason is not None


def generate(
    model: FusedModel,
    prompt: Sequence[Segment],
    outputs: Sequence[Modality],
    options: Mapping[Modality, SamplingOptions] | SamplingOptions,
    *,
    gate_scale: GateScale | float | None = None,
    score_function: ScoreFunction | None = None,
) -> Iterator[Step]:
    """Tokens of each output segment in turn, as they come.

    A prompt and outputs of one modality run its tower alone. A last prompt segment without an end token
    is continued if the first output has its modality; otherwise each output starts with a begin token.
    After a deadline nothing more is generated. `score_function` is added to the log-probabilities of a beam search.
    Raises OptionError at once for a request that makes no sense.
    """
    chosen = {m: options if isinstance(options, SamplingOptions) else options.get(m) for m in MODALITIES}
    for modality in outputs:
        if modality not in MODALITIES or chosen[modality] is None:
            raise OptionError(f"There are no sampling options for the output {modality!r}.")
    if not outputs:
        raise OptionError("At least one output modality is needed.")
    _check_prompt(model, prompt)
    scale = model.gate_scale(gate_scale)
    plan = [(modality, chosen[modality] or SamplingOptions()) for modality in outputs]
    return _generate(model, prompt, plan, scale, score_function)


def _check_prompt(model: FusedModel, prompt: Sequence[Segment]) -> None:
    """Every prompt token is in the vocabulary of its tower."""
    for segment in prompt:
        if segment.modality not in MODALITIES or not segment.ids:
            raise OptionError("Each prompt segment must be text or speech and hold at least one token.")
        size = model.config.tower(segment.modality).vocab_size
        if min(segment.ids) < 0 or max(segment.ids) >= size:
            raise OptionError(f"The {segment.modality} prompt has token ids outside 0..{size - 1}.")


def _generate(
    model: FusedModel,
    prompt: Sequence[Segment],
    plan: Sequence[tuple[Modality, SamplingOptions]],
    scale: GateScale,
    score_function: ScoreFunction | None,
) -> Iterator[Step]:
    """Read the prompt, then decode one output after the other."""
    started = time.monotonic()
    session = open_session(model, {s.modality for s in prompt} | {m for m, _ in plan}, scale)
    prediction: Prediction | None = None
    for segment in prompt:
        prediction = session.feed(segment.modality, segment.ids)
    for number, (modality, options) in enumerate(plan):
        tower = model.config.tower(modality)
        continues = number == 0 and bool(prompt) and prompt[-1].modality == modality
        if prediction is None or not continues or prompt[-1].ids[-1] == tower.end_id:
            prediction = session.feed(modality, (tower.begin_id,))
        ids, reason = [], None
        if options.beams > 1:
            steps = _beams(session, modality, prediction, options, started, score_function)
        else:
            steps = _samples(session, modality, prediction, options, started)
        for step in steps:
            ids.append(step.id)
            reason = step.stop_reason
            yield step
        if reason not in ("end", "limit"):
            return
        if number + 1 < len(plan):
            unread = ids if options.beams > 1 else ids[-1:]
            # What follows was trained on segments that close; close also one that the limit cut.
            closing = [] if ids[-1] == tower.end_id else [tower.end_id]
            session.feed(modality, unread + closing)


def _samples(
    session: Reader, modality: Modality, prediction: Prediction, options: SamplingOptions, started: float
) -> Iterator[Step]:
    """Greedy or sampled tokens of one segment. The last one has not been read by the session."""
    tower = session.model.config.tower(modality)
    random = torch.Generator().manual_seed(options.seed)
    history: list[int] = []
    while True:
        logits = prediction.logits[0].cpu()
        source_time = None if prediction.source_time is None else float(prediction.source_time[0])
        allowed = constrain(logits, history, options, tower.begin_id, tower.end_id, source_time)
        token = choose(allowed, options, random)
        history.append(token)
        reason = _stop_reason(token == tower.end_id, len(history), options, started)
        rows = prediction.attention
        attention = None if rows is None else rows[:, 0].cpu()
        yield Step(modality, token, float(logits.softmax(dim=-1)[token]), attention, reason)
        if reason is not None:
            return
        prediction = session.feed(modality, (token,))


def _beams(
    session: Reader,
    modality: Modality,
    prediction: Prediction,
    options: SamplingOptions,
    started: float,
    score_function: ScoreFunction | None,
) -> Iterator[Step]:
    """Tokens of the best hypothesis of a beam search, as they settle. The session has read none of them."""

    def late() -> bool:
        return options.deadline_seconds is not None and time.monotonic() - started >= options.deadline_seconds

    given = 0
    hypotheses = beam_search(session, modality, prediction, options, late, score_function)
    for hypothesis, settled in hypotheses:
        # The last token waits for the end of the search, which alone knows the reason to stop.
        yield from _steps(modality, hypothesis, given, settled - 1)
        given = max(given, settled - 1)
    ended = hypothesis.ids[-1] == session.model.config.tower(modality).end_id
    last = next(_steps(modality, hypothesis, given, given + 1))
    yield replace(last, stop_reason=_stop_reason(ended, len(hypothesis.ids), options, started))


def _steps(modality: Modality, hypothesis: Hypothesis, start: int, stop: int) -> Iterator[Step]:
    """Tokens start .. stop - 1 of a hypothesis."""
    for index in range(start, stop):
        rows = hypothesis.attention[index]
        yield Step(
            modality, hypothesis.ids[index], hypothesis.probabilities[index], None if rows is None else rows.cpu()
        )


def _stop_reason(ended: bool, count: int, options: SamplingOptions, started: float) -> StopReason | None:
    """Why a segment stops after `count` tokens, or None if it goes on."""
    if ended:
        return "end"
    if count >= options.max_tokens:
        return "limit"
    if options.deadline_seconds is not None and time.monotonic() - started >= options.deadline_seconds:
        return "deadline"
    return None
