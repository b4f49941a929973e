"""The finished examples that the page opens with: made by the shipped weights, until a run takes their place."""

import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from browsing import choose_example, open_page, ready, speak, tab
from playwright.sync_api import Locator, Page, expect

from app import page as app_page
from app.components.attention_map import AttentionMap
from app.first_look.__main__ import keep, make
from app.first_look.look import FOLDER, PANELS, FirstLook, load
from app.opening import Opening
from app.state import DisplayedResult
from app.synthesize import tab as synthesize
from app.transcribe import tab as transcribe
from zipper import Zipper
from zipper.results import Passage, Speech

AGAIN = "The first look is not what the shipped weights make: run python -m app.first_look and commit what it writes."
WEIGHTS, SECONDS = 0.03, 0.05  # by which weights and times may differ on another processor


def differences(kept: DisplayedResult | None, made: DisplayedResult | None) -> list[str]:
    """In what two results differ, apart from rounding; None stands for no words."""
    if kept is None or made is None:
        return [] if kept is made else ["words"]
    found = [] if kept.result.text == made.result.text else ["text"]
    found += [name for name in ("title", "link", "sample_rate") if getattr(kept, name) != getattr(made, name)]
    if isinstance(made.result, Speech):
        same = isinstance(kept.result, Speech) and (kept.result.voice, kept.result.seed) == (
            made.result.voice,
            made.result.seed,
        )
        found += [] if same else ["voice and seed"]
    if len(kept.samples) != len(made.samples) or np.corrcoef(kept.samples, made.samples)[0, 1] < 0.95:
        found.append("sound")
    if len(kept.result.passages) != len(made.result.passages):
        return [*found, "passages"]
    pairs = zip(kept.result.passages, made.result.passages, strict=True)
    return found + [name for pair in pairs for name in passage_differences(*pair)]


def passage_differences(kept: Passage, made: Passage) -> list[str]:
    old, new = kept.attention, made.attention
    if old.weights.shape != new.weights.shape:
        return ["map"]
    far = np.abs(old.weights.astype(np.float32) - new.weights.astype(np.float32)).max() > WEIGHTS
    times = [(a.start - b.start, a.end - b.end) for a, b in zip(kept.words, made.words, strict=False)]
    heads = [[(h.zip_point, h.head) for h in attention.heads] for attention in (old, new)]
    differing = {
        "map": far or old.weights.dtype != np.float16,
        "text tokens": [t.text for t in old.text_tokens] != [t.text for t in new.text_tokens],
        "speech tokens": [t.text for t in old.speech_tokens] != [t.text for t in new.speech_tokens],
        "words": [w.text for w in kept.words] != [w.text for w in made.words],
        "times": bool(times) and float(np.abs(times).max()) > SECONDS,
        "gates": not np.allclose(old.gates, new.gates, atol=1e-3),
        "heads": heads[0] != heads[1],
        "direction": old.direction != new.direction,
    }
    return [name for name, differs in differing.items() if differs]


@pytest.fixture(scope="module")
def made(shipped: Zipper) -> dict[str, FirstLook]:
    """The first look as the shipped weights make it now."""
    return make(shipped)


@pytest.mark.parametrize("panel", PANELS)
def test_what_is_kept_is_what_the_shipped_weights_make(made: dict[str, FirstLook], panel: str) -> None:
    kept, fresh = load(panel), made[panel]
    pairs = zip(kept.displayed, fresh.displayed, strict=True)
    assert [differences(*pair) for pair in pairs] == [[] for _ in fresh.displayed], AGAIN
    assert (kept.status, kept.words) == (fresh.status, fresh.words), AGAIN


def test_a_difference_is_found() -> None:
    (kept,) = load("transcribe").displayed
    assert kept is not None
    assert differences(kept, kept) == []
    left, right = load("gates").displayed
    assert {"text", "map"} <= set(differences(left, right))
    (passage,) = kept.result.passages
    attention = passage.attention
    for changed, name in (
        (replace(attention, weights=np.roll(attention.weights, 1, 3)), "map"),
        (replace(attention, speech_tokens=attention.speech_tokens[::-1]), "speech tokens"),
        (replace(attention, gates=attention.gates + 0.1), "gates"),
    ):
        other = replace(kept.result, passages=(replace(passage, attention=changed),))
        assert differences(kept, replace(kept, result=other)) == [name]


