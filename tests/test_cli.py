"""The command line: results on standard output, exit code 2 and one line on stderr for every bad input."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import MakeSpeech

from zipper import cli, limits
from zipper.api import Zipper
from zipper.audio.io import load_audio, write_wav
from zipper.rates import SPEECH_RATE
from zipper.results import Transcript

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
    ("data", "message"), [(None, "no file"), (b"", "empty"), (b"not audio at all" * 50, "known format")]
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
    missing = str(tmp_path / "none")
    assert_one_line(run("import-llama", missing, str(tmp_path / "out")), f"no checkpoint at {missing}:")
    assert_one_line(run("import-llama", str(tmp_path), str(tmp_path / "out")), str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a command is missing"),
        (("transcribe",), "FILE"),
        (("sing",), "invalid choice: 'sing'"),
        (("transcribe", "clip.wav", "--format", "docx"), "invalid choice: 'docx'"),
        (("transcribe", "clip.wav", "--beams", "0"), "The number of beams must be a whole number from 1 to 16, not 0."),
        (("transcribe", "clip.wav", "--beams", "8x"), "not '8x'."),
        (("transcribe", "clip.wav", "-o", "out.mp3"), "cannot be written as .mp3"),
        (("transcribe", "a.wav", "b.wav", "-o", "out.txt"), "need a folder"),
        (("transcribe", "a.wav", "b.wav", "--format", "srt"), "need a folder"),
        (("transcribe", "a/x.wav", "b/x.mp3", "-o", "/tmp"), "same name"),
        (("transcribe", ""), "The name of the recording is empty."),
        (("synthesize", "Hi.", "-o", "out.mp3"), "only as WAV"),
        (("synthesize", "Hi.", "-o", "out.wav", "--seed", "1.5"), "The seed must be a whole number"),
        (("synthesize", "Hi.", "-o", "out.wav", "--seed", "9" * 30), "The seed must be a whole number"),
        (("synthesize", "Hi.", "-o", "out.wav", "--voice", "nobody"), "There is no voice 'nobody'; choose one of ada"),
        (("synthesize", "Hi.", "-o", "-", "--words", "txt"), "cannot both go"),
        (("synthesize", "Hi.", "-o", "out.wav", "--model", "/nope"), "no model in /nope"),
        (("complete", "Hi", "--tokens", "401"), "from 1 to 400, not 401."),
        (("complete", "x.wav", "--modality", "speech", "-o", "x.ogg"), "only as WAV"),
    ],
)
def test_wrong_options_are_one_line_before_anything_is_loaded(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Zipper, "from_pretrained", lambda *_: pytest.fail("The model was loaded."))
    assert cli.main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == "" and written.err.count("\n") == 1 and message in written.err


def test_help_is_one_page(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
    page = capsys.readouterr().out.rpartition("usage:")[2]
    assert page.count("\n") <= 30 and max(map(len, page.splitlines())) <= 120
    commands = ("transcribe", "synthesize", "complete", "import-llama", *cli.DELEGATED)
    assert all(f"  {name}" in page or f" {name} " in page for name in commands)


def test_the_examples_of_the_help_can_be_parsed() -> None:
    """Each as it stands there, of a shell's own signs only the words before them."""
    lines = [line.strip() for line in cli.PAGE.partition("examples\n")[2].partition("\n\n")[0].splitlines()]
    assert len(lines) == 7
    for line in lines:
        command = line.rpartition("| zipper ")[2] if "| zipper " in line else line.removeprefix("zipper ")
        words = shlex.split(re.split(r"   | <| \|", command)[0])
        assert cli.build_parser().parse_args(words).run


