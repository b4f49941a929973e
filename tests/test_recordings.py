"""Every container takes the same way: to the same mono sound, under the same limits, in little memory."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import MakeSpeech, Samples, convert, needs_ffmpeg

from zipper.audio.io import load_audio, wav_bytes, write_wav
from zipper.errors import AudioError
from zipper.rates import SPEECH_RATE

PAGE_TIMES = Path(__file__).parent / "recordings" / "page_times.opus"


def likeness(heard: Samples, sound: Samples) -> float:
    """Largest correlation of two sounds, whatever their delay and sign."""
    size = 1 << (len(heard) + len(sound)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size)))
    return float(np.abs(product).max() / np.linalg.norm(heard) / np.linalg.norm(sound))


def opposite(sound: Samples, level: float, noise: float) -> Samples:
    """Stereo whose second channel has the other sign, is quieter, and has noise of its own: (n, 2)."""
    other = -level * sound + noise * np.random.default_rng(0).standard_normal(len(sound))
    return np.stack([sound, other], axis=1).astype(np.float32)


@pytest.mark.parametrize(("level", "noise"), [(1.0, 0.0), (0.8, 0.02)])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", ()),
        ("a.flac", ()),
        ("a.mp3", ("-joint_stereo", "0", "-b:a", "256k")),
        pytest.param("a.m4a", ("-b:a", "256k"), marks=needs_ffmpeg),
        ("a.ogg", ("-c:a", "libopus", "-b:a", "192k")),
        pytest.param("a.webm", ("-c:a", "libopus", "-b:a", "192k"), marks=needs_ffmpeg),
    ],
)
@needs_ffmpeg
def test_opposite_phase(
    tmp_path: Path, make_speech: MakeSpeech, name: str, codec: tuple[str, ...], level: float, noise: float
) -> None:
    sound = make_speech(3.0, 48_000)
    soundfile.write(tmp_path / "both.wav", opposite(sound, level, noise), 48_000, subtype="PCM_24")
    heard = load_audio(convert(tmp_path / "both.wav", name, *codec))
    assert likeness(heard, load_audio((sound, 48_000))) > 0.97
    assert 0.3 < np.abs(heard).max() < 0.7


def test_polarity_that_changes_within_the_recording_does_not_click(make_speech: MakeSpeech) -> None:
    sound = make_speech(4.0)
    other = np.concatenate([sound[:32_000], -sound[32_000:]])
    heard = load_audio((np.stack([sound, other], axis=1), SPEECH_RATE))
    near = np.abs(heard - sound) > 1e-4
    assert near.sum() <= 2 * 256 and not near[:31_000].any()
    assert np.abs(np.diff(heard)).max() < 1.5 * np.abs(np.diff(sound)).max()


def test_two_people_on_a_channel_each_are_both_heard(make_speech: MakeSpeech) -> None:
    one, other = make_speech(4.0).copy(), make_speech(4.0).copy()
    one[32_000:], other[:32_000] = 0, 0
    heard = load_audio((np.stack([one, -other], axis=1), SPEECH_RATE))
    np.testing.assert_allclose(np.abs(heard), np.abs(one + other) / 2, atol=1e-4)


def test_pairs_of_opposite_channels_do_not_cancel_each_other(make_speech: MakeSpeech) -> None:
    noise = np.random.default_rng(1).standard_normal(SPEECH_RATE).astype(np.float32) * 0.1
    sound = make_speech(1.0)
    heard = load_audio((np.stack([sound, -sound, noise, -noise, np.zeros_like(noise)], axis=1), SPEECH_RATE))
    np.testing.assert_allclose(heard, (2 * sound + 2 * noise) / 5, atol=1e-4)


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["flac", "pcm_s16le"])  # one tells ffmpeg where the channels are, the other does not
def test_channels_behind_the_listener_are_mixed_like_any_other(
    tmp_path: Path, make_speech: MakeSpeech, codec: str
) -> None:
    """ffmpeg itself would add the opposite channels of quad's rear to one, and leave nothing."""
    sound = make_speech(2.0, 48_000)
    silent = np.zeros_like(sound)
    soundfile.write(tmp_path / "rear.wav", np.stack([silent, silent, sound, -sound], axis=1), 48_000)
    path = convert(tmp_path / "rear.wav", "rear.mka", "-af", "channelmap=channel_layout=quad", "-c:a", codec)
    assert likeness(load_audio(path), load_audio((sound, 48_000))) > 0.97


