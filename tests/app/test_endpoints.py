"""The named endpoints of a running app: the examples of docs/api.md, and every kind of bad input."""

import asyncio
import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from support import MakeSpeech

from app import load_test as load
from app import server
from app.settings import EXAMPLES, ROOT, Settings
from zipper import Zipper, limits
from zipper.audio.io import write_wav

CLEAR = EXAMPLES / "recordings" / "clear.opus"
DOCUMENTED_ADDRESS = "http://127.0.0.1:7860"


def example(language: str) -> str:
    """The example of docs/api.md under "Endpoints of a running app" in one language."""
    document = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    section = document.partition("## Endpoints of a running app")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert len(found) == 1
    assert DOCUMENTED_ADDRESS in found[0]
    return str(found[0])


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def tiny(tiny_url: str) -> Client:
    return Client(tiny_url, verbose=False)


def test_the_documented_python_example_runs(url: str, shipped: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example("python").replace(DOCUMENTED_ADDRESS, url), "api.md", "exec"), names)
    expected = shipped.transcribe(CLEAR)
    lines = [line for line in printed.getvalue().splitlines() if not line.startswith("Loaded as API")]
    assert lines[0] == expected.text
    assert f"'text': {expected.words[0].text!r}" in lines[1]
    assert np.array_equal(names["weights"], expected.attention.weights)
    assert [head["zip_point"] for head in names["about"]["alignment_heads"]] == [
        head.zip_point for head in shipped.heads if head.direction == "text_from_speech"
    ]
    speech = shipped.synthesize("Hello there.", "ada", 1)
    samples, rate = soundfile.read(str(names["wav"]))
    assert rate == speech.sample_rate
    assert np.allclose(samples, speech.samples, atol=1e-4)
    assert lines[-1] == str(shipped.voices)


def test_the_documented_shell_example_runs(url: str, shipped: Zipper) -> None:
    script = example("sh").replace(DOCUMENTED_ADDRESS, url)
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    answers = [json.loads(line.removeprefix("data: ")) for line in done.stdout.splitlines() if line.startswith("data")]
    assert done.stdout.count("event: complete") == 2
    assert answers[0][0]["text"] == shipped.transcribe(CLEAR).text
    wav, said = answers[1]
    assert said["seed"] == 1
    sound = subprocess.run(["curl", "-s", wav["url"]], capture_output=True, timeout=120, check=True).stdout
    assert soundfile.read(io.BytesIO(sound))[1] == shipped.detokenizer.sample_rate


def test_attention_of_a_text(client: Client, shipped: Zipper) -> None:
    about, npz = client.predict(None, "Hello there. It is late.", "beth", 3, api_name="/attention")
    expected = shipped.synthesize("Hello there. It is late.", "beth", 3)
    with np.load(npz) as arrays:
        for number, passage in enumerate(expected.passages):
            assert np.array_equal(arrays[f"weights_{number}"], passage.attention.weights)
            assert about["passages"][number]["shape"] == list(passage.attention.weights.shape)
    assert about["direction"] == "speech_from_text"
    assert np.allclose(
        [[g["attention"], g["feed_forward"]] for g in about["gates"]], expected.attention.gates, atol=1e-3
    )


def test_closed_gates_reach_the_model(client: Client, shipped: Zipper) -> None:
    closed = client.predict(handle_file(str(CLEAR)), 1, 0, api_name="/transcribe")
    assert closed["text"] == shipped.transcribe(CLEAR, beams=1, gate_scale=0.0).text


