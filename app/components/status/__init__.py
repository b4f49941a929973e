"""The status line: a sentence, and a progress bar while a run is under way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.components.html import component

HERE = Path(__file__).resolve().parent


def status_line(text: str, elem_id: str) -> gr.HTML:
    """A component that takes what `idle` and `busy` return; the sentence may contain user text."""
    return component(HERE, elem_id, idle(text), default_css=True)


def idle(text: str) -> dict[str, Any]:
    """No run is under way."""
    return {"text": text, "busy": False, "share": None}


def busy(text: str, share: float | None = None) -> dict[str, Any]:
    """A run is under way; share: how much of it is done, 0..1, None where that is not known."""
    return {"text": text, "busy": True, "share": None if share is None else min(max(share, 0.0), 1.0)}


def stopping(current: object) -> dict[str, Any]:
    """The line right after a click on Stop; unchanged where no run is under way."""
    return busy("Stopping …") if _is_busy(current) else gr.skip()


def stopped(current: object) -> dict[str, Any]:
    """The line after a run has ended: a run that was stopped leaves it busy."""
    return idle("Stopped.") if _is_busy(current) else gr.skip()


def _is_busy(current: object) -> bool:
    return isinstance(current, Mapping) and current.get("busy") is True
