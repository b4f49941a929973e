"""Words of which some are marked, with a legend; marks differ by more than their color."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.components.html import component
from app.wer import MarkedWords

HERE = Path(__file__).resolve().parent


def marked_words(elem_id: str, value: dict[str, Any] | None = None) -> gr.HTML:
    """A component that takes what `marks` returns; words are set as text, so they may be user text."""
    return component(HERE, elem_id, value or marks("", []))


def marks(caption: str, words: MarkedWords) -> dict[str, Any]:
    """The value of the component: a caption, and the words with their marks."""
    return {"caption": caption, "words": [list(word) for word in words]}
