"""A study of a toy from the command to the page: trained, stopped, resumed, measured; and recipes that cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from support import MakeSpeech

from zipper import limits
from zipper.api import Zipper
from zipper.errors import ConfigError, DataError, OptionError, ZipperError
from zipper.model.single_decoder import SingleDecoder
from zipper.rates import SPEECH_RATE
from zipper.studies import cli, measures
from zipper.studies.measures import LENGTHS, sentences_by_length, wer
from zipper.studies.study import STUDIES, Sizes, check_variants, read_sizes, read_study, runs_of
from zipper.training.loop import Trainer

STUDY = """\
title: A toy
variants:
  zipper: {stage: zip, title: Zipper}
  single: {stage: single, title: Single Decoder}
seeds: [0, 1]
measures: [readers, recognition, synthesis, resynthesis, text]
"""
STEPS = 4
SENTENCES = ["The ship came home at last.", "Nobody knew why it had been away for so long at all."]


@pytest.fixture
def options(tmp_path: Path, model_folder: Path, make_speech: MakeSpeech) -> list[str]:
    """Options that measure everything, on two recordings of which one is of a held-out reader."""
    (tmp_path / "toy.yaml").write_text(STUDY, encoding="utf-8")
    source = tmp_path / "librispeech-dev-clean-20"
    (source / "audio").mkdir(parents=True)
    for name in ("3000-1", "1-1"):
        soundfile.write(source / "audio" / f"{name}.wav", make_speech(1.5), SPEECH_RATE)
    (source / "manifest.tsv").write_text("id\ttext\n3000-1\tHello there\n1-1\tHello again\n", encoding="utf-8")
    (tmp_path / "lines.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    (tmp_path / "judge").mkdir()
    given = ["--quick", "--parts", model_folder, "--out", tmp_path / "out", "--readers", source, "--tests", source]
    given += ["--sentences", tmp_path / "lines.txt", "--text", tmp_path / "lines.txt", "--spoken", source]
    given += ["--judge", tmp_path / "judge", "--set", "loop.seconds=0", "--set", f"loop.steps={STEPS}"]
    return [str(tmp_path / "toy.yaml"), *map(str, given), "--set", "loop.save_seconds=0"]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Whisper would hear of random voices is not the point here, nor that they go on and on."""
    monkeypatch.setattr(limits, "MAX_SPEECH_SECONDS_PER_CHARACTER", 0.02)
    monkeypatch.setattr(limits, "EXTRA_SPEECH_SECONDS", 0.5)

    def load(folder: Path, threads: int) -> Any:
        return lambda samples: "hello there"

    monkeypatch.setattr(measures, "load_recognizer", load)


class Stopped(Exception):
    """What happens in the middle of a run."""


def test_a_study_is_trained_stopped_resumed_measured_and_drawn(
    options: list[str], judge: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[int] = []
    step = Trainer._one_step

    def counted(self: Trainer, *arguments: Any) -> Any:
        if len(steps) == STEPS + 2:  # in the middle of the second run
            steps.append(-1)
            raise Stopped
        steps.append(self.step)
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "_one_step", counted)
    with pytest.raises(Stopped):
        cli.main(options)
    out = tmp_path / "out"
    assert [path.stem for path in (out / "results").iterdir()] == ["zipper-100-0"]
    cli.main([*options, "--list"])
    listed = capsys.readouterr().out
    assert "1 of 4 runs are done" in listed and "single-100-0: not trained, readers missing" in listed
    assert cli.main(options) == 0
    assert steps == [0, 1, 2, 3, 0, 1, -1, 2, 3, *(2 * [0, 1, 2, 3])]  # the second run went on where it was stopped
    cli.main([*options, "--list"])
    assert "4 of 4 runs are done" in capsys.readouterr().out

    names = [f"{variant}-100-{seed}" for variant in ("single", "zipper") for seed in (0, 1)]
    found = {path.stem: json.loads(path.read_text()) for path in sorted((out / "results").iterdir())}
    assert sorted(found) == names
    for name, data in found.items():
        assert data["steps"] == STEPS and data["cost"]["parameters"] > 0 and data["revision"]
        assert set(data["measured"]) == {"readers", "recognition", "synthesis", "resynthesis", "text"}
        assert data["measured"]["readers"]["figures"]["recordings"] == 1  # the other reader is no held-out one
        assert data["measured"]["recognition"]["figures"]["words.librispeech-dev-clean-20"] == 4
        assert len(data["measured"]["synthesis"]["utterances"][0]["errors"]) == 2  # samples
        gold = data["measured"]["resynthesis"]["figures"]
        assert gold["wer.gold"] == 25.0  # "Hello again", of which "hello there" is heard
        assert gold["wer_best"] <= gold["wer"]
        assert data["measured"]["text"]["figures"]["identical"] == float(name.startswith("zipper"))
        assert data["command"].startswith("./run reproduce toy.yaml --quick ") and "--judge judge" in data["command"]
        assert str(tmp_path) not in json.dumps(data)  # no paths of this machine
        assert data["losses"] == {} or all(value > 0 for value in data["losses"].values())
        assert bool(data["gates"]) == name.startswith("zipper")
    assert isinstance(Zipper.from_pretrained(out / "models" / "single-100-0").model, SingleDecoder)
    assert not (out / "models" / "single-100-0" / "run" / "state.pt").exists()
    page = (out / "paper.md").read_text()
    assert "| Zipper keeps its text tower, to the bit |" in page and "| holds |" in page and "a toy" in page
    assert (out / "pictures" / "gates.svg").exists() and (out / "pictures" / "text-ability.svg").exists()

    steps.clear()
    before = {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    assert cli.main(options) == 0
    assert steps == [] and {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()} == before
    with pytest.raises(ConfigError, match="other settings"):
        cli.main([*options, "--set", "loop.steps=5"])
    (out / "models" / "zipper-100-1" / "run" / "cost.json").unlink()
    lines = tmp_path / "other.txt"
    lines.write_text(SENTENCES[1], encoding="utf-8")
    with pytest.raises(ConfigError, match="zipper-100-1 is gone"):
        cli.main([*options, "--text", str(lines)])


def test_measures_without_inputs_are_left_out(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = options[: options.index("--readers")]
    cli.main([*bare, "--list"])
    assert "readers left out, as its inputs are not named" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (STUDY, "title: [", "not YAML"),
        (STUDY, "- zipper", "names and values"),
        ("title: A toy\n", "", "title"),
        ("seeds: [0, 1]", "seeds: []", "seeds"),
        ("seeds: [0, 1]", "seeds: [1, 1]", "must differ"),
        ("seeds: [0, 1]", "seeds: [0, one]", "seeds"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nfractions: [0.5, 0]", "fractions"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nspeed: 3", "speed"),
        ("measures: [readers", "measures: [loudness", "measures"),
        ("stage: single", "stage: double", "stage"),
        ("title: Zipper}", "title: Zipper, settings: [gates]}", "NAME=VALUE"),
        ("title: Zipper}", "title: Zipper, settings: [gates=maybe]}", "gates"),
        ("title: Zipper}", "title: Zipper, settings: [speech_tower=frozen]}", "mixture"),
    ],
)
def test_recipes_that_cannot_be_are_refused_in_one_sentence(tmp_path: Path, old: str, new: str, word: str) -> None:
    path = tmp_path / "toy.yaml"
    assert old in STUDY
    path.write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=word) as found:
        runs_of(read_study(str(path)), read_sizes("quick"))
    assert "\n" not in str(found.value)