def test_every_endpoint_is_documented(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/transcribe", "/synthesize", "/attention", "/complete", "/voices"}
    for endpoint in endpoints.values():
        assert len(endpoint["description"]) > 30
        assert all(parameter["python_type"]["type"] for parameter in endpoint["parameters"])


@pytest.mark.parametrize(
    ("endpoint", "arguments", "sentence"),
    [
        ("/transcribe", (None,), "There is no recording."),
        ("/synthesize", ("",), "no text"),
        ("/synthesize", ("你好",), "another script"),
        ("/synthesize", ("Hello.", "nobody"), "There is no voice 'nobody'"),
        ("/synthesize", ("Hello.", "", -1), "The seed must be a number from 0"),
        ("/synthesize", ("Hello.", "", "x"), "The seed must be a number from 0"),
        ("/synthesize", ("Hello.", "", 0, 9), "The temperature must be a number from 0 to 2"),
        ("/synthesize", ("Hello.", "", 0, 0.4, 1, 5), "The speed must be a number from 0.6 to 1.6"),
        ("/synthesize", ("Hello.", "", 0, 0.4, 1, 1, -9), "The pitch must be a number from -4 to 4"),
        ("/attention", (None, ""), "Give either a recording"),
        ("/complete", ("   ",), "no text to continue"),
        ("/complete", ("Once", 10**6), "The number of tokens must be a number from 1"),
    ],
)
def test_bad_input_is_told(tiny: Client, endpoint: str, arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(AppError, match=re.escape(sentence)):
        tiny.predict(*arguments, api_name=endpoint)


def test_speed_and_pitch_reach_the_model(tiny: Client, zipper: Zipper) -> None:
    wav, said = tiny.predict("Hello there.", "", 1, speed=1.6, pitch=-2, api_name="/synthesize")
    speech = zipper.synthesize("Hello there.", seed=1, speed=1.6, pitch=-2)
    assert soundfile.info(wav).frames == len(speech.samples)
    assert said["words"][-1]["end"] == pytest.approx(speech.words[-1].end, abs=0.01)


def test_long_text_is_told(tiny: Client) -> None:
    with pytest.raises(AppError, match=f"{limits.MAX_TEXT_CHARACTERS:,}"):
        tiny.predict("word " * limits.MAX_TEXT_CHARACTERS, api_name="/synthesize")


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "opus", "webm", "m4a"])
def test_every_promised_format_is_read(
    tiny: Client, zipper: Zipper, make_speech: MakeSpeech, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"clip.{kind}"
    if kind in ("webm", "m4a"):
        wav = write_wav(tmp_path / "made.wav", make_speech(1.5, 48_000), 48_000)
        subprocess.run([ffmpeg(), "-v", "error", "-i", wav, path], check=True)
    else:
        container, codec = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}.get(kind, (kind.upper(), None))
        soundfile.write(path, make_speech(1.5, 48_000), 48_000, format=container, subtype=codec)
    answer = tiny.predict(handle_file(str(path)), api_name="/transcribe")
    assert answer["text"] == zipper.transcribe(path).text
    assert answer["seconds"] == pytest.approx(1.5, abs=0.15)  # mp3 and aac pad their ends


def ffmpeg() -> str:
    """The program that makes the formats soundfile does not write; missing, it fails in CI and skips elsewhere."""
    found = shutil.which("ffmpeg")
    if not found:
        message = "Tests of WebM and M4A need ffmpeg: apt-get install ffmpeg."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("empty.wav", b"", "empty.wav is empty."),
        ("text.mp3", b"this is not audio", "text.mp3 is not audio in a known format"),
        ("cut.wav", None, "cut.wav is truncated"),
        ("silent.wav", np.zeros(16_000, np.float32), "No speech found in the recording."),
        ("short.wav", np.ones(100, np.float32), "short.wav is too short to hold a word"),
    ],
)
def test_bad_recordings_are_told(
    tiny: Client, tmp_path: Path, name: str, data: bytes | np.ndarray | None, sentence: str
) -> None:
    path = tmp_path / name
    if data is None:
        soundfile.write(path, np.full(16_000, 0.1), 16_000)
        path.write_bytes(path.read_bytes()[:9_000])
    elif isinstance(data, bytes):
        path.write_bytes(data)
    else:
        soundfile.write(path, data, 16_000)
    with pytest.raises(AppError) as raised:
        tiny.predict(handle_file(str(path)), api_name="/transcribe")
    assert sentence in str(raised.value)
    assert "/" not in str(raised.value)  # no path


def test_many_people_get_their_own_results(tiny_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert load.main([tiny_url, "--people", "20"]) == 0
    assert "20 people, 20 requests, 0 wrong" in capsys.readouterr().out


def test_mcp_server_offers_the_same(zipper: Zipper) -> None:
    async def use(url: str) -> tuple[set[str], str, str]:
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as tools,
        ):
            await tools.initialize()
            offered = {tool.name.rpartition("zipper_")[2] for tool in (await tools.list_tools()).tools}
            voices = await tools.call_tool("voices", {})
            data = "data:audio/wav;base64," + base64.b64encode(b"not audio").decode()
            broken = await tools.call_tool("transcribe", {"recording": data, "beams": 1, "gates": 1})
            assert "is not audio in a known format" in str(broken.content)
            internal = await tools.call_tool("transcribe", {"recording": "http://127.0.0.1:22/a.wav"})
            assert internal.isError
            return offered, str(voices.content), str(internal.content)

    blocks = server.launch(zipper, Settings(mcp=True))
    try:
        with ThreadPoolExecutor(1) as beside:  # the browser's driver has a loop of its own in this thread
            offered, voices, internal = beside.submit(asyncio.run, use(str(blocks.local_url))).result()
    finally:
        blocks.close(verbose=False)
    assert {"transcribe", "synthesize", "attention", "complete", "voices"} <= offered
    assert all(voice in voices for voice in zipper.voices)
    assert "400 Bad Request" in internal  # the refusal


def test_percentile() -> None:
    assert load.percentile(range(1, 101), 95) == 95
    assert load.percentile([3.0], 95) == 3.0
    assert load.percentile([1.0, 2.0], 50) == 1.0
