"""Names that the tests share; a module of its own, as every folder of tests has its own conftest."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fuzz.tiny import GATE

__all__ = ["GATE", "MakeSpeech", "Samples", "convert", "needs_ffmpeg"]

Samples = npt.NDArray[np.float32]
MakeSpeech = Callable[..., Samples]  # (seconds, rate=16 kHz) -> samples

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def convert(path: Path, name: str, *options: str) -> Path:
    """The same sound in another container."""
    out = path.with_name(name)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, *options, out], check=True)
    return out
