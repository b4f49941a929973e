"""The page: a header, a tab for each panel, and how all of it looks."""

import html
from pathlib import Path
from typing import Any

import gradio as gr

from app import endpoints
from app.about import tab as about
from app.explore import tab as explore
from app.guard import Blocks
from app.settings import Settings
from app.synthesize import tab as synthesize
from app.transcribe import tab as transcribe
from zipper import Zipper, limits

HERE = Path(__file__).resolve().parent
PURPOSE = (
    "Two language models, one for text and one for speech, zipped together: "
    "record a sentence and read it, type one and hear it, and see which sound belongs to which word."
)
CLEAR_EVERY, CLEAR_AFTER = 600, 3600  # s: how often files are cleared, and how old they are then
TEAL = gr.themes.Color(
    "#eef8f7",
    "#d5efec",
    "#abded8",
    "#7fd1c3",
    "#45aaa1",
    "#1f7f80",
    "#17686c",
    "#17565b",
    "#17464d",
    "#123a40",
    "#0a2227",
)


def build(model: Zipper, settings: Settings) -> Blocks:
    """The whole page around a model."""
    with Blocks(
        title="Zipper: text and speech, zipped", analytics_enabled=False, delete_cache=(CLEAR_EVERY, CLEAR_AFTER)
    ) as page:
        gr.HTML(_header(), elem_id="header", padding=False)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            with gr.Tab("Transcribe", id="transcribe"):
                transcribe.panel(model, settings)
            with gr.Tab("Synthesize", id="synthesize"):
                synthesize.panel(model, settings)
            with gr.Tab("Explore", id="explore"):
                explore.panel(model, settings)
            with gr.Tab("About", id="about"):
                about.panel()
        gr.HTML(f"<p>{html.escape(bounds())}</p>", elem_id="bounds", padding=False)
        endpoints.add(model)
    return page


def bounds() -> str:
    """What one request may take, for people."""
    return (
        f"One request at a time, for everybody in turn. Recordings up to {limits.MAX_AUDIO_SECONDS / 60:g} minutes and "
        f"{limits.MAX_UPLOAD_BYTES / 1000**2:g} MB, texts up to {limits.MAX_TEXT_CHARACTERS:,} characters, "
        f"{limits.MAX_REQUEST_SECONDS / 60:g} minutes of computing. English only. "
        "What you record and type stays on this server, for about an hour."
    )


def look() -> dict[str, Any]:
    """Theme, style sheet and script, as `launch` takes them; nothing is loaded from elsewhere."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return {"theme": _theme(), "css_paths": [HERE / "page.css"], "js": script, "favicon_path": HERE / "logo.svg"}


def _header() -> str:
    """Static text of ours."""
    logo = (HERE / "logo.svg").read_text(encoding="utf-8")
    return f"<header>{logo}<div><h1>Zipper</h1><p>{PURPOSE}</p></div></header>"


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=TEAL,
        secondary_hue=TEAL,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )
    return theme.set(
        body_background_fill="#f6f8f9",
        body_background_fill_dark="#0f1517",
        background_fill_primary_dark="#151d20",
        background_fill_secondary_dark="#11191b",
        block_background_fill="white",
        block_background_fill_dark="#161f22",
        block_border_color="#dde4e6",
        block_border_color_dark="#2a363a",
        border_color_primary="#dde4e6",
        border_color_primary_dark="#2a363a",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="#46565b",
        block_label_text_color_dark="#a9bac0",
        block_title_text_color="#46565b",
        block_title_text_color_dark="#a9bac0",
        block_info_text_color="#5b6b70",
        block_info_text_color_dark="#97a8ae",
        body_text_color="#152226",
        body_text_color_dark="#e6eef0",
        body_text_color_subdued="#54646a",
        body_text_color_subdued_dark="#9badb3",
        input_background_fill="white",
        input_background_fill_dark="#10181a",
        button_primary_background_fill="#17686c",
        button_primary_background_fill_hover="#17565b",
        button_primary_background_fill_dark="#1f7f80",
        button_primary_background_fill_hover_dark="#17686c",
        button_primary_text_color="white",
        button_secondary_background_fill="#e9eff0",
        button_secondary_background_fill_hover="#dce6e8",
        button_secondary_background_fill_dark="#233034",
        button_secondary_background_fill_hover_dark="#2c3b40",
        link_text_color="#17686c",
        link_text_color_dark="#7fd1c3",
        link_text_color_visited_dark="#7fd1c3",
        table_even_background_fill_dark="#161f22",
        table_odd_background_fill_dark="#1b2629",
        input_border_width="1px",
        input_border_color="#cfd9dc",
        input_border_color_dark="#34444a",
        input_border_color_focus="#1f7f80",
        input_border_color_focus_dark="#45aaa1",
        button_large_text_size="*text_md",
        button_large_text_weight="600",
        button_large_padding="10px 16px",
        color_accent="#17686c",
        color_accent_soft="#d5efec",
        color_accent_soft_dark="#17464d",
    )
