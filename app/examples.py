"""The recordings and texts that the page offers, and their results once the loaded model has computed them.

Only results of what comes with the repository are kept here, by number; nothing that a person sends ever is.
"""

import csv
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.settings import EXAMPLES
from app.state import DisplayedResult
from zipper.audio.io import Samples, load_audio
from zipper.errors import OptionError, ZipperError
from zipper.rates import SPEECH_RATE

LOG = logging.getLogger("zipper.app")
LENGTH_TOLERANCE = 0.1  # s by which a length in recordings.tsv may be off
ROUNDING = 1e-3  # of full scale, more than 16 bits lose
PAUSE_SECONDS = 0.05  # s between two checks whether people's requests are done

_PREPARING = threading.Lock()  # one example at a time in this process, because all use the same cores


@dataclass(frozen=True)
class ExampleRecording:
    """A row of recordings.tsv, with the file that belongs to it; text is what the speaker read."""

    name: str
    path: Path
    seconds: float
    text: str
    source: str
    license: str


def recordings(folder: Path = EXAMPLES) -> tuple[ExampleRecording, ...]:
    """The example recordings, shortest first."""
    with (folder / "recordings" / "recordings.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    examples = [
        ExampleRecording(
            name=row["id"],
            path=folder / "recordings" / f"{row['id']}.opus",
            seconds=float(row["seconds"]),
            text=row["text"].lower() if row["text"].isupper() else row["text"],
            source=row["source"],
            license=row["license"],
        )
        for row in rows
    ]
    return tuple(sorted(examples, key=lambda example: example.seconds))


@functools.cache
def _sound(path: Path) -> Samples:
    return load_audio(path)


def example_of(samples: Samples) -> ExampleRecording | None:
    """The example recording that samples (n,) at 16 kHz are, but for the rounding of a WAV file; None for any other."""
    for example in recordings():
        if abs(len(samples) / SPEECH_RATE - example.seconds) < LENGTH_TOLERANCE:
            sound = _sound(example.path)
            if len(sound) == len(samples) and float(np.abs(sound - samples).max()) < ROUNDING:
                return example
    return None


def texts(folder: Path = EXAMPLES) -> tuple[str, ...]:
    """The example texts."""
    rows = (folder / "texts.txt").read_text(encoding="utf-8").splitlines()
    return tuple(row.strip() for row in rows if row.strip())


class ExampleResults:
    """Results of `count` examples by number, once computed.

    compute: the steps of computing one, in model calls of a fraction of a second; the last step gives the result, the
    others None. paused: whether people's requests are running now, which have priority.
    """

    def __init__(
        self,
        compute: Callable[[int], Iterator[DisplayedResult | None]],
        count: int,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._compute = compute
        self._count = count
        self._paused = paused
        self._results: dict[int, DisplayedResult] = {}

    def get(self, number: int) -> DisplayedResult | None:
        """The result, None if it has not been computed yet."""
        return self._results.get(self.checked(number))

    def keep(self, number: int, result: DisplayedResult) -> None:
        """Store the result of an example."""
        self._results[self.checked(number)] = result

    def checked(self, number: int) -> int:
        """The number if there is such an example; OptionError otherwise."""
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < self._count:
            raise OptionError("There is no such example.")
        return number

    def prepare(self) -> threading.Thread:
        """Compute all missing results in a thread, after those of other panels.

        It ends early when the program does: torch must not run while Python shuts down.
        """
        thread = threading.Thread(target=self._fill, name="examples")
        thread.start()
        return thread

    def _fill(self) -> None:
        with _PREPARING:
            for warm_up, number in ((True, 0), *((False, number) for number in range(self._count))):
                if number in self._results:
                    continue
                try:
                    result = self._run(number)
                except ZipperError as error:  # a click on the example shows the error
                    LOG.warning("example %d has no result: %s", number, error)
                    continue
                if result is None:
                    return
                if not warm_up:  # first calls of several libraries take seconds, which do not count as the model's
                    self._results[number] = result

    def _run(self, number: int) -> DisplayedResult | None:
        """Compute one result, pauses not counted in its time; None if the program is ending."""
        seconds_taken, steps = 0.0, self._compute(number)
        while threading.main_thread().is_alive():
            if self._paused():
                time.sleep(PAUSE_SECONDS)
                continue
            started = time.monotonic()
            result = next(steps)
            seconds_taken += time.monotonic() - started
            if result is not None:
                return replace(result, seconds_taken=seconds_taken)
        return None
