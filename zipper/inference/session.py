"""One request's state: what both towers have read so far, so that each new token costs one step.

Shapes: B rows (beams), T tokens in this call, S source tokens, Z zip points, H zip heads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zipper.inference.decoder_step import DecoderStep, Read, prepared_steps
from zipper.model.config import MODALITIES, Modality, other
from zipper.model.cross_attention import CrossAttentionInputs, GateScale, Memory, resolve_gate_scale
from zipper.model.kv_cache import TowerCache
from zipper.model.zipper import ZipperModel

# Seconds of the source by which a tracked source time may move back: recognition may have attended too far ahead
# for one token, synthesis never speaks a token twice.
TRACKING_BACK: dict[Modality, float] = {"text": 0.2, "speech": 0.0}


@dataclass(frozen=True)
class Prediction:
    """What follows the last token fed.

    logits (B, V) float32; attention (Z, B, H, S) float32 of that token, None where it sees nothing;
    source_time (B, 1) seconds of the source where it was found, None without tracked positions.
    """

    logits: Tensor
    attention: Tensor | None
    source_time: Tensor | None = None


@dataclass(frozen=True)
class _PendingStates:
    """Hidden states at the zip points that the other tower has not read yet.

    states: per zip point (1, T, C); index (1, T) within the segment.
    """

    states: list[Tensor]
    index: Tensor


class Session:
    """Reads segments one after the other; only the tower of the segment at hand runs.

    Everything fed earlier precedes what is fed now, so all of the other modality is visible. Keys and
    values for the other tower are computed once, when that tower first runs after them. A session of
    one modality is the tower alone. The model itself holds no state: sessions can run in parallel.
    """

    def __init__(
        self, model: ZipperModel, modalities: Collection[Modality], gate_scale: GateScale | float | None = None
    ) -> None:
        self.model = model
        self.fused = len(set(modalities)) > 1
        self._scale = resolve_gate_scale(gate_scale, model.config.zip_points)
        self._steps = prepared_steps(model)
        self._caches = {m: TowerCache(model.config.tower(m).depth) for m in MODALITIES}
        self._pending: dict[Modality, list[_PendingStates]] = {m: [] for m in MODALITIES}
        self._memories: dict[Modality, list[Memory]] = {m: [] for m in MODALITIES}  # by target, per point
        self._current: Modality | None = None
        self._index = 0
        self._times: dict[Modality, Tensor] = {}  # by target: seconds (1, S) of all that it sees
        self._source_time: Tensor | None = None  # (B, 1) seconds: where the next token to be fed was found

    @property
    def source_time(self) -> Tensor | None:
        """With tracked positions, where the next token of the segment was found; (B, 1) seconds of the source."""
        return self._source_time

    @torch.no_grad()
    def feed(self, modality: Modality, ids: Sequence[int] | Tensor) -> Prediction:
        """Read tokens, (T,) ids or a tensor (B, T), and predict what follows them."""
        device = self.model.text.embedding.weight.device
        tokens = ids if isinstance(ids, Tensor) else torch.tensor([list(ids)], dtype=torch.int64)
        tokens = tokens.to(device)
        if self._tracks(modality):
            for index in range(tokens.shape[1] - 1):  # each token's source time comes from the step before
                self._feed(modality, tokens[:, index : index + 1])
            tokens = tokens[:, -1:]
        return self._feed(modality, tokens)

    def _tracks(self, modality: Modality) -> bool:
        """Whether tokens of a modality are followed through what they see of the other."""
        source = other(modality)
        sees = bool(self._memories[modality]) or bool(self._pending[source])
        return self.fused and sees and self.model.config.zip.positions == "tracked"

    def _feed(self, modality: Modality, tokens: Tensor) -> Prediction:
        if not self.fused:
            logits, _, _ = self._run(modality, tokens, [], torch.zeros(1, 1))
            return Prediction(logits, None)
        index = self._advance(modality, tokens)
        memories = self._read_memories(modality)
        tracked = bool(memories) and self.model.config.zip.positions == "tracked"
        times = self.model.seconds(modality, index)
        if tracked:
            times = torch.zeros_like(times) if self._source_time is None else self._source_time
        logits, states, attention = self._run(modality, tokens, memories, times)
        self._pending[modality].append(_PendingStates(states, index))
        if tracked and attention is not None:
            self._source_time = self._move(modality, self._found(attention, self._times[modality]))
        return Prediction(logits, attention, self._source_time)

    def _run(self, modality: Modality, tokens: Tensor, memories: list[Memory], times: Tensor) -> Read:
        """Read tokens (B, T) at times (B or 1, T), in seconds; a single token by a quick step where there is one."""
        shared = not memories or len(memories[0][0]) == 1
        if self._steps is None or tokens.shape[1] > 1 or not shared:
            return self._read(modality, tokens, memories, times)
        if modality not in self._steps:
            self._steps[modality] = DecoderStep(self.model, modality)
        scale = self._scale.into(modality)
        return self._steps[modality].run(tokens, self._caches[modality], self.fused, memories, times, scale)

    def _read(self, modality: Modality, tokens: Tensor, memories: list[Memory], times: Tensor) -> Read:
        """The same by the model itself."""
        tower, cache = self.model.tower(modality), self._caches[modality]
        rotary = tower.rotary(cache.length, tokens.shape[1])
        h = tower.embed(tokens)
        states: list[Tensor] = []
        rows: list[Tensor] = []
        if self.fused:
            h = self.model.zips.input(modality, h)
            inputs = CrossAttentionInputs(None, self.model.rotary(modality, times), None)
            step, scale = self.model.config.interval(modality), self._scale.into(modality)
            for point in range(self.model.config.zip_points):
                h = tower.run(h, point * step, (point + 1) * step, rotary, cache)
                states.append(h)
                if memories:
                    h, weights = self.model.zips.block(point, modality)(h, memories[point], inputs, scale[point])
                    rows.append(weights[:, :, -1])
        h = tower.run(h, len(states) * self.model.config.interval(modality), tower.config.depth, rotary, cache)
        return tower.logits(h[:, -1]).float(), states, torch.stack(rows) if rows else None

    def fork(self, modality: Modality, rows: Tensor) -> Session:
        """A session that continues this one's rows, (B',) int64, in the segment of `modality`.

        It must not outlive that segment: the original session knows nothing of what it reads.
        """
        fork = Session(self.model, MODALITIES if self.fused else (modality,), self._scale)
        fork._caches[modality] = self._caches[modality].select(rows)
        fork._pending[other(modality)] = self._pending[other(modality)]
        fork._memories[modality] = self._memories[modality]
        fork._current, fork._index = self._current, self._index
        fork._times = self._times
        fork._source_time = None if self._source_time is None else self._source_time[rows]
        return fork

    def copy_rows(self, modality: Modality, moves: Sequence[tuple[int, int]]) -> None:
        """Let rows go on, in the segment of `modality`, from where others are: (from, to) each, no row twice a `to`."""
        if not moves:
            return
        device = self.model.text.embedding.weight.device
        sources, targets = torch.tensor(moves, device=device).unbind(1)
        self._caches[modality].copy_rows(sources, targets)
        if self._source_time is not None:
            self._source_time = self._source_time.index_copy(0, targets, self._source_time[sources])

    def _advance(self, modality: Modality, tokens: Tensor) -> Tensor:
        """Index (1, T) of the tokens in their segment, which a begin token or a change of modality starts."""
        begin = self.model.config.tower(modality).begin_id
        if modality != self._current or int(tokens[0, 0]) == begin:
            self._current, self._index, self._source_time = modality, 0, None
        start, self._index = self._index, self._index + tokens.shape[1]
        return torch.arange(start, self._index, device=tokens.device).unsqueeze(0)

    def _move(self, modality: Modality, found: Tensor) -> Tensor:
        """From the source time of the last token towards where the next was found, as far as one token may move."""
        zips = self.model.config.zip
        reach = zips.text_reach if modality == "text" else zips.speech_reach
        here = torch.zeros_like(found) if self._source_time is None else self._source_time
        return torch.minimum(torch.maximum(found, here - TRACKING_BACK[modality]), here + reach)

    def _found(self, attention: Tensor, times: Tensor) -> Tensor:
        """Median source time, (B, 1) seconds, of attention (Z, B, H, S) over source tokens at times (1, S)."""
        zips = self.model.config.zip
        weights = attention[-zips.tracking_points :, :, : zips.tracking_heads].mean(dim=(0, 2))  # (B, S)
        middle = (weights.cumsum(dim=1) < 0.5 * weights.sum(dim=1, keepdim=True)).sum(dim=1, keepdim=True)
        return times.expand(len(weights), -1).gather(1, middle.clamp(max=times.shape[1] - 1))

    def _read_memories(self, target: Modality) -> list[Memory]:
        """Keys and values of all that the target sees, one pair per zip point; empty when it sees nothing."""
        source = other(target)
        waiting, self._pending[source] = self._pending[source], []
        if waiting:
            times = self.model.seconds(source, torch.cat([part.index for part in waiting], dim=1))
            rotary = self.model.rotary(target, times)
            before = [self._times[target]] if target in self._times else []
            self._times[target] = torch.cat((*before, times), dim=1)
            known = self._memories[target]
            memories: list[Memory] = []
            for point in range(self.model.config.zip_points):
                states = torch.cat([part.states[point] for part in waiting], dim=1)
                keys, values = self.model.zips.block(point, target).memory(states, rotary)
                if known:
                    keys = torch.cat((known[point][0], keys), dim=2)
                    values = torch.cat((known[point][1], values), dim=2)
                memories.append((keys, values))
            self._memories[target] = memories
        return self._memories[target]
