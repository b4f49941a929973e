"""What starts quickly stays so: which packages commands and the app import, which cannot be said in seconds."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import MakeSpeech

from zipper.audio.io import write_wav
from zipper.rates import SPEECH_RATE
from zipper.startup import importing

ROOT = Path(__file__).parents[1]
HEAVY = {"gradio", "librosa", "matplotlib", "num2words", "numba", "pandas", "scipy", "transformers"}


def imported(*arguments: str, cwd: Path = ROOT) -> set[str]:
    """Packages that a Python process imports."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [("-c", "import zipper"), ("-m", "zipper", "--help")])
def test_what_needs_no_model_imports_nothing_large(arguments: tuple[str, ...]) -> None:
    names = imported(*arguments)
    assert "zipper" in names and not names & {"torch", "numpy", *HEAVY}


def test_transcribe_imports_what_it_needs(model_folder: Path, make_speech: MakeSpeech, tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "a.wav", make_speech(1.0), SPEECH_RATE)
    names = imported("-m", "zipper", "transcribe", str(recording), "--model", str(model_folder), "--beams", "1")
    assert {"torch", "silero_vad"} <= names and not names & HEAVY


def test_synthesize_imports_what_it_needs(model_folder: Path, tmp_path: Path) -> None:
    code = "from zipper import Zipper; Zipper.from_pretrained(%r).synthesize('Hello.', keep_unended=True)"
    names = imported("-c", code % str(model_folder))
    assert "torch" in names and not names & {"silero_vad", *HEAVY}


def test_the_app_imports_what_the_page_needs() -> None:
    names = imported("-c", "import app.server, app.models")
    assert "gradio" in names and not names & (HEAVY - {"gradio", "pandas"})  # gradio itself imports pandas


def test_no_garbage_is_looked_for_while_packages_are_imported() -> None:
    try:
        with importing():
            assert not gc.isenabled()
        assert gc.isenabled() and gc.get_freeze_count() > 0
        gc.disable()
        with pytest.raises(ImportError), importing():
            raise ImportError
        assert not gc.isenabled()  # as it was
    finally:
        gc.unfreeze()
        gc.enable()
