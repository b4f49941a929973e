"""The line that says what is going on: a sentence, and a bar while something is under way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.components.html import component

HERE = Path(__file__).resolve().parent


def status_line(text: str, elem_id: str) -> gr.HTML:
    """A component that takes what `idle` and `busy` return; the sentence is set as text, so it may quote people."""
    return component(HERE, elem_id, idle(text), default_css=True)


def idle(text: str) -> dict[str, Any]:
    """Nothing is under way."""
    return {"text": text, "busy": False, "share": None}


def busy(text: str, share: float | None = None) -> dict[str, Any]:
    """Work is under way; share: how much of it is done, 0..1, None if nobody knows."""
    return {"text": text, "busy": True, "share": None if share is None else min(max(share, 0.0), 1.0)}


def stopping(current: object) -> dict[str, Any]:
    """The line right after a click on Stop; as it was, where nothing is under way."""
    return busy("Stopping …") if _is_busy(current) else gr.skip()


def settled(current: object) -> dict[str, Any]:
    """The line after a run: one that still says that work is under way belongs to a run that was stopped."""
    return idle("Stopped.") if _is_busy(current) else gr.skip()


def stoppable(stop: gr.Button, status: gr.HTML, runs: Sequence[Dependency]) -> None:
    """Make a button stop runs. The page starts no new one before the old one has ended, so the line tells when."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    stop.click(stopping, status, status, cancels=list(runs), **quiet)
    for run in runs:
        run.then(settled, status, status, **quiet)


def _is_busy(current: object) -> bool:
    return isinstance(current, Mapping) and current.get("busy") is True
