"""Sizes of the towers and of the zips between them, as frozen dataclasses that travel as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from zipper.configuration import from_plain
from zipper.errors import ConfigError

Modality = Literal["text", "speech"]
MODALITIES: tuple[Modality, Modality] = ("text", "speech")

Positions = Literal["none", "rotary", "tracked"]
Projected = Literal["both", "text", "speech", "none"]
ProjectionKind = Literal["mlp", "linear"]

TEXT_SECONDS_PER_TOKEN = 0.2  # of read English
SPEECH_SECONDS_PER_TOKEN = 0.04

KIND = "kind"  # key of a config.json that names the kind of model; without it the model is a Zipper
SINGLE_DECODER = "single_decoder"


def other(modality: Modality) -> Modality:
    """The modality on the other side of the zip."""
    return "speech" if modality == "text" else "text"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3's stretching of the slow rotary pairs to contexts longer than the pre-trained one.

    Pairs that rotary fewer than low_factor times in original_positions are slowed by `factor`, those
    that rotary more than high_factor times are left alone, those between are blended.
    """

    factor: float
    low_factor: float
    high_factor: float
    original_positions: int

    def __post_init__(self) -> None:
        _require(self.factor >= 1, "RopeScaling.factor must be at least 1.")
        _require(0 < self.low_factor < self.high_factor, "RopeScaling needs 0 < low_factor < high_factor.")
        _require(self.original_positions >= 1, "RopeScaling.original_positions must be at least 1.")


@dataclass(frozen=True)
class TowerConfig:
    """One decoder tower. Heads are `width // heads` wide and must be even for rotary positions."""

    vocab_size: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    ff_width: int
    begin_id: int
    end_id: int
    rope_base: float = 10000.0
    norm_eps: float = 1e-5
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "depth", "heads", "kv_heads", "ff_width"):
            _require(getattr(self, name) >= 1, f"TowerConfig.{name} must be at least 1.")
        _require(self.width % self.heads == 0, f"Width {self.width} does not divide into {self.heads} heads.")
        _require(self.head_width % 2 == 0, f"Heads of {self.head_width} are odd; rotary positions need even.")
        _require(
            self.heads % self.kv_heads == 0, f"{self.heads} query heads cannot share {self.kv_heads} key heads evenly."
        )
        for name in ("begin_id", "end_id"):
            inside = 0 <= getattr(self, name) < self.vocab_size
            _require(inside, f"TowerConfig.{name} lies outside the vocabulary of {self.vocab_size}.")
        _require(self.begin_id != self.end_id, "TowerConfig.begin_id and end_id must differ.")
        _require(self.rope_base > 1, "TowerConfig.rope_base must be above 1.")
        _require(self.norm_eps > 0, "TowerConfig.norm_eps must be positive.")

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> TowerConfig:
        """Inverse of to_dict. Raises ConfigError on unknown, missing or impossible values."""
        return from_plain(cls, data, cls.__name__)