def test_inputs_and_sources_that_are_missing_are_told(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="aligned-data"):
        cli.main(["nothing"])
    with pytest.raises(OptionError, match="--work is missing"):
        cli.main(["gates", "--out", str(tmp_path)])
    with pytest.raises(OptionError, match="There is no"):
        cli.main([*options, "--text", str(tmp_path / "none.txt")])
    with pytest.raises(DataError, match="no tokens"):
        cli.main([*options, "--work", str(tmp_path)])
    with pytest.raises(DataError, match="no source other"):
        cli.main([*options, "--tts", "other", "--list"])
    with pytest.raises(ConfigError, match="seconds must be above 0"):
        cli.main([*options, "--seconds", "0"])
    with pytest.raises(ZipperError, match="plain sentence"):
        (tmp_path / "short.txt").write_text("No.\n", encoding="utf-8")
        sentences_by_length(tmp_path / "short.txt", 3)


def test_studies_share_their_runs_and_may_not_differ_in_them() -> None:
    studies = {name: read_study(name) for name in STUDIES}
    check_variants(studies)
    runs = {name: {run.name: run for run in runs_of(study, read_sizes("cpu"))} for name, study in studies.items()}
    assert runs["gates"].items() <= runs["text-ability"].items() <= runs["aligned-data"].items()
    assert len({name for found in runs.values() for name in found}) == 20 + 2 * 13
    assert list(runs["aligned-data"])[:3] == ["zipper-100-0", "single-100-0", "zipper-30-0"]
    run = runs["aligned-data"]["single-1-1"]
    config = run.to_train().config()
    assert (config.fraction, config.fraction_seed, config.loop.seed, config.loop.seconds) == (0.01, 1, 1, 1500.0)
    with pytest.raises(ConfigError, match="frozen has other settings"):
        other = {"frozen": studies["gates"].variants["zipper"]}
        check_variants(studies | {"mine": type(studies["gates"])("mine", other, (0,), ())})


@pytest.mark.parametrize("name", ["cpu", "gpu", "quick"])
def test_sizes_fit_every_study(name: str) -> None:
    sizes = read_sizes(name)
    for study in STUDIES:
        assert runs_of(read_study(study), sizes)
    with pytest.raises(ConfigError, match="samples"):
        Sizes(1, 1, 1, 1, samples=0, lines=1)


def test_sentences_of_every_length_are_spread_over_the_file(tmp_path: Path) -> None:
    lines = [f"{'word ' * count}{letter}" for count in range(1, 60) for letter in "abc"]
    (tmp_path / "lines.txt").write_text(
        "\n".join([*lines, "It is 3 o'clock in 1999, and that is late."]), encoding="utf-8"
    )
    chosen = sentences_by_length(tmp_path / "lines.txt", 4)
    counts = [sum(a <= len(line) < b for line in chosen) for a, b in measures.bands()]
    assert counts == [4] * (len(LENGTHS) - 1) and not any("3" in line for line in chosen)


def test_the_best_sample_of_each_sentence_counts() -> None:
    utterances = [{"words": 4, "errors": [2, 0, 3]}, {"words": 6, "errors": [1, 4, 2]}]
    assert (wer(utterances), wer(utterances, best=True)) == (30.0, 10.0)


def test_sentences_are_spoken_whole_and_the_limit_comes_back() -> None:
    usual = limits.MAX_SENTENCE_CHARACTERS
    with pytest.raises(Stopped), measures.whole_sentences():
        assert LENGTHS[-1] == limits.MAX_SENTENCE_CHARACTERS
        raise Stopped
    assert usual == limits.MAX_SENTENCE_CHARACTERS
