"""The recordings and texts that the page offers, and their results once this very model has computed them.

Only what comes with the repository is kept here, by its number; nothing that a person sends ever is.
"""

import csv
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from app.settings import EXAMPLES
from app.state import MODEL, Shown
from zipper.errors import OptionError, ZipperError

LOG = logging.getLogger("zipper.app")
PAUSE_SECONDS = 0.05  # s between two looks whether people's requests are done

_PREPARING = threading.Lock()  # one example at a time in this process, as all take the same cores


@dataclass(frozen=True)
class Recording:
    """A row of recordings.tsv, with the file that belongs to it; text is what the speaker read."""

    name: str
    path: Path
    seconds: float
    text: str
    source: str
    license: str


def recordings(folder: Path = EXAMPLES) -> tuple[Recording, ...]:
    """The example recordings, shortest first."""
    with (folder / "recordings" / "recordings.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    found = [
        Recording(
            name=row["id"],
            path=folder / "recordings" / f"{row['id']}.opus",
            seconds=float(row["seconds"]),
            text=row["text"].lower() if row["text"].isupper() else row["text"],
            source=row["source"],
            license=row["license"],
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda recording: recording.seconds))


def texts(folder: Path = EXAMPLES) -> tuple[str, ...]:
    """The example texts."""
    lines = (folder / "texts.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


class Results:
    """Results of `count` examples by number, once computed.

    compute: the steps of computing one, in model calls of a fraction of a second; the last gives the result, the
    others None. paused: whether people's requests are running now, which go first.
    """

    def __init__(
        self, compute: Callable[[int], Iterator[Shown | None]], count: int, paused: Callable[[], bool] = lambda: False
    ) -> None:
        self._compute = compute
        self._count = count
        self._paused = paused
        self._kept: dict[int, Shown] = {}

    def get(self, number: int) -> Shown | None:
        """The result, None if it has not been computed yet."""
        return self._kept.get(self.checked(number))

    def keep(self, number: int, shown: Shown) -> None:
        """Remember the result of an example."""
        self._kept[self.checked(number)] = shown

    def checked(self, number: int) -> int:
        """The number if there is such an example; OptionError otherwise."""
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < self._count:
            raise OptionError("There is no such example.")
        return number

    def prepare(self) -> threading.Thread:
        """Compute all that are missing in a thread, after those that are being prepared already.

        It ends early when the program does: torch must not run while Python shuts down.
        """
        thread = threading.Thread(target=self._fill, name="examples")
        thread.start()
        return thread

    def _fill(self) -> None:
        with _PREPARING:
            for rehearsal, number in ((True, 0), *((False, number) for number in range(self._count))):
                if number in self._kept:
                    continue
                try:
                    shown = self._run(number)
                except ZipperError as error:  # then a click says so
                    LOG.warning("example %d has no result: %s", number, error)
                    continue
                if shown is None:
                    return
                if not rehearsal:  # the first call of several libraries takes seconds, which would pass for the model's
                    self._kept[number] = shown

    def _run(self, number: int) -> Shown | None:
        """Compute one result, leaving the time that was waited out of its time; None if the program is ending."""
        taken, steps = 0.0, self._compute(number)
        while threading.main_thread().is_alive():
            if self._paused():
                time.sleep(PAUSE_SECONDS)
                continue
            started = time.monotonic()
            shown = next(steps)
            taken += time.monotonic() - started
            if shown is not None:
                return replace(shown, seconds_taken=taken)
        return None


def in_use(page: gr.Blocks) -> Callable[[], bool]:
    """A function that says whether an event of the page runs the model, for `Results`."""

    def used() -> bool:
        events = page._queue.event_queue_per_concurrency_id.get(MODEL["concurrency_id"])
        return events is not None and (events.current_concurrency > 0 or bool(events.queue))

    return used
