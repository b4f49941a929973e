"""Exported maps: the numbers are those that are displayed, and texts of people do no harm."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_maps import make_passage, make_result
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from app.components.attention_map import figures
from app.components.attention_map.figures import export_map
from app.components.attention_map.payload import parse_selection, selected_matrix
from app.state import DisplayedResult
from zipper.errors import OptionError
from zipper.results import Speech

HOSTILE = ("$x_1$", "<img src=x onerror=alert(1)>", "=1+1", "a&b", "\\frac", "日本")


def kinds(paths: list[str]) -> list[str]:
    return sorted(Path(path).suffix for path in paths)


@pytest.mark.parametrize(
    ("selection", "stem"),
    [
        ({}, "recognition-alignment-heads"),
        ({"view": "mean"}, "recognition-all-heads"),
        ({"view": "point", "point": 1}, "recognition-zip2-mean"),
        ({"view": "head", "point": 1, "head": 2, "normalize": "row maximum"}, "recognition-zip2-head3"),
        ({"view": "head", "head": 1, "passage": 1}, "recognition-zip1-head2-passage2"),
    ],
)
def test_files_hold_the_matrix_that_is_shown(tmp_path: Path, selection: dict[str, Any], stem: str) -> None:
    passages = (make_passage(5, 40), make_passage(7, 30, start=2.0))
    displayed = make_result(*passages)
    paths = export_map(displayed, selection, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(Path(path).name for path in paths)
    assert sorted(Path(path).name for path in paths) == sorted(
        [*(f"{stem}.{kind}" for kind in ("csv", "gif", "npz", "png", "svg")), "recognition-words.json"]
    )
    passage = passages[selection.get("passage", 0)]
    matrix, name = selected_matrix(passage.attention, parse_selection(selection, passages))

    with np.load(tmp_path / f"{stem}.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["weights"], matrix)
        assert str(arrays["name"]) == name and str(arrays["direction"]) == "text_from_speech"
        np.testing.assert_allclose(arrays["gates"], passage.attention.gates)
        assert arrays["text_tokens"].tolist() == [word.text for word in passage.words]
        assert arrays["text_times"].shape == (len(matrix), 2)
        assert arrays["speech_times"][0, 0] == pytest.approx(passage.start)
    rows = list(csv.reader((tmp_path / f"{stem}.csv").open(encoding="utf-8", newline="")))
    assert rows[0][:4] == ["token", "start", "end", f"{passage.start:.2f}"]
    np.testing.assert_allclose([[float(x) for x in row[3:]] for row in rows[1:]], matrix, rtol=1e-4, atol=1e-7)
    words = json.loads((tmp_path / "recognition-words.json").read_text(encoding="utf-8"))["words"]
    assert [word["text"] for word in words] == [word.text for word in displayed.result.words]


def test_pictures_show_something(tmp_path: Path) -> None:
    paths = export_map(make_result(make_passage(12, 60)), {}, tmp_path)
    picture = imread(next(path for path in paths if path.endswith(".png")))
    assert picture.shape[0] > 600 and picture.shape[1] > 1000  # pixels: legible in print
    strongest = np.abs(picture[..., :3] - to_rgb(figures.STOPS.split()[-1])).max(-1).min()
    assert strongest < 0.02  # the largest weight has the last color
    drawing = ElementTree.parse(next(path for path in paths if path.endswith(".svg"))).getroot()
    assert drawing.tag.endswith("svg") and len(list(drawing.iter())) > 100


def test_the_picture_says_what_it_shows() -> None:
    displayed = make_result(make_passage(5, 40))
    selected = figures.selected_map(displayed, {"view": "head", "point": 1, "head": 0})
    texts = [text.get_text() for text in figures.draw(displayed, selected).findobj(figures.Text)]
    title = next(text for text in texts if text.startswith("Recognition"))
    assert "Zip point 2, head 1, softmax weights" in title and "attention 0.43, feed-forward 0.90" in title
    for label in ("seconds", "text tokens", "wave", "mel", "attention weight (softmax)", "alignment path", "w3"):
        assert label in texts


@pytest.mark.filterwarnings("ignore:Glyph")  # the font has no Chinese letters and draws boxes for them
def test_texts_of_people_are_drawn_as_they_are(tmp_path: Path) -> None:
    displayed = make_result(make_passage(len(HOSTILE), 50, words=HOSTILE))
    selected = figures.selected_map(displayed, {})
    labels = list(figures.draw(displayed, selected).findobj(figures.Text))
    assert set(HOSTILE) <= {text.get_text() for text in labels}
    assert not any(text.get_parse_math() for text in labels)
    paths = export_map(displayed, {}, tmp_path)
    svg = next(path for path in paths if path.endswith(".svg"))
    assert "<img" not in Path(svg).read_text(encoding="utf-8")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(svg).iter()}
    assert not tags & {"img", "script", "foreignObject"}
    rows = list(csv.reader((tmp_path / "recognition-alignment-heads.csv").open(encoding="utf-8", newline="")))
    assert [row[0] for row in rows[1:]] == ["$x_1$", HOSTILE[1], "'=1+1", *HOSTILE[3:]]  # no formula


@pytest.mark.parametrize(
    "selection",
    [
        {"view": "head", "point": 99, "head": -5, "passage": 10**9},
        {"view": "../../etc/passwd", "point": "1", "normalize": None},
        {"view": ["head"], "point": float("nan"), "head": {}, "passage": True},
    ],
)
def test_nothing_in_a_selection_is_trusted(tmp_path: Path, selection: dict[str, Any]) -> None:
    paths = export_map(make_result(make_passage(3, 20)), selection, tmp_path)
    assert kinds(paths) == [".csv", ".gif", ".json", ".npz", ".png", ".svg"]
    assert all(Path(path).parent == tmp_path for path in paths)


def test_threads_draw_what_one_draws(tmp_path: Path) -> None:
    displayed = [make_result(make_passage(rows, 40)) for rows in (4, 9, 14)]

    def png(number: int, folder: str) -> bytes:
        (tmp_path / folder).mkdir()
        return Path(export_map(displayed[number % 3], {}, tmp_path / folder)[0]).read_bytes()

    alone = [png(number, f"alone{number}") for number in range(3)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: png(number, f"together{number}"), range(6)))
    assert together == alone * 2


def test_synthesis_is_named_as_such(tmp_path: Path) -> None:
    passage = make_passage(4, 30, direction="speech_from_text")
    samples = np.zeros(26_460, np.float32)
    speech = Speech((passage,), samples, 22_050, "ada", 0)
    paths = export_map(DisplayedResult(speech, samples, 22_050, 1.0, "Synthesis"), {}, tmp_path)
    assert all(Path(path).name.startswith("synthesis-") for path in paths)


def test_a_result_without_a_map_has_no_picture(tmp_path: Path) -> None:
    samples = np.zeros(100, np.float32)
    continuation = Speech((), samples, 22_050, "ada", 0)
    with pytest.raises(OptionError, match="only one modality"):
        export_map(DisplayedResult(continuation, samples, 22_050, 1.0, "Synthesis"), {}, tmp_path)
    assert not list(tmp_path.iterdir())
