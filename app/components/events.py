"""What an event of a component in JavaScript carries."""

from typing import Any

import gradio as gr


def event_data(event: gr.EventData, *names: str) -> dict[str, Any]:
    """The named fields of an event's data, without those that are missing; empty for data that is no object.

    Nothing in it may be trusted: anybody can send an event.
    """
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = getattr(event, name)
        except (AttributeError, TypeError):  # there is no such field, or the data is a number, a list or a text
            continue
    return found