CONTAINERS = {
    "clip.avi": ("-c:a", "mp3"),
    "clip.flv": ("-c:a", "mp3", "-ar", "44100"),
    "clip.ts": ("-c:a", "aac"),
    "flac.oga": ("-c:a", "flac"),
    "g722.wav": ("-c:a", "g722", "-ar", "16000"),
    "clip.mkv": ("-c:a", "flac"),
    "clip.wma": (),
    "clip.mov": ("-c:a", "aac"),
    "clip.wv": (),
    "clip.webm": (),
    "clip.aac": (),
    "clip.mpg": (),
}


@needs_ffmpeg
@pytest.mark.parametrize(("name", "codec"), CONTAINERS.items(), ids=list(CONTAINERS))
def test_containers(tmp_path: Path, make_speech: MakeSpeech, name: str, codec: tuple[str, ...]) -> None:
    sound = make_speech(3.0)
    heard = load_audio(convert(write_wav(tmp_path / "whole.wav", sound, SPEECH_RATE), name, *codec))
    assert abs(len(heard) / SPEECH_RATE - 3.0) < 0.15
    assert likeness(heard, sound) > 0.9


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.flv", "clip.ts", "clip.mpg"])
def test_videos_with_and_without_a_sound_track(tmp_path: Path, make_speech: MakeSpeech, name: str) -> None:
    wav = write_wav(tmp_path / "whole.wav", make_speech(2.0), SPEECH_RATE)
    picture = ("-f", "lavfi", "-i", "testsrc=duration=4:size=64x64:rate=25")
    rate = ("-ar", "44100")
    subprocess.run(["ffmpeg", "-v", "error", *picture, "-i", wav, *rate, tmp_path / name], check=True)
    assert abs(len(load_audio(tmp_path / name)) / SPEECH_RATE - 2.0) < 0.2  # the sound ends before the picture
    subprocess.run(["ffmpeg", "-v", "error", "-y", *picture, tmp_path / name], check=True)
    with pytest.raises(AudioError, match="is a video without a sound track"):
        load_audio(tmp_path / name)


@needs_ffmpeg
def test_a_gap_in_a_video_keeps_the_times_of_what_follows(tmp_path: Path, make_speech: MakeSpeech) -> None:
    """Two stretches of a Matroska file with nothing between, as a call leaves them whose microphone was off."""
    wav = write_wav(tmp_path / "whole.wav", make_speech(5.0), SPEECH_RATE)
    gap = ("-af", "aselect='lt(t,1)+gte(t,3)'", "-c:a", "pcm_s16le")
    heard = load_audio(convert(wav, "gap.mkv", *gap))
    assert abs(len(heard) / SPEECH_RATE - 5.0) < 0.15
    assert np.abs(heard[int(1.2 * SPEECH_RATE) : int(2.8 * SPEECH_RATE)]).max() < 1e-3


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data


def wav(sound: Samples, before: bytes = b"", after: bytes = b"") -> bytes:
    """A WAV file with chunks before and after its samples."""
    plain = wav_bytes(sound, SPEECH_RATE)
    inside = plain[12:36] + before + plain[36:] + after
    return b"RIFF" + (len(inside) + 4).to_bytes(4, "little") + b"WAVE" + inside


def with_size(data: bytes, size: int) -> bytes:
    """The same file with another length of its samples."""
    place = data.index(b"data") + 4
    return data[:place] + size.to_bytes(4, "little") + data[place + 4 :]


@pytest.mark.parametrize("before", [b"", chunk(b"LIST", bytes(200)), chunk(b"junk", bytes(10_000))])
def test_wav_with_a_wrong_length_is_read_to_its_end(tmp_path: Path, make_speech: MakeSpeech, before: bytes) -> None:
    data = wav(make_speech(1.0), before)
    wrong = [
        with_size(data, 0),
        with_size(data, 4 * SPEECH_RATE),
        with_size(data, 0xFFFFFFFF),
        data[:4] + bytes(4) + with_size(data, 0)[8:],
        data[:4] + b"\xff" * 4 + with_size(data, 0)[8:],
        data[:4] + b"\x24\0\0\0" + with_size(data, 0)[8:],
    ]
    for whole in wrong:
        path = tmp_path / "clip.wav"
        path.write_bytes(whole)
        assert len(load_audio(path)) == SPEECH_RATE


