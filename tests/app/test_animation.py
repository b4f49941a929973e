"""The GIF of a map: as long as its sound, with a cursor that moves and the spoken word marked, and small."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from known_maps import make_passage, make_result
from PIL import Image

from app.components.attention_map import animation
from app.components.attention_map.figures import export_map

CURSOR = np.array(animation.RGB[animation.CURSOR])
SPOKEN = np.array([int(animation.SPOKEN[i : i + 2], 16) for i in (1, 3, 5)])
PLOT = animation.Plot(0.1, 0.9, 0.1, 0.6, 0.9)


def frames(gif: bytes) -> list[np.ndarray]:
    """All frames (height, width, 3), each as a viewer shows it."""
    opened = Image.open(io.BytesIO(gif))
    found = []
    for number in range(opened.n_frames):  # type: ignore[attr-defined]
        opened.seek(number)
        assert opened.info["duration"] == 1000 // animation.FRAMES
        found.append(np.asarray(opened.convert("RGB")).astype(int))
    return found


def columns(frame: np.ndarray, color: np.ndarray, part: slice) -> np.ndarray:
    """The columns in which most pixels of some rows have a color."""
    return np.flatnonzero((np.abs(frame[part] - color).max(-1) < 8).mean(0) > 0.5)


@pytest.mark.parametrize(("tokens", "start"), [(40, 0.0), (33, 2.0)])
def test_the_cursor_moves_through_the_whole_sound(tokens: int, start: float) -> None:
    passage = make_passage(5, tokens, start=start)
    picture = Image.new("RGB", (400, 300), "white")
    seen = frames(animation.animate(picture, PLOT, passage))
    assert len(seen) == math.ceil(tokens / 25 * animation.FRAMES)
    middles = []
    for number, frame in enumerate(seen):
        middle = columns(frame, CURSOR, slice(190, 260)).mean()  # beneath the map, where there is no dot
        share = number / animation.FRAMES / (tokens / 25)
        assert abs(middle - 400 * (0.1 + 0.8 * share)) < 2
        middles.append(middle)
    assert middles == sorted(set(middles))


def test_the_spoken_word_stands_out_and_no_other() -> None:
    passage = make_passage(4, 40)
    width = 400
    placed = animation.place_words(passage.words, width)
    seen = frames(animation.animate(Image.new("RGB", (width, 300), "white"), PLOT, passage))
    for number, frame in enumerate(seen):
        time = number / animation.FRAMES
        for word, (left, top, right, bottom) in placed:
            lit = np.abs(frame[300 + top : 300 + bottom, left:right] - SPOKEN).max(-1) < 40
            assert (lit.mean() > 0.3) == (word.start <= time < word.end), (time, word)


def test_words_stay_inside_and_do_not_overlap() -> None:
    words = make_passage(30, 60, words=tuple(f"{'word' * (1 + n % 3)}{n}" for n in range(30))).words
    placed = animation.place_words(words, 500)
    boxes = [box for _, box in placed]
    assert [word for word, _ in placed] == list(words)
    assert all(0 <= left < right <= 500 for left, _, right, _ in boxes)
    for (_, top, right, _), (left, next_top, *_) in zip(boxes, boxes[1:], strict=False):
        assert (next_top == top and left >= right) or next_top > top


def test_the_exported_one_is_small_and_moves_over_the_map(tmp_path: Path) -> None:
    paths = export_map(make_result(make_passage(60, 250, 4, 4)), {}, tmp_path)  # 10 s, the noisiest of maps
    data = Path(next(path for path in paths if path.endswith(".gif"))).read_bytes()
    assert len(data) < 2_000_000
    opened = Image.open(io.BytesIO(data))
    assert opened.n_frames == 100 and opened.width <= animation.WIDEST  # type: ignore[attr-defined]
    assert opened.info["loop"] == 0
    first, *_, last = frames(data)
    still = slice(round(0.2 * len(first)), round(0.5 * len(first)))
    begin, end = (columns(frame, CURSOR, still).mean() for frame in (first, last))
    assert begin < 0.25 * opened.width and end > 0.75 * opened.width
