"""The line that says what is wrong with the link by which the page was opened."""

from pathlib import Path

import gradio as gr

from app.components.html import component

HERE = Path(__file__).resolve().parent


def link_notice(elem_id: str) -> gr.HTML:
    """A component that takes a sentence, which is set as text. Event `opened`: the page was opened by a link.

    The event comes from here, and not from the page's own `load`, so that a visitor without a link sends nothing.
    """
    return component(HERE, elem_id, "")
