"""Words with marks on some of them, and what the marks mean: a component that tells them by more than color."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.components.html import component
from app.wer import Marked

HERE = Path(__file__).resolve().parent


def marked_words(elem_id: str) -> gr.HTML:
    """A component that takes what `marks` returns; words are set as text, so they may be people's."""
    return component(HERE, elem_id, marks("", []))


def marks(caption: str, words: Marked) -> dict[str, Any]:
    """What is shown: a line on what the words are, and the words with their marks."""
    return {"caption": caption, "words": [list(word) for word in words]}