@dataclass(frozen=True)
class ZipConfig:
    """Where the towers are zipped and how the cross-attention sees time.

    The n-th zip point lies after block n * text_interval of the text tower and n * speech_interval of
    the speech tower. With positions="rotary" queries and keys are rotated by their time in seconds:
    index within the segment times seconds per token. With "tracked" keys are too, and a query's time is
    where the query's own token was found in the source, read from the attention of the step before: the
    frozen text tower cannot count how far the speech has come, and a pause or a fast reader make counting
    wrong. A step moves no further than `reach`, so that a glance ahead skips nothing.
    tracking_heads heads of the last tracking_points zip points are read; training guides them.
    input_projection: towers that have one after their embedding. projection: what carries the states of the source
    to the target, three layers with ReLU as in the paper, or one linear map. Without gates, what a zip point adds
    is added as it is.
    """

    text_interval: int
    speech_interval: int
    heads: int
    positions: Positions = "none"
    text_seconds_per_token: float = TEXT_SECONDS_PER_TOKEN
    speech_seconds_per_token: float = SPEECH_SECONDS_PER_TOKEN
    tracking_heads: int = 2
    tracking_points: int = 2
    text_reach: float = 2.0  # seconds of speech that one text token may move on
    speech_reach: float = 0.2  # seconds of text that one speech token may move on
    input_projection: Projected = "both"
    projection: ProjectionKind = "mlp"
    gates: bool = True

    def __post_init__(self) -> None:
        for name in ("text_interval", "speech_interval", "heads", "tracking_heads", "tracking_points"):
            _require(getattr(self, name) >= 1, f"ZipConfig.{name} must be at least 1.")
        choices = {"positions": Positions, "input_projection": Projected, "projection": ProjectionKind}
        for name, kind in choices.items():
            value, known = getattr(self, name), get_args(kind)
            _require(value in known, f"ZipConfig.{name} cannot be {value!r}; choose one of {', '.join(known)}.")
        for name in ("text_seconds_per_token", "speech_seconds_per_token", "text_reach", "speech_reach"):
            _require(getattr(self, name) > 0, f"ZipConfig.{name} must be positive.")

    def projects(self, modality: Modality) -> bool:
        """Whether the tower of a modality has an input projection."""
        return self.input_projection in ("both", modality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> ZipConfig:
        """Inverse of to_dict. Raises ConfigError on unknown, missing or impossible values."""
        return from_plain(cls, data, cls.__name__)


class FusedConfig(Protocol):
    """What is asked of the configuration of any model of both modalities."""

    @property
    def text(self) -> TowerConfig:
        """Vocabulary and sizes of what reads and writes text."""

    @property
    def speech(self) -> TowerConfig:
        """The same for speech."""

    @property
    def attention_points(self) -> int:
        """Places of which attention between the modalities is returned."""

    @property
    def attention_heads(self) -> int:
        """Heads at each of these places."""

    def tower(self, modality: Modality) -> TowerConfig:
        """Vocabulary and sizes of what reads and writes a modality."""

    def seconds_per_token(self, modality: Modality) -> float:
        """Time that one token stands for."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `config_from_dict` reads them."""


@dataclass(frozen=True)
class ZipperConfig:
    """Two towers and the zips between them."""

    text: TowerConfig
    speech: TowerConfig
    zip: ZipConfig

    def __post_init__(self) -> None:
        text_points = _points(self.text.depth, self.zip.text_interval)
        speech_points = _points(self.speech.depth, self.zip.speech_interval)
        _require(
            text_points == speech_points,
            f"The intervals give {text_points} zip points in the text tower and {speech_points} in the"
            " speech tower; they must agree.",
        )
        _require(text_points >= 1, "The intervals leave no zip point before the last block.")
        for name, tower in (("text", self.text), ("speech", self.speech)):
            width, heads = tower.width, self.zip.heads
            _require(width % heads == 0, f"The {name} width {width} does not divide into {heads} zip heads.")
            rotary_fits = self.zip.positions == "none" or (width // heads) % 2 == 0
            _require(rotary_fits, f"Rotary zip heads in the {name} tower must have an even width.")

    @property
    def zip_points(self) -> int:
        """Number of zip points."""
        return _points(self.text.depth, self.zip.text_interval)

    @property
    def attention_points(self) -> int:
        """Places of which attention is returned: the zip points."""
        return self.zip_points

    @property
    def attention_heads(self) -> int:
        """Heads at each of these places."""
        return self.zip.heads

    def tower(self, modality: Modality) -> TowerConfig:
        """The tower of a modality."""
        return self.text if modality == "text" else self.speech

    def interval(self, modality: Modality) -> int:
        """Blocks of a modality's tower between two zip points."""
        return self.zip.text_interval if modality == "text" else self.zip.speech_interval

    def seconds_per_token(self, modality: Modality) -> float:
        """Time that one token stands for in the rotary positions of the zips, in seconds."""
        zips = self.zip
        return zips.text_seconds_per_token if modality == "text" else zips.speech_seconds_per_token

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> ZipperConfig:
        """Inverse of to_dict. Raises ConfigError on unknown, missing or impossible values."""
        return from_plain(cls, data, cls.__name__)


@dataclass(frozen=True)
class SingleDecoderConfig:
    """One decoder over a vocabulary of both modalities: the ids of text, then those of speech.

    decoder: its begin and end are those of text. text_vocab: ids of text. speech_begin and speech_end are ids of
    speech, counted from the first of these. shown: the blocks, counted from 0, whose self-attention between the
    modalities is returned.
    """

    decoder: TowerConfig
    text_vocab: int
    speech_begin: int
    speech_end: int
    shown: tuple[int, ...]

    def __post_init__(self) -> None:
        inside = 0 < self.text_vocab < self.decoder.vocab_size
        _require(inside, f"SingleDecoderConfig.text_vocab must lie within 1..{self.decoder.vocab_size - 1}.")
        in_order = self.shown == tuple(sorted(set(self.shown))) and bool(self.shown)
        fits = in_order and self.shown[0] >= 0 and self.shown[-1] < self.decoder.depth
        _require(fits, f"SingleDecoderConfig.shown must name blocks 0..{self.decoder.depth - 1} in their order.")
        for modality in MODALITIES:
            self.tower(modality)  # which checks begin and end

    @property
    def text(self) -> TowerConfig:
        """The decoder as a tower of text alone."""
        return dataclasses.replace(self.decoder, vocab_size=self.text_vocab)

    @property
    def speech(self) -> TowerConfig:
        """The decoder as a tower of speech alone, in the ids of speech."""
        size = self.decoder.vocab_size - self.text_vocab
        return dataclasses.replace(self.decoder, vocab_size=size, begin_id=self.speech_begin, end_id=self.speech_end)

    @property
    def attention_points(self) -> int:
        """Blocks of which attention is returned."""
        return len(self.shown)

    @property
    def attention_heads(self) -> int:
        """Heads of each block."""
        return self.decoder.heads

    def tower(self, modality: Modality) -> TowerConfig:
        """The decoder as a tower of one modality."""
        return self.text if modality == "text" else self.speech

    def ids(self, modality: Modality) -> slice:
        """Where the ids of a modality lie in the vocabulary."""
        return slice(0, self.text_vocab) if modality == "text" else slice(self.text_vocab, self.decoder.vocab_size)

    def seconds_per_token(self, modality: Modality) -> float:
        """Time that one token stands for, in seconds."""
        return TEXT_SECONDS_PER_TOKEN if modality == "text" else SPEECH_SECONDS_PER_TOKEN

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {KIND: SINGLE_DECODER, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, data: object) -> SingleDecoderConfig:
        """Inverse of to_dict. Raises ConfigError on unknown, missing or impossible values."""
        plain = {k: v for k, v in data.items() if k != KIND} if isinstance(data, Mapping) else data
        return from_plain(cls, plain, cls.__name__)


def config_from_dict(data: object) -> ZipperConfig | SingleDecoderConfig:
    """The configuration of a model of either kind. Raises ConfigError."""
    kind = data.get(KIND) if isinstance(data, Mapping) else None
    if kind is None:
        return ZipperConfig.from_dict(data)
    _require(kind == SINGLE_DECODER, f"There is no kind of model {kind!r}; this version knows {SINGLE_DECODER!r}.")
    return SingleDecoderConfig.from_dict(data)


def _points(depth: int, interval: int) -> int:
    """Zip points in a tower: one after every `interval` blocks, none after the last block."""
    return (depth - 1) // interval
