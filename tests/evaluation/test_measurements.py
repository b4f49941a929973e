"""Measurements on stand-ins whose true figures are known by hand."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.stand_ins import RATE, StandIn
from zipper.alignment.heads import load_heads
from zipper.alignment.words import WordTime
from zipper.errors import DataError, OptionError, WeightsError
from zipper.evaluation import alignment, asr, bench, cli, measure, parts, report, tts
from zipper.evaluation.manifest import read_recordings
from zipper.evaluation.metrics import Pair, error_rates, match_words, time_errors
from zipper.evaluation.peers import load_recognizer, require
from zipper.evaluation.sets import SETS, Lines, closest, read_said
from zipper.inference import engine, session
from zipper.model.zipper import ZipperModel
from zipper.text.normalize import normalize


def test_error_rates_ignore_case_punctuation_and_spelling() -> None:
    rates = error_rates(
        ["a", "b", "c", "d", "e"],
        ["THE COLOR IS RED", "OLD CATS", "WE WALK HOME NOW", "GOOD DAY", "..."],
        ["The color is red.", "Old dogs!", "we home now", "good day all", "noise"],
    )
    assert (rates.words, rates.substitutions, rates.deletions, rates.insertions) == (12, 1, 1, 1)
    assert rates.wer == 25.0
    assert [(pair.id, pair.wer) for pair in rates.worst] == [("b", 50.0), ("d", 50.0), ("c", 25.0)]
    with pytest.raises(ValueError, match="No reference"):
        error_rates(["a"], ["!"], ["x"])


def test_only_words_recognized_correctly_are_timed() -> None:
    true = [WordTime("The", 0, 0.2), WordTime("um", 0.2, 0.3), WordTime("cat,", 0.3, 0.6), WordTime("sat", 0.7, 1)]
    found = [WordTime("the", 0.1, 0.2), WordTime("Cat", 0.32, 0.5), WordTime("sits", 0.7, 1)]
    pairs = match_words(true, found)
    assert [(t.word, f.word) for t, f in pairs] == [("The", "the"), ("cat,", "Cat")]
    errors = time_errors(pairs)
    assert (errors.words, errors.mean_ms, errors.median_ms, errors.within_80_ms) == (2, 55.0, 60.0, 50.0)
    assert (errors.bias_start_ms, errors.bias_end_ms) == (60.0, -50.0)
    assert match_words(true, []) == []
    with pytest.raises(DataError, match="No word was recognized right"):
        time_errors([])


def test_recognizers_are_compared_on_the_same_recordings(corpus: Path, model: ZipperModel) -> None:
    recordings = read_recordings(corpus)
    recordings[1].samples[:] = 0
    zipper = StandIn(model, [WordTime("hello", 0, 0.5), WordTime("there", 0.5, 1)])
    results = asr.evaluate_recognizers(
        {"zipper": asr.zipper_recognizer(zipper), "peer": lambda samples: "hello"}, recordings
    )
    assert [(r.name, r.rates.wer, r.refused) for r in results] == [("zipper", 50.0, 1), ("peer", 75.0, 0)]
    assert results[0].row()["audio s"] == 2.0


def test_speech_is_judged_by_what_is_heard(model: ZipperModel, tmp_path: Path) -> None:
    sentences = ["we went home", "unspeakable"]
    lines = Lines(sentences, sentences, table=False)
    spoken = tts.speak_all("zipper", tts.zipper_voice(StandIn(model), None), lines, tmp_path)
    assert [path.name for path in (tmp_path / "zipper").iterdir()] == ["000.wav"]
    lengths: list[int] = []

    def listener(samples: np.ndarray) -> str:
        lengths.append(len(samples))
        return "we went"

    result = tts.judge(spoken, {"ear": listener}, lambda samples: 3.5)
    assert (result.rates["ear"].wer, result.mos, result.row()["refused"]) == (50.0, 3.5, 1)
    assert result.row()["right % ear"] == 0.0
    assert lengths == [3 * RATE]
    json.dumps(result.as_dict())
    again = tts.recorded(tmp_path / "zipper", sentences[:1])
    assert tts.judge(again, {"ear": listener}, None).row()["RTF"] is None
    for index in (2, 10):
        shutil.copy(tmp_path / "zipper" / "000.wav", tmp_path / "zipper" / f"{index}.wav")
    assert tts.recorded(tmp_path / "zipper", ["a", "b", "c"]).ids == ["000", "2", "10"]
    with pytest.raises(DataError, match="holds 3 recordings for 4"):
        tts.recorded(tmp_path / "zipper", ["a", "b", "c", "d"])


def test_what_is_typed_is_compared_with_what_should_be_said(tmp_path: Path) -> None:
    """However a judge writes what it hears, and whichever of two readings it is."""
    table = tmp_path / "lines.tsv"
    table.write_text("typed\tsaid\n-10°F\tminus ten degrees Fahrenheit\nThe FBI\tThe F.B.I.\nBye\tBye | By\n")
    lines = read_said(table)
    assert lines.typed == ["-10°F", "The FBI", "Bye"] and lines.table
    normal = lines.normal()

    def right(heard: list[str]) -> float:
        return error_rates(["a", "b", "c"], closest(lines.said, heard, normal), heard, normal).right

    assert right(["Minus 10 degrees Fahrenheit.", "the FBI", "By."]) == 100.0
    assert right(["-10 °F", "The f b i", "bye"]) == 100.0
    assert right(["10 degrees Fahrenheit", "The FBA", "bye"]) == 33.3


def test_sets_come_with_the_package_and_bad_files_are_told(tmp_path: Path) -> None:
    counts = {name: len(read_said(Path(name)).typed) for name in SETS}
    assert counts == {"long": 20, "calls": 60, "signs": 40}
    assert all(200 <= len(line) <= 260 for line in read_said(Path("long")).typed)
    assert all(1 <= len(line.split()) <= 3 for line in read_said(Path("calls")).typed)
    for name in SETS:
        lines = read_said(Path(name))
        normal = lines.normal()
        for typed, said in zip(lines.typed, lines.said, strict=True):
            assert normal(normalize(typed)) in [normal(reading) for reading in said.split(" | ")], typed
    (tmp_path / "bad.tsv").write_text("typed\nHello\n")
    (tmp_path / "empty.txt").write_text("\n")
    for name, message in (("bad.tsv", "typed and said"), ("empty.txt", "no sentence"), ("none", "long, calls, signs")):
        with pytest.raises(DataError, match=message):
            read_said(tmp_path / name)


def test_speech_is_made_again_from_its_own_tokens(corpus: Path, model: ZipperModel, tmp_path: Path) -> None:
    zipper = StandIn(model)
    original = tts.as_recorded(read_recordings(corpus))
    silent = replace(original, sounds=[original.sounds[0], None])  # a sentence that the peer refused
    for spoken, seconds in ((original, 2.0), (silent, 1.0)):
        again = tts.from_tokens(
            spoken, zipper.speech_tokenizer, zipper.detokenizer, "one", "oracle", tmp_path / str(seconds)
        )
        assert again.audio_seconds == spoken.audio_seconds == seconds
        assert (again.name, again.ids, again.texts) == ("oracle", original.ids, original.texts)
        assert len(list((tmp_path / str(seconds) / "oracle").iterdir())) == seconds


@pytest.mark.parametrize("direction", alignment.DIRECTIONS)
def test_forced_attention_is_laid_out_alike_in_both_directions(model: ZipperModel, direction: str) -> None:
    weights = alignment.forced_attention(model, [5, 6, 7], list(range(10)), direction)  # type: ignore[arg-type]
    assert weights.shape == (1, 2, 3, 10)
    total = weights.sum(3 if direction == "text_from_speech" else 2)
    assert ((total > 0) & (total < 1)).all()  # the rest is on begin and end


def test_word_times_are_compared_with_true_ones(corpus: Path, model: ZipperModel) -> None:
    recordings = read_recordings(corpus)
    zipper = StandIn(model, recordings[0].words)
    assert alignment.evaluate_recognition(zipper, recordings).median_ms == 0
    heads = alignment.choose(zipper, recordings)
    assert {head.direction for head in heads} == set(alignment.DIRECTIONS)
    zipper.heads = tuple(heads)
    errors = [alignment.evaluate_forced(zipper, recordings, d) for d in alignment.DIRECTIONS]
    assert [error.words for error in errors] == [4, 4]
    assert all(0 <= error.median_ms <= 1000 for error in errors)
    untimed = [type(recordings[0])("x", recordings[0].samples, "hello")]
    with pytest.raises(DataError, match="word times"):
        alignment.evaluate_recognition(zipper, untimed)


def test_inputs_have_the_length_that_was_asked_for(corpus: Path) -> None:
    recording = measure.make_recording(corpus / "audio" / "a.flac", 2.5)
    assert len(recording) == 2.5 * RATE
    for seconds in (3, 10, 30):
        assert 0.6 < len(measure.make_text(seconds)) / (seconds * measure.CHARACTERS_PER_SECOND) < 1.6


def test_measure_tells_the_first_part_from_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "load_engine", lambda case: lambda text: iter([1.0, 2.0]))
    measured = measure.measure(measure.Case("any", "synthesize", 3, 1))
    assert measured.audio_s == 3.0
    assert 0 <= measured.first_s <= measured.total_s
    assert measured.peak_mb > 10
    assert bench.row(measure.Case("any", "synthesize", 3, 1), measured)["audio s"] == 3.0


def test_a_stopwatch_counts_a_part_within_another_once() -> None:
    now = [0.0]

    def spend(seconds: float) -> float:
        now[0] += seconds
        return seconds

    watch = parts.Stopwatch(lambda: now[0])
    inner = watch.function(lambda seconds: "long" if seconds > 1 else "short", spend)
    items = watch.generator("items", lambda count: (inner(0.5) + spend(2.0) for _ in range(count)))
    with watch.part("rest"):
        for item in items(2):
            spend(10.0)  # what is done with an item is not of its making
            inner(item)
    assert watch.seconds == {"short": 1.0, "items": 4.0, "long": 5.0, "rest": 20.0}
    assert watch.calls == {"short": 2, "items": 3, "long": 2, "rest": 1}


def test_profile_tells_the_parts_of_real_requests(capsys: pytest.CaptureFixture[str]) -> None:
    feed, generate = session.Session.feed, engine.generate
    assert bench.main(["--profile", "--seconds", "1", "--threads", "1"]) == 0
    assert session.Session.feed is feed and engine.generate is generate, "nothing stays replaced"
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()[2:]]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    expected = {
        "transcribe": {"Whisper encoder", "quantizer", "finding speech", "speech tower, prompt", "text tower, step"}
        | {"choosing tokens", "lexicon", "alignment and word times"},
        "synthesize": {"text normalization", "text tower, prompt", "speech tower, step", "choosing tokens"}
        | {"acoustic network", "vocoder"},
    }
    for task, wanted in expected.items():
        found = {row[2]: float(row[4]) for row in rows if row[0] == task}
        assert wanted <= found.keys()
        assert found.pop("together") == 100
        assert sum(found.values()) == pytest.approx(100, abs=1)
        assert found["everything else"] < 50


def test_a_measurement_that_fails_is_one_clear_error() -> None:
    with pytest.raises(OptionError, match="hibari cannot transcribe"):
        measure.load_engine(measure.Case("hibari", "transcribe", 3, 1))
    line = bench.measure_row(measure.Case("hibari", "transcribe", 3, 1))
    assert "hibari cannot transcribe" in line["failed"]


def test_missing_peers_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no Whisper model"):
        load_recognizer(tmp_path)
    with pytest.raises(Exception, match="needs the package no_such_package"):
        require("no_such_package")


def test_table_lines_up_and_leaves_blanks() -> None:
    text = report.table([{"name": "a", "x": 1.5}, {"name": "long", "y": 20}])
    assert text.splitlines() == ["name    x   y", "----  ---  --", "a     1.5    ", "long       20"]
    assert "said  b" in report.worst("t", [Pair("a", "b", "c", 100.0)])
    assert "none" in report.worst("t", [])


def test_command_line(
    corpus: Path,
    model: ZipperModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    zipper = StandIn(model, [WordTime("hello", 0, 0.5), WordTime("there", 0.5, 1)])
    monkeypatch.setattr(cli, "load_zipper", lambda args: zipper)
    monkeypatch.setattr(cli, "load_recognizer", lambda folder, threads: lambda samples: "one two")
    sentences, saved, heads = tmp_path / "lines.txt", tmp_path / "out.json", tmp_path / "alignment.json"
    sentences.write_text("one two\nthree\n")
    judged = ["--judges", "ear", "--no-mos", "--json", str(saved)]
    runs: dict[str, list[str]] = {
        "asr": [str(corpus), "--peer", "ear", "--json", str(saved)],
        "tts": [str(sentences), *judged, "--out", str(tmp_path / "wav")],
        "oracle": [str(corpus), *judged],
        "align": [str(corpus), "--choose-heads", str(heads), "--json", str(saved)],
        "text": [str(sentences), "--json", str(saved)],
    }
    for name, arguments in runs.items():
        assert cli.main([name, *arguments, "--threads", "1"]) == 0, name
        assert json.loads(saved.read_text())["evaluation"] == name
        assert json.loads(saved.read_text())["results"]
    assert {head.direction for head in load_heads(heads)} == set(alignment.DIRECTIONS)
    assert cli.main(["tts", "calls", *judged, "--limit", "2"]) == 0
    assert len(json.loads(saved.read_text())["results"][0]["judges"]["ear"]["worst"]) == 2
    assert cli.main(["tts", str(sentences), *judged, "--peer", str(tmp_path / "wav" / "zipper"), "--threads", "1"]) == 0
    names = [result["speech"] for result in json.loads(saved.read_text())["results"]]
    assert names == ["zipper", "zipper", "zipper, from its tokens"]
    capsys.readouterr()
    for bad in (
        ["asr", str(tmp_path / "none")],
        ["tts", str(sentences), "--no-mos"],
        ["text", str(sentences), "--limit", "0"],
    ):
        assert cli.main([*bad, "--threads", "1"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
