"""Components of our own that are three files beside this one: what they hold, how it looks and what it does."""

from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).resolve().parent


def component(name: str, elem_id: str, **props: Any) -> gr.HTML:
    """The component of `name`.html, .css and .js; props: what its script reads of `props`."""
    template, style, script = ((HERE / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return gr.HTML(
        html_template=template, css_template=style, js_on_load=script, apply_default_css=False, elem_id=elem_id, **props
    )
