"""The attention map as a component of the page: a canvas with its sound, words, heads and gates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).resolve().parent
SCRIPTS = (  # joined in this order
    "colors.js",
    "data.js",
    "picture.js",
    "parts.js",
    "heatmap.js",
    "pointing.js",
    "playback.js",
    "sharing.js",
    "wiring.js",
)


class AttentionMap(gr.HTML):
    """Shows what `payload.map_payload` returns; None: nothing yet.

    player: CSS selector of another player on the page, such as that of streamed speech, whose sound moves the
    cursor too. Event `export`: a click on the export button; its data is the selection (see
    `payload.parse_selection`). Event `load_passage`: the page needs the picture of another `passage`, as
    `payload.passage_payload` returns it. Everything else, from hover to head switch, happens in the browser.
    """

    def __init__(
        self,
        value: dict[str, Any] | Callable[..., dict[str, Any] | None] | None = None,
        *,
        player: str | None = None,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        visible: bool = True,
        render: bool = True,
    ) -> None:
        super().__init__(
            value,
            html_template=_read("template.html"),
            css_template=_read("style.css"),
            js_on_load="\n".join(_read(name) for name in SCRIPTS),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            render=render,
            player=player,
        )
        self.player = player

    def api_info(self) -> dict[str, Any]:
        """Of programs that call an event of the page: the map is an object, not text."""
        return {"type": "object"}


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
