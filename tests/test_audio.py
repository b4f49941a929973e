"""Any recording becomes float32 mono; every bad one gets one sentence."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import MakeSpeech

from zipper import limits
from zipper.audio.io import load_audio, wav_bytes, write_wav
from zipper.errors import AudioError, LimitError, StorageError, ZipperError
from zipper.rates import SPEECH_RATE


def save(path: Path, samples: np.ndarray, rate: int, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("a.wav", 16_000, 1, "PCM_16"),
        ("a.wav", 44_100, 2, "PCM_24"),
        ("a.wav", 16_000, 8, "PCM_16"),
        ("a.wav", 8_000, 1, "PCM_U8"),
        ("a.wav", 48_000, 2, "FLOAT"),
        ("a.wav", 192_000, 1, "PCM_32"),
        ("a.wav", 16_000, 1, "ULAW"),
        ("a.flac", 22_050, 1, "PCM_16"),
        ("a.ogg", 48_000, 1, "OPUS"),
        ("a.mp3", 44_100, 2, None),
    ],
)
def test_formats(
    tmp_path: Path, make_speech: MakeSpeech, name: str, rate: int, channels: int, subtype: str | None
) -> None:
    sound = make_speech(2.0, rate)
    path = save(tmp_path / name, np.stack([sound] * channels, axis=1), rate, subtype)
    loaded = load_audio(path)
    assert loaded.dtype == np.float32 and loaded.ndim == 1
    assert abs(len(loaded) / SPEECH_RATE - 2.0) < 0.06
    expected = load_audio((sound, rate))
    n = min(len(loaded), len(expected))
    assert np.corrcoef(loaded[:n], expected[:n])[0, 1] > (0.9 if name.endswith(("wav", "flac")) else 0.7)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "float32", "float64"])
def test_arrays_of_any_number_type(make_speech: MakeSpeech, dtype: str) -> None:
    sound = make_speech(0.5)
    if dtype.startswith("f"):
        given_samples = sound.astype(dtype)
    else:
        span = np.iinfo(dtype)
        middle = 0 if dtype.startswith("i") else 128
        given_samples = (sound * span.max * (1 if dtype.startswith("i") else 0.5) + middle).astype(dtype)
    assert np.abs(load_audio((given_samples, SPEECH_RATE)) - sound).max() < 0.02


def test_tensors_that_belong_to_a_graph(make_speech: MakeSpeech) -> None:
    sound = make_speech(0.5)
    np.testing.assert_array_equal(load_audio((torch.tensor(sound, requires_grad=True), SPEECH_RATE)), sound)
    with pytest.raises(AudioError, match="array of numbers"):
        load_audio((torch.zeros(16_000, dtype=torch.bfloat16), SPEECH_RATE))


def test_channels_first_or_last_and_opposite_phase(make_speech: MakeSpeech) -> None:
    sound = make_speech(0.5)
    np.testing.assert_allclose(load_audio((np.stack([sound, sound]), SPEECH_RATE)), sound, atol=1e-6)
    np.testing.assert_allclose(load_audio((np.stack([sound, sound], axis=1), SPEECH_RATE)), sound, atol=1e-6)
    np.testing.assert_allclose(load_audio((np.stack([sound, -sound], axis=1), SPEECH_RATE)), sound, atol=1e-6)


def test_loud_float_samples_are_scaled_down(make_speech: MakeSpeech) -> None:
    assert np.abs(load_audio((make_speech(0.5) * 32768, SPEECH_RATE))).max() == pytest.approx(1.0)


def test_another_rate(make_speech: MakeSpeech) -> None:
    assert len(load_audio((make_speech(1.0), SPEECH_RATE), rate=22_050)) == 22_050


def bad_files(folder: Path, sound: np.ndarray) -> dict[str, bytes]:
    wav = wav_bytes(sound, SPEECH_RATE)
    flac = io.BytesIO()
    soundfile.write(flac, sound, SPEECH_RATE, format="FLAC")
    nan = io.BytesIO()
    soundfile.write(
        nan, np.where(np.arange(len(sound)) == 99, np.nan, sound), SPEECH_RATE, format="WAV", subtype="FLOAT"
    )
    return {
        "is empty": b"",
        "known format": b"this is a text, not a recording" * 20,
        "truncated": wav[: len(wav) // 2],
        "truncated or damaged|is truncated": flac.getvalue()[: len(flac.getvalue()) // 2],
        "0 samples": wav_bytes(np.zeros(0), SPEECH_RATE),
        "too short": wav_bytes(sound[: SPEECH_RATE // 20], SPEECH_RATE),
        "not finite": nan.getvalue(),
        "known format|truncated": wav[:30],
        "known format|damaged": os.urandom(5000),
    }


def test_bad_files(tmp_path: Path, make_speech: MakeSpeech) -> None:
    for message, data in bad_files(tmp_path, make_speech(1.0)).items():
        path = tmp_path / "clip.wav"
        path.write_bytes(data)
        with pytest.raises(AudioError, match=message) as caught:
            load_audio(path)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_missing_folder_and_odd_names(tmp_path: Path) -> None:
    for path, message in [(tmp_path / "none.wav", "no file"), (tmp_path, "folder"), ("a\0b", "opened|no file")]:
        with pytest.raises(AudioError, match=message):
            load_audio(path)


@pytest.mark.parametrize(
    "source",
    [
        (np.zeros(16_000), 0),
        (np.zeros(16_000), 16_000.5),
        (np.zeros((2, 2, 2)), 16_000),
        (["a"], 16_000),
        ([[1.0], [1.0, 2.0]], 16_000),
        (np.zeros(16_000, complex), 16_000),
        (np.full(16_000, np.inf), 16_000),
        (np.zeros(0), 16_000),
        (np.full(16_000, 1000, np.int64), 16_000),
        ([100, -3000] * 8_000, 16_000),
        (np.full(16_000, 3e38) * 10, 16_000),
        (np.zeros(16_000),),
        None,
        5,
    ],
)
def test_bad_arrays(source: object) -> None:
    with pytest.raises(AudioError):
        load_audio(source)  # type: ignore[arg-type]


def test_too_long_and_too_many_channels(tmp_path: Path) -> None:
    long = np.zeros(int((limits.MAX_AUDIO_SECONDS + 1) * 4000), np.int16)
    with pytest.raises(LimitError, match="longer than 15 minutes"):
        load_audio((long, 4000))
    with pytest.raises(LimitError, match="longer than 15 minutes"):
        load_audio(save(tmp_path / "long.flac", long, 4000))
    with pytest.raises(LimitError, match="channels"):
        load_audio((np.zeros((1000, 65)), 16_000))


def test_ten_minutes_are_read() -> None:
    assert len(load_audio((np.zeros(600 * 8000, np.int16), 8000))) == 600 * SPEECH_RATE


def test_header_of_unknown_length_is_read(tmp_path: Path, make_speech: MakeSpeech) -> None:
    data = bytearray(wav_bytes(make_speech(1.0), SPEECH_RATE))
    data[40:44] = b"\xff\xff\xff\xff"  # as written by a program that could not seek back
    path = tmp_path / "stream.wav"
    path.write_bytes(data)
    assert len(load_audio(path)) == SPEECH_RATE


def test_webm_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "clip.webm"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    with pytest.raises(AudioError, match="WebM audio, which needs the ffmpeg program"):
        load_audio(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("name", ["clip.webm", "clip.m4a", "clip.aac"])
def test_ffmpeg_formats(tmp_path: Path, make_speech: MakeSpeech, name: str) -> None:
    wav = write_wav(tmp_path / "clip.wav", make_speech(2.0), SPEECH_RATE)
    path = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, path], check=True)
    assert abs(len(load_audio(path)) / SPEECH_RATE - 2.0) < 0.2
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(AudioError, match="damaged|too short|0 samples"):
        load_audio(path)


def test_written_sound_is_read_back(tmp_path: Path, make_speech: MakeSpeech) -> None:
    sound = make_speech(1.0)
    path = write_wav(tmp_path / "out.wav", sound, SPEECH_RATE)
    assert soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_allclose(load_audio(path), sound, atol=1e-4)
    assert os.listdir(tmp_path) == ["out.wav"]


def test_full_disk_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left"):
        write_wav("/dev/full", np.zeros(16_000), SPEECH_RATE)
    with pytest.raises(StorageError, match="No such file"):
        write_wav(tmp_path / "none" / "out.wav", np.zeros(16_000), SPEECH_RATE)
    with pytest.raises(StorageError):
        write_wav(tmp_path, np.zeros(16_000), SPEECH_RATE)


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk that fills up half way."""
    path = tmp_path / "out.wav"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys, numpy; from zipper.audio.io import write_wav;"
        "from zipper.errors import StorageError; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_wav(sys.argv[1], numpy.zeros(16000), 16000)\n"
        "except StorageError: sys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code, path], check=False)
    assert done.returncode == 7 and path.read_bytes() == b"old" and os.listdir(tmp_path) == ["out.wav"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\0\0\0 ftyp"]))
def test_any_bytes_are_sound_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(head + data)
    try:
        assert load_audio(path).dtype == np.float32
    except ZipperError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
