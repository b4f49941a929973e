"""What a map asks of the server: the picture of another passage, and files of what is shown to take along."""

from typing import Any

import gradio as gr

from app.components.attention_map import AttentionMap
from app.components.attention_map.figures import export_map
from app.components.attention_map.payload import turn_payload
from app.errors import guarded
from app.sound import new_folder
from app.state import Shown
from zipper import Zipper
from zipper.errors import OptionError


def offer(model: Zipper, heatmap: AttentionMap, shown: gr.State) -> None:
    """Answer a map that turns to another passage, and its export button with files; shown: the state of its panel."""
    files = gr.Files(label="This picture and its numbers", visible=False, interactive=False)

    @guarded
    def export(current: Shown | None, event: gr.EventData) -> dict[str, Any]:
        if current is None:
            raise OptionError("There is no picture yet.")
        selection = event._data if isinstance(event._data, dict) else {}
        return gr.update(value=export_map(current, selection, model.heads, new_folder()), visible=True)

    @guarded
    def turn(current: Shown | None, event: gr.EventData) -> dict[str, Any] | None:
        if current is None:
            raise OptionError("This result is no longer here; please run it again.")
        asked = event._data if isinstance(event._data, dict) else {}
        return turn_payload(current, model.heads, asked.get("passage"))

    light: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    heatmap.export(export, shown, files, api_visibility="private", concurrency_limit=1)
    heatmap.turn(turn, shown, heatmap, trigger_mode="multiple", **light)
    shown.change(lambda: gr.update(value=None, visible=False), None, files, **light)
