"""Make the first look again, by the shipped weights: `python -m app.first_look`, after these have changed."""

import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from app import examples, models
from app.examples import example_of
from app.explore import directions, gates
from app.explore.inputs import DEFAULT_RECORDING, DEFAULT_TEXT
from app.explore.pair import PairOutputs
from app.first_look import files
from app.first_look.files import KeptResult
from app.first_look.look import FOLDER, INDEX, FirstLook
from app.state import DisplayedResult
from app.synthesize import tab as synthesize
from app.transcribe import tab as transcribe
from zipper import Zipper
from zipper.errors import ZipperError
from zipper.files import save
from zipper.results import Speech

RESULTS = {  # names of the files with the results of each panel
    "transcribe": ("recognition",),
    "synthesize": ("synthesis",),
    "gates": ("recognition", "unzipped"),
    "both": ("recognition", "reading"),
    "round": ("synthesis", "heard"),
}


def make(model: Zipper) -> dict[str, FirstLook]:
    """The first look of every panel, computed by the functions that answer a click."""
    recording = next(example for example in examples.recordings() if example.name == DEFAULT_RECORDING)
    path, said, voice = str(recording.path), recording.text, model.voices[0]
    closed = [0.0] * len(gates.gate_labels(model, "recognition"))
    return {
        "transcribe": FirstLook((_last(transcribe.example_steps(model, recording)),)),
        "synthesize": FirstLook((_last(synthesize.example_steps(model, DEFAULT_TEXT)),)),
        "gates": _compared(gates.compare_recording(model, path, said, closed)),
        "both": _compared(directions.both_directions(model, path, said, voice, synthesize.SEED)),
        "round": _compared(directions.round_trip(model, DEFAULT_TEXT, voice, synthesize.SEED)),
    }


def keep(looks: dict[str, FirstLook], folder: Path = FOLDER) -> None:
    """Write the first look of every panel into a folder. Raises StorageError."""
    folder.mkdir(exist_ok=True)
    index: dict[str, Any] = {}
    for panel, look in looks.items():
        results = dict(zip(RESULTS[panel], look.displayed, strict=True))
        for name, displayed in results.items():
            if displayed is None:
                continue
            sound = _sound(displayed, name)
            files.write(folder, name, KeptResult(displayed.result, sound, displayed.samples, displayed.sample_rate))
        index[panel] = {
            "results": [name if displayed else None for name, displayed in results.items()],
            "titles": [displayed.title if displayed else None for displayed in look.displayed],
            "link": look.displayed[0].link if look.displayed[0] else None,
            "status": look.status,
            "words": list(look.words),
        }
    save(folder / INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode() + b"\n")


def main() -> int:
    """Make the files; returns the exit code."""
    try:
        keep(make(models.load_model()))
    except ZipperError as error:
        print(f"app.first_look: {error}", file=sys.stderr)
        return 2
    print(f"{sum(path.stat().st_size for path in FOLDER.iterdir()) / 1000:.0f} kB in {FOLDER}")
    return 0


def _last(steps: Iterator[DisplayedResult | None]) -> DisplayedResult:
    *_, displayed = steps
    assert displayed is not None
    return displayed


def _compared(updates: Iterator[PairOutputs]) -> FirstLook:
    """What a comparison has shown in the end."""
    shown: dict[str, Any] = {}
    for update in updates:
        values = {field.name: getattr(update, field.name) for field in fields(update)}
        shown |= {name: value for name, value in values.items() if value != {"__type__": "update"}}
    words = (shown["left_words"], shown["right_words"])
    return FirstLook((shown["left"], shown["right"]), shown["status"]["text"], words)


def _sound(displayed: DisplayedResult, name: str) -> str:
    """Where the sound of a result lies, below assets/examples."""
    if isinstance(displayed.result, Speech):
        return f"{FOLDER.name}/{name}.ogg"
    example = example_of(displayed.samples)
    return f"recordings/{example.name}.opus" if example else f"{FOLDER.name}/synthesis.ogg"


if __name__ == "__main__":
    sys.exit(main())
