"""The page of claims, tables and figures, written from the results alone."""

from collections.abc import Sequence
from pathlib import Path

from zipper.files import save
from zipper.studies.claims import BASE, MISSING, SINGLE, TABLES, figure, rows
from zipper.studies.figures import draw_all
from zipper.studies.results import Results
from zipper.studies.study import STUDIES, Measure, read_study

PICTURES = "pictures"
SMALLEST = 1e6  # parameters; smaller ones are those of a toy
INPUTS: dict[Measure, str] = {
    "readers": "--readers MANIFEST",
    "recognition": "--tests MANIFEST",
    "synthesis": "--sentences FILE --judge WHISPER",
    "resynthesis": "--spoken MANIFEST --judge WHISPER",
    "text": "--text FILE",
}
INTRODUCTION = """\
# The paper's studies, repeated

What [the paper](https://arxiv.org/abs/2405.18669) claims, and what `./run reproduce` measures in the sizes of this
project: towers of 7.6 and 8.4 million parameters and tens of hours of speech, where the paper has 128 million or more
and hundreds of hours. Absolute error rates therefore do not compare; which system is better, and by what factor, does.
Both systems have about as many parameters, the same data and the same seconds of training. Figures are word error rates
in % where nothing else is said, with their standard deviation over the seeds. That one system is better *holds* where
each of its seeds is better than each of the other's. The command writes this page, from the JSON file of each run.
"""
WORDS = {
    "aligned-data": "Recognition of people who are held out from training, and synthesis of held-out sentences, first "
    "sample. Speech without transcripts stays the same for every share. The paper's points are of its larger towers.",
    "synthesis-by-length": "Held-out sentences, each spoken in one piece, first sample.",
    "tables": "Recognition of held-out readers and of whole test sets; synthesis of the texts of recordings, against "
    "the text and against what the judge hears in these recordings spoken again from their tokens (gold tokens).",
    "ablations": "Each variant differs from the method in what its name says.",
    "text-ability": "The text tower alone, and what the fused model makes of text alone.",
    "gates": "tanh of the gates of attention; 0 is closed. Each seed has a line of its own.",
}
FIGURES_OF = {
    "aligned-data": ("aligned-data-recognition", "aligned-data-synthesis"),
    "synthesis-by-length": ("synthesis-by-length",),
    "tables": (),
    "ablations": ("ablations",),
    "text-ability": ("text-ability",),
    "gates": ("gates",),
}


def write_page(results: Results, path: Path) -> Path:
    """Write the page and, in the folder pictures beside it, its figures; returns its path. Raises StorageError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_all(results, path.parent / PICTURES)
    parts = [INTRODUCTION, _lengths(results), _claims(results)]
    parts += [_section(name, results, drawn) for name in STUDIES]
    return save(path, ("\n".join(part for part in parts if part).rstrip("\n") + "\n").encode())


def _lengths(results: Results) -> str:
    """How long the runs were and what they cost."""
    if not results.runs:
        return ""
    said = " or ".join(sorted({run.length for run in results.runs}))
    toy = any(run.cost["parameters"] < SMALLEST for run in results.runs)
    warning = "These are runs of a toy, and their figures mean nothing. " if toy else ""
    costs = []
    for variant, title in ((BASE, "Zipper"), (SINGLE, "Single Decoder")):
        if runs := results.of(variant):
            run = runs[0]
            millions = f"{run.cost['parameters'] / 1e6:.1f} million parameters"
            compute = f"{run.cost['training_flops'] / 1e6:.0f} MFLOP a token"
            costs.append(f"{title}: {millions}, {compute}, {run.steps} steps. ")
    revisions = ", ".join(sorted({run.revision for run in results.runs}))
    return f"{warning}Runs: {len(results.runs)} of {said}. {''.join(costs)}Revision {revisions}.\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def _claims(results: Results) -> str:
    return _table(("claim", "paper", "here", "holds?"), list(rows(results)))


def _section(name: str, results: Results, drawn: dict[str, Path]) -> str:
    """One study: what it is, its figures or table, and the commands that made them."""
    study = read_study(name)
    parts = [f"## {study.title}\n", WORDS[name] + "\n"]
    found = [f"![{study.title}]({PICTURES}/{one}.svg)\n" for one in FIGURES_OF[name] if one in drawn]
    if name == "tables":
        found = [_models(results)] if _models(results) else []
    parts += found or [f"{MISSING.capitalize()}.\n"]
    commands = _commands(name, results) if found else []
    return "\n".join([*parts, "```sh", *(commands or [_usual(name)]), "```", ""])


def _usual(name: str) -> str:
    """The command of a study that has not been run."""
    words = dict.fromkeys(word for measure in read_study(name).measures for word in INPUTS[measure].split("--")[1:])
    return " ".join(["./run reproduce", name, "--work WORK", *(f"--{word.strip()}" for word in words)])


def _commands(name: str, results: Results) -> list[str]:
    """The commands that made what the section of a study shows."""
    study = read_study(name)
    runs = [run for run in results.runs if run.variant in study.variants and run.fraction in study.fractions]
    measured = [m.command for run in runs for measure, m in run.measured.items() if measure in study.measures]
    return sorted(set(measured or (run.command for run in runs)))


def _models(results: Results) -> str:
    """Tables 1 and 2 in small; empty where nothing was measured."""
    columns = {("readers", "wer"): "held-out readers"}
    columns |= {
        ("recognition", name): name.removeprefix("wer.")
        for run in results.runs
        if "recognition" in run.measured
        for name in run.measured["recognition"].figures
        if name.startswith("wer.")
    }
    spoken = {
        "wer": "synthesis",
        "wer_best": "best sample",
        "wer.tokens": "against gold tokens",
        "wer.gold": "gold tokens",
    }
    columns |= {("resynthesis", name): title for name, title in spoken.items()}
    recipes = read_study("tables").variants
    variants = [name for name in recipes if results.of(name)]
    used = {key: title for key, title in columns.items() if any(results.values(v, *key) for v in variants)}
    lines = [[recipes[v].title, *(_cell(results.values(v, *key)) for key in used)] for v in variants]
    if not used:
        return ""
    return _table(("model", *used.values()), lines) + "\n" + _paper()


def _cell(values: Sequence[float]) -> str:
    return figure(values) if values else ""


def _paper() -> str:
    """The paper's figures under the table."""
    titles = {BASE: "Zipper T/128M trained", "frozen": "frozen", SINGLE: "Single Decoder T"}
    both = [f"{title} {TABLES[name]['clean']:g} / {TABLES[name]['other']:g}" for name, title in titles.items()]
    better, worse, gold = (f"{TABLES[name]['synthesis']:g}" for name in (BASE, SINGLE, "gold"))
    return (
        f"In the paper, on LibriSpeech test-clean / test-other: {', '.join(both)}. Synthesis, best of three samples, "
        f"on LibriTTS: {better} against {worse}; gold tokens {gold}.\n"
    )
