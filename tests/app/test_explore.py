"""Explore: what closing gates does, both directions, round trip and towers, as plain functions and in a browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from support import MakeSpeech

from app import examples
from app.explore import directions, gates, inputs, pair, towers
from app.explore.pair import PairOutputs
from app.state import DisplayedResult
from app.wer import ADDED, MISSING, WRONG, word_errors
from zipper import GateScale, Zipper, limits
from zipper.audio.io import write_wav
from zipper.audio.speech_windows import Span, Window
from zipper.errors import AudioError, LimitError, NoSpeechError, OptionError, TextError
from zipper.rates import SPEECH_RATE

TEXT = "Hello there, how are you?"
ALL_CLOSED, AS_TRAINED = [0.0] * 4, [1.0] * 4  # of the tiny model's two zip points


@pytest.fixture
def clip(make_speech: MakeSpeech, tmp_path: Path) -> str:
    return str(write_wav(tmp_path / "clip.wav", make_speech(2.0), SPEECH_RATE))


def final_page(updates: Iterator[PairOutputs]) -> dict[str, Any]:
    """What every part of the page shows when a run is over."""
    page: dict[str, Any] = {}
    for update in updates:
        page |= {name: value for name, value in vars(update).items() if not _skipped(value)}
    return page


def _skipped(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update" and len(value) == 1


def test_words_are_marked_against_what_was_said() -> None:
    report = word_errors("The quick brown fox, jumps!", "The brown box, jumps high.")
    assert report is not None and report.words == 5 and report.wer == pytest.approx(60.0)
    assert report.marked == [
        ("The", None),
        ("quick", MISSING),
        ("brown", None),
        ("box,", WRONG),
        ("jumps", None),
        ("high.", ADDED),
    ]


def test_a_report_puts_case_and_spelling_aside() -> None:
    report = word_errors("I paid $45 for the color.", "i paid forty-five dollars for the color")
    assert report is not None and report.wer == 0
    assert all(kind is None for _, kind in report.marked)


@pytest.mark.parametrize("said", ["", "  ", "..."])
def test_no_report_without_a_reference(said: str) -> None:
    assert word_errors(said, "something") is None


def test_an_endless_reference_is_refused() -> None:
    with pytest.raises(LimitError):
        word_errors("a " * limits.MAX_TEXT_CHARACTERS, "a")


def test_sliders_are_the_gates_of_one_direction(zipper: Zipper) -> None:
    scale = gates.gate_scale(zipper, "recognition", [0.0, 0.25, 0.5, 1.0])
    assert scale == GateScale(((0.0, 0.25), (0.5, 1.0)), (1.0, 1.0))
    scale = gates.gate_scale(zipper, "synthesis", [-3.0, 9.0, None, 1.0])  # clamped; an empty one is as trained
    assert scale == GateScale((1.0, 1.0), ((0.0, 1.0), (1.0, 1.0)))
    with pytest.raises(OptionError):
        gates.gate_scale(zipper, "recognition", [1.0])


def test_closed_gates_show_on_the_map(zipper: Zipper, clip: str) -> None:
    page = final_page(gates.compare_recording(zipper, clip, "hello there", [1.0, 0.0, 0.0, 0.0]))
    before, after = page["left"].result.attention.gates, page["right"].result.attention.gates
    np.testing.assert_allclose(after, before * [[1, 0], [0, 0]])
    assert page["left_map"]["gates"][1][1] > 0 and page["right_map"]["gates"][1][1] == 0
    assert "Word error rate against what is said" in page["status"]["text"] and not page["status"]["busy"]
    assert page["left_words"]["words"] and page["right_words"]["words"]


def test_gates_as_trained_change_nothing(zipper: Zipper, clip: str) -> None:
    page = final_page(gates.compare_recording(zipper, clip, "", AS_TRAINED))
    assert page["left"].result.text == page["right"].result.text
    assert all(mark is None for _, mark in page["right_words"]["words"])
    assert page["status"]["text"].startswith("With the gates as set, 0 % of the words differ")


def test_the_judge_of_speech_is_named(zipper: Zipper) -> None:
    page = final_page(gates.compare_text(zipper, TEXT, "bass", 3, ALL_CLOSED))
    assert page["left"].result.attention.gates.all() and not page["right"].result.attention.gates.any()
    assert "own recognition" in page["status"]["text"]


def test_both_directions_speak_what_was_said(zipper: Zipper, clip: str) -> None:
    page = final_page(directions.both_directions(zipper, clip, TEXT, "alto", 1))
    assert page["left_map"]["direction"] == "text_from_speech"
    assert page["right_map"]["direction"] == "speech_from_text"
    assert page["right"].result.text == TEXT and page["right"].result.voice == "alto"
    assert "Word error rate of the recognition" in page["status"]["text"]


def test_round_trip_reads_its_own_speech(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = lambda samples: [Window(0, len(samples), (Span(0, len(samples)),))]  # noqa: E731
    monkeypatch.setattr("zipper.api.windows", everything)  # the tiny model hums
    page = final_page(directions.round_trip(zipper, TEXT, "bass", 2))
    np.testing.assert_array_equal(page["left"].samples, page["right"].samples)
    assert re.search(r"round trip: \d+ % of 5 words", page["status"]["text"])


def test_a_round_trip_may_come_back_without_words(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zipper.api.windows", lambda samples: [])
    page = final_page(directions.round_trip(zipper, TEXT, "bass", 2))
    assert page["right_map"] is None and page["right_words"]["words"] == [["no words", ADDED]]
    assert "100 %" in page["status"]["text"]


def test_a_stopped_run_stops_the_model(zipper: Zipper, clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    stream = zipper.transcribe_stream

    def watched(*args: Any, **options: Any) -> Iterator[Any]:
        try:
            yield from stream(*args, **options)
        finally:
            closed.append(True)

    monkeypatch.setattr(zipper, "transcribe_stream", watched)
    monkeypatch.setattr(pair, "REFRESH_SECONDS", 0.0)
    run = gates.compare_recording(zipper, clip, "", ALL_CLOSED)
    next(run), next(run)
    assert not closed
    run.close()
    assert closed == [True]


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (lambda z, clip: gates.compare_recording(z, None, "", ALL_CLOSED), AudioError, "no recording yet"),
        (lambda z, clip: gates.compare_recording(z, "gone.wav", "", ALL_CLOSED), AudioError, "no longer here"),
        (lambda z, clip: gates.compare_text(z, " ", None, 0, ALL_CLOSED), TextError, "no text"),
        (lambda z, clip: gates.compare_text(z, "a" * 2000, None, 0, ALL_CLOSED), LimitError, "characters"),
        (lambda z, clip: directions.both_directions(z, clip, "x" * 1000, None, 0), LimitError, "characters"),
        (lambda z, clip: directions.round_trip(z, TEXT, "nobody", 0), OptionError, "nobody"),
        (lambda z, clip: towers.continue_text(z, "", 10, 0, 0.5), TextError, "no text"),
        (lambda z, clip: towers.continue_recording(z, None, 1, 0, 0.5, None), AudioError, "no recording yet"),
    ],
)
def test_bad_input_gets_its_sentence(
    zipper: Zipper, clip: str, start: Callable[[Zipper, str], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(start(zipper, clip))


def test_long_recordings_are_refused(zipper: Zipper, make_speech: MakeSpeech, tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", make_speech(limits.MAX_COMPARED_SECONDS + 1), SPEECH_RATE)
    with pytest.raises(LimitError, match="30 s"):
        list(directions.both_directions(zipper, str(long), "", None, 0))


def test_silence_has_nothing_to_compare(zipper: Zipper, tmp_path: Path) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(SPEECH_RATE), SPEECH_RATE)
    with pytest.raises(NoSpeechError):
        list(gates.compare_recording(zipper, str(silence), "", ALL_CLOSED))


def test_towers_continue(zipper: Zipper, clip: str) -> None:
    *running, last = towers.continue_text(zipper, "It was a ", 10, 1, 0.8)
    given, (added, mark) = last.words["words"]
    assert given == ["It was a", None] and added and mark == "continued"
    assert not last.status["busy"] and all(u.status["busy"] and 0 < u.status["share"] <= 1 for u in running)
    *running, last = towers.continue_recording(zipper, clip, 2.0, 1, 0.8, "bass")
    assert last.transcript and (last.sound is None or Path(last.sound).stat().st_size > 44)
    assert not last.status["busy"] and running and all(update.status["busy"] for update in running)


def test_examples_bring_their_text() -> None:
    offered = {example.name: example for example in examples.recordings()}
    assert Path(inputs.open_example(offered, "clear")).suffix == ".wav"
    with pytest.raises(OptionError):
        inputs.open_example(offered, "../secret")


def test_closed_gates_take_the_ear_and_the_words_of_the_shipped_model(shipped: Zipper) -> None:
    closed = [0.0] * (2 * len(shipped.gates("text_from_speech")))
    transcripts = []
    for example in examples.recordings()[:2]:
        page = final_page(gates.compare_recording(shipped, str(example.path), example.text, closed))
        rates = [int(rate) for rate in re.findall(r"(\d+) %", page["status"]["text"])]
        assert rates[0] < rates[1] and rates[1] > 80
        transcripts.append(page["right"].result.text)
    assert transcripts[0] == transcripts[1]  # it makes up the same, whatever is said
    pages = [
        final_page(gates.compare_text(shipped, text, None, 0, closed)) for text in ("The rain stopped.", "Oh dear!")
    ]
    assert _codes(pages[0]["right"], 20) == _codes(pages[1]["right"], 20)
    assert _codes(pages[0]["left"], 20) != _codes(pages[1]["left"], 20)


def _codes(displayed: DisplayedResult, count: int) -> list[str]:
    return [token.text for token in displayed.result.passages[0].attention.speech_tokens[:count]]


def test_unzip_in_a_browser(page: Page, url: str, pictures: Path) -> None:
    _open(page, url, "Gates")
    page.locator("#gates-close").click()
    expect(page.locator("#gates-slider-0 input[type=number]")).to_have_value("0")
    page.locator("#gates-run").click()
    for side in ("left", "right"):  # not the example any more
        expect(page.locator(f"#gates-{side}-map .zm")).to_have_attribute("data-state", "ready")
    status = page.locator("#gates-status")
    expect(status).to_contain_text(re.compile(r"Word error rate against what is said: \d+ % .* \d+ % as set"))
    expect(page.locator("#gates-left-map canvas").first).to_be_visible()
    expect(page.locator("#gates-right-map canvas").first).to_be_visible()
    expect(page.locator("#gates-left-words")).to_contain_text("stood")
    page.screenshot(path=pictures / "explore-gates.png", full_page=True)
    page.locator("#gates-right-map").get_by_role("button", name=re.compile("export", re.I)).click()
    expect(page.get_by_text("recognition-alignment-heads")).to_have_count(5)  # png, svg, gif, csv, npz


def test_round_trip_in_a_browser(page: Page, url: str, pictures: Path) -> None:
    _open(page, url, "Round trip")
    page.locator("#round-text textarea").fill("Open the window.")
    page.locator("#round-run").click()
    expect(page.locator("#round-status")).to_contain_text(re.compile(r"round trip: \d+ % of 3 words"))
    expect(page.locator("#round-right-map .zm")).to_have_attribute("data-state", "ready")
    expect(page.locator("#round-right-map canvas").first).to_be_visible()
    page.screenshot(path=pictures / "explore-round-trip.png", full_page=True)


def _open(page: Page, url: str, tab: str) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Explore").click()
    page.get_by_role("tab", name=tab).click()
