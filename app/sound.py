"""Files that the page plays or offers, in Gradio's cache."""

import secrets
from pathlib import Path
from urllib.parse import quote

import numpy.typing as npt
from gradio.utils import get_upload_folder

from zipper.audio.io import wav_bytes
from zipper.files import save


def to_wav(samples: npt.ArrayLike, rate: int, name: str) -> str:
    """Path of a 16-bit WAV file in Gradio's cache, called `name`, which must not come from a person."""
    return to_file(wav_bytes(samples, rate), name)


def to_file(data: bytes, name: str) -> str:
    """Path of a file in Gradio's cache; it is deleted some time after a component of the page has shown it."""
    return str(save(new_folder() / Path(name).name, data))


def new_folder() -> Path:
    """A folder in Gradio's cache whose name nobody can guess."""
    folder = Path(get_upload_folder()).resolve() / secrets.token_hex(20)
    folder.mkdir(parents=True)
    return folder


def audio_url(path: str) -> str:
    """What a browser loads such a file from; relative, so that it also works under a root path."""
    return f"gradio_api/file={quote(path)}"
