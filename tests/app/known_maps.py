"""ExampleResults with attention whose numbers are known, for the tests of the map."""

import numpy as np
import numpy.typing as npt

from app.state import DisplayedResult
from zipper.alignment.dtw import dtw_path
from zipper.alignment.words import mean_weights
from zipper.results import AlignmentHead, Attention, Direction, Passage, Token, Transcript, Word

RATE = 16_000
HEADS = (
    AlignmentHead("text_from_speech", 0, 1, 0.8),
    AlignmentHead("text_from_speech", 1, 2, 0.9),
    AlignmentHead("speech_from_text", 1, 0, 0.7),
)


def softmax(logits: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float16]:
    exponential = np.exp(logits - logits.max(axis, keepdims=True))
    return (exponential / exponential.sum(axis, keepdims=True)).astype(np.float16)


def make_passage(
    rows: int,
    columns: int,
    points: int = 2,
    heads: int = 3,
    start: float = 0.0,
    direction: Direction = "text_from_speech",
    words: tuple[str, ...] | None = None,
) -> Passage:
    """A passage whose heads look along the diagonal, each more blurred than the one before."""
    diagonal = np.linspace(0, columns - 1, rows)[:, None] - np.arange(columns)
    blur = np.arange(1, points * heads + 1).reshape(points, heads, 1, 1)
    noise = np.random.default_rng(0).normal(0, 1, (points, heads, rows, columns))
    weights = softmax(noise - (diagonal / blur) ** 2, 3 if direction == "text_from_speech" else 2)
    step = columns / 25 / rows
    texts = words or tuple(f"w{row}" for row in range(rows))
    times = [(start + row * step, start + (row + 1) * step) for row in range(len(texts))]
    best_first = tuple(sorted((h for h in HEADS if h.direction == direction), key=lambda head: -head.score))
    return Passage(
        " ".join(texts),
        tuple(Word(text, *time, 0.9) for text, time in zip(texts, times, strict=True)),
        Attention(
            direction,
            weights,
            np.linspace(-0.5, 0.9, 2 * points, dtype=np.float32).reshape(points, 2),
            tuple(Token(f" {text}", *time) for text, time in zip(texts, times, strict=True)),
            tuple(Token(str(t), start + t / 25, start + (t + 1) / 25) for t in range(columns)),
            best_first,
            np.stack(dtw_path(-mean_weights(weights, best_first, rows)), axis=1),
        ),
        start,
        start + columns / 25,
    )


def make_result(*passages: Passage) -> DisplayedResult:
    seconds = max(passage.end for passage in passages)
    samples = np.random.default_rng(1).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    return DisplayedResult(Transcript(passages, seconds), samples, RATE, 0.5, "Recognition")
