"""Memory and time that any recording may take."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import bombs
import pytest
from support import MakeSpeech, convert, needs_ffmpeg

from zipper.audio.io import load_audio, write_wav
from zipper.errors import LimitError
from zipper.rates import SPEECH_RATE

# MB that a process has held at most. Not by getrusage, whose peak a process inherits from the one that started it
PEAK = """
import pathlib, re
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1024
"""


READ = """
import json, resource, sys
from zipper.audio.io import load_audio
from zipper.errors import ZipperError
before = peak()
try:
    said = f"{len(load_audio(sys.argv[1])) / 16000:.1f} s"
except ZipperError as error:
    said = str(error)
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(json.dumps({"said": said, "more": peak() - before, "child": child}))
"""


WRITE = """
import json, numpy
from zipper.audio.io import wav_bytes
sound = numpy.full(900 * 16000, 0.1, numpy.float32)
before = peak()
data = wav_bytes(sound, 16000)
print(json.dumps({"size": len(data), "more": peak() - before}))
"""


@dataclass(frozen=True)
class Measured:
    """What a process of its own did: what it said, the bytes it wrote, and MB it took more, and ffmpeg in all."""

    more: int
    said: str = ""
    size: int = 0
    child: int = 0


def measure(code: str, *arguments: object) -> Measured:
    """Run code after PEAK."""
    if sys.platform != "linux":
        pytest.skip("memory is measured on Linux")
    command = [sys.executable, "-c", PEAK + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    return Measured(**json.loads(done.stdout))


def test_a_small_file_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """8 channels at 655,350 Hz; 20 s of it are 420 MB as float32, and the 900 s that are allowed 19 GB."""
    found = measure(READ, bombs.silent_flac(tmp_path / "bomb.flac", 20, 655_350, 8))
    assert found.said == "20.0 s" and found.more < 80


def test_a_long_recording_takes_little_more_than_the_sound_that_is_kept(tmp_path: Path) -> None:
    """15 minutes are 58 MB."""
    found = measure(READ, bombs.silent_flac(tmp_path / "long.flac", 890, 16_000, 2))
    assert found.said == "892.9 s" and found.more < 150


def test_writing_a_long_recording_takes_little_more_than_the_file() -> None:
    """15 minutes are 29 MB as 16-bit samples."""
    found = measure(WRITE)
    assert found.size == 44 + 2 * 900 * 16_000 and found.more < 70


def test_more_than_is_allowed_is_refused_by_its_header(tmp_path: Path) -> None:
    found = measure(READ, bombs.silent_flac(tmp_path / "long.flac", 3 * 3600, 48_000, 8))
    assert "longer than 15 minutes" in found.said and found.more < 20


@needs_ffmpeg
def test_the_same_through_ffmpeg(tmp_path: Path) -> None:
    flac = bombs.silent_flac(tmp_path / "bomb.flac", 20, 384_000, 8)
    found = measure(READ, convert(flac, "bomb.mkv", "-c:a", "copy"))
    assert found.said == "20.1 s" and found.more < 80 and found.child < 300


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    path = bombs.silent_flac(tmp_path / "short.flac", 1, 48_000, 8)
    data = path.read_bytes()
    info = int.from_bytes(data[18:26], "big")
    path.write_bytes(data[:18] + (info >> 36 << 36 | 800 * 48_000).to_bytes(8, "big") + data[26:])
    found = measure(READ, path)
    assert "is truncated" in found.said and found.more < 80


def test_decoding_has_a_limit_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zipper.limits.MAX_DECODE_SECONDS", 0.05)
    with pytest.raises(LimitError, match="could not be decoded in"):
        load_audio(bombs.silent_flac(tmp_path / "bomb.flac", 60, 655_350, 8))


@needs_ffmpeg
def test_ffmpeg_has_a_limit_of_time(tmp_path: Path, make_speech: MakeSpeech, monkeypatch: pytest.MonkeyPatch) -> None:
    path = convert(write_wav(tmp_path / "whole.wav", make_speech(2.0), SPEECH_RATE), "a.webm")
    monkeypatch.setattr("zipper.limits.MAX_DECODE_SECONDS", 0.01)
    with pytest.raises(LimitError, match="could not be decoded in"):
        load_audio(path)
