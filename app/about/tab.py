"""The About panel: what the page shows, in three paragraphs and a picture of the architecture."""

from pathlib import Path

import gradio as gr

from app.settings import ROOT

TEXT = Path(__file__).resolve().parent / "about.md"
PICTURE = ROOT / "assets" / "pictures" / "architecture.svg"


def panel() -> None:
    """Build the panel inside the Blocks that is being made."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            gr.Markdown(TEXT.read_text(encoding="utf-8"), elem_id="about-text")
        with gr.Column(scale=2, min_width=320):
            # Part of the page rather than an image file, so that it takes the theme's color of text
            gr.HTML(PICTURE.read_text(encoding="utf-8"), elem_id="about-picture")
