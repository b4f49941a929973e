"""The selected map as files: a picture for a paper (PNG, SVG), a moving one (GIF), and its numbers (CSV, NPZ, JSON)."""

import csv
import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from PIL import Image

from app.components.attention_map import animation
from app.components.attention_map.mel import mel_strip
from app.components.attention_map.payload import (
    PEAKS,
    Selection,
    parse_selection,
    passages_with_map,
    selected_matrix,
    waveform_peaks,
)
from app.state import DisplayedResult
from zipper.errors import OptionError
from zipper.export import export
from zipper.files import save
from zipper.rates import TOKEN_RATE
from zipper.results import Attention, Passage, Token

QUESTIONS = {
    "text_from_speech": "where each text token looks in the speech",
    "speech_from_text": "where each speech token looks in the text",
}
# As on the page (heatmap/colors.js): lightness falls evenly from paper to the largest weight
STOPS = "#fbfcf9 #d1e9d3 #99d7bb #6ac0b0 #35a8a8 #008ba9 #1c6ba3 #294c92 #312c7b #261758 #190537"
COLORS = LinearSegmentedColormap.from_list("zipper", STOPS.split())
PATH, BOUNDARY = "#d9480f", "#6b7280"
DPI = 200  # dots an inch of the PNG
ROW_INCHES = 0.17  # one text token, so that its label stands at 8 points
TALLEST_INCHES = 24.0  # of the map; more rows get smaller labels
SECOND_INCHES = 1.1  # one second of speech
NARROWEST_INCHES, WIDEST_INCHES = 5.0, 14.0  # of the map
STRIP_INCHES = 0.45  # the waveform, and the mel strip
MARGIN_INCHES = 2.2  # labels, legend and titles beside the map
WORD_INCHES = 0.16  # least distance of two word labels above the map

# matplotlib shares its font and glyph caches between figures and makes no promise about threads
_DRAWING = threading.Lock()


class SelectedMap(NamedTuple):
    """The selected matrix (T text, T speech) of a result, its name, and the passage that it belongs to."""

    passage: Passage
    selection: Selection
    matrix: npt.NDArray[np.float32]
    name: str

    @property
    def attention(self) -> Attention:
        """The attention that the matrix was taken from."""
        return self.passage.attention


