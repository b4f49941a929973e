"""Zipper: two pre-trained decoders, one for text and one for speech, zipped by gated cross-attention.

>>> from zipper import Zipper
>>> z = Zipper.from_pretrained()
>>> z.transcribe("clip.wav").text

Importing this package is cheap: torch and the models load when a name from here is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zipper import errors
from zipper.errors import ZipperError

if TYPE_CHECKING:
    from zipper.api import Zipper
    from zipper.results import Attention, Passage, Speech, SpeechPart, Token, Transcript, TranscriptPart, Word

__version__ = "0.1.0"

__all__ = [
    "Attention",
    "Passage",
    "Speech",
    "SpeechPart",
    "Token",
    "Transcript",
    "TranscriptPart",
    "Word",
    "Zipper",
    "ZipperError",
    "__version__",
    "errors",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that ``import zipper`` does not import torch."""
    if name not in __all__:
        raise AttributeError(f"module 'zipper' has no attribute {name!r}")
    return getattr(import_module("zipper.api" if name == "Zipper" else "zipper.results"), name)
