"""Where the weights are found, and how they are fetched: once, checked, and never used by halves."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from zipper import weights
from zipper.errors import StorageError, WeightsError
from zipper.weights import ASSETS, HUB_REPOSITORY, PARTS, WeightsList, fetched, find

ROOT = Path(__file__).parents[1]
FETCH = "import sys; from pathlib import Path; from zipper.weights import *; from zipper.errors import ZipperError\n"
FETCH += "try: print(fetched(WeightsList.read(Path(sys.argv[1]))))\nexcept ZipperError as e: sys.exit(str(e))"
COMMIT = "c" * 40

Fetch = Callable[..., "subprocess.Popen[str]"]


class Hub(ThreadingHTTPServer):
    """A hub with one repository, on this machine.

    files: by their path. asked: paths of the files that were sent. stuck: a path of which only half is sent until
    `half_sent` is set and the client is gone.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.stuck = files, list[str](), ""
        self.half_sent, self.go_on = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        repository, _, rest = self.path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        data = self.server.files.get(name)
        known = repository == f"/{HUB_REPOSITORY}"
        if not known or revision != "r1" or data is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        self.server.asked.append(name)
        if name == self.server.stuck:
            self.wfile.write(data[: len(data) // 2])
            self.server.half_sent.set()
            self.server.go_on.wait(60)
            return
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder as far as the list is concerned."""
    folder = tmp_path / "model"
    for number, part in enumerate(PARTS):
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(f"{{{number}}}")
        (folder / part / "model.safetensors").write_bytes(bytes([number]) * 300_000)
    (folder / "README.md").write_text("Not part of the weights.")
    return folder


@pytest.fixture
def listed(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "list.json"
    assert weights.main([str(model), "--revision", "r1", "-o", str(path)]) == 0
    return path


@pytest.fixture
def hub(model: Path) -> Iterator[Hub]:
    server = Hub({path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join(30)


@pytest.fixture
def start(listed: Path, tmp_path: Path) -> Fetch:
    """Fetch what is listed in a process of its own, as the library reads its environment when it is imported."""

    def begin(endpoint: str, **more: str) -> "subprocess.Popen[str]":
        own = {"HF_ENDPOINT": endpoint, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment = {**kept, "NO_PROXY": "127.0.0.1", **own, **more}
        command = [sys.executable, "-c", FETCH, str(listed)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begin


def folder_of(process: "subprocess.Popen[str]") -> Path:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return Path(out.strip())


def told(process: "subprocess.Popen[str]") -> str:
    """The one sentence that a fetch ends with."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and out == "" and err.count("\n") == 1 and err.endswith(".\n"), err
    return err


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def usable(tmp_path: Path) -> list[Path]:
    """Folders that a later call would take without looking into the files again."""
    return [path for path in (tmp_path / "cache" / "zipper").iterdir() if path.is_dir() and path.suffix != ".partial"]


def test_the_order_in_which_folders_are_taken(
    monkeypatch: pytest.MonkeyPatch, model_folder: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "fetched", lambda wanted: Path(wanted.revision))
    monkeypatch.setenv("ZIPPER_HOME", str(model_folder))
    assert find(tmp_path) == tmp_path and find(str(tmp_path)) == tmp_path
    assert find() == model_folder
    monkeypatch.delenv("ZIPPER_HOME")
    assert find() == ASSETS == ROOT / "assets"
    monkeypatch.setenv("ZIPPER_HOME", "")  # as good as not set
    assert find() == ASSETS
    monkeypatch.setattr(weights, "ASSETS", tmp_path)  # a folder of that name, with something else in it
    assert find() == Path(WeightsList.read().revision)
    monkeypatch.setenv("ZIPPER_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="nowhere, which ZIPPER_HOME names"):
        find()


def test_the_list_in_the_package_is_that_of_the_shipped_weights() -> None:
    """Otherwise: python -m zipper.weights assets --revision NEW."""
    shipped = WeightsList.read()
    assert WeightsList.of_folder(ASSETS, shipped.revision) == shipped


def test_a_list_holds_the_parts_alone(model: Path, listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = WeightsList.read(listed)
    assert made.revision == "r1" and set(made.files) == set(content(model)) - {"README.md"}
    entry = made.files["zipper/model.safetensors"]
    assert entry.sha256 == hashlib.sha256(b"\0" * 300_000).hexdigest() and entry.size == 300_000
    (model / "zipper").rename(model / "other")
    assert weights.main([str(model), "--revision", "r2", "-o", str(listed)]) == 2
    assert "the folder zipper is missing" in capsys.readouterr().err and WeightsList.read(listed) == made


def test_weights_are_fetched_once(hub: Hub, start: Fetch, model: Path) -> None:
    folder = folder_of(start(hub.url))
    assert content(folder) == {name: data for name, data in content(model).items() if name != "README.md"}
    assert sorted(hub.asked) == sorted(content(folder))
    hub.asked.clear()
    assert folder_of(start("http://127.0.0.1:1")) == folder and not hub.asked  # nobody answers there
    (folder / "zipper" / "config.json").unlink()
    assert folder_of(start(hub.url)) == folder and hub.asked == ["zipper/config.json"]


def test_two_that_fetch_at_once_fetch_once(hub: Hub, start: Fetch) -> None:
    first, second = start(hub.url), start(hub.url)
    assert folder_of(first) == folder_of(second) and len(hub.asked) == len(set(hub.asked)) == 6


def test_a_file_with_another_hash_is_refused_and_not_kept(hub: Hub, start: Fetch, tmp_path: Path) -> None:
    right = hub.files["zipper/model.safetensors"]
    hub.files["zipper/model.safetensors"] = b"x" + right[1:]
    said = told(start(hub.url))
    assert "zipper/model.safetensors" in said and "SHA-256" in said and "ZIPPER_HOME" in said
    assert not usable(tmp_path) and not list((tmp_path / "cache").rglob("zipper/model.safetensors"))
    hub.files["zipper/model.safetensors"] = right
    assert content(folder_of(start(hub.url)))["zipper/model.safetensors"] == right


def test_nothing_of_an_interrupted_fetch_is_used_by_halves(hub: Hub, start: Fetch, model: Path, tmp_path: Path) -> None:
    hub.stuck = "speech_tokenizer/model.safetensors"
    process = start(hub.url)
    assert hub.half_sent.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    hub.go_on.set()
    assert not usable(tmp_path) and not list((tmp_path / "cache").rglob(hub.stuck))
    done = set(hub.asked) - {hub.stuck}
    hub.stuck = ""
    hub.asked.clear()
    folder = folder_of(start(hub.url))
    assert content(folder) == {name: data for name, data in content(model).items() if name != "README.md"}
    assert done and not done & set(hub.asked)  # whole files are not fetched again


def test_a_partial_file_of_the_right_name_is_fetched_again(hub: Hub, start: Fetch, model: Path, tmp_path: Path) -> None:
    """As a full disk or a loss of power may leave it."""
    folder = folder_of(start(hub.url))
    (folder / "zipper" / "model.safetensors").write_bytes(b"\0" * 1000)
    folder.rename(folder.with_name(folder.name + ".partial"))
    assert folder_of(start(hub.url)) == folder
    assert (folder / "zipper" / "model.safetensors").read_bytes() == (model / "zipper/model.safetensors").read_bytes()


def test_a_repository_that_is_missing(hub: Hub, start: Fetch) -> None:
    hub.files.clear()
    for endpoint in (hub.url, f"{hub.url}/elsewhere"):  # without the files, without the repository
        assert f"no public repository {HUB_REPOSITORY} with these weights (revision r1)" in told(start(endpoint))


@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_no_network(start: Fetch, offline: dict[str, str]) -> None:
    said = told(start("http://127.0.0.1:1", **offline))
    assert said.startswith("The weights cannot be fetched from the hub (") and "set ZIPPER_HOME" in said


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be stored in .*file/zipper: "):
        fetched(WeightsList.read(listed))


def test_without_the_library_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"^No weights were found: set ZIPPER_HOME .* pip install huggingface_hub"):
        fetched(WeightsList.read(listed))
