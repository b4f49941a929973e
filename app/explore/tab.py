"""The Explore panel: what the zips do, by closing gates, comparing directions, and running each tower alone."""

import gradio as gr

from app.explore import directions, gates, towers
from zipper import Zipper


def panel(model: Zipper) -> None:
    """Build the panel inside the Blocks that is being made."""
    with gr.Tabs(elem_id="explore-tabs", overflow_behavior="wrap"):
        with gr.Tab("Gates", id="gates"):
            gates.panel(model)
        with gr.Tab("Both ways", id="both"):
            directions.both_panel(model)
        with gr.Tab("Round trip", id="round"):
            directions.round_panel(model)
        with gr.Tab("Towers", id="towers"):
            towers.panel(model)
