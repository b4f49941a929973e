"""The page from results that are made up: the signs of the claims, the figures, the paper's numbers, and its length."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_documents import missing_files, missing_links, words

from studies.made import COMMAND, result, spoken
from zipper.errors import ZipperError
from zipper.studies.claims import CLAIMS, FAILS, HOLDS, MISSING, OPEN, close, lower
from zipper.studies.measures import PAPER
from zipper.studies.page import write_page
from zipper.studies.results import Result, Results, read_results, spread
from zipper.studies.study import RECIPES, STUDIES, read_study

ROOT = Path(__file__).parents[2]
ABLATIONS = [name for name in read_study("ablations").variants if name not in ("zipper", "frozen")]


def made(better: str) -> list[Result]:
    """Everything measured, in which one of the two systems is better at all that is compared."""
    worse = {"zipper": "single", "single": "zipper"}[better]
    scale = {better: 1.0, worse: 3.0, "frozen": 1.02 if better == "zipper" else 0.5}
    scale |= dict.fromkeys(ABLATIONS, scale["zipper"] * 1.5) | {"zips-9": 0.5, "zips-1": 5.0}
    if better == "zipper":
        scale |= {"zips-1": 1.05, "zips-2": 1.0, "zips-9": 0.97}
    runs = []
    for variant, factor in scale.items():
        for fraction in (1.0, 0.3, 0.01) if variant in ("zipper", "single") else (1.0,):
            for seed in (0, 1):
                rate = factor * (20 + 0.1 * seed) / fraction**0.2
                texts = {"before": 100.0, "after": 150.0 if variant == "single" else 100.0}
                texts["identical"] = float(variant != "single")
                short = 10.0 if (variant == "single") == (better == "zipper") else 30.0
                run = result(
                    variant,
                    seed,
                    {
                        "readers": {"wer": rate},
                        "recognition": {"wer.test-clean": rate, "cer.test-clean": 1.0, "wer.test-other": 2 * rate},
                        "synthesis": {"wer": rate, "wer.long": rate, "wer.short": short + seed},
                        "resynthesis": {"wer": rate, "wer_best": rate - 1, "wer.tokens": rate, "wer.gold": 6.2},
                        "text": texts,
                    },
                    fraction,
                )
                heard = replace(run.measured["synthesis"], utterances=spoken({30: 2, 90: 3, 150: 4}))
                run.measured["synthesis"] = heard
                runs.append(run)
    return runs


def signs(page: str) -> dict[str, str]:
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    texts = {claim.text for claim in CLAIMS}
    return {row[0]: row[-1] for row in rows if row[0] in texts}


def write(tmp_path: Path, runs: list[Result]) -> str:
    for run in runs:
        run.save(tmp_path / "results")
    return write_page(read_results(tmp_path / "results"), tmp_path / "paper.md").read_text()


def test_claims_that_hold_are_said_to_hold(tmp_path: Path) -> None:
    page = write(tmp_path, made("zipper"))
    found = signs(page)
    assert len(found) == len(CLAIMS)
    wrong = {text for text, sign in found.items() if sign != HOLDS}
    assert wrong == {"With all of it both recognize about as well, within a fifth"}  # three times as bad
    assert "50.4 ± 0.2 against 151.1 ± 0.5" in page  # 20 and 20.1, at 1 %


def test_claims_that_do_not_hold_are_said_not_to(tmp_path: Path) -> None:
    runs = made("single")
    for run in runs:
        if run.variant == "zipper":
            run.measured["text"].figures["identical"] = 0.0
        if run.variant == "single":
            run.measured["text"].figures["after"] = 90.0
        if run.variant == "zips-9":
            run.measured["synthesis"].figures["wer"] = 500.0
        if run.variant == "inputs-speech":
            run.measured["synthesis"].figures["wer"] = 1.0 + run.seed
    found = signs(write(tmp_path, runs))
    assert set(found.values()) == {FAILS}, found


def test_a_difference_within_the_seeds_is_left_open() -> None:
    assert [lower(a, b) for a, b in (([], [1.0]), ([1.0], []))] == [None, None]
    pairs = (([1.0, 2.0], [3.0, 4.0], HOLDS), ([1.0, 3.0], [2.0, 4.0], OPEN), ([5.0, 6.0], [3.0, 4.0], FAILS))
    for better, worse, sign in pairs:
        found = lower(better, worse)
        assert found and found.verdict == sign
    near, far = close([[10.0], [10.9]], 0.1), close([[10.0], [11.1]], 0.1)
    assert near and far and (near.verdict, far.verdict) == (HOLDS, FAILS) and "one seed" in near.here
    assert close([[1.0], []], 0.1) is None
    assert spread([1.0, 3.0]) == (2.0, pytest.approx(2**0.5)) and spread([4.0]) == (4.0, 0.0)


def test_what_was_not_run_is_said_not_to_be_measured(tmp_path: Path) -> None:
    page = write(tmp_path, [])
    assert set(signs(page).values()) == {MISSING}
    assert page.count("Not measured yet.") == len(STUDIES) and "pictures/" not in page
    for name in STUDIES:
        assert f"./run reproduce {name} --work WORK" in page
    assert "--tests MANIFEST" in page and not (tmp_path / "pictures").exists()


def test_the_page_shows_figures_that_are_there_and_names_their_commands(tmp_path: Path) -> None:
    page = write(tmp_path, made("zipper"))
    pictures = re.findall(r"\]\((pictures/[\w-]+\.svg)\)", page)
    assert len(pictures) == 6 and page.count(COMMAND) == len(STUDIES)
    for picture in pictures:
        text = (tmp_path / picture).read_text()
        ElementTree.fromstring(text)
        assert "#808080" in text and "fill: #ffffff" not in text  # no ground, gray text
    assert "| Zipper, speech tower frozen |" in page and "test-clean" in page and "gold tokens" in page
    assert list(missing_links(tmp_path / "paper.md")) == [] and words(page) <= 1000
    before = {picture: (tmp_path / picture).read_bytes() for picture in pictures}
    write(tmp_path, [])
    assert {picture: (tmp_path / picture).read_bytes() for picture in pictures} == before  # nothing by chance
    (tmp_path / "results" / "zipper-100-0.json").unlink()
    (tmp_path / "results" / "zipper-100-1.json").unlink()
    write(tmp_path, [])
    assert not (tmp_path / "pictures" / "gates.svg").exists()


def test_a_toy_is_called_one(tmp_path: Path) -> None:
    run = result("zipper", 0, {})
    assert "toy" not in write(tmp_path, [run])
    run.cost["parameters"] = 2e5
    assert "toy" in write(tmp_path, [run])


def test_the_page_has_the_numbers_of_the_paper(tmp_path: Path) -> None:
    page = write(tmp_path, made("zipper"))
    for group in ("zipper", "frozen", "single"):
        assert f"{PAPER['tables'][group]['clean']:g} / {PAPER['tables'][group]['other']:g}" in page
    for said in ("16 against 103", "3.54 against 3.78", "20.14 against 33.38", "20.66 against 26.52", "gold tokens 6."):
        assert said in page
    assert "3.62, 3.61, 3.58, 3.62" in page and "18.51 against 20.34" in page
    assert set(PAPER["ablations"]) <= set(read_study("ablations").variants)
    picture = (tmp_path / "pictures" / "aligned-data-recognition.svg").read_text()
    assert "Zipper, paper" in picture and "Single Decoder, paper" in picture


def test_the_committed_page_is_what_the_command_writes(tmp_path: Path) -> None:
    page = ROOT / "docs" / "paper.md"
    written = write_page(Results(read_results(ROOT / "docs" / "results").runs), tmp_path / "paper.md")
    assert page.read_text() == written.read_text()
    assert words(page.read_text()) <= 1000 and list(missing_files(page)) == []


def test_results_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"name": 3}'):
        (tmp_path / "zipper-100-0.json").write_text(text)
        with pytest.raises(ZipperError, match="zipper-100-0.json"):
            read_results(tmp_path)


def test_every_study_has_a_recipe() -> None:
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(STUDIES)
    for name in STUDIES:
        assert read_study(name).seeds == (0, 1)
