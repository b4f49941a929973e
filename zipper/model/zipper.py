"""Two towers zipped together, over whole sequences: training, scoring and captured attention.

Shapes: B batch, T tokens of one modality, V its vocabulary, H zip heads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from zipper.errors import ConfigError
from zipper.model.config import MODALITIES, Modality, ZipperConfig, other
from zipper.model.cross_attention import GateScale, Sight, Zips, resolve_gate_scale, time_rotation
from zipper.model.streams import PAD_ORDER, Segment, Stream, index_in_segment, pack, visible
from zipper.model.tower import Rotation, Tower

__all__ = ["PAD_ORDER", "Segment", "Stream", "ZipAttention", "ZipperModel", "ZipperOutput", "pack"]


@dataclass(frozen=True)
class ZipAttention:
    """Attention at one zip point, float32, with gradients where the forward had them.

    text_from_speech (B, H, T text, T speech) and speech_from_text (B, H, T speech, T text); None where
    that direction was not computed. Rows sum to 1, or to 0 where nothing is visible. gates (2, 2): into
    text and into speech, by attention and feed-forward; tanh of the learned gates times their scale.
    """

    text_from_speech: Tensor | None
    speech_from_text: Tensor | None
    gates: Tensor


@dataclass(frozen=True)
class ZipperOutput:
    """Logits (B, T, V) of each modality asked for and, when captured, attention per zip point.

    sources: the hidden states (B, T, C) that the last zip point read, of the modalities that were seen there.
    finals: the hidden states (B, T, C) after the last block, of the modalities that have logits.
    """

    text_logits: Tensor | None
    speech_logits: Tensor | None
    attention: tuple[ZipAttention, ...] = ()
    sources: Mapping[Modality, Tensor] = field(default_factory=dict)
    finals: Mapping[Modality, Tensor] = field(default_factory=dict)


class ZipperModel(nn.Module):
    """A text tower and a speech tower, each usable alone, and the zips between them."""

    def __init__(self, config: ZipperConfig) -> None:
        super().__init__()
        self.config = config
        self.text = Tower(config.text)
        self.speech = Tower(config.speech)
        self.zips = Zips(config)

    def tower(self, modality: Modality) -> Tower:
        """The tower of a modality."""
        return self.text if modality == "text" else self.speech

    def seconds(self, modality: Modality, index: Tensor) -> Tensor:
        """Times in seconds of token indices within their segment, same shape, float32."""
        return index.float() * self.config.seconds_per_token(modality)

    def turn(self, target: Modality, seconds: Tensor) -> Rotation | None:
        """Rotation of tokens at times (B, T) in the zips into `target`, or None without positions."""
        if self.config.zip.positions == "none":
            return None
        head_width = self.config.tower(target).width // self.config.zip.heads
        return time_rotation(seconds, head_width)

    def gates(self, gate_scale: GateScale | float | None = None) -> Tensor:
        """Every gate as it acts under a gate scale, (zip points, 2, 2), laid out as in ZipAttention."""
        scale = resolve_gate_scale(gate_scale, self.config.zip_points)
        return torch.stack([self._gates(point, scale) for point in range(self.config.zip_points)])

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
        scale = resolve_gate_scale(gate_scale, self.config.zip_points)
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
        sights = self._sights(streams)
        running = [m for m in MODALITIES if m in targets or other(m) in sights]
        state = {m: self.zips.input(m, self.tower(m).embed(streams[m].ids)) for m in running}
        turns = {m: self.tower(m).rotation(0, streams[m].ids.shape[1]) for m in running}
        attention: list[ZipAttention] = []
        sources: dict[Modality, Tensor] = {}
        for point in range(self.config.zip_points):
            for m in running:
                step = self.config.interval(m)
                state[m] = self.tower(m).run(state[m], point * step, (point + 1) * step, turns[m])
            last = point == self.config.zip_points - 1
            receiving = [m for m in running if m in sights and (m in targets or not last)]
            sources = {other(m): state[other(m)] for m in receiving}
            weights = self._zip(point, state, {m: sights[m] for m in receiving}, scale)
            if capture:
                gates = self._gates(point, scale)
                attention.append(ZipAttention(weights.get("text"), weights.get("speech"), gates))
        finals = {m: self._finish(m, state[m], turns[m]) for m in running if m in targets}
        logits = {m: self.tower(m).logits(h) for m, h in finals.items()}
        return ZipperOutput(logits.get("text"), logits.get("speech"), tuple(attention), sources, finals)

    def _zip(
        self, point: int, state: dict[Modality, Tensor], sights: Mapping[Modality, Sight], scale: GateScale
    ) -> dict[Modality, Tensor]:
        """One zip point, in place in `state`; both directions read the states from before it. Weights."""
        before = dict(state)
        weights: dict[Modality, Tensor] = {}
        for m, sight in sights.items():
            block = self.zips.block(point, m)
            memory = block.memory(before[other(m)], sight.key_turn)
            state[m], weights[m] = block(before[m], memory, sight, scale.into(m)[point])
        return weights

    def _sights(self, streams: Mapping[Modality, Stream]) -> dict[Modality, Sight]:
        """What each modality sees of the other; a modality that sees nothing anywhere is left out."""
        times = {m: self.seconds(m, index_in_segment(streams[m], self.config.tower(m).begin_id)) for m in MODALITIES}
        tracked = self.config.zip.positions == "tracked"
        sights: dict[Modality, Sight] = {}
        for m in MODALITIES:
            seen = visible(streams[m], streams[other(m)])
            if bool(seen.any()):
                place = streams[m].place if tracked else None
                query_turn = self.turn(m, times[m] if place is None else place)
                sights[m] = Sight(seen, query_turn, self.turn(m, times[other(m)]))
        return sights

    def _finish(self, modality: Modality, h: Tensor, turn: Rotation) -> Tensor:
        """The blocks after the last zip point."""
        tower = self.tower(modality)
        first = self.config.zip_points * self.config.interval(modality)
        return tower.run(h, first, tower.config.depth, turn)
