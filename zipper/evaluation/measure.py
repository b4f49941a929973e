"""One measurement of speed and memory, in a process of its own: prints one JSON line.

Peak memory can only be measured per process, so :mod:`zipper.evaluation.bench` runs this module once for each
engine, task and length.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zipper.audio.io import Samples, load_audio
from zipper.errors import OptionError
from zipper.evaluation.peers import FasterWhisper, require
from zipper.rates import SPEECH_RATE

CHARACTERS_PER_SECOND = 15.0  # of read English
SENTENCES = (
    "The river had risen in the night and the lower field was under water.",
    "We waited on the bridge until the first boat came slowly round the bend.",
    "Nobody spoke, but the old man lifted his hat and smiled at the children.",
    "By noon the sun was out again and the road to the village was almost dry.",
)

Stream = Callable[[Any], Iterable[float]]  # a recording or a text -> seconds of audio in each part, as it is ready


@dataclass(frozen=True)
class Case:
    """What to measure; `model` is a folder (None: the shipped one), `audio` a recording to cut or repeat."""

    engine: str
    task: str
    seconds: float
    threads: int
    model: str | None = None
    audio: str | None = None


@dataclass(frozen=True)
class Measured:
    """Seconds of wall clock and of audio, after a warm-up; memory in MB is the peak of the whole process."""

    load_s: float
    first_s: float
    total_s: float
    audio_s: float
    peak_mb: float


def make_recording(path: Path, seconds: float) -> Samples:
    """A recording cut or repeated to a length: float32 (n,) at 16 kHz."""
    samples = load_audio(path)
    count = round(seconds * SPEECH_RATE)
    return np.tile(samples, -(-count // len(samples)))[:count]


def make_text(seconds: float) -> str:
    """Whole sentences that take about this long to read, at least one."""
    text = SENTENCES[0]
    index = 1
    while len(text) + len(SENTENCES[index % len(SENTENCES)]) / 2 < seconds * CHARACTERS_PER_SECOND:
        text += " " + SENTENCES[index % len(SENTENCES)]
        index += 1
    return text


def load_engine(case: Case) -> Stream:
    """The engine and task of a case, loaded; OptionError if there is no such pair."""
    loaders = {
        ("zipper", "transcribe"): _zipper_transcribe,
        ("zipper", "synthesize"): _zipper_synthesize,
        ("faster-whisper", "transcribe"): _faster_whisper,
        ("hibari", "synthesize"): _hibari,
    }
    if (case.engine, case.task) not in loaders:
        raise OptionError(f"{case.engine} cannot {case.task}.")
    return loaders[case.engine, case.task](case)


def measure(case: Case) -> Measured:
    """Load, warm up on a short input of the same kind, then measure once."""
    start = time.perf_counter()
    stream = load_engine(case)
    loaded = time.perf_counter() - start
    for _ in stream(make_input(case, min(case.seconds, 2.0))):
        pass
    given = make_input(case, case.seconds)
    start = time.perf_counter()
    first, spoken = 0.0, 0.0
    for part in stream(given):
        first = first or time.perf_counter() - start
        spoken += part
    total = time.perf_counter() - start
    audio = case.seconds if case.task == "transcribe" else spoken
    return Measured(round(loaded, 3), round(first, 3), round(total, 3), round(audio, 2), _peak_mb())


def make_input(case: Case, seconds: float) -> Samples | str:
    """The text or recording of a case in another length; OptionError without a recording."""
    if case.task == "synthesize":
        return make_text(seconds)
    if case.audio is None:
        raise OptionError("Measuring recognition needs a recording.")
    return make_recording(Path(case.audio), seconds)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024), 1)  # bytes there, KiB on Linux


def load_zipper(case: Case) -> Any:
    """The Zipper of a case, with its threads."""
    import torch

    from zipper import Zipper

    torch.set_num_threads(case.threads)
    return Zipper.from_pretrained(case.model)


def _zipper_transcribe(case: Case) -> Stream:
    zipper = load_zipper(case)
    # A part without text is progress, not the first word.
    return lambda samples: (0.0 for part in zipper.transcribe_stream((samples, SPEECH_RATE)) if part.text)


def _zipper_synthesize(case: Case) -> Stream:
    zipper = load_zipper(case)
    return lambda text: (len(part.samples) / part.sample_rate for part in zipper.synthesize_stream(text))


def _faster_whisper(case: Case) -> Stream:
    model = FasterWhisper(Path(case.model or ""), case.threads)
    return lambda samples: (0.0 for _ in model.stream(samples))


def _hibari(case: Case) -> Stream:
    model = require("hibari").Hibari(threads=case.threads)
    return lambda text: (len(part) / model.sample_rate for part in model.stream(text, seed=0))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Case(**json.loads(sys.argv[1]))))))
