"""The theme of the page: quiet surfaces and one accent, in a light and a dark variant."""

from typing import Any

import gradio as gr

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
VARIABLES: dict[str, Any] = {  # of Gradio's style sheet
    "body_background_fill": "#f6f8f9",
    "body_background_fill_dark": "#0f1517",
    "background_fill_primary_dark": "#151d20",
    "background_fill_secondary_dark": "#11191b",
    "block_background_fill": "white",
    "block_background_fill_dark": "#161f22",
    "block_border_color": "#dde4e6",
    "block_border_color_dark": "#2a363a",
    "border_color_primary": "#dde4e6",
    "border_color_primary_dark": "#2a363a",
    "block_shadow": "none",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "#46565b",
    "block_label_text_color_dark": "#a9bac0",
    "block_title_text_color": "#46565b",
    "block_title_text_color_dark": "#a9bac0",
    "block_info_text_color": "#5b6b70",
    "block_info_text_color_dark": "#97a8ae",
    "body_text_color": "#152226",
    "body_text_color_dark": "#e6eef0",
    "body_text_color_subdued": "#54646a",
    "body_text_color_subdued_dark": "#9badb3",
    "input_background_fill": "white",
    "input_background_fill_dark": "#10181a",
    "button_primary_background_fill": "#17686c",
    "button_primary_background_fill_hover": "#17565b",
    "button_primary_background_fill_dark": "#1f7f80",
    "button_primary_background_fill_hover_dark": "#17686c",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "#e9eff0",
    "button_secondary_background_fill_hover": "#dce6e8",
    "button_secondary_background_fill_dark": "#233034",
    "button_secondary_background_fill_hover_dark": "#2c3b40",
    "link_text_color": "#17686c",
    "link_text_color_dark": "#7fd1c3",
    "link_text_color_visited_dark": "#7fd1c3",
    "table_even_background_fill_dark": "#161f22",
    "table_odd_background_fill_dark": "#1b2629",
    "input_border_width": "1px",
    "input_border_color": "#cfd9dc",
    "input_border_color_dark": "#34444a",
    "input_border_color_focus": "#1f7f80",
    "input_border_color_focus_dark": "#45aaa1",
    "button_large_text_size": "*text_md",
    "button_large_text_weight": "600",
    "button_large_padding": "10px 16px",
    "color_accent": "#17686c",
    "color_accent_soft": "#d5efec",
    "color_accent_soft_dark": "#17464d",
}


def make_theme() -> gr.themes.Base:
    """The theme with fonts of the system, so that none is loaded."""
    theme = gr.themes.Base(
        primary_hue=TEAL,
        secondary_hue=TEAL,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )
    return theme.set(**VARIABLES)
