"""Results of runs that never were, with figures that are known."""

from collections.abc import Mapping
from typing import Any

from zipper.studies.results import Measured, Result

COMMAND = "./run reproduce made-up --work WORK"


def result(variant: str, seed: int, measured: Mapping[str, Mapping[str, float]], fraction: float = 1.0) -> Result:
    """A run with these figures by measure."""
    found = {name: Measured(COMMAND, {}, dict(figures)) for name, figures in measured.items()}
    return Result(
        name=f"{variant}-{100 * fraction:g}-{seed}",
        variant=variant,
        title=f"the {variant}",
        stage="single" if variant == "single" else "zip",
        fraction=fraction,
        seed=seed,
        settings=["loop.seconds=600"],
        revision="0123456789ab",
        command=COMMAND,
        steps=950,
        cost={"parameters": 24.5e6, "trained": 16.9e6, "training_flops": 58.5e6},
        losses={"readers.asr": 1.5},
        gates=[
            {"step": step, "gate.text.1.attention": 0.01 * step, "gate.speech.1.attention": 0.0} for step in (0, 20)
        ],
        measured=found,
    )


def spoken(errors: Mapping[int, int], words: int = 10) -> list[dict[str, Any]]:
    """Utterances of these lengths in characters with so many errors."""
    return [{"characters": length, "words": words, "errors": [count]} for length, count in errors.items()]