@pytest.mark.parametrize("command", ["transcribe", "synthesize", "complete", "import-llama"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0 and len(capsys.readouterr().out) > 200


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
def test_synthesize(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.wav"
    model = ["--model", str(model_folder)]
    assert cli.main(["synthesize", "Hello there.", "-o", str(path), *model, "--voice", "bass", "--words", "json"]) == 0
    assert [word["text"] for word in json.loads(capsys.readouterr().out)["words"]] == ["Hello", "there."]
    assert len(load_audio(path)) > SPEECH_RATE / 4
    assert cli.main(["synthesize", "Hello.", "-o", str(path), "--voice", "nobody"]) == 2
    assert "ada, beth" in capsys.readouterr().err


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


@pytest.fixture
def clips(make_speech: MakeSpeech, tmp_path: Path) -> list[str]:
    made = [
        write_wav(tmp_path / f"{name}.wav", make_speech(seconds), SPEECH_RATE)
        for name, seconds in (("one", 1.0), ("two", 1.5), ("three", 2.0))
    ]
    return [str(path) for path in made]


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.usefixtures("tiny")
def test_several_recordings_give_one_result_each(
    clips: list[str], zipper: Zipper, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [zipper.transcribe(clip).text for clip in clips]
    assert cli.main(["transcribe", *clips]) == 0
    written = capsys.readouterr()
    assert written.out == "".join(f"{text}\n" for text in expected)
    assert f"zipper: 2 of 3: {clips[1]}\n" in written.err
    folder = tmp_path / "made" / "texts"
    assert cli.main(["transcribe", *clips, "--format", "json", "-o", f"{folder}/"]) == 0
    assert capsys.readouterr().out == ""
    found = {path.name: json.loads(path.read_text())["text"] for path in folder.iterdir()}
    assert found == {"one.json": expected[0], "two.json": expected[1], "three.json": expected[2]}


@pytest.mark.usefixtures("tiny")
def test_a_bad_recording_among_several_does_not_stop_the_others(
    clips: list[str], zipper: Zipper, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips[1] = str(tmp_path / "missing.wav")
    assert cli.main(["transcribe", *clips]) == 2
    written = capsys.readouterr()
    assert written.out == "".join(f"{zipper.transcribe(clips[number]).text}\n" for number in (0, 2))
    assert "missing.wav" in written.err and "Traceback" not in written.err


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("file_format", cli.FORMATS)
def test_the_name_of_the_output_says_its_format(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], file_format: str
) -> None:
    named, chosen = tmp_path / f"out.{file_format.upper()}", tmp_path / "out.log"
    assert cli.main(["transcribe", clip, "-o", str(named)]) == 0
    assert cli.main(["transcribe", clip, "-o", str(chosen), "--format", file_format]) == 0
    capsys.readouterr()
    assert cli.main(["transcribe", clip, "--format", file_format, "-o", "-"]) == 0
    assert capsys.readouterr().out == named.read_text() == chosen.read_text()


@pytest.mark.usefixtures("tiny")
def test_recordings_from_standard_input_and_pipes(
    clip: str, zipper: Zipper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, expected = Path(clip).read_bytes(), zipper.transcribe(clip).text
    feed(monkeypatch, data)
    assert cli.main(["transcribe", "-"]) == 0
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert cli.main(["transcribe", str(pipe)]) == 0
    writer.join(30)
    assert capsys.readouterr().out == f"{expected}\n" * 2
    feed(monkeypatch, data)
    arguments = ["complete", "-", "--modality", "speech", "--tokens", "9", "-o", str(tmp_path / "out.wav")]
    assert cli.main(arguments) == 0
    feed(monkeypatch, b"")
    assert cli.main(["transcribe", "-"]) == 2
    assert capsys.readouterr().err.endswith("zipper: standard input is empty.\n")
    assert cli.main(["transcribe", "/dev/null"]) == 2
    assert "null is empty" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_endless_input_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 3_000_000)
    assert cli.main(["transcribe", "/dev/zero"]) == 2
    assert "zero is larger than" in capsys.readouterr().err
    feed(monkeypatch, b" " * (limits.MAX_TYPED_BYTES + 1))
    assert cli.main(["synthesize", "-", "-o", "out.wav"]) == 2
    assert "bytes of text" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "data", ["caf\u00e9".encode(encoding) for encoding in ("latin-1", "utf-8", "utf-16", "utf-8-sig")]
)
def test_text_in_any_encoding(data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, data)
    assert cli.main(["complete", "-", "--tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("caf\u00e9")


@pytest.mark.usefixtures("tiny")
def test_a_prompt_that_is_no_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["complete", os.fsdecode(b"caf\xe9"), "--tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("caf\u00e9")


@pytest.mark.usefixtures("tiny")
def test_a_terminal_that_knows_only_ascii(
    clip: str, zipper: Zipper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it cannot show is written as JSON writes it, so that JSON stays what it is."""
    text = "caf\u00e9 \U0001f600"
    transcript = replace(zipper.transcribe(clip).passages[0], text=text)
    made = Transcript((transcript,), 2.0)
    monkeypatch.setattr(Zipper, "transcribe", lambda *_, **__: made)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    assert cli.main(["transcribe", clip]) == 0
    assert out.getvalue() == b"caf\\u00e9 \\ud83d\\ude00\n"
    assert cli.main(["transcribe", clip, "--format", "json"]) == 0
    assert json.loads(out.getvalue().partition(b"\n")[2])["text"] == text


def test_a_shell_in_another_encoding(model_folder: Path, clip: str, tmp_path: Path) -> None:
    """A file name, a prompt and standard output of bytes that are no UTF-8, all at once in a process of its own."""
    strange = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.rename(clip, strange)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in ([b"transcribe", strange], [b"complete", b"caf\xe9"], [b"transcribe", strange + b"\xff"]):
        command = [sys.executable, "-m", "zipper", *arguments, "--model", str(model_folder)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300, check=False)
        assert b"Traceback" not in done.stderr
        assert done.returncode == (2 if arguments[-1].endswith(b"\xff") else 0), done.stderr


@pytest.mark.usefixtures("tiny")
def test_speech_on_standard_output(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, zipper: Zipper
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    feed(monkeypatch, b"Hello there.")
    assert cli.main(["synthesize", "-", "-o", "-"]) == 0
    path = tmp_path / "out.wav"
    path.write_bytes(out.getvalue())
    speech = zipper.synthesize("Hello there.")
    assert len(load_audio(path, speech.sample_rate)) == len(speech.samples)
