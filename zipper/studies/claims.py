"""What the paper claims, and what our runs say to it: holds, does not hold, or is within the spread of the seeds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from zipper.studies.measures import PAPER, THRESHOLD
from zipper.studies.results import Results, spread

HOLDS, FAILS, OPEN, MISSING = "holds", "does not hold", "within the spread of the seeds", "not measured yet"
BASE, SINGLE = "zipper", "single"
ZIP_POINTS = ("zips-1", "zips-2", BASE, "zips-9")
TABLES, ABLATIONS, FRACTIONS = PAPER["tables"], PAPER["ablations"], PAPER["aligned_data"]


@dataclass(frozen=True)
class Finding:
    """Our figures as text, and the verdict."""

    here: str
    verdict: str


@dataclass(frozen=True)
class Claim:
    """A claim, the study that measures it, the paper's figures, and how ours are judged; None without figures."""

    text: str
    study: str
    paper: str
    judge: Callable[[Results], Finding | None]

    def row(self, results: Results) -> tuple[str, str, str, str]:
        """Of the table on the page."""
        found = self.judge(results) or Finding("", MISSING)
        return self.text, self.paper, found.here, found.verdict


def figure(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds."""
    center, around = spread(values)
    return f"{center:.1f} ± {around:.1f}" if len(values) > 1 else f"{center:.1f} (one seed)"


def lower(better: Sequence[float], worse: Sequence[float]) -> Finding | None:
    """Whether every seed of one lies under every seed of the other."""
    if not better or not worse:
        return None
    verdict = HOLDS if max(better) < min(worse) else FAILS if min(better) > max(worse) else OPEN
    return Finding(f"{figure(better)} against {figure(worse)}", verdict)


def close(groups: Sequence[Sequence[float]], tolerance: float) -> Finding | None:
    """Whether the means lie within a share of the smallest one."""
    if not all(groups):
        return None
    means = [mean(group) for group in groups]
    verdict = HOLDS if max(means) <= (1 + tolerance) * min(means) else FAILS
    return Finding(_joined([figure(group) for group in groups]), verdict)


def _better(
    variants: tuple[str, str], measure: str, name: str, fraction: float = 1.0
) -> Callable[[Results], Finding | None]:
    first, second = variants
    return lambda r: lower(r.values(first, measure, name, fraction), r.values(second, measure, name, fraction))


def _close(variants: Sequence[str], measure: str, name: str, tolerance: float) -> Callable[[Results], Finding | None]:
    return lambda r: close([r.values(variant, measure, name) for variant in variants], tolerance)


def _kept(results: Results) -> Finding | None:
    """Whether no logit of text alone changed in any run of Zipper."""
    same = results.values(BASE, "text", "identical")
    if not same:
        return None
    before, after = (mean(results.values(BASE, "text", name)) for name in ("before", "after"))
    here = f"perplexity of a word {before:.1f} before, {after:.1f} after"
    return Finding(here, HOLDS if all(same) else FAILS)


def _lost(results: Results) -> Finding | None:
    before, after = (results.values(SINGLE, "text", name) for name in ("before", "after"))
    found = lower(before, after)
    return found and Finding(f"perplexity of a word {mean(before):.1f} before, {figure(after)} after", found.verdict)


def _pair(group: dict[str, dict[str, float]], names: tuple[str, str], key: str) -> str:
    return _joined([f"{group[name][key]:g}" for name in names])


def _ablation(names: Sequence[str], column: int) -> str:
    return _joined([f"{ABLATIONS[name][column]:g}" for name in names])


def _joined(figures: Sequence[str]) -> str:
    """Two against each other, or a row of several."""
    return (" against " if len(figures) == 2 else ", ").join(figures)


CLAIMS = (
    Claim(
        "With 1 % of the transcribed speech Zipper recognizes better than a Single Decoder",
        "aligned-data",
        f"{FRACTIONS[BASE][1]} against {FRACTIONS[SINGLE][1]}",
        _better((BASE, SINGLE), "readers", "wer", 0.01),
    ),
    Claim(
        "With all of it both recognize about as well, within a fifth",
        "tables",
        _pair(TABLES, (BASE, SINGLE), "clean"),
        _close((BASE, SINGLE), "readers", "wer", 0.2),
    ),
    Claim(
        "A frozen speech tower recognizes about as well as a trained one, within a tenth",
        "tables",
        _pair(TABLES, ("frozen", BASE), "clean"),
        _close(("frozen", BASE), "readers", "wer", 0.1),
    ),
    Claim(
        "Zipper is understood better than a Single Decoder, best sample of three",
        "tables",
        _pair(TABLES, (BASE, SINGLE), "synthesis"),
        _better((BASE, SINGLE), "resynthesis", "wer_best"),
    ),
    Claim(
        f"So it is in sentences of {THRESHOLD} characters and more",
        "synthesis-by-length",
        "better",
        _better((BASE, SINGLE), "synthesis", "wer.long"),
    ),
    Claim(
        "In shorter sentences the Single Decoder is understood better",
        "synthesis-by-length",
        "better",
        _better((SINGLE, BASE), "synthesis", "wer.short"),
    ),
    Claim(
        "An input projection on text makes synthesis better",
        "ablations",
        _ablation((BASE, "inputs-speech"), 1),
        _better((BASE, "inputs-speech"), "synthesis", "wer"),
    ),
    Claim(
        "Recognition hardly depends on the number of zip points, within a tenth",
        "ablations",
        _ablation(ZIP_POINTS, 0),
        _close(ZIP_POINTS, "readers", "wer", 0.1),
    ),
    Claim(
        "Synthesis is better with 9 zip points (the paper: 8) than with one",
        "ablations",
        _ablation(("zips-9", "zips-1"), 1),
        _better(("zips-9", "zips-1"), "synthesis", "wer"),
    ),
    Claim("Zipper keeps its text tower, to the bit", "text-ability", "claimed, not measured", _kept),
    Claim("A Single Decoder loses some of what it knew of text", "text-ability", "not measured", _lost),
)


def rows(results: Results) -> Iterator[tuple[str, str, str, str]]:
    """Claim, paper, here, verdict."""
    return (claim.row(results) for claim in CLAIMS)
