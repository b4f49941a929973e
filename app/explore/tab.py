"""The Explore panel: what the zips do, by closing gates, comparing directions, and running each tower alone."""

from collections.abc import Mapping

import gradio as gr

from app.explore import directions, gates, towers
from app.opening import Opening
from zipper import Zipper


def panel(model: Zipper, openings: Mapping[str, Opening]) -> gr.Tabs:
    """Build the panel inside the Blocks that is being made; returns its tabs.

    openings: how each of them with a comparison begins, by its id.
    """
    tabs = gr.Tabs(elem_id="explore-tabs", overflow_behavior="wrap")
    with tabs:
        with gr.Tab("Gates", id="gates"):
            gates.panel(model, openings["gates"])
        with gr.Tab("Both ways", id="both"):
            directions.both_panel(model, openings["both"])
        with gr.Tab("Round trip", id="round"):
            directions.round_panel(model, openings["round"])
        with gr.Tab("Towers", id="towers"):
            towers.panel(model)
    return tabs
