"""One request's state in a single decoder. Shapes as in session.py; Z are the blocks whose attention is returned."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from zipper.inference.session import Prediction
from zipper.model.config import MODALITIES, Modality, other
from zipper.model.cross_attention import GateScale, Memory
from zipper.model.kv_cache import TowerCache
from zipper.model.single_decoder import SingleDecoder, run_with_weights


class SingleSession:
    """Reads segments one after the other into one cache, as what they are to the decoder: one sequence.

    Forks of one row share what it has read and hold only what they read themselves.
    """

    def __init__(
        self, model: SingleDecoder, modalities: Collection[Modality], gate_scale: GateScale | float | None = None
    ) -> None:
        """modalities: of the request; with one alone no attention is returned. Raises OptionError for a gate scale."""
        model.gate_scale(gate_scale)
        self.model = model
        self.fused = len(set(modalities)) > 1
        self._given: list[Memory] = []  # of each block: (1, K, S, D) keys and values that come first in all rows
        self._cache = TowerCache(model.config.decoder.depth)
        self._places: dict[Modality, list[int]] = {m: [] for m in MODALITIES}  # of the tokens read so far
        self._rows = 1

    @property
    def source_time(self) -> Tensor | None:
        """None: a single decoder does not track where its tokens were found."""
        return None

    @torch.no_grad()
    def feed(self, modality: Modality, ids: Sequence[int] | Tensor) -> Prediction:
        """Read tokens, (T,) ids or a tensor (B, T), and predict what of the same modality follows them."""
        decoder = self.model.decoder
        tokens = ids if isinstance(ids, Tensor) else torch.tensor([list(ids)], dtype=torch.int64)
        tokens = self.model.joint_ids(modality, tokens.to(decoder.embedding.weight.device))
        self._rows = len(tokens)
        start = sum(map(len, self._places.values()))
        self._places[modality].extend(range(start, start + tokens.shape[1]))
        rotary = decoder.rotary(start, tokens.shape[1])
        seen = self._places[other(modality)] if self.fused else []
        shown = self.model.config.shown if seen else ()
        h = decoder.embed(tokens)
        rows: list[Tensor] = []
        for index, layer in enumerate(self._cache.layers):
            if index in shown or self._given:
                given = self._given[index] if self._given else None
                h, weights = run_with_weights(self.model.block(index), h, rotary, layer, given)
                rows += [weights[:, :, -1, seen]] if index in shown else []
            else:
                h = self.model.block(index)(h, rotary, layer)
        attention = torch.stack(rows) if rows else None
        return Prediction(self.model.logits(modality, h[:, -1]).float(), attention)

    def fork(self, modality: Modality, rows: Tensor) -> SingleSession:
        """A session that continues this one's rows, (B',) int64, in the segment of `modality`.

        It must not outlive that segment: the original session knows nothing of what it reads.
        """
        fork = SingleSession(self.model, MODALITIES if self.fused else (modality,))
        fork._places = {m: list(places) for m, places in self._places.items()}
        if self._given or self._rows > 1:
            fork._given, fork._cache = self._given, self._cache.select(rows)
        else:
            config = self.model.config.decoder
            nothing = self.model.decoder.embedding.weight.new_empty(1, config.kv_heads, 0, config.head_width)
            fork._given = [layer.append(nothing, nothing) for layer in self._cache.layers]
        fork._rows = len(rows)
        return fork

    def copy_rows(self, modality: Modality, moves: Sequence[tuple[int, int]]) -> None:
        """Let rows go on, in the segment of `modality`, from where others are: (from, to) each, no row twice a `to`."""
        order = torch.arange(self._rows, device=self.model.decoder.embedding.weight.device)
        for source, target in moves:
            order[target] = source
        if moves:
            self._cache = self._cache.select(order)
