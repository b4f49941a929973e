"""How one token is chosen from a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zipper.errors import OptionError

# What is beyond them means the same and would overflow single precision: the likeliest token, or any at all
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-4, 1e6
MOST_LIKELY = 256  # tokens that are ranked first for top_p; most often they are enough


@dataclass(frozen=True)
class SamplingOptions:
    """How to decode one modality.

    temperature: 0 takes the likeliest token. top_p: 1 keeps all. No cycle of up to repetition_window tokens may come
    more than max_repeats times in a row (0 allows any). max_tokens and min_tokens count the end token.
    beams: above 1 searches instead of sampling. deadline_seconds: from the start of the generation.
    min_source_seconds: the source time, as tracked, that must be reached before the segment may end, unless the end is
    at least as probable as end_override; by default nothing is probable enough.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_window: int = 0
    max_repeats: int = 0
    max_tokens: int = 1000
    min_tokens: int = 0
    beams: int = 1
    seed: int = 0
    deadline_seconds: float | None = None
    min_source_seconds: float = 0.0
    end_override: float = math.inf

    def __post_init__(self) -> None:
        _require(0 <= self.temperature < math.inf, "temperature must be 0 or more")
        _require(0 < self.top_p <= 1, "top_p must lie above 0 and be at most 1")
        _require(self.repetition_window >= 0, "repetition_window must be 0 or more")
        _require(self.max_repeats >= 0, "max_repeats must be 0 or more")
        _require(self.max_tokens >= 1, "max_tokens must be at least 1")
        _require(0 <= self.min_tokens <= self.max_tokens, "min_tokens must lie between 0 and max_tokens")
        _require(self.beams >= 1, "beams must be at least 1")
        _require(self.beams == 1 or self.temperature == 0, "beam search needs temperature 0")
        _require(-(2**63) <= self.seed < 2**63, "seed must fit into 64 bits")
        _require(self.deadline_seconds is None or self.deadline_seconds > 0, "deadline_seconds must be positive")
        _require(0 <= self.min_source_seconds < math.inf, "min_source_seconds must be 0 or more")
        _require(self.end_override > 0, "end_override must lie above 0")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(f"The sampling option {message}.")


def constrain(
    logits: Tensor,
    history: Sequence[int],
    options: SamplingOptions,
    begin_id: int,
    end_id: int,
    source_time: float | None = None,
) -> Tensor:
    """Logits (V,) with what may not come now at -inf; a new tensor.

    source_time: seconds of the source that the generation has reached, None where it is not tracked.
    """
    end = float(logits.softmax(dim=-1)[end_id]) if options.end_override <= 1 else 0.0
    banned = forbidden(end, history, options, begin_id, end_id, source_time)
    return logits.index_fill(0, torch.tensor(banned, device=logits.device), -math.inf)


def forbidden(
    end_probability: float,
    history: Sequence[int],
    options: SamplingOptions,
    begin_id: int,
    end_id: int,
    source_time: float | None = None,
) -> list[int]:
    """What may not come now, where the end token is as probable as given; source_time as in `constrain`."""
    too_soon = source_time is not None and source_time < options.min_source_seconds
    sure = options.end_override <= 1 and end_probability >= options.end_override
    banned = [begin_id]
    if len(history) + 1 < options.min_tokens or (too_soon and not sure):
        banned.append(end_id)
    if options.repetition_window and options.max_repeats:
        banned += looping_tokens(history, options.repetition_window, options.max_repeats) - {end_id}
    return banned


def looping_tokens(history: Sequence[int], longest: int, repeats: int) -> set[int]:
    """Tokens that would make a cycle of 1 .. longest tokens come more than `repeats` times in a row."""
    banned = set()
    for period in range(1, longest + 1):
        needed = period * (repeats + 1) - 1  # tokens before the one that would complete the cycle too many
        if len(history) < needed:
            break
        tail = history[len(history) - needed :]
        if all(tail[i] == tail[i + period] for i in range(needed - period)):
            banned.add(tail[-period])
    return banned


def choose(logits: Tensor, options: SamplingOptions, random: torch.Generator) -> int:
    """Draw a token from constrained logits (V,) on the CPU."""
    if options.temperature == 0:
        return int(logits.argmax())
    temperature = min(max(options.temperature, LOWEST_TEMPERATURE), HIGHEST_TEMPERATURE)
    probabilities = (logits / temperature).softmax(dim=-1)
    if options.top_p < 1:
        probabilities = _nucleus(probabilities, options.top_p)
    return int(torch.multinomial(probabilities, 1, generator=random))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Probabilities (V,) with 0 beyond the likeliest tokens that together reach top_p of the whole."""
    wanted = top_p * probabilities.sum()
    ranked, order = probabilities.topk(min(MOST_LIKELY, len(probabilities)))
    if float(ranked.sum()) < wanted:  # so few do not reach it; all are ranked, which takes ten times as long
        ranked, order = probabilities.sort(descending=True, stable=True)
    kept = ranked.cumsum(0) - ranked < wanted
    return torch.zeros_like(probabilities).index_copy(0, order, ranked * kept)
