"""Speech that is played while it is being made."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from app.components.html import component

HERE = Path(__file__).resolve().parent


def player(elem_id: str) -> gr.HTML:
    """A component that plays speech while it is still being made: script.js; takes what `playing` and `made` return.

    Gradio's own streaming player begins to sound some three seconds after the first chunk, and needs ffmpeg.
    """
    return component(HERE, elem_id)


@dataclass
class Stream:
    """Speech on its way to a `player`, chunk by chunk; each has a name, so that the page tells them apart."""

    rate: int
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    chunks: list[str] = field(default_factory=list)

    def add(self, samples: npt.ArrayLike) -> dict[str, Any]:
        """Another chunk, samples (n,); the value holds all so far, of which Gradio only sends what is new."""
        whole = np.round(np.clip(np.asarray(samples, np.float32), -1.0, 1.0) * 32767)
        self.chunks.append(base64.b64encode(whole.astype("<i2").tobytes()).decode())
        return {"run": self.name, "rate": self.rate, "chunks": list(self.chunks), "url": None}

    def end(self, url: str) -> dict[str, Any]:
        """The whole sound is there, and takes over from the chunks wherever they are."""
        return {"run": self.name, "rate": self.rate, "chunks": [], "url": url}
