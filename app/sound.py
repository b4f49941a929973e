"""Sound on its way to the page: files that it plays or offers, and speech that is played while it is being made."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import numpy.typing as npt
from gradio.utils import get_upload_folder

from app.component import component
from zipper.audio.io import wav_bytes
from zipper.files import save


def to_wav(samples: npt.ArrayLike, rate: int, name: str) -> str:
    """Path of a 16-bit WAV file in Gradio's cache, called `name`, a name of ours and never a person's."""
    return to_file(wav_bytes(samples, rate), name)


def to_file(data: bytes, name: str) -> str:
    """Path of a file in Gradio's cache; it is deleted in time, once a component of the page has shown it."""
    return str(save(new_folder() / Path(name).name, data))


def new_folder() -> Path:
    """A folder in Gradio's cache whose name nobody can guess."""
    folder = Path(get_upload_folder()).resolve() / secrets.token_hex(20)
    folder.mkdir(parents=True)
    return folder


def audio_url(path: str) -> str:
    """What a browser loads such a file from; relative, so that it also works under a root path."""
    return f"gradio_api/file={quote(path)}"


def player(elem_id: str) -> gr.HTML:
    """A component that plays speech while it is still being made: player.js; takes what `playing` and `made` return.

    Gradio's own streaming player begins to sound some three seconds after the first chunk, and needs ffmpeg.
    """
    return component("player", elem_id)


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
