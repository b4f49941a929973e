"""One dataclass per stage, filled from a YAML file; every field can be overridden as NAME=VALUE."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from zipper.configuration import from_plain
from zipper.errors import ConfigError
from zipper.training.fusion import ZipLoss
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
class FusionConfig:
    """Stage `zip`."""

    loop: LoopConfig
    asr: tuple[str, ...]  # sources of recognition
    tts: tuple[str, ...]  # sources of synthesis
    text_interval: int = 2
    speech_interval: int = 2
    heads: int = 4
    positions: Literal["none", "rotary", "tracked"] = "tracked"
    batch_tokens: int = 3000
    dropout: float = 0.1  # BPE dropout on the text side of synthesis
    mixture: tuple[int, int, int] = (9, 9, 2)  # batches of recognition, synthesis and speech alone in a turn
    start: str = ""  # folder of a fused model to go on from, in target of the two pre-trained towers
    new_text_tower: bool = False  # with `start`: its text tower gives way to the one that pretrain-text wrote
    compile: bool = False  # torch.compile of the blocks: a minute more at the start, a tenth less a step
    loss: ZipLoss = field(default_factory=ZipLoss)


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
