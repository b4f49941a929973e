"""Names that the tests share; a module of its own, as every folder of tests has its own conftest."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

GATE = 0.5  # of the tiny model's zips: open, or nothing would flow between the towers

Samples = npt.NDArray[np.float32]
MakeSpeech = Callable[..., Samples]  # (seconds, rate=16 kHz) -> samples
