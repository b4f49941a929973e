"""The documents: their links, the files and functions that they name, their length, and their examples in Python."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from support import MakeSpeech

from zipper import Zipper
from zipper.rates import SPEECH_RATE

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("app", "assets", "docs", "tests", "zipper", ".ci")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))])
LONGEST = {"README.md": 1200, "zipper/training/README.md": 800}  # words outside code blocks
MOST_CELL_WORDS = 40  # of a cell in the tables of docs/experiments.md

BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ADDRESS = re.compile(r"\b[a-z]+://\S+|\]\([^)]*\)")
PLACED = re.compile(r"(?<![\w./*{-])(?:\.{1,2}/)*[\w.-]+(?:/[\w.-]+)+/?")  # a/b.py, a/b/, ../a/b
PYTHON_FILE = re.compile(r"(?<![\w./-])\w+\.py\b")
MODULE = re.compile(r"python -m ((?:app|tests|zipper)(?:\.\w+)*)")
FILE_ENDING = re.compile(r"\.[a-z]\w*$")
DEFINED = re.compile(r"`([\w/]+\.py)`: ((?:`[\w.]+`(?:, )?)+)")  # `file.py`: `Name`, `Name.method`


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def missing_links(path: Path) -> Iterator[str]:
    """Relative links of a document whose file or heading does not exist."""
    for link in LINK.findall(BLOCK.sub("", read(path))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, heading = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or heading and heading not in headings(file):
            yield link


def headings(path: Path) -> set[str]:
    """The anchors of a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", read(path)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def missing_files(path: Path) -> Iterator[str]:
    """Files and folders that a document names and that exist neither below its folder nor below the root.

    Names with a part in capital letters, such as WORK/text, or with NAME in one stand for what people choose.
    """
    text = ADDRESS.sub(" ", read(path))
    for name in PLACED.findall(text):
        parts = name.rstrip("/.").split("/")
        ours = parts[0] in FOLDERS or parts[0] == ".." or FILE_ENDING.search(parts[-1])
        if not ours or any(part.isupper() or "NAME" in part for part in parts):
            continue
        place = "/".join(parts)
        if not any((folder / place).exists() for folder in (path.parent, ROOT)):
            yield name
    for name in PYTHON_FILE.findall(text):
        if not any(next((ROOT / folder).rglob(name), None) for folder in FOLDERS):
            yield name
    for name in MODULE.findall(text):
        place = ROOT / name.replace(".", "/")
        if not (place.with_suffix(".py").exists() or (place / "__main__.py").exists()):
            yield f"python -m {name}"


def definitions(path: Path) -> set[str]:
    """Classes, functions, methods and constants of a file: `Name`, `Name.method`."""
    found: set[str] = set()
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.ClassDef):
            inner = (child for child in node.body if isinstance(child, ast.FunctionDef))
            found |= {node.name, *(f"{node.name}.{child.name}" for child in inner)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def words(text: str) -> int:
    """Words outside code blocks; signs alone are none."""
    return sum(1 for word in BLOCK.sub("", text).split() if re.search(r"\w", word))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert list(missing_links(path)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_file_that_is_named_exists(path: Path) -> None:
    assert list(missing_files(path)) == []


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text(
        "# A guide\n[good](#a-guide) [bad](#nowhere) [gone](gone.md) [far](https://example.com/gone.md)\n"
        "`zipper/api.py` and `zipper/gone.py`, `app/gone/`, `../gone.toml`, `gone_too.py`, `WORK/text.py`, and/or\n"
        "```sh\npython -m zipper.gone && python -m zipper bench\n```\n",
        encoding="utf-8",
    )
    assert list(missing_links(document)) == ["#nowhere", "gone.md"]
    gone = ["zipper/gone.py", "app/gone/", "../gone.toml", "gone_too.py", "python -m zipper.gone"]
    assert list(missing_files(document)) == gone


def test_every_function_of_the_architecture_is_where_it_is_said_to_be() -> None:
    found = DEFINED.findall(read(ROOT / "docs" / "architecture.md"))
    assert len(found) > 20
    said = {(file, name) for file, names in found for name in re.findall(r"`([\w.]+)`", names)}
    assert sorted((file, name) for file, name in said if name not in definitions(ROOT / file)) == []


@pytest.mark.parametrize("name", LONGEST)
def test_documents_are_short(name: str) -> None:
    assert words(read(ROOT / name)) <= LONGEST[name]


def test_cells_of_the_notebook_are_short() -> None:
    rows = [line for line in read(ROOT / "docs" / "experiments.md").splitlines() if line.startswith("| ")]
    cells = [cell for row in rows for cell in row.strip("| ").split(" | ")]
    assert len(cells) > 100
    assert [cell for cell in cells if len(cell.split()) > MOST_CELL_WORDS] == []


@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_the_python_example_runs(
    zipper: Zipper, make_speech: MakeSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """On the tiny model, so that its values mean nothing; every name and argument is tried."""
    found = re.search(r"^```python\n(from zipper import Zipper\n.*?)^```", read(ROOT / name), re.DOTALL | re.MULTILINE)
    assert found
    soundfile.write(tmp_path / "clip.wav", make_speech(2.0), SPEECH_RATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Zipper, "from_pretrained", lambda: zipper)
    exec(compile(found[1], name, "exec"), {})
