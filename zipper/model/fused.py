"""What every model of both modalities is: two towers zipped together, or a single decoder.

Training, inference and evaluation ask for nothing else. Shapes: B batch, T tokens of one modality, V its vocabulary,
Z places of which attention is returned, H heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from zipper.model.config import MODALITIES, FusedConfig, Modality
from zipper.model.cross_attention import GateScale
from zipper.model.streams import Stream


@dataclass(frozen=True)
class ZipAttention:
    """Attention at one zip point, float32, with gradients where the forward had them.

    text_from_speech (B, H, T text, T speech) and speech_from_text (B, H, T speech, T text); None where
    that direction was not computed. Rows sum to 1, or to 0 where nothing is visible; in a single decoder, which
    looks at its own modality with the same softmax, to at most 1. gates (2, 2): into text and into speech, by
    attention and feed-forward; tanh of the learned gates times their scale, or 1 where there are none.
    """

    text_from_speech: Tensor | None
    speech_from_text: Tensor | None
    gates: Tensor


@dataclass(frozen=True)
class ZipperOutput:
    """Logits (B, T, V) of each modality asked for and, when captured, attention per zip point.

    sources: the hidden states (B, T, C) that the last zip point read, of the modalities that were read there.
    finals: the hidden states (B, T, C) after the last block, of the modalities that have logits.
    strayed: where both modalities share a softmax, -log of the probability (B, T) that the next token is of the
    modality at all, given which the logits are; empty where they do not.
    """

    text_logits: Tensor | None
    speech_logits: Tensor | None
    attention: tuple[ZipAttention, ...] = ()
    sources: Mapping[Modality, Tensor] = field(default_factory=dict)
    finals: Mapping[Modality, Tensor] = field(default_factory=dict)
    strayed: Mapping[Modality, Tensor] = field(default_factory=dict)


class FusedModel(nn.Module, ABC):
    """A model that reads and writes text and speech.

    keeps_text: whether text alone gets the very logits of the text model that it was made from.
    """

    config: FusedConfig
    keeps_text: bool

    @abstractmethod
    def forward(
        self,
        text: Stream | None,
        speech: Stream | None,
        capture: bool = False,
        gate_scale: GateScale | float | None = None,
        targets: Collection[Modality] = MODALITIES,
    ) -> ZipperOutput:
        """Logits of the modalities in `targets`; capture: attention too. Raises OptionError, ConfigError."""

    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """All blocks, each of which can be compiled by itself."""

    @abstractmethod
    def text_alone(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of text (B, T) that stands by itself."""

    @abstractmethod
    def gate_scale(self, scale: GateScale | float | None) -> GateScale:
        """One factor per place and direction; None is 1 everywhere. Raises OptionError for what cannot be."""

    @abstractmethod
    def gates(self, modality: Modality, scale: GateScale) -> Tensor:
        """Factors on attention and feed-forward of each place that writes into a modality, (Z, 2)."""
