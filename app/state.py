"""What one browser session keeps, and how events that run the model are queued."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zipper.results import Speech, Transcript

# For every event that runs the model: one at a time, whichever panel it comes from
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# For events that need no model: they run at once and show no progress
UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
STATE_SECONDS = 3600  # s that a result is kept for a session that does nothing


@dataclass(frozen=True, eq=False)
class DisplayedResult:
    """What a panel shows at present; kept in `gr.State(time_to_live=STATE_SECONDS)`.

    samples (n,) float32: the recording at 16 kHz, or the speech. seconds_taken: wall clock of the model. id: tells the
    page whether data that arrives later belongs to this result. link: query of the address that leads to the same
    result, None where none can.
    """

    result: Transcript | Speech
    samples: npt.NDArray[np.float32]
    sample_rate: int
    seconds_taken: float
    title: str
    link: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of_speech(
        cls, speech: Speech, seconds_taken: float, title: str = "Synthesis", link: str | None = None
    ) -> "DisplayedResult":
        """Synthesized speech, which holds its own samples."""
        return cls(speech, speech.samples, speech.sample_rate, seconds_taken, title, link)

    def __deepcopy__(self, memo: object) -> "DisplayedResult":
        """Itself, which nothing changes; Gradio copies the first value of a state for every session."""
        return self