def test_what_is_written_is_read_again(zipper: Zipper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.first_look.files.EXAMPLES", tmp_path)
    (tmp_path / "recordings").symlink_to(FOLDER.parent / "recordings")
    looks = make(zipper)
    keep(looks, tmp_path / "first_look")
    for panel, look in looks.items():
        again = load(panel, tmp_path / "first_look")
        assert (again.status, again.words) == (look.status, look.words)
        for kept, fresh in zip(again.displayed, look.displayed, strict=True):
            assert [d for d in differences(kept, fresh) if d != "sound"] == []
            assert fresh is None or kept is not None and len(kept.samples) == len(fresh.samples)


def test_the_files_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert max(sizes.values()) < 300_000 and sum(sizes.values()) < 1_000_000


def test_the_page_opens_with_them_only_for_the_shipped_weights(zipper: Zipper) -> None:
    def maps(examples: bool) -> list[AttentionMap]:
        return [block for block in app_page.build(zipper, examples).blocks.values() if isinstance(block, AttentionMap)]

    assert [bool(each.value) for each in maps(True)] == [True] * 8
    assert [bool(each.value) for each in maps(False)] == [False] * 8


def test_nothing_is_shown_without_an_example() -> None:
    nothing = Opening(gr.State(None))
    assert transcribe.opened(nothing).status["text"] == transcribe.READY and not transcribe.opened(nothing).text
    assert synthesize.opened(nothing).status["text"] == synthesize.READY and synthesize.opened(nothing).sound is None


def example(page: Page, name: str) -> Locator:
    """A map, once it shows an example."""
    found = page.locator(f"#{name} .zm")
    expect(found).to_have_attribute("data-state", "example")
    expect(found.locator(".zm-example")).to_be_visible()
    expect(found.locator(".zm-base")).to_be_visible()
    return found


def test_every_tab_shows_a_finished_example(page: Page, tiny_url: str) -> None:
    open_page(page, tiny_url)
    shown = example(page, "transcribe-map")
    words = shown.locator(".zm-items button").all_inner_texts()
    assert " ".join(words) == page.locator("#transcribe-text textarea").input_value() and len(words) > 5
    expect(page.locator("#transcribe-status")).to_contain_text("This is an example")
    expect(page.locator("#transcribe-reference textarea")).not_to_have_value("")
    expect(page.locator("#transcribe-recording").get_by_role("button", name="Record", exact=True)).to_be_visible()
    tab(page, "Synthesize")
    example(page, "synthesize-map")
    expect(page.locator("#synthesize-status")).to_contain_text("This is an example")
    player = page.locator("#synthesize-player audio")
    expect(player).to_be_visible()
    player.evaluate("a => a.readyState > 0 || new Promise(done => a.onloadedmetadata = done)")
    assert player.evaluate("a => a.paused && a.duration > 1")  # nobody has asked for sound yet
    tab(page, "Explore")
    for name, inner in (("gates", "Gates"), ("both", "Both ways"), ("round", "Round trip")):
        tab(page, inner)
        for side in ("left", "right"):
            example(page, f"{name}-{side}-map")
            expect(page.locator(f"#{name}-{side}-words .words")).not_to_be_empty()
        expect(page.locator(f"#{name}-status")).to_contain_text(re.compile("This is an example.*Word error rate"))


def test_the_example_can_be_heard_and_saved(page: Page, tiny_url: str) -> None:
    open_page(page, tiny_url)
    shown = example(page, "transcribe-map")
    shown.locator(".zm-items button").nth(2).click()
    page.wait_for_function("a => a.currentTime > 0.2", arg=shown.locator(".zm-audio").element_handle())
    with page.expect_download() as started:
        page.locator("#transcribe-txt").click()
    assert Path(started.value.path()).read_text(encoding="utf-8").split()[0] == "Philip"
    shown.locator(".zm-export").click()
    expect(page.locator(".file-preview a[download]:visible")).to_have_count(6)


def test_the_first_run_takes_its_place(page: Page, tiny_url: str) -> None:
    open_page(page, tiny_url)
    example(page, "transcribe-map")
    shown = choose_example(page, "short")
    expect(shown.locator(".zm-example")).to_be_hidden()
    expect(page.locator("#transcribe-status")).to_contain_text("real-time factor")
    tab(page, "Synthesize")
    example(page, "synthesize-map")
    before = page.locator("#synthesize-player audio").get_attribute("src")
    speak(page, "Hello there.")
    shown = ready(page, "synthesize-map")
    assert shown.locator(".zm-items button").all_inner_texts() == ["Hello", "there."]
    expect(page.locator("#synthesize-player audio")).not_to_have_attribute("src", str(before))
    tab(page, "Explore")
    example(page, "gates-left-map")
    page.locator("#gates-run").click()
    ready(page, "gates-left-map")
    expect(page.locator("#gates-status")).not_to_contain_text("This is an example")
