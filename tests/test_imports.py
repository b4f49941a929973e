"""Imports run downwards: a module imports only what lies in a layer below its own, and the app only what is public."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first. A part of zipper, a module or a folder, may import itself and every part of the layers before.
LAYERS = (
    {"errors", "limits", "rates", "startup"},
    {"configuration", "files", "tensors"},
    {"results", "weights", "audio", "text"},  # what requests return is data, which every part may name
    {"speech", "subtitles", "terminal"},
    {"model"},
    {"export"},
    {"alignment"},
    {"inference"},
    {"api"},
    {"data"},
    {"evaluation"},
    {"cli", "training"},
    {"studies"},
    {"__main__"},
)
LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FACADE = "zipper"  # zipper/__init__.py: loads public names on first use, so it may name any module; counts as the api
PUBLIC = {
    "zipper",
    "zipper.audio.io",
    "zipper.audio.mel_scale",  # of pictures: numpy alone, while zipper.audio.mel needs torch
    "zipper.errors",
    "zipper.export",
    "zipper.files",
    "zipper.limits",
    "zipper.rates",
    "zipper.results",
    "zipper.startup",
}


FILES = sorted((ROOT / "zipper").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of the project's modules that a file imports; "zipper" for a name of the package itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            folder = ROOT / str(node.module).replace(".", "/")
            inside = [(folder / f"{name}.py").is_file() or (folder / name).is_dir() for name in names]
            names = [
                f"{node.module}.{n}" if is_in else str(node.module) for n, is_in in zip(names, inside, strict=True)
            ]
        yield from (name for name in names if name.split(".")[0] in ("zipper", "app"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_zipper_imports_downwards(path: Path) -> None:
    part = path.relative_to(ROOT / "zipper").with_suffix("").parts[0]
    for name in imported(path) if part != "__init__" else ():
        root, _, rest = name.partition(".")
        other = rest.partition(".")[0] or "api"
        assert root == "zipper" and (other == part or LEVELS[other] < LEVELS[part]), f"imports {name}"


def test_the_app_imports_what_is_public() -> None:
    found = {name for path in (ROOT / "app").rglob("*.py") for name in imported(path)}
    assert {name for name in found if name.split(".")[0] == "zipper"} <= PUBLIC
