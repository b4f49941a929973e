"""Two vocoders on the same mels: a true figure known by hand, and the command on the tiny model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.stand_ins import tone
from zipper.api import Zipper
from zipper.audio.mel import MelSpectrogram
from zipper.errors import DataError
from zipper.evaluation import cli
from zipper.evaluation.manifest import read_recordings
from zipper.evaluation.tts import Spoken
from zipper.evaluation.vocoder import Mels, mel_distance, mels_of_recordings
from zipper.rates import VOCODER_RATE
from zipper.speech.istft import IstftConfig, IstftVocoder
from zipper.speech.vocoder import save_vocoder


def test_a_sound_half_as_loud_is_one_bit_off() -> None:
    sound = np.random.default_rng(0).standard_normal(8192).astype(np.float32) * 0.1
    mels = Mels(["a"], ["text"], [MelSpectrogram()(torch.from_numpy(sound)[None])[0]])
    for factor, distance in ((1.0, 0.0), (0.5, np.log(2))):
        spoken = Spoken("x", ["a"], ["text"], [(sound * np.float32(factor), VOCODER_RATE)], 1.0)
        assert mel_distance(spoken, mels) == pytest.approx(distance, abs=1e-3)
    with pytest.raises(DataError, match="no mel"):
        mel_distance(Spoken("x", [], [], [], 1.0), Mels([], [], []))


def test_mels_of_recordings_are_at_the_rate_of_the_vocoder(corpus: Path) -> None:
    mels = mels_of_recordings(read_recordings(corpus))
    assert [len(mel) for mel in mels.mels] == [VOCODER_RATE // 256] * 2
    peak = MelSpectrogram()(torch.from_numpy(tone(1.0, VOCODER_RATE))[None])[0].mean(0).argmax()
    assert mels.mels[0].mean(0).argmax() == peak


@pytest.mark.parametrize("recordings", [False, True])
def test_the_command(
    recordings: bool,
    corpus: Path,
    zipper: Zipper,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    save_vocoder(IstftVocoder(IstftConfig(width=8, ff_width=8, blocks=1)), tmp_path / "student")
    (tmp_path / "lines.txt").write_text("Hello there.\nGood day.\n")
    monkeypatch.setattr(cli, "load_zipper", lambda _: zipper)
    monkeypatch.setattr(cli, "load_mos", lambda: lambda samples: 3.0)
    monkeypatch.setattr(cli, "_recognizers", lambda folders, threads: {"ear": lambda samples: "hello there"})
    given = [str(corpus), "--recordings"] if recordings else [str(tmp_path / "lines.txt")]
    out = tmp_path / "out.json"
    options = [
        "--other",
        str(tmp_path / "student"),
        "--threads",
        "1",
        "--json",
        str(out),
        "--out",
        str(tmp_path / "wav"),
    ]
    assert cli.main(["vocoder", *given, *options]) == 0
    first, second = json.loads(out.read_text())["results"]
    assert (first["speech"], second["speech"]) == ("model", "student") and first["MOS"] == 3.0
    assert first["audio s"] == second["audio s"] > 0 and first["mel distance"] != second["mel distance"]
    assert first["WER % ear"] == second["WER % ear"] and "mel distance" in capsys.readouterr().out
    assert [len(list((tmp_path / "wav" / name).iterdir())) for name in ("model", "student")] == [2, 2]
    assert cli.main(["vocoder", *given, "--other", str(tmp_path), "--threads", "1"]) == 2
    assert "holds no vocoder" in capsys.readouterr().err
