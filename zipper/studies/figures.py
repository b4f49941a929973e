"""Figures as SVG that are read on light and on dark ground: no background, text and axes in a middle gray."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from zipper.studies.claims import ABLATIONS, BASE, FRACTIONS, SINGLE
from zipper.studies.measures import THRESHOLD, bands, wer
from zipper.studies.results import Results, spread
from zipper.studies.study import read_study

GRAY = "#808080"
COLORS = {BASE: "#3b8ad8", SINGLE: "#d9802b"}
TITLES = {BASE: "Zipper", SINGLE: "Single Decoder"}
STYLE: dict[Any, Any] = {
    "text.color": GRAY,
    "axes.labelcolor": GRAY,
    "axes.edgecolor": GRAY,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "grid.color": GRAY,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "legend.frameon": False,
    "font.size": 10.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "zipper",
}
PERCENT = "word error rate, %"
Draw = Callable[[Results], Figure | None]


def draw_all(results: Results, folder: Path) -> dict[str, Path]:
    """Draw every figure that has values into FOLDER/NAME.svg, and remove the others; paths by name."""
    drawn = {}
    with mpl.rc_context(STYLE):
        for name, draw in FIGURES.items():
            path, figure = folder / f"{name}.svg", draw(results)
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
            drawn[name] = path
    return drawn


def _new(columns: int = 1, width: float = 6.4, height: float = 3.6) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(1, columns, squeeze=False, sharey=columns > 1)[0]
    return figure, list(axes)


def _points(axis: Any, x: Sequence[float], groups: Sequence[Sequence[float]], variant: str) -> None:
    """Means with the standard deviation over the seeds."""
    centers, around = zip(*(spread(group) for group in groups), strict=True)
    axis.errorbar(x, centers, around, color=COLORS[variant], marker="o", capsize=3, label=TITLES[variant])


def _fractions(measure: str, with_paper: bool) -> Draw:
    """Error rates against the share of the transcribed speech, the paper's beside them where it has any."""

    def draw(results: Results) -> Figure | None:
        shares = sorted({run.fraction for run in results.runs})
        found = {v: [(s, g) for s in shares if (g := results.values(v, measure, "wer", s))] for v in (BASE, SINGLE)}
        if not all(len(points) > 1 for points in found.values()):
            return None
        figure, (axis,) = _new()
        for variant, points in found.items():
            _points(axis, [100 * share for share, _ in points], [group for _, group in points], variant)
            if with_paper:
                known = sorted(FRACTIONS[variant].items())
                label = f"{TITLES[variant]}, paper"
                axis.plot(*zip(*known, strict=True), color=COLORS[variant], ls=":", marker="D", mfc="none", label=label)
        axis.set(xscale="log", yscale="log", xlabel="share of the transcribed speech, %", ylabel=PERCENT)
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(LogFormatter())
        axis.legend()
        return figure

    return draw


def lengths(results: Results) -> Figure | None:
    """Error rates of synthesis against the number of characters."""
    figure, (axis,) = _new()
    for variant in (BASE, SINGLE):
        runs = [run.measured["synthesis"].utterances for run in results.of(variant) if "synthesis" in run.measured]
        points = []
        for low, high in bands():
            groups = [[u for u in utterances if low <= u["characters"] < high] for utterances in runs]
            if values := [wer(group) for group in groups if group]:
                points.append(((low + high) / 2, values))
        if not points:
            return None
        _points(axis, [x for x, _ in points], [group for _, group in points], variant)
    axis.axvline(THRESHOLD, color=GRAY, ls=":", label=f"paper: equal at about {THRESHOLD}")
    axis.set(xlabel="characters of the sentence", ylabel=PERCENT)
    axis.legend()
    return figure


def ablations(results: Results) -> Figure | None:
    """Error rates of recognition and synthesis as a share of those of the method as it is."""
    panels = [("recognition", "readers", 0), ("synthesis", "synthesis", 1)]
    panels = [panel for panel in panels if any(results.values(BASE, panel[1], "wer"))]
    names = {run.variant: run.title for run in results.runs if run.variant != SINGLE and run.fraction == 1}
    names |= {name: recipe.title for name, recipe in read_study("ablations").variants.items() if name in names}
    if not panels or len(names) < 2:
        return None
    order = [BASE, *(name for name in ABLATIONS if name in names and name != BASE)]
    order += sorted(name for name in names if name not in order)
    figure, axes = _new(len(panels), width=8.4, height=0.6 + 0.32 * len(order))
    for axis, (title, measure, column) in zip(axes, panels, strict=True):
        base = spread(results.values(BASE, measure, "wer"))[0]
        for row, name in enumerate(order):
            if values := results.values(name, measure, "wer"):
                center, around = spread(value / base for value in values)
                axis.errorbar(center, row, xerr=around, color=COLORS[BASE], marker="o", capsize=3, label="here")
            if name in ABLATIONS:
                x = ABLATIONS[name][column] / ABLATIONS[BASE][column]
                axis.plot(x, row + 0.25, color=COLORS[SINGLE], marker="D", mfc="none", ls="", label="paper")
        axis.set(xlabel=f"{title}: word error rate, 1 is as it is")
        axis.axvline(1, color=GRAY, ls=":")
    axes[0].set_yticks(range(len(order)), [names.get(name, TITLES[BASE]) for name in order])
    axes[0].invert_yaxis()
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    axes[-1].legend(handles.values(), handles.keys(), loc="best")
    return figure


def text_ability(results: Results) -> Figure | None:
    """Perplexity on held-out text before and after."""
    found = {v: [results.values(v, "text", name) for name in ("before", "after")] for v in (BASE, SINGLE)}
    found = {variant: groups for variant, groups in found.items() if all(groups)}
    if not found:
        return None
    figure, (axis,) = _new(width=4.4, height=3.0)
    for variant, groups in found.items():
        _points(axis, (0, 1), groups, variant)
    axis.set_xticks((0, 1), ("text tower alone", "after fusion"))
    axis.set(ylabel="perplexity of a word", xlim=(-0.3, 1.3))
    axis.legend()
    return figure


def gates(results: Results) -> Figure | None:
    """How far the gates of attention are open over training, a line for each zip point and seed."""
    runs = [run for run in results.of(BASE) if run.gates]
    if not runs:
        return None
    figure, axes = _new(2, width=8.4)
    for axis, target, title in zip(axes, ("text", "speech"), ("into text", "into speech"), strict=True):
        names = sorted(name for name in runs[0].gates[-1] if _is_attention(name, target))
        for number, name in enumerate(names):
            color = mpl.colormaps["viridis"](0.25 + 0.6 * number / max(1, len(names) - 1))
            for seed, run in enumerate(runs):
                label = f"zip point {name.split('.')[2]}" if seed == 0 else None
                axis.plot(*_line(run.gates, name), color=color, ls=("-", "--", ":")[seed % 3], label=label)
        axis.set(title=title, xlabel="step")
        axis.title.set_color(GRAY)
    axes[0].set(ylabel="gate of attention")
    axes[0].legend()
    return figure


def _is_attention(name: str, target: str) -> bool:
    return name.startswith(f"gate.{target}.") and name.endswith(".attention")


def _line(entries: Iterable[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    points = [(entry["step"], entry[name]) for entry in entries if name in entry]
    return [x for x, _ in points], [y for _, y in points]


FIGURES: dict[str, Draw] = {
    "aligned-data-recognition": _fractions("readers", with_paper=True),
    "aligned-data-synthesis": _fractions("synthesis", with_paper=False),
    "synthesis-by-length": lengths,
    "ablations": ablations,
    "text-ability": text_ability,
    "gates": gates,
}
