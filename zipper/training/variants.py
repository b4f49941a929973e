"""One variant of a study: a configuration, trained and put where `Zipper.from_pretrained` and `evaluate` find it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zipper.errors import ConfigError
from zipper.training.config import CONFIGS, FusionConfig, PairsConfig, SingleConfig, load_config
from zipper.training.cost import COST_FILE
from zipper.training.pair_stages import train_fusion, train_single
from zipper.weights import DETOKENIZER_FOLDER, MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER, check_folder

log = logging.getLogger(__name__)

Stage = Literal["zip", "single"]


@dataclass(frozen=True)
class Variant:
    """What is trained: a stage, and the settings NAME=VALUE that differ from those of its YAML file.

    Such as Variant("zip", ("positions=none", "fraction=0.03", "loop.seconds=600", "loop.seed=1")).
    """

    stage: Stage
    settings: tuple[str, ...] = ()

    def config(self) -> PairsConfig:
        """The whole configuration. Raises ConfigError, in one sentence, for one that cannot be."""
        if self.stage == "zip":
            return load_config(FusionConfig, CONFIGS / "zip.yaml", self.settings)
        if self.stage == "single":
            return load_config(SingleConfig, CONFIGS / "single.yaml", self.settings)
        raise ConfigError(f"There is no stage {self.stage!r} to compare; choose zip or single.")


def train_variant(variant: Variant, work: Path, folder: Path, parts: Path, resume: bool = False) -> None:
    """Train a variant on a work folder and make `folder` a model folder, with tokenizer and voices linked from `parts`.

    folder/run then holds the log, the state and cost.json: parameters and operations a token. One that was interrupted
    goes on with `resume`. Raises ConfigError, WeightsError where `parts` is no model folder.
    """
    check_folder(parts)
    config = variant.config()
    run, out = folder / "run", folder / MODEL_FOLDER
    if isinstance(config, FusionConfig):
        train_fusion(config, work, resume, run, out)
    elif isinstance(config, SingleConfig):
        train_single(config, work, resume, run, out)
    for name in (SPEECH_TOKENIZER_FOLDER, DETOKENIZER_FOLDER):
        if not (folder / name).exists():
            (folder / name).symlink_to((parts / name).resolve(), target_is_directory=True)


def train_variants(variants: Sequence[tuple[str, Variant]], work: Path, out: Path, parts: Path) -> list[Path]:
    """Train each (name, variant) into out/name, those that are finished excepted; the folders in order.

    All configurations are checked before the first one is trained.
    """
    for _, variant in variants:
        variant.config()
    folders = [out / name for name, _ in variants]
    for folder, (name, variant) in zip(folders, variants, strict=True):
        if is_finished(folder):
            log.info("%s is finished", name)
        else:
            train_variant(variant, work, folder, parts, resume=True)
    return folders


def is_finished(folder: Path) -> bool:
    """Whether `train_variant` came to its end there."""
    return (folder / "run" / COST_FILE).is_file() and (folder / DETOKENIZER_FOLDER).exists()
