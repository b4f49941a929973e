"""Run what a study lacks: training, then measuring; what is done already is left as it is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zipper.errors import ConfigError
from zipper.studies.measures import Measuring
from zipper.studies.prepare import TEXT_TOWER
from zipper.studies.results import Result, read_cost, read_log, read_result, revision
from zipper.studies.study import Measure, Run
from zipper.training.state import STATE_FILE
from zipper.training.variants import is_finished, train_variant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Folders of a study: the work folder to train on, models, results, and a model folder with the other parts."""

    work: Path
    models: Path
    results: Path
    parts: Path


@dataclass(frozen=True)
class Standing:
    """What of a run is there: missing measurements have their inputs, those that are left out have not."""

    run: Run
    trained: bool
    missing: tuple[Measure, ...]
    left_out: tuple[Measure, ...]

    def __str__(self) -> str:
        words = ["trained" if self.trained else "not trained"]
        words += [f"{measure} missing" for measure in self.missing]
        words += [f"{measure} left out, as its inputs are not named" for measure in self.left_out]
        return f"{self.run.name}: {', '.join(words)}"


def standing(run: Run, measures: Sequence[Measure], places: Places, measuring: Measuring) -> Standing:
    """What of a run is done. Raises ConfigError where it was trained with other settings."""
    result = _result(run, places)
    missing: list[Measure] = []
    left_out: list[Measure] = []
    for measure in measures:
        inputs = measuring.inputs_of(measure)
        if result and measure in result.measured and inputs in (None, result.measured[measure].inputs):
            continue
        (missing if inputs else left_out).append(measure)
    return Standing(run, result is not None, tuple(missing), tuple(left_out))


def complete(
    run: Run, measures: Sequence[Measure], places: Places, measuring: Measuring, command: str, only_train: bool = False
) -> Result:
    """Train a run where it is not, measure what is missing, and keep it all in RESULTS/NAME.json after each step."""
    result, folder = _result(run, places), places.models / run.name
    if result is None:
        if not is_finished(folder):
            log.info("training %s", run.name)
            train_variant(run.to_train(), places.work, folder, places.parts, resume=True)
        (folder / "run" / STATE_FILE).unlink(missing_ok=True)  # twelve bytes a parameter, needed no longer
        result = _new_result(run, folder / "run", command)
        result.save(places.results)
    for measure in () if only_train else standing(run, measures, places, measuring).missing:
        if not is_finished(folder):
            raise ConfigError(f"The model {run.name} is gone: name its --out, or delete its JSON to train it again.")
        log.info("measuring %s of %s", measure, run.name)
        result.measured[measure] = measuring.measure(measure, folder, places.work / TEXT_TOWER, command)
        result.save(places.results)
    return result


def _result(run: Run, places: Places) -> Result | None:
    """The result of a run; None where it has not been trained."""
    path = places.results / f"{run.name}.json"
    if not path.is_file():
        return None
    result = read_result(path)
    differing = sorted(set(result.settings) ^ set(run.settings))
    if differing:
        raise ConfigError(
            f"{path.name} was trained with other settings ({', '.join(differing)}): "
            "repeat its options or name another --out."
        )
    return result


def _new_result(run: Run, folder: Path, command: str) -> Result:
    steps, losses, gates = read_log(folder)
    return Result(
        run.name,
        run.variant,
        run.recipe.title,
        run.recipe.stage,
        run.fraction,
        run.seed,
        list(run.settings),
        revision(),
        command,
        steps,
        read_cost(folder),
        losses,
        gates,
    )
