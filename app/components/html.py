"""A component that is a folder: template.html, style.css and script.js."""

from pathlib import Path
from typing import Any

import gradio as gr


def component(folder: Path, elem_id: str, value: Any = None, *, default_css: bool = False, **props: Any) -> gr.HTML:
    """The component that lies in a folder; default_css: whether Gradio styles it too; props: what its script reads."""
    files = (folder / name for name in ("template.html", "style.css", "script.js"))
    template, style, script = (file.read_text(encoding="utf-8") for file in files)
    return gr.HTML(
        value,
        html_template=template,
        css_template=style,
        js_on_load=script,
        apply_default_css=default_css,
        elem_id=elem_id,
        **props,
    )
