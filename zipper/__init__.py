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
    from zipper.evaluation.metrics import error_rates, normalizer
    from zipper.model.cross_attention import GateScale
    from zipper.results import (
        AlignmentHead,
        Attention,
        Passage,
        Speech,
        SpeechPart,
        Token,
        Transcript,
        TranscriptPart,
        Word,
    )

__version__ = "0.1.0"

__all__ = [
    "AlignmentHead",
    "Attention",
    "GateScale",
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
    "error_rates",
    "errors",
    "normalizer",
]


_MODULES = {  # of the public names that are not results
    "GateScale": "zipper.model.cross_attention",
    "Zipper": "zipper.api",
    "error_rates": "zipper.evaluation.metrics",
    "normalizer": "zipper.evaluation.metrics",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that ``import zipper`` does not import torch."""
    if name not in __all__:
        raise AttributeError(f"module 'zipper' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "zipper.results")), name)
