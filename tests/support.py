"""Names that the tests share; a module of its own, as every folder of tests has its own conftest."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from fuzz.tiny import GATE

__all__ = ["GATE", "MakeSpeech", "Samples"]

Samples = npt.NDArray[np.float32]
MakeSpeech = Callable[..., Samples]  # (seconds, rate=16 kHz) -> samples
