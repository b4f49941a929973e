"""Two towers zipped together, over whole sequences: training, scoring and captured attention.

Shapes: B batch, T tokens of one modality, V its vocabulary, H zip heads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from zipper.errors import ConfigError
from zipper.model.config import MODALITIES, Modality, ZipperConfig, other
from zipper.model.cross_attention import (
    CrossAttentionBlocks,
    CrossAttentionInputs,
    GateScale,
    resolve_gate_scale,
    time_rotary,
)
from zipper.model.fused import FusedModel, ZipAttention, ZipperOutput
from zipper.model.streams import PAD_ORDER, Segment, Stream, index_in_segment, pack, visibility_mask
from zipper.model.tower import RotaryEmbedding, Tower

__all__ = ["PAD_ORDER", "Segment", "Stream", "ZipAttention", "ZipperModel", "ZipperOutput", "pack"]


class ZipperModel(FusedModel):
    """A text tower and a speech tower, each usable alone, and the zips between them."""

    keeps_text = True
    config: ZipperConfig

    def __init__(self, config: ZipperConfig) -> None:
        super().__init__()
        self.config = config
        self.text = Tower(config.text)
        self.speech = Tower(config.speech)
        self.zips = CrossAttentionBlocks(config)

    def tower(self, modality: Modality) -> Tower:
        """The tower of a modality."""
        return self.text if modality == "text" else self.speech

    def seconds(self, modality: Modality, index: Tensor) -> Tensor:
        """Times in seconds of token indices within their segment, same shape, float32."""
        return index.float() * self.config.seconds_per_token(modality)

    def rotary(self, target: Modality, seconds: Tensor) -> RotaryEmbedding | None:
        """Rotation of tokens at times (B, T) in the zips into `target`, or None without positions."""
        if self.config.zip.positions == "none":
            return None
        head_width = self.config.tower(target).width // self.config.zip.heads
        return time_rotary(seconds, head_width)

    def blocks(self) -> list[nn.Module]:
        """The blocks of both towers and of the zips between them."""
        zips = [self.zips.block(point, m) for point in range(self.config.zip_points) for m in MODALITIES]
        return [*self.text.blocks, *self.speech.blocks, *zips]

    def text_alone(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the text tower by itself."""
        logits: Tensor = self.text(ids)
        return logits

    def gate_scale(self, scale: GateScale | float | None) -> GateScale:
        """One factor per zip point and direction; None is 1 everywhere. Raises OptionError on a wrong count."""
        return resolve_gate_scale(scale, self.config.zip_points)

    def gates(self, modality: Modality, scale: GateScale) -> Tensor:
        """Factors on attention and feed-forward of each zip point into a modality's tower, (zip points, 2)."""
        factors = scale.into(modality)
        return torch.stack([self.zips.block(point, modality).gates(pair) for point, pair in enumerate(factors)])

    def _gates(self, point: int, scale: GateScale) -> Tensor:
        """The gates of one zip point, (2, 2)."""
        return torch.stack([self.zips.block(point, m).gates(scale.into(m)[point]) for m in MODALITIES])

    def forward(
        self,
        text: Stream | None,
        speech: Stream | None,
        capture: bool = False,
        gate_scale: GateScale | float | None = None,
        targets: Collection[Modality] = MODALITIES,
    ) -> ZipperOutput:
        """Logits of an interleaved batch; of one modality alone, exactly those of its tower.

        Only the modalities in `targets` get logits. A tower that is no target runs no further than the
        last zip point, and not at all when nothing sees it.
        """
        scale = self.gate_scale(gate_scale)
        if text is not None and speech is not None:
            return self._fused({"text": text, "speech": speech}, scale, capture, targets)
        if text is not None:
            return ZipperOutput(self.text(text.ids), None)
        if speech is not None:
            return ZipperOutput(None, self.speech(speech.ids))
        raise ConfigError("There is nothing to run: both the text and the speech stream are missing.")

    def _fused(
        self, streams: Mapping[Modality, Stream], scale: GateScale, capture: bool, targets: Collection[Modality]
    ) -> ZipperOutput:
        """Both towers in step, from zip point to zip point."""
        cross_inputs = self._cross_inputs(streams)
        running = [m for m in MODALITIES if m in targets or other(m) in cross_inputs]
        state = {m: self.zips.input(m, self.tower(m).embed(streams[m].ids)) for m in running}
        rotaries = {m: self.tower(m).rotary(0, streams[m].ids.shape[1]) for m in running}
        attention: list[ZipAttention] = []
        sources: dict[Modality, Tensor] = {}
        for point in range(self.config.zip_points):
            for m in running:
                step = self.config.interval(m)
                state[m] = self.tower(m).run(state[m], point * step, (point + 1) * step, rotaries[m])
            last = point == self.config.zip_points - 1
            receiving = [m for m in running if m in cross_inputs and (m in targets or not last)]
            sources = {other(m): state[other(m)] for m in receiving}
            weights = self._zip(point, state, {m: cross_inputs[m] for m in receiving}, scale)
            if capture:
                gates = self._gates(point, scale)
                attention.append(ZipAttention(weights.get("text"), weights.get("speech"), gates))
        finals = {m: self._finish(m, state[m], rotaries[m]) for m in running if m in targets}
        logits = {m: self.tower(m).logits(h) for m, h in finals.items()}
        return ZipperOutput(logits.get("text"), logits.get("speech"), tuple(attention), sources, finals)

    def _zip(
        self,
        point: int,
        state: dict[Modality, Tensor],
        cross_inputs: Mapping[Modality, CrossAttentionInputs],
        scale: GateScale,
    ) -> dict[Modality, Tensor]:
        """One zip point, in place in `state`; both directions read the states from before it. Weights."""
        before = dict(state)
        weights: dict[Modality, Tensor] = {}
        for m, inputs in cross_inputs.items():
            block = self.zips.block(point, m)
            memory = block.memory(before[other(m)], inputs.key_rotary)
            state[m], weights[m] = block(before[m], memory, inputs, scale.into(m)[point])
        return weights

    def _cross_inputs(self, streams: Mapping[Modality, Stream]) -> dict[Modality, CrossAttentionInputs]:
        """What each modality sees of the other; a modality that sees nothing anywhere is left out."""
        times = {m: self.seconds(m, index_in_segment(streams[m], self.config.tower(m).begin_id)) for m in MODALITIES}
        tracked = self.config.zip.positions == "tracked"
        cross_inputs: dict[Modality, CrossAttentionInputs] = {}
        for m in MODALITIES:
            mask = visibility_mask(streams[m], streams[other(m)])
            if bool(mask.any()):
                source_time = streams[m].source_time if tracked else None
                query_rotary = self.rotary(m, times[m] if source_time is None else source_time)
                cross_inputs[m] = CrossAttentionInputs(mask, query_rotary, self.rotary(m, times[other(m)]))
        return cross_inputs

    def _finish(self, modality: Modality, h: Tensor, rotary: RotaryEmbedding) -> Tensor:
        """The blocks after the last zip point."""
        tower = self.tower(modality)
        first = self.config.zip_points * self.config.interval(modality)
        return tower.run(h, first, tower.config.depth, rotary)