def export_map(displayed: DisplayedResult, selection: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the selected matrix into a folder; returns the paths of PNG, SVG, GIF, CSV, NPZ and the words as JSON.

    selection: as it comes from a page, see `payload.parse_selection`; it is not trusted. OptionError for a result
    without a map.
    """
    selected = selected_map(displayed, selection)
    stem = file_stem(selected)
    with _DRAWING:
        figure = draw(displayed, selected)
        pictures = {f"{stem}.{kind}": _rendered(figure, kind) for kind in ("png", "svg")}
        plot = _place(figure)
    files = {
        **pictures,
        f"{stem}.gif": animation.animate(Image.open(io.BytesIO(pictures[f"{stem}.png"])), plot, selected.passage),
        f"{stem}.csv": matrix_csv(selected).encode("utf-8"),
        f"{stem}.npz": matrix_npz(selected),
        f"{stem.split('-')[0]}-words.json": export(displayed.result, "json").encode("utf-8"),
    }
    return [str(save(folder / name, data)) for name, data in files.items()]


def selected_map(displayed: DisplayedResult, selection: Mapping[str, Any]) -> SelectedMap:
    """The map that a page has selected; OptionError for a result without one."""
    passages = passages_with_map(displayed)
    if not passages:
        raise OptionError("There is no attention map to export here: only one modality was used.")
    chosen = parse_selection(selection, passages)
    passage = passages[chosen.passage]
    return SelectedMap(passage, chosen, *selected_matrix(passage.attention, chosen))


def file_stem(selected: SelectedMap) -> str:
    """The start of the file names, such as "recognition-zip3-head2"."""
    chosen = selected.selection
    task = "recognition" if selected.attention.direction == "text_from_speech" else "synthesis"
    views = {
        "head": f"zip{chosen.point + 1}-head{chosen.head + 1}",
        "point": f"zip{chosen.point + 1}-mean",
        "alignment": "alignment-heads",
        "mean": "all-heads",
    }
    passage = f"-passage{chosen.passage + 1}" if chosen.passage else ""
    return f"{task}-{views[chosen.view]}{passage}"


def draw(displayed: DisplayedResult, selected: SelectedMap) -> Figure:
    """The figure: the map with tokens, words and path, a legend, and the sound beneath."""
    rows, columns = selected.matrix.shape
    width = float(np.clip(columns / TOKEN_RATE * SECOND_INCHES, NARROWEST_INCHES, WIDEST_INCHES))
    height = min(max(rows, 6) * ROW_INCHES, TALLEST_INCHES)
    size = (width + MARGIN_INCHES, height + 2 * STRIP_INCHES + MARGIN_INCHES)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.05, hspace=0.0))
    grid = figure.add_gridspec(3, 1, height_ratios=(height, STRIP_INCHES, STRIP_INCHES))
    axes = figure.add_subplot(grid[0])
    wave = figure.add_subplot(grid[1], sharex=axes)
    mel = figure.add_subplot(grid[2], sharex=axes)
    _draw_map(figure, axes, selected, 72 * 0.8 * height / max(rows, 6))
    _draw_words(axes, selected.passage.words, width)
    _draw_sound(wave, mel, displayed, selected.passage)
    mel.set_xlabel("seconds")
    _draw_title(figure, displayed, selected)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # user text may contain dollar signs
    return figure


def _draw_map(figure: Figure, axes: Axes, selected: SelectedMap, font_size: float) -> None:
    attention = selected.attention
    rows = len(selected.matrix)
    start, end = _span(selected.passage)
    top = max(float(selected.matrix.max()), 1e-6)
    image = axes.imshow(
        selected.matrix,
        cmap=COLORS,
        vmin=0.0,
        vmax=top,
        aspect="auto",
        interpolation="none",
        extent=(start, end, rows - 0.5, -0.5),
    )
    axes.set_yticks(range(rows), [printable_label(t) for t in attention.text_tokens], fontsize=min(8.0, font_size))
    axes.set_ylabel("text tokens")
    axes.tick_params(labelbottom=False)
    word_starts = [i for i, token in enumerate(attention.text_tokens) if i and token.text.startswith(" ")]
    axes.hlines([i - 0.5 for i in word_starts], start, end, colors=BOUNDARY, linewidths=0.4, linestyles="dotted")
    text, speech = attention.path.T
    axes.plot(start + (speech + 0.5) / TOKEN_RATE, text, color=PATH, linewidth=0.9, label="alignment path")
    axes.legend(loc="upper right", fontsize=7, framealpha=0.85, borderpad=0.3)
    share = selected.selection.normalize == "row maximum"
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, aspect=36)
    bar.set_label("share of the row's largest weight" if share else "attention weight (softmax)", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _draw_words(axes: Axes, words: Sequence[Any], width: float) -> None:
    """Dotted lines where words begin and end, and the words above the map where there is room."""
    low, high = axes.get_xlim()
    marks = sorted({time for word in words for time in (word.start, word.end)})
    axes.vlines(marks, *axes.get_ylim(), colors=BOUNDARY, linewidths=0.6, linestyles="dotted")
    last = -np.inf
    for word in words:
        middle = (word.start + word.end) / 2
        position = (middle - low) / max(high - low, 1e-6) * width
        if position - last < WORD_INCHES:
            continue
        last = position
        axes.annotate(
            word.text,
            (middle, 1.0),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=40,
            rotation_mode="anchor",
            ha="left",
            va="bottom",
            fontsize=8,
        )


def _draw_sound(wave: Axes, mel: Axes, displayed: DisplayedResult, passage: Passage) -> None:
    """Waveform and mel strip of the passage, on the map's axis of seconds."""
    rate = displayed.sample_rate
    samples = displayed.samples[round(passage.start * rate) : round(passage.end * rate)]
    peaks = waveform_peaks(samples, rate)
    times = passage.start + (np.arange(len(peaks)) + 0.5) / PEAKS
    wave.fill_between(times, peaks[:, 0] / 127, peaks[:, 1] / 127, color="0.3", linewidth=0)
    wave.set_ylim(-1, 1)
    wave.set_ylabel("wave", fontsize=8, rotation=0, ha="right", va="center")
    bands = mel_strip(samples, rate)
    if bands.size:
        extent = (passage.start, passage.start + len(samples) / rate, 0, 1)
        mel.imshow(bands, cmap="gray_r", aspect="auto", origin="lower", extent=extent, interpolation="bilinear")
    mel.set_ylabel("mel", fontsize=8, rotation=0, ha="right", va="center")
    wave.tick_params(labelbottom=False, bottom=False)
    mel.set_xlim(*_span(passage))
    for axes in (wave, mel):
        axes.set_yticks([])


def _draw_title(figure: Figure, displayed: DisplayedResult, selected: SelectedMap) -> None:
    """The result, the selected heads, and how far their gates are open."""
    chosen, passages = selected.selection, len(displayed.result.passages)
    details = [selected.name[0].upper() + selected.name[1:]]
    if chosen.view in ("head", "point"):
        attention, feed_forward = selected.attention.gates[chosen.point]
        details.append(f"gates: attention {attention:.2f}, feed-forward {feed_forward:.2f}")
    if passages > 1:
        details.append(f"passage {chosen.passage + 1} of {passages}")
    title = f"{displayed.title}: {QUESTIONS[selected.attention.direction]}"
    figure.suptitle(f"{title}\n{'; '.join(details)}", x=0.01, ha="left", fontsize=10)


def _span(passage: Passage) -> tuple[float, float]:
    """First and last second of the map's columns."""
    return passage.start, passage.start + passage.attention.weights.shape[3] / TOKEN_RATE


def _place(figure: Figure) -> animation.Plot:
    """Where the map and the strips beneath lie in the figure, once it has been drawn."""
    (heat, mel) = (figure.axes[number].get_position() for number in (0, 2))
    return animation.Plot(heat.x0, heat.x1, 1 - heat.y1, 1 - heat.y0, 1 - mel.y0)


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def matrix_csv(selected: SelectedMap) -> str:
    """The matrix as a table: a row for each text token with its times, a column for each speech token's start."""
    table = io.StringIO()
    writer = csv.writer(table)
    speech = selected.attention.speech_tokens
    writer.writerow(["token", "start", "end", *(f"{token.start:.2f}" for token in speech)])
    for token, row in zip(selected.attention.text_tokens, selected.matrix, strict=True):
        cells = [_cell(printable_label(token)), f"{token.start:.2f}", f"{token.end:.2f}"]
        writer.writerow([*cells, *(f"{weight:.5g}" for weight in row)])
    return table.getvalue()


def matrix_npz(selected: SelectedMap) -> bytes:
    """The matrix with its tokens, their times in seconds, the gates and its name, without pickled objects."""
    attention = selected.attention
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        weights=selected.matrix,
        name=np.array(selected.name),
        direction=np.array(attention.direction),
        gates=attention.gates,
        text_tokens=np.array([printable_label(token) for token in attention.text_tokens]),
        text_times=_times(attention.text_tokens),
        speech_tokens=np.array([int(token.text) for token in attention.speech_tokens], np.int32),
        speech_times=_times(attention.speech_tokens),
    )
    return buffer.getvalue()


def printable_label(token: Token) -> str:
    """A text token on one line, without the space that opens it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in token.text.strip())


def _times(tokens: Sequence[Token]) -> npt.NDArray[np.float32]:
    return np.array([(token.start, token.end) for token in tokens], np.float32).reshape(-1, 2)


def _cell(text: str) -> str:
    """A token as a cell that spreadsheets do not take for a formula."""
    return f"'{text}" if len(text) > 1 and text[0] in "=+-@" else text
