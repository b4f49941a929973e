"""The Explore panel: what the zips do, by closing them, by comparing directions, and by the towers alone."""

import gradio as gr

from app.explore import compare, gates, towers
from app.settings import Settings
from zipper import Zipper


def panel(model: Zipper, settings: Settings) -> None:
    """Build the panel inside the Blocks that is being made."""
    with gr.Tabs(elem_id="explore-tabs", overflow_behavior="wrap"):
        with gr.Tab("Gates", id="gates"):
            gates.panel(model)
        with gr.Tab("Both ways", id="both"):
            compare.both_panel(model)
        with gr.Tab("Round trip", id="round"):
            compare.round_panel(model)
        with gr.Tab("Towers", id="towers"):
            towers.panel(model)
