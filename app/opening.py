"""What the page shows when it is opened: finished examples, or what the link carries by which it was opened."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from app.errors import guarded
from app.first_look.look import FirstLook
from app.links import IN_EXPLORE, TABS, Known, Link, parse, with_head
from app.panel import Outputs, connect_run
from app.state import UNQUEUED
from zipper import Zipper
from zipper.errors import OptionError


@dataclass(frozen=True)
class Opening:
    """How one panel begins.

    link: the state that takes the `Link` where the page was opened by one to this panel. look: the example that is
    shown until the first run, None for an empty panel.
    """

    link: gr.State
    look: FirstLook | None = None

    def connect(
        self,
        model: Zipper,
        run: Callable[[Link], Iterator[Outputs]],
        outputs: Outputs,
        fill: Callable[[Link], list[Any]] | None = None,
        fields: Sequence[Any] = (),
    ) -> Dependency:
        """Fill the fields of the panel from a link at once, and run it once, in the queue and as a click would.

        run: the updates of the panel; fill: the values of the fields, where it has any. Returns what Stop cancels.
        """

        def start(link: Link) -> Iterator[Outputs]:
            if link.runs:
                yield from with_head(run(link), link, model)
            else:
                yield type(outputs)()

        if fill is not None:
            self.link.change(guarded(fill), self.link, list(fields), **UNQUEUED)
        return connect_run([self.link.change], start, [self.link], outputs)


def connect_link(
    model: Zipper, tabs: gr.Tabs, explore_tabs: gr.Tabs, notice: gr.HTML, openings: Mapping[str, Opening]
) -> None:
    """Read the query of the page's address when it is opened: choose its tab, and hand it to its panel.

    notice: the `link_notice` of the page, which says in a sentence what is wrong with a link.
    """
    names = list(openings)

    @guarded
    def open_link(request: gr.Request) -> list[Any]:
        values = dict(request.query_params)
        tab = values.get("tab")
        chosen = [gr.skip(), gr.skip()]
        if tab in TABS:
            inside = tab in (*IN_EXPLORE, "towers")
            chosen = [gr.Tabs(selected="explore" if inside else tab), gr.Tabs(selected=tab) if inside else gr.skip()]
        try:
            link = parse(values, Known.of(model)) if tab is not None else None
        except OptionError as error:
            said = f"{error} Nothing of it was used."
            return [*chosen, said, *(gr.skip() for _ in names)]
        return [*chosen, "", *(link if link and link.tab == name else gr.skip() for name in names)]

    outputs = [tabs, explore_tabs, notice, *(openings[name].link for name in names)]
    # In the queue, though not in that of the model: only there a state that has changed starts what waits for it
    notice.opened(open_link, None, outputs, show_progress="hidden", api_visibility="private")
