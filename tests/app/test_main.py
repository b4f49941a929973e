"""The launcher, started as people and as Spaces start it."""

import base64
import contextlib
import inspect
import os
import pickle
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from support import MakeSpeech

from app import models, server
from app.components.live_microphone import transcribe_chunk
from app.explore import directions, gates, pair
from app.explore.pair import PairOutputs
from app.panel import with_errors
from app.settings import ROOT, Settings
from zipper import Zipper, limits
from zipper.errors import NoSpeechError, OptionError, TextError, ZipperError
from zipper.rates import SPEECH_RATE

PATIENCE = 120  # s that the app may take to start or to end on a busy machine
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def restored_limits() -> Iterator[None]:
    """Limits that a command line has changed are put back."""
    before = {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}
    yield
    vars(limits).update(before)


def test_help_names_what_can_be_set(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app", "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported and not imported & {"torch", "gradio"}  # they take seconds
    for option in (
        "--host",
        "--port",
        "--share",
        "--root-path",
        "--mcp",
        "--queue-size",
        "--max-seconds",
        "--max-upload",
    ):
        assert option in done.stdout
    assert f"{limits.MAX_TEXT_CHARACTERS}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "0"], "1 to 65535"),
        (["--queue-size", "0"], "at least 1"),
        (["--max-seconds", "nan"], "above 0"),
        (["--surprise"], "unrecognized"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Settings.from_arguments(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_options_set_the_limits(restored_limits: None) -> None:
    settings = Settings.from_arguments(["--max-seconds", "30", "--max-characters", "99", "--max-upload", "1.5"])
    assert (limits.MAX_AUDIO_SECONDS, limits.MAX_TEXT_CHARACTERS, limits.MAX_UPLOAD_BYTES) == (30, 99, 1_500_000)
    assert settings.queue_size == limits.MAX_WAITING


def test_the_host_of_spaces_is_respected(restored_limits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert Settings.from_arguments([]).host == "0.0.0.0"


def test_a_taken_port_is_told(zipper: Zipper, tiny_url: str) -> None:
    port = int(tiny_url.rpartition(":")[2])
    with pytest.raises(OptionError, match=f"Port {port} is in use"):
        server.launch(zipper, Settings(port=port))


@pytest.mark.parametrize(("ending", "folder"), [(signal.SIGINT, "data"), (signal.SIGTERM, "")])
def test_starts_as_spaces_does_and_deletes_only_its_own(
    model_folder: Path, tmp_path: Path, ending: signal.Signals, folder: str
) -> None:
    """The file that the front matter names, from another folder, with nothing on the path.

    folder: of GRADIO_TEMP_DIR; what lies there, or in the folder it is started from, is other people's.
    """
    front = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    found = re.search(r"^app_file: (.+)$", front, re.MULTILINE)
    assert found
    assert 'python_version: "3.11"' in front
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GRADIO_TEMP_DIR")}
    environment |= {"GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(tmp_path)}
    environment["GRADIO_TEMP_DIR"] = str(tmp_path / folder) if folder else ""
    own = tmp_path / folder
    (tmp_path / "data").mkdir()
    others = [tmp_path / "photo.jpg", tmp_path / "data" / "thesis.tex"]
    for path in others:
        path.write_bytes(b"precious")
    process = subprocess.Popen(
        [sys.executable, ROOT / found[1], "--model", model_folder],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # jobs of a shell ignore it
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        url = re.search(r"http://\S+", line)
        assert url, line
        text = urllib.request.urlopen(url[0], timeout=PATIENCE).read().decode()
        assert "Zipper" in text
        assert list(own.glob("zipper-*"))
    finally:
        process.send_signal(ending)
        assert process.wait(PATIENCE) == 128 + ending
    assert not list(own.glob("zipper-*"))  # what people sent went with it
    assert all(path.read_bytes() == b"precious" for path in others)


def test_a_folder_for_uploads_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-m", "app"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"app: No folder for uploads can be made in .*\.\n", done.stderr)


def zero_gpu(borrowed: list[str]) -> Callable[..., Any]:
    """As `spaces.GPU` does it: a gr.Error crosses from the other process pickled, anything else as a class name."""

    def crossed(error: Exception) -> gr.Error:
        if isinstance(error, gr.Error):
            return pickle.loads(pickle.dumps(error))
        return gr.Error(type(error).__name__)

    def gpu(task: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            borrowed.append(task.__name__)
            try:
                return task(*args, **kwargs)
            except Exception as error:
                raise crossed(error) from None

        def run_stream(*args: Any, **kwargs: Any) -> Any:
            borrowed.append(task.__name__)
            try:
                yield from task(*args, **kwargs)
            except Exception as error:
                raise crossed(error) from None

        return run_stream if inspect.isgeneratorfunction(task) else run

    return gpu


@pytest.fixture
def far(model_folder: Path) -> Zipper:
    """A tiny model whose GPU is borrowed for each request."""
    model = Zipper.from_pretrained(model_folder)
    models.use_zero_gpu(model, zero_gpu([]))
    return model


def test_zero_gpu_is_borrowed_for_each_request(model_folder: Path) -> None:
    borrowed: list[str] = []
    model = Zipper.from_pretrained(model_folder)
    expected = model.synthesize("Hello.", seed=1).samples
    models.use_zero_gpu(model, zero_gpu(borrowed))
    parts = list(model.synthesize_stream("Hello.", seed=1))
    assert parts[-1].speech is not None
    assert len(parts[-1].speech.samples) == len(expected)
    *_, speech = model.synthesize_steps("Hello.", seed=1)
    assert speech is not None and len(speech.samples) == len(expected)
    assert borrowed == ["synthesize_stream", "synthesize_steps"]


def test_errors_are_what_they_were_after_a_borrowed_call(far: Zipper) -> None:
    with pytest.raises(TextError, match=r"^There is no text to speak\.$"):
        far.synthesize("")
    with pytest.raises(TextError):
        list(far.synthesize_stream(""))
    with pytest.raises(OptionError, match="<b>"):  # not as HTML, which is for toasts alone
        far.synthesize("Hello.", voice="<b>")
    silence = (np.zeros(SPEECH_RATE, np.float32), SPEECH_RATE)
    with pytest.raises(NoSpeechError):
        far.transcribe(silence)
    with pytest.raises(gr.Error, match="noted as"):  # a defect stays what it is
        far.transcribe_stream(silence, nonsense=True).send(None)  # type: ignore[call-arg]


def test_what_handlers_tell_apart_they_tell_apart_after_a_borrowed_call(far: Zipper, make_speech: MakeSpeech) -> None:
    """The live microphone, and the comparisons of Explore, which go on where there is no word."""
    silence = np.zeros(2 * SPEECH_RATE, np.int16)
    sound = base64.b64encode(silence.tobytes()).decode()
    piece = {"recording": "one", "rate": SPEECH_RATE, "start": 0, "sound": sound, "last": False}
    answer, recording = transcribe_chunk(far, None, piece)
    assert "problem" not in answer and recording is not None and answer["received"] == len(silence)
    with contextlib.suppress(StopIteration):
        reading = pair.transcribe(far, silence.astype(np.float32), SPEECH_RATE, "Recognition")
        while True:
            next(reading)
    assert _statuses(gates.compare_text(far, "", None, 0, [])) == ["4 gates can be set, not 0."]
    assert _statuses(directions.round_trip(far, "Hello there.", "nobody", 0))[-1].startswith(
        "There is no voice 'nobody'"
    )


def _statuses(updates: Iterator[PairOutputs]) -> list[str]:
    """What the status line shows before a run ends in an error."""
    shown = []
    with pytest.raises(ZipperError):
        for update in with_errors(updates, PairOutputs):
            shown.append(update.status["text"])
    return shown


def test_spaces_is_asked_for_a_gpu(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def gpu(task: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        asked.append(options)
        return task

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    model = models.load_model(model_folder)
    assert asked == [{"duration": models.BORROWED_SECONDS}] * 7
    with pytest.raises(TextError):
        model.complete("")
    monkeypatch.delenv("SPACES_ZERO_GPU")
    with pytest.raises(TextError):
        models.load_model(model_folder).complete("")


def test_old_files_are_swept(tmp_path: Path) -> None:
    old, new, page = tmp_path / "old" / "a.wav", tmp_path / "new" / "b.wav", tmp_path / "page" / "c.svg"
    for path in (old, new, page):
        path.parent.mkdir()
        path.write_bytes(b"x")
    for path in (old, old.parent, page, page.parent):
        os.utime(path, (0, 0))
    server.sweep(tmp_path, kept={page, page.parent}, age=60)
    os.utime(old.parent, (0, 0))  # to delete the file in it was a change
    server.sweep(tmp_path, kept={page, page.parent}, age=60)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b.wav", "c.svg", "new", "page"]
