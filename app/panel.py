"""What all panels have in common: outputs of a handler, errors in the status line, starting and stopping a run.

The handler of a panel is a generator of `PanelOutputs`, which name what changes on the page. The same class, filled
with components in place of values, says where the values go.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import gradio as gr
from gradio.events import Dependency

from app.components.status import idle, stopped, stopping
from app.errors import guarded, plain_text
from app.state import MODEL, UNQUEUED
from zipper.errors import AudioError, OptionError, ZipperError

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 1.5  # of speech, as the page offers them
LARGEST_SEED = 2**53 - 1  # JavaScript and JSON readers keep whole numbers exact up to here
NO_RECORDING = "There is no recording yet: record something, upload a file or choose an example."


def unchanged() -> Any:
    """The field of an output that a handler leaves as it is."""
    return field(default_factory=gr.skip)


@dataclass(frozen=True)
class PanelOutputs:
    """What a handler changes on the page; what is left out stays as it is. Panels add their own fields."""

    status: Any = unchanged()

    def values(self) -> list[Any]:
        """The values, or the components, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


Outputs = TypeVar("Outputs", bound=PanelOutputs)
MAPS = ("heatmap", "left_map", "right_map")  # fields of outputs that hold a map
Handler = Callable[..., Iterator[Outputs]]


def with_errors(updates: Iterator[Outputs], outputs: type[Outputs]) -> Iterator[Outputs]:
    """The same updates; an error also stands in the status line, where it stays when the toast has disappeared."""
    try:
        yield from updates
    except (ZipperError, gr.Error) as error:
        yield outputs(status=idle(plain_text(error)))
        raise


def on_maps(update: Outputs, **fields: Any) -> Outputs:
    """The same update, with more fields in the payload of each map that it shows."""
    shown = {name: getattr(update, name, None) for name in MAPS}
    maps = {name: value for name, value in shown.items() if isinstance(value, dict) and "passages" in value}
    return replace(update, **{name: {**value, **fields} for name, value in maps.items()})


def connect_run(
    events: Sequence[Callable[..., Any]], handler: Handler[Outputs], inputs: Sequence[Any], outputs: Outputs
) -> Dependency:
    """Run a handler on events, such as clicks; outputs: the components of the panel. Returns what Stop cancels."""

    @guarded
    def run(*values: Any) -> Iterator[list[Any]]:
        with closing(with_errors(handler(*values), type(outputs))) as updates:  # type: ignore[type-var]
            for update in updates:
                yield update.values()

    # gr.on does not know the events of our own components
    start = events[0] if len(events) == 1 else partial(gr.on, list(events))
    dependency: Dependency = start(
        run,
        list(inputs),
        outputs.values(),
        show_progress="minimal",
        show_progress_on=outputs.status,
        api_visibility="private",
        **MODEL,
    )
    return dependency


def run_buttons(
    label: str, name: str, *, run_id: str = "run", variant: Literal["primary", "secondary"] = "primary"
) -> tuple[gr.Button, gr.Button]:
    """The button that starts a run and the one that stops it, side by side; name starts their ids."""
    with gr.Row():
        run = gr.Button(label, variant=variant, elem_id=f"{name}-{run_id}", min_width=120)
        stop = gr.Button("Stop", variant="stop", elem_id=f"{name}-stop", min_width=120)
    return run, stop


def connect_stop(stop: gr.Button, status: gr.HTML, runs: Sequence[Dependency]) -> None:
    """Make a button cancel runs. No new run starts before the old one has ended; the status line says when it has."""
    stop.click(stopping, status, status, cancels=list(runs), **UNQUEUED)
    for run in runs:
        run.then(stopped, status, status, **UNQUEUED)


def download(path: str) -> dict[str, Any]:
    """The update of a download button that offers a file."""
    return gr.update(value=path, interactive=True)


def initial(update: dict[str, Any]) -> dict[str, Any]:
    """An update as arguments of a component that is being made, so that it begins with what it would be updated to."""
    return {name: value for name, value in update.items() if name != "__type__"}


def no_download() -> dict[str, Any]:
    """The update of a download button that has nothing to offer."""
    return gr.update(value=None, interactive=False)


def require_recording(path: str | None) -> str:
    """The path of a recording that is there; AudioError otherwise."""
    if not path:
        raise AudioError(NO_RECORDING)
    if not Path(path).is_file():
        raise AudioError("That recording is no longer here; please record or upload it again.")
    return path


def check_seed(seed: float | None) -> int:
    """A seed from the page as a whole number; OptionError for none, a fraction or one that is out of range."""
    if seed is None or seed != seed or not 0 <= seed <= LARGEST_SEED or seed != int(seed):
        raise OptionError(f"The seed must be a whole number from 0 to {LARGEST_SEED:,}.")
    return int(seed)
