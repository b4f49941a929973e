"""The events of an attention map on the server: the picture of another passage, and files of the selected matrix."""

from typing import Any

import gradio as gr

from app.components.attention_map import AttentionMap
from app.components.attention_map.payload import passage_payload
from app.components.events import event_data
from app.errors import guarded
from app.sound import new_folder
from app.state import UNQUEUED, DisplayedResult
from zipper.errors import OptionError


def connect_map(heatmap: AttentionMap, result: gr.State) -> None:
    """Answer the events of a map; result: the state that holds the `DisplayedResult` of its panel."""
    files = gr.Files(label="This picture and its numbers", visible=False, interactive=False)

    @guarded
    def export(current: DisplayedResult | None, event: gr.EventData) -> dict[str, Any]:
        selection = event_data(event, "passage", "view", "point", "head", "normalize")
        if current is None or event_data(event, "result").get("result") != current.id:  # dropped after a while
            raise OptionError("This result is no longer here; please run it again.")
        from app.components.attention_map.figures import export_map  # matplotlib, which nothing else needs, takes 1 s

        return gr.update(value=export_map(current, selection, new_folder()), visible=True)

    @guarded
    def load_passage(current: DisplayedResult | None, event: gr.EventData) -> dict[str, Any] | None:
        if current is None:
            raise OptionError("This result is no longer here; please run it again.")
        return passage_payload(current, event_data(event, "passage").get("passage"))

    heatmap.export(export, result, files, api_visibility="private", concurrency_limit=1)
    heatmap.load_passage(load_passage, result, heatmap, trigger_mode="multiple", **UNQUEUED)
    result.change(lambda: gr.update(value=None, visible=False), None, files, **UNQUEUED)
