"""The page: a header, a tab for each panel, and its appearance."""

import html
from pathlib import Path
from typing import Any

import gradio as gr

from app.about import tab as about
from app.components.link_notice import link_notice
from app.endpoints import add_endpoints
from app.explore import tab as explore
from app.first_look.look import PANELS, load
from app.guard import Blocks
from app.opening import Opening, connect_link
from app.synthesize import tab as synthesize
from app.theme import make_theme
from app.transcribe import tab as transcribe
from zipper import Zipper, limits

HERE = Path(__file__).resolve().parent
PURPOSE = (
    "Two language models, one for text and one for speech, zipped together: "
    "record a sentence and read it, type one and hear it, and see which sound belongs to which word."
)
CLEAR_EVERY, CLEAR_AFTER = 600, 3600  # s between two clearings of files, and the age from which files are cleared


def build(model: Zipper, examples: bool = True) -> Blocks:
    """The whole page for a model; examples: whether it opens with the finished ones, which the shipped weights made."""
    page = Blocks(
        title="Zipper: text and speech, zipped", analytics_enabled=False, delete_cache=(CLEAR_EVERY, CLEAR_AFTER)
    )
    with page:
        gr.HTML(_header(), elem_id="header", padding=False)
        notice = link_notice("link-notice")
        openings = {name: Opening(gr.State(None), load(name) if examples else None) for name in PANELS}
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Transcribe", id="transcribe"):
                transcribe.panel(model, page, openings["transcribe"])
            with gr.Tab("Synthesize", id="synthesize"):
                synthesize.panel(model, page, openings["synthesize"])
            with gr.Tab("Explore", id="explore"):
                explore_tabs = explore.panel(model, openings)
            with gr.Tab("About", id="about"):
                about.panel()
        gr.HTML(f"<p>{html.escape(limits_text())}</p>", elem_id="bounds", padding=False)
        connect_link(model, tabs, explore_tabs, notice, openings)
        add_endpoints(model, page)
    return page


def limits_text() -> str:
    """The limits of one request, in a sentence for people."""
    return (
        f"One request at a time, for everybody in turn. Recordings up to {limits.MAX_AUDIO_SECONDS / 60:g} minutes and "
        f"{limits.MAX_UPLOAD_BYTES / 1000**2:g} MB, texts up to {limits.MAX_TEXT_CHARACTERS:,} characters, "
        f"{limits.MAX_REQUEST_SECONDS / 60:g} minutes of computing. English only. "
        "What you record and type stays on this server, for about an hour."
    )


def appearance() -> dict[str, Any]:
    """Theme, style sheet and script, as `launch` takes them; nothing is loaded from another server."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return {"theme": make_theme(), "css_paths": [HERE / "page.css"], "js": script, "favicon_path": HERE / "logo.svg"}


def _header() -> str:
    """Logo, name and purpose, as HTML."""
    logo = (HERE / "logo.svg").read_text(encoding="utf-8")
    return f"<header>{logo}<div><h1>Zipper</h1><p>{PURPOSE}</p></div></header>"
