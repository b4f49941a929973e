"""The wall clock of one request: it starts with the call, and everything that the request does looks at it."""

import time

from zipper import limits
from zipper.errors import LimitError


class Clock:
    """Started when it is made. A request may take MAX_REQUEST_SECONDS, each of its passages MAX_PASSAGE_SECONDS."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def check(self) -> None:
        """Raise LimitError once the request has had its time."""
        self.passage_seconds()

    def passage_seconds(self) -> float:
        """How long a passage that begins now may take, s, above 0; LimitError once the request has had its time."""
        left = self._left()
        if left <= 0:
            raise self.late()
        return min(left, limits.MAX_PASSAGE_SECONDS)

    def late(self) -> LimitError:
        """What to raise for a passage that took as long as it may."""
        if self._left() > 0:
            seconds, what = limits.MAX_PASSAGE_SECONDS, "One passage"
        else:
            seconds, what = limits.MAX_REQUEST_SECONDS, "The request"
        return LimitError(f"{what} took longer than {seconds:g} s, so it was stopped; try something shorter.")

    def _left(self) -> float:
        return limits.MAX_REQUEST_SECONDS - (time.monotonic() - self._started)
