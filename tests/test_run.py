"""The script that sets everything up and runs it."""

import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_run_passes_options_to_the_app_and_knows_help() -> None:
    """The script, in front of an environment that only says what it was asked."""
    script = (ROOT / "run").read_text()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "run").write_text(script)
        (root / "run").chmod(0o755)
        python = root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\necho "$*"\n')
        python.chmod(0o755)
        (root / "app").mkdir()
        (root / "app" / "main.py").touch()
        (root / "zipper").symlink_to(ROOT / "zipper")
        (root / "requirements.txt").touch()
        (root / ".venv" / "installed-app").touch()

        def asked(*arguments: str) -> str:
            return subprocess.run([root / "run", *arguments], capture_output=True, text=True, check=True).stdout.strip()

        assert asked() == "-m app"
        assert asked("--port", "8000", "--host", "0.0.0.0") == "-m app --port 8000 --host 0.0.0.0"
        assert asked("transcribe", "a b.wav", "-o", "x") == "-m zipper transcribe a b.wav -o x"
        assert asked("--version") == "-m zipper --version"
        for flag in ("--help", "-h"):
            assert asked(flag).startswith("usage: ./run COMMAND")
