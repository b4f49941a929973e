"""The command line: results on standard output, exit code 2 and one line on stderr for every bad input."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import MakeSpeech

from zipper import cli
from zipper.api import Zipper
from zipper.audio import load_audio, write_wav
from zipper.rates import SPEECH_RATE

ROOT = Path(__file__).parents[1]


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zipper", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=stdin, timeout=300, check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("zipper: ") and done.stderr.count("\n") == 1 and message in done.stderr


@pytest.fixture
def tiny(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands get the tiny model."""
    monkeypatch.setattr(Zipper, "from_pretrained", lambda *_: zipper)


@pytest.fixture
def clip(make_speech: MakeSpeech, tmp_path: Path) -> str:
    return str(write_wav(tmp_path / "clip.wav", make_speech(2.0), SPEECH_RATE))


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "no file"), (b"", "empty"), (b"not audio at all" * 50, "known format")],
)
def test_bad_recordings(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "clip.wav"
    if data is not None:
        path.write_bytes(data)
    assert_one_line(run("transcribe", str(path)), message)


@pytest.mark.parametrize("text", ["", "\U0001f600", "你好"])
def test_bad_texts(tmp_path: Path, text: str) -> None:
    done = run("synthesize", "-", "-o", str(tmp_path / "out.wav"), stdin=text)
    assert_one_line(done, "." if text else "no text")


def test_bad_model_folder(tmp_path: Path, clip: str) -> None:
    assert_one_line(run("transcribe", clip, "--model", str(tmp_path)), "no model")


def test_a_model_folder(model_folder: Path, clip: str, tmp_path: Path) -> None:
    done = run("transcribe", clip, "--model", str(model_folder), "--format", "json")
    assert done.returncode == 0 and json.loads(done.stdout)["words"]
    silence = write_wav(tmp_path / "silence.wav", np.zeros(SPEECH_RATE), SPEECH_RATE)
    assert_one_line(run("transcribe", str(silence), "--model", str(model_folder)), "No speech found")


def test_bad_checkpoint(tmp_path: Path) -> None:
    assert_one_line(run("import-llama", str(tmp_path / "none"), str(tmp_path / "out")), "config.json")


def test_wrong_usage_and_help() -> None:
    done = run("transcribe", "clip.wav", "--format", "docx")
    assert done.returncode == 2 and "invalid choice" in done.stderr and "Traceback" not in done.stderr
    done = run("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in ("transcribe", "evaluate", "import-llama"))


def test_import_of_the_package_is_cheap() -> None:
    code = "import sys, zipper; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("file_format", cli.FORMATS)
def test_transcribe(clip: str, capsys: pytest.CaptureFixture[str], file_format: str) -> None:
    assert cli.main(["transcribe", clip, "--format", file_format]) == 0
    written = capsys.readouterr()
    assert written.out.strip() and "words may be missing" in written.err  # random text does not end
    if file_format == "json":
        assert json.loads(written.out)["seconds"] == 2.0


@pytest.mark.usefixtures("tiny")
def test_transcribe_to_a_file(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", clip, "-o", str(tmp_path / "out.txt")]) == 0
    assert capsys.readouterr().out == "" and (tmp_path / "out.txt").read_text().strip()
    assert cli.main(["transcribe", clip, "-o", "/dev/full"]) == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_wav(tmp_path / "silence.wav", np.zeros(SPEECH_RATE), SPEECH_RATE)
    assert cli.main(["transcribe", str(path)]) == 2
    assert capsys.readouterr().err == "zipper: No speech found in the recording.\n"


@pytest.mark.usefixtures("tiny")
def test_synthesize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.wav"
    assert cli.main(["synthesize", "Hello there.", "-o", str(path), "--voice", "bass", "--words", "json"]) == 0
    assert [word["text"] for word in json.loads(capsys.readouterr().out)["words"]] == ["Hello", "there."]
    assert len(load_audio(path)) > SPEECH_RATE / 4
    assert cli.main(["synthesize", "Hello.", "-o", str(path), "--voice", "nobody"]) == 2
    assert "alto, bass" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_synthesize_reads_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello \xff there.")))
    assert cli.main(["synthesize", "-", "-o", str(tmp_path / "out.wav")]) == 0


@pytest.mark.usefixtures("tiny")
def test_complete(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["complete", "It was a", "--tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("It was a")
    path = tmp_path / "out.wav"
    assert cli.main(["complete", clip, "--modality", "speech", "--tokens", "30", "-o", str(path)]) == 0
    assert cli.main(["complete", clip, "--modality", "speech"]) == 2
