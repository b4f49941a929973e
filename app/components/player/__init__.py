"""A player of speech that is still being synthesized."""

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


def player(elem_id: str, value: dict[str, Any] | None = None) -> gr.HTML:
    """A component that plays speech while it is still being synthesized: script.js; takes what a `Stream` returns.

    value: finished speech that it offers to begin with, without playing it.

    Gradio's own streaming player starts some three seconds after the first chunk, and needs ffmpeg.
    """
    return component(HERE, elem_id, value)


@dataclass
class Stream:
    """Speech that is sent to a `player` chunk by chunk; name: tells the page to which speech a chunk belongs."""

    rate: int
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    chunks: list[str] = field(default_factory=list)

    def add(self, samples: npt.ArrayLike) -> dict[str, Any]:
        """Add a chunk, samples (n,); the value holds all chunks, of which Gradio only sends the new ones."""
        whole = np.round(np.clip(np.asarray(samples, np.float32), -1.0, 1.0) * 32767)
        self.chunks.append(base64.b64encode(whole.astype("<i2").tobytes()).decode())
        return {"run": self.name, "rate": self.rate, "chunks": list(self.chunks), "url": None}

    def end(self, url: str) -> dict[str, Any]:
        """The sound is complete and playback continues with the whole; url: where a browser loads it from."""
        return {"run": self.name, "rate": self.rate, "chunks": [], "url": url}