def test_wav_that_is_truly_empty_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(np.zeros(0, np.float32), after=chunk(b"LIST", b"INFO") + chunk(b"id3 ", bytes(64))))
    with pytest.raises(AudioError, match="0 samples"):
        load_audio(path)


@pytest.mark.parametrize("before", [b"", chunk(b"junk", bytes(10_000)), chunk(b"JUNK", bytes(3)) + b"\0"])
def test_a_cut_wav_is_told_wherever_its_header_ends(tmp_path: Path, make_speech: MakeSpeech, before: bytes) -> None:
    data = wav(make_speech(2.0), before)
    path = tmp_path / "clip.wav"
    for kept in (len(data) - 8_000, len(data) - 30_000, len(data) - 60_000):
        path.write_bytes(data[:kept])
        with pytest.raises(AudioError, match="is truncated: it ends before"):
            load_audio(path)


@pytest.mark.parametrize("kind", ["AIFF", "AU", "RF64", "W64", "CAF", "FLAC", "MP3", "OGG-VORBIS", "OGG-OPUS", "SVX"])
def test_other_cut_files_are_told(tmp_path: Path, make_speech: MakeSpeech, kind: str) -> None:
    name, _, codec = kind.partition("-")
    path = tmp_path / "clip.bin"
    soundfile.write(path, make_speech(4.0), SPEECH_RATE, format=name, subtype=codec or None)
    data = path.read_bytes()
    for share in (0.9, 0.5):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(AudioError, match="is truncated"):
            load_audio(path)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.webm", "a.avi", "a.flv", "a.wma", "a.m4a", "flac.oga", "g722.wav"])
def test_cut_files_that_ffmpeg_reads_are_told(tmp_path: Path, make_speech: MakeSpeech, name: str) -> None:
    codec = ("-movflags", "faststart") if name == "a.m4a" else CONTAINERS.get(name, ())
    whole = write_wav(tmp_path / "whole.wav", make_speech(6.0, 44_100), 44_100)
    data = convert(whole, name, *codec).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * 0.6)])
    with pytest.raises(AudioError, match="is truncated"):
        load_audio(tmp_path / name)


@needs_ffmpeg
def test_pages_whose_times_are_off_are_read_by_ffmpeg(tmp_path: Path) -> None:
    with soundfile.SoundFile(PAGE_TIMES) as sound, pytest.raises(soundfile.LibsndfileError):
        sound.read()
    heard = load_audio(PAGE_TIMES)
    assert len(heard) / SPEECH_RATE == pytest.approx(5.0, abs=0.02)
    shutil.copy(PAGE_TIMES, tmp_path / "a.opus")
    reference, _ = soundfile.read(convert(tmp_path / "a.opus", "a.wav", "-ar", str(SPEECH_RATE)), dtype="float32")
    assert likeness(heard, reference) > 0.99


@needs_ffmpeg
def test_a_page_that_is_damaged_as_well_does_not_become_silence(tmp_path: Path) -> None:
    data = bytearray(PAGE_TIMES.read_bytes())
    data[7_000] ^= 0x55
    (tmp_path / "a.opus").write_bytes(data)
    with pytest.raises(AudioError, match="is truncated"):
        load_audio(tmp_path / "a.opus")


def test_pages_whose_times_are_off_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match="Ogg audio of a kind that needs the ffmpeg program"):
        load_audio(PAGE_TIMES)


@needs_ffmpeg
def test_a_playlist_in_disguise_opens_no_other_file(tmp_path: Path, make_speech: MakeSpeech) -> None:
    secret = write_wav(tmp_path / "secret.wav", make_speech(2.0), SPEECH_RATE)
    for name, text in [
        ("list.m3u8", f"#EXTM3U\n#EXTINF:2,\n{secret}\n"),
        ("list.txt", f"ffconcat version 1.0\nfile {secret}\n"),
        ("list.webm", f"#EXTM3U\n#EXTINF:2,\nfile://{secret}\n"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError, match="not audio in a known format"):
            load_audio(tmp_path / name)


def test_names_that_no_terminal_shows(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\udcff.wav"
    write_wav(path, np.full(SPEECH_RATE, 0.1), SPEECH_RATE)
    assert len(load_audio(path)) == SPEECH_RATE
    path.write_bytes(b"")
    with pytest.raises(AudioError, match=r"^a\\nb\\udcff\.wav is empty\.$"):
        load_audio(path)
