"""The script `run`, in front of an environment that only notes what it was asked, with no other programs at hand."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = ("cat", "cmp", "dirname", "env", "grep", "rm", "sh")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYTHON = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
"-m pip config list") [ -z "$SETTINGS" ] || echo "$SETTINGS" ;;
*--index-url*) [ "$ANSWERS" = yes ] ;;
esac
"""


class Checkout:
    """A folder with the script, and with an environment that has been made and not filled, or filled for the app."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, root / "asked"
        (root / "home").mkdir()
        shutil.copy(ROOT / "run", root / "run")
        self.program(root / ".venv" / "bin" / "python", PYTHON)
        (root / "bin").mkdir()
        for name in PROGRAMS:
            found = shutil.which(name)
            assert found, name
            (root / "bin" / name).symlink_to(found)
        self.program(root / "bin" / "uname", "#!/bin/sh\necho Linux\n")
        (root / "zipper").symlink_to(ROOT / "zipper")
        (root / "requirements.txt").write_text("# torch and more\ntorch==2.11.0\ntorchaudio==2.11.0  # too\nnumpy>=2\n")

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def filled(self) -> None:
        shutil.copy(self.root / "requirements.txt", self.root / ".venv" / "installed-app")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.asked.unlink(missing_ok=True)
        own = {"PATH": str(self.root / "bin"), "HOME": str(self.root / "home"), "ASKED": str(self.asked)}
        defaults = {"PYTHON": sys.executable, "SETTINGS": "", "ANSWERS": "yes"}
        command, whole = [self.root / "run", *arguments], own | defaults | environment
        return subprocess.run(command, env=whole, capture_output=True, text=True, check=True)

    def lines(self, *arguments: str, **environment: str) -> list[str]:
        """What the environment's Python was asked."""
        self.run(*arguments, **environment)
        return self.asked.read_text().splitlines()

    def torch(self, **environment: str) -> list[str]:
        """The calls that name the index of PyTorch without CUDA, before the usual installation and the command."""
        (self.root / ".venv" / "installed-app").unlink(missing_ok=True)
        lines = self.lines("--version", **environment)
        assert lines[-1] == "-m zipper --version"
        assert any(line.endswith("-r requirements.txt") and "--index-url" not in line for line in lines)
        return [line for line in lines if CPU_INDEX in line]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_options_go_to_the_app_and_commands_to_the_package(checkout: Checkout) -> None:
    checkout.filled()
    assert checkout.lines() == ["-m app"]
    assert checkout.lines("--port", "8000", "--host", "0.0.0.0") == ["-m app --port 8000 --host 0.0.0.0"]
    assert checkout.lines("transcribe", "a b.wav", "-o", "x") == ["-m zipper transcribe a b.wav -o x"]
    assert checkout.lines("--version") == ["-m zipper --version"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_installs_nothing_and_says_what_an_installation_takes(checkout: Checkout, flag: str) -> None:
    shown = checkout.run(flag).stdout
    assert shown.startswith("usage: ./run COMMAND") and "1.2 GB" in shown and not checkout.asked.exists()


def test_without_a_gpu_torch_alone_comes_from_its_own_index(checkout: Checkout) -> None:
    (asked,) = checkout.torch()
    assert asked.startswith("-m pip install ") and "--no-deps" in asked
    assert asked.endswith(f"--index-url {CPU_INDEX} torch==2.11.0 torchaudio==2.11.0")
    assert checkout.lines("--version") == ["-m zipper --version"]  # installed once


def test_with_a_gpu_or_on_another_system_nothing_is_different(checkout: Checkout) -> None:
    checkout.program(checkout.root / "bin" / "nvidia-smi", "#!/bin/sh\n")
    assert not checkout.torch()
    (checkout.root / "bin" / "nvidia-smi").unlink()
    checkout.program(checkout.root / "bin" / "uname", "#!/bin/sh\necho Darwin\n")
    assert not checkout.torch()


@pytest.mark.parametrize(
    "settings",
    [
        "global.index-url='https://packages.example/simple'",
        "global.timeout='60'\nglobal.extra-index-url='https://packages.example/simple'",
        ":env:.index-url='https://packages.example/simple'",
        "install.no-index='true'",
        ":env:.find-links='/wheels'",
    ],
)
def test_an_index_that_pip_is_set_to_is_left_to_decide(checkout: Checkout, settings: str) -> None:
    assert not checkout.torch(SETTINGS=settings)


@pytest.mark.parametrize("name", ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_TORCH_BACKEND"])
def test_an_index_that_uv_is_set_to_is_left_to_decide(checkout: Checkout, name: str) -> None:
    assert not checkout.torch(**{name: "https://packages.example/simple"})


def test_a_file_of_settings_of_uv_is_left_to_decide(checkout: Checkout) -> None:
    settings = checkout.root / "home" / ".config" / "uv" / "uv.toml"
    settings.parent.mkdir(parents=True)
    settings.touch()
    assert not checkout.torch()


def test_other_settings_do_not_matter(checkout: Checkout) -> None:
    settings = "global.timeout='60'\nglobal.cert='/etc/index/find-links.pem'"
    assert checkout.torch(SETTINGS=settings, UV_CACHE_DIR="/cache")


def test_an_index_that_does_not_answer_is_done_without(checkout: Checkout) -> None:
    assert len(checkout.torch(ANSWERS="no")) == 1
    (checkout.root / ".venv" / "installed-app").unlink()
    told = checkout.run("--version", ANSWERS="no").stderr.splitlines()
    assert f"run: {CPU_INDEX} has no PyTorch" in told[-1] and "with CUDA" in told[-1]
