"""Words with marks on some of them, and what the marks mean: a component that tells them by more than colour."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.verdict import Marked

HERE = Path(__file__).resolve().parent
TEMPLATE = '<p class="caption"></p><p class="words" dir="auto"></p><p class="legend" aria-hidden="true"></p>'
CSS = """
p { margin: 0; line-height: 1.7; overflow-wrap: anywhere; }
.caption, .legend { color: var(--body-text-color-subdued); font-size: 13px; }
.words { font-size: 16px; min-height: 1.7em; }
mark { padding: 1px 4px; border-radius: 4px; color: inherit; background: none; }
.wrong { background: rgba(217, 119, 6, 0.22); text-decoration: underline wavy #d97706 1px; text-underline-offset: 4px; }
.missing { background: rgba(124, 58, 237, 0.16); text-decoration: line-through; opacity: 0.85; }
.added { background: rgba(2, 132, 199, 0.2); border-bottom: 2px dotted #0284c7; }
.continued { background: rgba(23, 104, 108, 0.18); border-bottom: 2px solid var(--color-accent); }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.legend mark { margin-right: 8px; color: var(--body-text-color); }
"""


def marked_words(elem_id: str) -> gr.HTML:
    """A component that takes what `marks` returns; words are set as text, so they may be people's."""
    script = (HERE / "marks.js").read_text(encoding="utf-8")
    return gr.HTML(
        marks("", []),
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=script,
        apply_default_css=False,
        elem_id=elem_id,
    )


def marks(caption: str, words: Marked) -> dict[str, Any]:
    """What is shown: a line on what the words are, and the words with their marks."""
    return {"caption": caption, "words": [list(word) for word in words]}
