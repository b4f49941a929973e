"""Which cross-attention heads follow the speech: a score for each, the choice of the best, their file.

A head that aligns puts its weight near one monotonic path through (text tokens, speech tokens). Its score, 0
to 1, is the share of its weight near its own best path times the correlation between text and speech position
under that weight. The share alone would let a head pass that looks at one token all the time, the correlation
alone one that drifts along in a broad blur.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast, get_args

import numpy as np

from zipper.alignment.dtw import dtw_path
from zipper.errors import WeightsError
from zipper.results import AlignmentHead, Direction

NEAR = 1  # cells around the path that still count as on it


def monotonic_score(weights: np.ndarray, direction: Direction) -> float:
    """How well one head aligns: (text tokens, speech tokens) softmax weights -> 0..1.

    Rows (text_from_speech) or columns (speech_from_text) may sum to less than 1 when their begin and end
    tokens were left out: weight parked there counts as weight off the path.
    """
    n, m = weights.shape
    near = np.zeros((n, m), dtype=bool)
    for i, j in zip(*dtw_path(-weights.astype(np.float64)), strict=True):
        near[max(0, i - NEAR) : i + NEAR + 1, max(0, j - NEAR) : j + NEAR + 1] = True
    share = float(weights[near].sum()) / (n if direction == "text_from_speech" else m)
    return cast(float, min(1.0, share) * max(0.0, position_correlation(weights)))


def position_correlation(weights: np.ndarray) -> float:
    """Pearson correlation of text and speech position under (N, M) weights; 0 if one does not vary."""
    mass = weights.astype(np.float64)
    total = mass.sum()
    if total <= 0:
        return 0.0
    mass = mass / total
    rows = np.arange(mass.shape[0]) - mass.sum(1) @ np.arange(mass.shape[0])
    columns = np.arange(mass.shape[1]) - mass.sum(0) @ np.arange(mass.shape[1])
    variance = float((mass.sum(1) @ rows**2) * (mass.sum(0) @ columns**2))
    return float(rows @ mass @ columns) / variance**0.5 if variance > 1e-12 else 0.0


def score_heads(examples: Iterable[np.ndarray], direction: Direction) -> list[AlignmentHead]:
    """Mean score of every head over examples of weights (Z, H, T_text, T_speech); best first."""
    scores = [
        [[monotonic_score(head, direction) for head in zip_point] for zip_point in weights] for weights in examples
    ]
    if not scores:
        raise ValueError("Heads cannot be scored without an example.")
    mean = np.mean(scores, axis=0)  # (Z, H)
    heads = [AlignmentHead(direction, z, h, round(float(mean[z, h]), 4)) for z, h in np.ndindex(*mean.shape)]
    return sorted(heads, key=lambda head: -head.score)


def choose_heads(scored: Sequence[AlignmentHead], most: int = 6, ratio: float = 0.7) -> list[AlignmentHead]:
    """The best heads of one direction: at most `most`, none below `ratio` times the best, at least one."""
    ranked = sorted(scored, key=lambda head: -head.score)[:most]
    return [head for head in ranked if head.score >= ratio * ranked[0].score]


def save_heads(heads: Sequence[AlignmentHead], path: Path) -> None:
    """Write alignment.json: a list of {direction, zip_point, head, score}, one a line."""
    lines = ",\n".join("  " + json.dumps(asdict(head)) for head in heads)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def load_heads(path: Path) -> list[AlignmentHead]:
    """Read alignment.json; WeightsError when it is missing, malformed or empty."""
    try:
        heads = [_parse_head(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing, so the alignment heads are not known.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise WeightsError(f"{path} is not a list of alignment heads.") from None
    if not heads:
        raise WeightsError(f"{path} names no alignment head.")
    return heads


def _parse_head(entry: dict[str, object]) -> AlignmentHead:
    """One entry of alignment.json; ValueError and its like for anything else."""
    direction, zip_point, head = entry["direction"], entry["zip_point"], entry["head"]
    if direction not in get_args(Direction) or not isinstance(zip_point, int) or not isinstance(head, int):
        raise ValueError("not an alignment head")
    if zip_point < 0 or head < 0:
        raise ValueError("negative index of a head")
    return AlignmentHead(direction, zip_point, head, float(str(entry["score"])))  # type: ignore[arg-type]
