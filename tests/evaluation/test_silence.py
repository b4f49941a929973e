"""Measurements of pauses, of detection and of doubt, on stand-ins whose true figures are known by hand."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import MakeSpeech

from zipper.audio.speech_windows import windows
from zipper.errors import DataError, DependencyError, NoSpeechError
from zipper.evaluation import cli, doubt
from zipper.evaluation.detection import evaluate_detection
from zipper.evaluation.manifest import Recording
from zipper.evaluation.signals import SIGNALS, room_noise
from zipper.evaluation.silence import evaluate_pauses
from zipper.rates import SPEECH_RATE
from zipper.results import DOUBTFUL_CONFIDENCE, Attention, Direction, Passage, Transcript, Word

TEXT = "alpha bravo charlie delta"
DIRECTION: Direction = "text_from_speech"


def transcript(words: list[Word], seconds: float) -> Transcript:
    weights, path = np.zeros((1, 1, 0, 0), np.float16), np.zeros((0, 2), np.int64)
    nothing = Attention(DIRECTION, weights, np.zeros((1, 2), np.float32), (), (), (), path)
    passage = Passage(" ".join(word.text for word in words), tuple(words), nothing, 0.0, seconds)
    return Transcript((passage,), seconds)


class Hearer:
    """Hears the four words of TEXT, evenly spread, in each window of speech; the flaw is what it does wrong."""

    def __init__(self, flaw: str = "") -> None:
        self.flaw = flaw

    def transcribe(self, source: tuple[np.ndarray, int]) -> Transcript:
        samples, _ = source
        found = windows(samples)
        if not found:
            raise NoSpeechError("No speech found in the recording.")
        words: list[Word] = []
        for window in found[:1] if self.flaw == "deaf" else found:
            start, stop = window.speech[0].start / SPEECH_RATE, window.speech[-1].stop / SPEECH_RATE
            each = (stop - start) / 4
            words += [Word(w, start + i * each, start + (i + 1) * each, 0.9) for i, w in enumerate(TEXT.split())]
        if self.flaw == "early":
            words[0] = Word(words[0].text, 0.0, words[0].end, 0.9)
        if self.flaw == "empty":
            words[-1] = Word(words[-1].text, words[-1].end, words[-1].end, 0.9)
        return transcript(words, len(samples) / SPEECH_RATE)


@pytest.fixture
def spoken(make_speech: MakeSpeech) -> list[Recording]:
    return [Recording(f"r{n}", make_speech(2.0 + n), TEXT) for n in range(2)]


@pytest.mark.parametrize(
    "flaw, wer, lost, outside, empty",
    [("", 0.0, 0, 0, 0), ("deaf", 50.0, 1, 0, 0), ("early", 0.0, 0, 1, 0), ("empty", 0.0, 0, 0, 1)],
)
def test_what_pauses_do_is_counted(
    spoken: list[Recording], flaw: str, wer: float, lost: int, outside: int, empty: int
) -> None:
    alone, paused = evaluate_pauses(Hearer(flaw), spoken, [4.0])
    assert (alone.pause, alone.rates.wer, alone.sentences, alone.lost, alone.outside) == (0.0, 0.0, 2, 0, 0)
    assert (paused.rates.wer, paused.lost, paused.outside, paused.empty) == (wer, lost, outside, empty)
    assert paused.sentences == 2 and paused.words == (4 if flaw == "deaf" else 8)


def test_pauses_need_two_recordings(spoken: list[Recording]) -> None:
    with pytest.raises(DataError, match="two"):
        evaluate_pauses(Hearer(), spoken[:1])


def test_detectors_are_compared(spoken: list[Recording]) -> None:
    noises = [Recording("hiss", room_noise(2.0), ""), Recording("talk", spoken[0].samples, "")]
    results = {result.kind: result for result in evaluate_detection(spoken, noises)}
    assert results["speech"].found == {"zipper": 2, "signal": 2} and results["speech"].wrong == ()
    made = results["no speech, made"]
    assert made.sounds == len(SIGNALS) and made.found["zipper"] == 0 < made.found["signal"]
    assert results["no speech, recorded"].wrong == ("talk",)


def test_doubt_is_counted_by_language(spoken: list[Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    hiss = Recording("hiss", room_noise(2.0), "")
    monkeypatch.setattr(doubt, "spoken_sentences", lambda: {"de": [spoken[0], hiss]})
    english, german = doubt.evaluate_doubt(Hearer(), spoken)
    assert (english.recordings, english.refused, english.median) == (2, 0, 0.9)
    assert (german.language, german.recordings, german.refused) == ("de", 2, 1)
    assert set(english.doubted.values()) == {0} and DOUBTFUL_CONFIDENCE in english.doubted
    sure = Transcript(transcript([Word("hm", 0, 1, DOUBTFUL_CONFIDENCE - 0.01)], 1.0).passages, 1.0)
    monkeypatch.setattr(Hearer, "transcribe", lambda *_: sure)
    assert evaluate(spoken)[DOUBTFUL_CONFIDENCE] == 2 and sure.doubtful


def evaluate(spoken: list[Recording]) -> dict[float, int]:
    return doubt.evaluate_doubt(Hearer(), spoken)[0].doubted


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs the program espeak-ng")
def test_other_languages_are_spoken() -> None:
    spoken = doubt.spoken_sentences()
    assert set(spoken) == {"de", "es", "fr"} and all(r.seconds > 0.5 for rs in spoken.values() for r in rs)


def test_without_the_program_that_speaks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", "")
    with pytest.raises(DependencyError, match="espeak-ng"):
        doubt.spoken_sentences()


def test_commands(
    spoken: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audio").mkdir()
    for recording in spoken:
        soundfile.write(tmp_path / "audio" / f"{recording.id}.wav", recording.samples, SPEECH_RATE)
    (tmp_path / "manifest.tsv").write_text("id\ttext\n" + "".join(f"{r.id}\t{r.text}\n" for r in spoken))
    monkeypatch.setattr(cli, "load_zipper", lambda _: Hearer())
    monkeypatch.setattr(doubt, "spoken_sentences", lambda: {"de": spoken})
    folder, out = str(tmp_path), tmp_path / "out.json"
    assert cli.main(["silence", folder, "--threads", "1", "--pauses", "3", "--json", str(out)]) == 0
    assert [result["pause"] for result in json.loads(out.read_text())["results"]] == [0.0, 3.0]
    assert "outside speech" in capsys.readouterr().out
    assert cli.main(["detection", folder, "--threads", "1", "--noise", folder, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["results"][-1]["wrong"] == ["r0", "r1"]
    assert cli.main(["doubt", folder, "--threads", "1", "--json", str(out)]) == 0
    assert [result["language"] for result in json.loads(out.read_text())["results"]] == ["en", "de"]
    assert cli.main(["silence", folder, "--threads", "1", "--pauses", "0"]) == 2
    assert "--pauses" in capsys.readouterr().err
