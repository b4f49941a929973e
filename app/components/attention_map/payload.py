"""The data of an attention map for the browser, as JSON: packed weights, sound, words, path and gates.

Weights are sent as bytes: the square root of each weight's share of its head's maximum, 0..255, so that small weights
keep their precision; shares below FAINTEST become 0, which compresses the rest to about a tenth. Every array is base64
of deflated little-endian numbers. A long recording has many passages, of which one is shown at a time: the page gets
the words of all passages and the picture of the first, and requests other pictures when it shows them. So the work
before a result is shown is that of one passage, however long the recording.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from app.components.attention_map.mel import mel_strip
from app.state import DisplayedResult
from zipper import limits
from zipper.rates import TOKEN_RATE
from zipper.results import Attention, Passage, Speech

HeadView = Literal["alignment", "mean", "point", "head"]
Normalize = Literal["softmax", "row maximum"]
FAINTEST = 1e-3  # share of a head's maximum
PEAKS = 100  # pairs of lowest and highest sample a second
QUIETEST_PEAK = 0.05  # least full scale of the waveform strip, so that silence stays flat
DEFLATE = 6
NO_LINK = (
    "There is no link to this result: a link can carry an example as it is offered, or a text of up to "
    f"{limits.MAX_LINK_CHARACTERS} characters, but no recording of your own."
)


class Selection(NamedTuple):
    """Which matrix is shown: of which passage, of which heads, and how its rows are scaled.

    view: mean of the "alignment" heads, "mean" of all heads, of those of one zip "point", or one "head".
    """

    passage: int = 0
    view: HeadView = "alignment"
    point: int = 0
    head: int = 0
    normalize: Normalize = "softmax"


def parse_selection(data: Mapping[str, Any], passages: Sequence[Passage]) -> Selection:
    """A selection from a page: unknown names become the default, indices are clamped."""
    passage = _index(data.get("passage"), len(passages))
    points, heads = passages[passage].attention.weights.shape[:2]
    view: HeadView = _one_of(data.get("view"), get_args(HeadView))
    normalize: Normalize = _one_of(data.get("normalize"), get_args(Normalize))
    return Selection(passage, view, _index(data.get("point"), points), _index(data.get("head"), heads), normalize)


def selected_matrix(attention: Attention, selection: Selection) -> tuple[npt.NDArray[np.float32], str]:
    """The weights of a selection (T text, T speech), and their name."""
    weights = attention.weights.astype(np.float32)
    if selection.view == "head":
        matrix = weights[selection.point, selection.head]
        name = f"zip point {selection.point + 1}, head {selection.head + 1}"
    elif selection.view == "point":
        matrix = weights[selection.point].mean(0)
        name = f"zip point {selection.point + 1}, mean of {weights.shape[1]} heads"
    elif selection.view == "alignment":
        heads = attention.heads
        matrix = np.mean([weights[head.zip_point, head.head] for head in heads], axis=0, dtype=np.float32)
        name = f"mean of {len(heads)} alignment heads"
    else:
        matrix, name = weights.mean((0, 1)), f"mean of all {weights.shape[0] * weights.shape[1]} heads"
    if selection.normalize == "row maximum":
        return matrix / np.maximum(matrix.max(1, keepdims=True), 1e-9), f"{name}, each row by its maximum"
    return matrix, f"{name}, softmax weights"


def passages_with_map(displayed: DisplayedResult) -> list[Passage]:
    """The passages of a result that have a map: none where only one modality was used."""
    return [passage for passage in displayed.result.passages if passage.attention.weights.size]


def map_payload(displayed: DisplayedResult, audio_url: str | None = None) -> dict[str, Any] | None:
    """The value of an AttentionMap, JSON-able; None where only one modality was used.

    audio_url: where a browser loads the sound from. Only the first passage has its picture; see `passage_payload`.
    """
    passages = passages_with_map(displayed)
    if not passages:
        return None
    first = passages[0].attention
    outlines = [_outline(passage) for passage in passages]
    return {
        "result": displayed.id,
        "title": displayed.title,
        "direction": first.direction,
        "seconds": round(len(displayed.samples) / displayed.sample_rate, 3),
        "seconds_per_token": 1 / TOKEN_RATE,
        "audio": audio_url,
        "link": displayed.link,
        "no_link": None if displayed.link else NO_LINK,
        "synthesized": isinstance(displayed.result, Speech),
        "heads": [[h.zip_point, h.head, round(h.score, 4)] for h in first.heads],
        "gates": [[round(float(gate), 4) for gate in row] for row in first.gates],
        "passages": [outlines[0] | _picture(passages[0], displayed), *outlines[1:]],
    }


def passage_payload(displayed: DisplayedResult, index: object) -> dict[str, Any] | None:
    """The picture of another passage of a result that is on the page, JSON-able; None where there is no map.

    index: as it comes from the page, clamped.
    """
    passages = passages_with_map(displayed)
    if not passages:
        return None
    number = _index(index, len(passages))
    return {"result": displayed.id, "index": number, "picture": _picture(passages[number], displayed)}


def _outline(passage: Passage) -> dict[str, Any]:
    """Start, size and words of a passage."""
    return {
        "start": round(passage.start, 3),
        "shape": list(passage.attention.weights.shape),
        "words": [_timed(w.text, w.start, w.end, w.confidence) for w in passage.words],
    }


def _picture(passage: Passage, displayed: DisplayedResult) -> dict[str, Any]:
    """The arrays that are drawn of a passage, packed."""
    attention = passage.attention
    weights, maxima = quantize(attention.weights)
    rate = displayed.sample_rate
    samples = displayed.samples[round(passage.start * rate) : round(passage.end * rate)]
    mel = mel_strip(samples, rate)
    return {
        "weights": packed(weights),
        "maxima": [round(float(m), 6) for m in maxima.ravel()],
        "path": packed(attention.path.astype("<u2")),
        "tokens": [
            _timed(token.text.strip(), token.start, token.end, index == 0 or token.text.startswith(" "))
            for index, token in enumerate(attention.text_tokens)
        ],
        "codes": [token.text for token in attention.speech_tokens],
        "peaks": packed(waveform_peaks(samples, rate)),
        "mel": packed(mel),
        "mel_shape": list(mel.shape),
    }


def quantize(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Weights (Z, H, T text, T speech) as bytes of the same shape, and each head's maximum (Z, H).

    A weight is its head's maximum times (byte / 255)².
    """
    exact = weights.astype(np.float32)
    maxima = exact.max((2, 3))
    share = exact / np.maximum(maxima, 1e-9)[:, :, None, None]
    share[share < FAINTEST] = 0
    return np.rint(255 * np.sqrt(share)).astype(np.uint8), maxima


def packed(array: npt.NDArray[Any]) -> str:
    """Base64 of the deflated bytes of an array."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), DEFLATE)).decode("ascii")


def waveform_peaks(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.int8]:
    """Lowest and highest sample of each 1/PEAKS s, -127..127 of the loudest: (n, 2)."""
    width = max(1, rate // PEAKS)
    count = -(-len(samples) // width)
    frames = np.zeros((count, width), np.float32)
    frames.ravel()[: len(samples)] = samples
    loudest = max(float(np.abs(samples).max(initial=0.0)), QUIETEST_PEAK)
    pairs = np.stack([frames.min(1, initial=0.0), frames.max(1, initial=0.0)], 1) / loudest
    return np.rint(127 * pairs).astype(np.int8)


def _timed(text: str, start: float, end: float, extra: float | bool | None) -> list[Any]:
    return [text, round(start, 3), round(end, 3), round(extra, 4) if isinstance(extra, float) else extra]


def _one_of(value: object, names: Sequence[Any]) -> Any:
    """A name from a page; the first for anything else."""
    return value if value in names else names[0]


def _index(value: object, count: int) -> int:
    """A whole number from a page, clamped to 0 .. count - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return 0
    return int(min(max(value, 0), count - 1))
