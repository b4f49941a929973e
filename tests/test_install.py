"""The package as people install it: a wheel in an environment of its own, used from a folder that is no checkout."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "assets"
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", *(path.name for path in ROOT.glob("requirements*.txt")))


def pip(*arguments: str) -> None:
    """pip of the environment that runs the tests, without any index: nothing is fetched."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that what setuptools writes beside its sources does not end up in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "zipper", source / "zipper", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(out), str(source))
    (built,) = out.glob("zipper_speech-*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment, which sees the dependencies that are installed here already."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(here) + "\n")
    pip("--python", str(folder / "bin" / "python"), "install", "-q", "--no-deps", "--no-index", str(wheel))
    return folder / "bin"


def run(command: list[str | Path], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, without what would lead it to the checkout, to weights or into the network."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "ZIPPER_HOME")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(folder / "cache"), **more}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_wheel_holds_every_file_that_the_package_reads(wheel: Path) -> None:
    read = [path for path in (ROOT / "zipper").rglob("*") if path.is_file() and path.suffix not in (".md", ".pyc")]
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {path.relative_to(ROOT).as_posix() for path in read}
    assert {Path(name).suffix for name in held} >= {".py", ".json", ".txt", ".tsv", ".yaml"}


def test_the_command_transcribes_from_another_folder(programs: Path, tmp_path: Path) -> None:
    recording = shutil.copy(ASSETS / "examples" / "recordings" / "short.opus", tmp_path)
    done = run([programs / "zipper", "transcribe", Path(recording).name], tmp_path, ZIPPER_HOME=str(ASSETS))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 2


def test_the_class_is_the_installed_one(programs: Path, tmp_path: Path) -> None:
    code = "from zipper import Zipper; import sys; print(sys.modules[Zipper.__module__].__file__)"
    done = run([programs / "python", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(programs.parent))


@pytest.mark.parametrize("arguments", [("synthesize", "Hello.", "-o", "hello.wav"), ("complete", "Once")])
def test_without_weights_one_sentence_says_what_to_do(
    programs: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run([programs / "zipper", *arguments], tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("zipper: The weights cannot be fetched from the hub")
    assert "set ZIPPER_HOME to the folder assets of a checkout" in done.stderr
