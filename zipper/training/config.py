"""One dataclass per stage, filled from a YAML file; every field can be overridden as NAME=VALUE."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from zipper.configuration import from_plain
from zipper.errors import ConfigError
from zipper.model.config import Positions, Projected, ProjectionKind, ZipConfig
from zipper.training.fusion import PairLoss, ZipLoss
from zipper.training.schedule import LoopConfig
from zipper.training.tokenizer_phones import TokenizerLoss

CONFIGS = Path(__file__).parent / "configs"

PROFILED_STEPS = 10  # where `--profile` names no number

T = TypeVar("T")


@dataclass(frozen=True)
class TokenizerConfig:
    """Stage `tokenizer`."""

    loop: LoopConfig
    sources: tuple[str, ...]
    width: int = 256
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    levels: tuple[int, ...] = (8, 8, 8, 8)
    batch_tokens: int = 5000
    start: str = ""  # folder of a speech tokenizer: its codes keep their meaning, only the encoder half learns on
    loss: TokenizerLoss = field(default_factory=TokenizerLoss)


@dataclass(frozen=True)
class TowerSize:
    """Sizes of one tower, without its vocabulary."""

    width: int
    depth: int
    heads: int
    kv_heads: int
    ff_width: int


@dataclass(frozen=True)
class PretrainConfig:
    """Stages `pretrain-text` and `pretrain-speech`."""

    loop: LoopConfig
    tower: TowerSize
    rows: int = 16
    length: int = 256  # tokens of a window
    sources: tuple[str, ...] = ()  # of speech
    compile: bool = False  # torch.compile of the blocks: a minute more at the start, a tenth less a step
    start: str = ""  # text only: folder of a fused model whose tower goes on learning


@dataclass(frozen=True)
class PairsConfig:
    """What the stages `zip` and `single` share: the aligned data, its batches and their mixture."""

    loop: LoopConfig
    asr: tuple[str, ...]  # sources of recognition
    tts: tuple[str, ...]  # sources of synthesis
    batch_tokens: int = 3000
    dropout: float = 0.1  # BPE dropout on the text side of synthesis
    mixture: tuple[int, int, int] = (9, 9, 2)  # batches of recognition, synthesis and speech alone in a turn
    fraction: float = 1.0  # of the transcribed speech; speech alone and the held-out people stay as they are
    fraction_seed: int = 0  # which utterances; with one seed, a smaller fraction lies within a larger one
    compile: bool = False  # torch.compile of the blocks: a minute more at the start, a tenth less a step

    def __post_init__(self) -> None:
        _require(0 < self.fraction <= 1, f"fraction={self.fraction} must lie above 0 and be at most 1.")
        shares = min(self.mixture) >= 0 and sum(self.mixture) > 0
        _require(shares, f"mixture={list(self.mixture)} must hold no number below 0 and one above it.")


@dataclass(frozen=True)
class FusionConfig(PairsConfig):
    """Stage `zip`."""

    text_interval: int = 2
    speech_interval: int = 2
    heads: int = 4
    positions: Positions = "tracked"
    input_projection: Projected = "both"
    projection: ProjectionKind = "mlp"
    gates: bool = True
    speech_tower: Literal["trained", "frozen"] = "trained"
    speech_start: Literal["pretrained", "random"] = "pretrained"  # random: the sizes are those of pretrain-speech
    start: str = ""  # folder of a fused model to go on from, in target of the two pre-trained towers
    new_text_tower: bool = False  # with `start`: its text tower gives way to the one that pretrain-text wrote
    loss: ZipLoss = field(default_factory=ZipLoss)

    def __post_init__(self) -> None:
        super().__post_init__()
        frozen, random = self.speech_tower == "frozen", self.speech_start == "random"
        _require(not (frozen and random), "A random speech tower must be trained: set speech_tower=trained.")
        _require(
            not (frozen and self.mixture[2]),
            "A frozen speech tower learns nothing from speech alone: set the last number of mixture to 0.",
        )
        _require(
            not (random and self.start),
            "A model to start from has its speech tower: leave start or speech_start=random out.",
        )
        unguided = self.loss.alignment == 0 and self.positions == "tracked" and not self.start
        _require(
            not unguided,
            "Tracked positions follow the guided heads: with loss.alignment=0 set positions to none or rotary.",
        )

    def zips(self) -> ZipConfig:
        """What lies between the towers."""
        return ZipConfig(
            self.text_interval,
            self.speech_interval,
            self.heads,
            self.positions,
            input_projection=self.input_projection,
            projection=self.projection,
            gates=self.gates,
        )


@dataclass(frozen=True)
class SingleConfig(PairsConfig):
    """Stage `single`: the paper's baseline, one decoder for both modalities.

    It starts from the text tower of `pretrain-text`, or of `start`: the folder of a tower, of a Zipper whose text tower
    is taken, or of a single decoder that goes on.
    """

    start: str = ""
    depth: int = 0  # blocks; those that the text tower lacks are added, 0 adds none
    loss: PairLoss = field(default_factory=PairLoss)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.depth >= 0, f"depth={self.depth} must be 0 or more.")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into a config dataclass; overrides are NAME.NAME=VALUE with YAML values."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration {path.name} cannot be read.") from error
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"{override!r} is not NAME=VALUE.")
        *parents, last = name.split(".")
        target = data
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = yaml.safe_load(value)
    return from_plain(kind, data, path.name)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What every command that trains can do."""
    parser.add_argument("--resume", action="store_true", help="go on from the last save")
    parser.add_argument(
        "--profile",
        type=int,
        nargs="?",
        const=PROFILED_STEPS,
        default=0,
        metavar="STEPS",
        help="print where the time of some steps goes (default: %(const)s)",
    )


def add_config_options(parser: argparse.ArgumentParser, config: Path) -> None:
    """Which configuration, and what of it is overridden."""
    parser.add_argument("--config", type=Path, default=config, help="default %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting")


def add_training_options(parser: argparse.ArgumentParser, config: Path) -> None:
    """Both: the options of a stage that trains by a configuration."""
    add_config_options(parser, config)
    add_run_options(parser)


def load_stage_config(kind: type[T], arguments: argparse.Namespace) -> T:
    """The configuration that the options of `add_training_options` name."""
    profile = [f"loop.profile={arguments.profile}"] if arguments.profile else []
    return load_config(kind, arguments.config, [*arguments.set, *profile])
