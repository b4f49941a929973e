"""The recipe of a study and its sizes, read from YAML, and the runs that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from zipper.configuration import from_plain
from zipper.errors import ConfigError
from zipper.training.variants import Stage, Variant

HERE = Path(__file__).parent
RECIPES, SIZES = HERE / "recipes", HERE / "sizes"
STUDIES = ("aligned-data", "synthesis-by-length", "tables", "ablations", "text-ability", "gates")

Measure = Literal["readers", "recognition", "synthesis", "resynthesis", "text"]
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """A variant of a study: its stage, what it is called, and the settings that differ from the stage's YAML file."""

    stage: Stage
    title: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Variants, each trained on every fraction of the transcribed speech with every seed, and what is measured."""

    title: str
    variants: dict[str, Recipe]
    seeds: tuple[int, ...]
    measures: tuple[Measure, ...]
    fractions: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("variants", "seeds", "fractions"):
            if not getattr(self, name):
                raise ConfigError(f"A study needs at least one of its {name}.")
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ConfigError(f"The {name} of a study must differ.")
        if not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ConfigError("The fractions of a study must lie above 0 and be at most 1.")


@dataclass(frozen=True)
class Sizes:
    """How large a study is on the machine at hand.

    seconds: of training a run; tower_seconds: of pre-training the speech tower where the work folder has none;
    recordings: of each manifest; sentences: of each of the lengths; samples: of each sentence; lines: of held-out text;
    toy: towers with random weights; both, zip, single: settings of every run and of those of one stage.
    """

    seconds: float
    tower_seconds: float
    recordings: int
    sentences: int
    samples: int
    lines: int
    toy: bool = False
    both: tuple[str, ...] = ()
    zip: tuple[str, ...] = ()
    single: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seconds", "tower_seconds", "recordings", "sentences", "samples", "lines"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0.")

    def settings(self, stage: Stage) -> tuple[str, ...]:
        """Settings of the runs of a stage."""
        return (*self.both, *(self.zip if stage == "zip" else self.single))


@dataclass(frozen=True)
class Run:
    """One model to train and to measure."""

    variant: str
    recipe: Recipe
    fraction: float
    seed: int
    settings: tuple[str, ...] = field(repr=False)  # all of them

    @property
    def name(self) -> str:
        """What its folder and its results are called: VARIANT-PERCENT-SEED."""
        return f"{self.variant}-{100 * self.fraction:g}-{self.seed}"

    def to_train(self) -> Variant:
        """As `zipper.training.variants` takes it."""
        return Variant(self.recipe.stage, self.settings)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; ConfigError, in one sentence, where it is none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: name one of {', '.join(STUDIES)}, or a YAML file.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path.name}{where} is not YAML: {getattr(error, 'problem', None) or error}.") from error


def read_study(name: str) -> Study:
    """A study by its name, or from a YAML file. Raises ConfigError."""
    return _read(Study, RECIPES / f"{name}.yaml" if name in STUDIES else Path(name))


def read_sizes(name: str) -> Sizes:
    """Sizes by their name: cpu, gpu or quick."""
    return _read(Sizes, SIZES / f"{name}.yaml")


def _read(kind: type[T], path: Path) -> T:
    try:
        return from_plain(kind, read_yaml(path), path.name)
    except ConfigError as error:  # of a check in the dataclass, which does not know the file
        message = str(error)
        raise ConfigError(message if path.name in message else f"{path.name}: {message}") from error


def runs_of(study: Study, sizes: Sizes, common: Sequence[str] = ()) -> list[Run]:
    """Runs of a study, seed after seed, so that a study that is stopped has what can be compared. Raises ConfigError.

    common: settings of every run, such as the sources; they come last.
    """
    runs = [
        _run(name, recipe, fraction, seed, sizes, common)
        for seed in study.seeds
        for fraction in study.fractions
        for name, recipe in study.variants.items()
    ]
    for run in runs:
        run.to_train().config()
    return runs


def _run(name: str, recipe: Recipe, fraction: float, seed: int, sizes: Sizes, common: Sequence[str]) -> Run:
    own = (f"fraction={fraction:g}", f"fraction_seed={seed}", f"loop.seed={seed}", f"loop.seconds={sizes.seconds:g}")
    return Run(name, recipe, fraction, seed, (*sizes.settings(recipe.stage), *recipe.settings, *own, *common))


def check_variants(studies: Mapping[str, Study]) -> None:
    """Studies share the runs of variants of one name, which therefore must be one. Raises ConfigError."""
    seen: dict[str, tuple[str, Recipe]] = {}
    for title, study in studies.items():
        for name, recipe in study.variants.items():
            before, known = seen.setdefault(name, (title, recipe))
            if (known.stage, known.settings) != (recipe.stage, recipe.settings):
                raise ConfigError(f"{name} has other settings in {title} than in {before}: give it another name.")
