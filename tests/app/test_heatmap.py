"""The attention map in a browser: what it shows, says, plays and sends, on maps whose numbers are known."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from known_maps import RATE, make_passage, make_result
from playwright.sync_api import Browser, Locator, Page, expect

from app.components.attention_map import AttentionMap
from app.components.attention_map.payload import map_payload, parse_selection, passage_payload, selected_matrix
from app.components.events import event_data
from app.state import DisplayedResult
from zipper.audio.io import wav_bytes
from zipper.results import Passage

NASTY = '<img src=x onerror="window.hacked=1">'
SPOKEN = make_passage(8, 50, words=("The", "quick", "brown", "fox", "jumps", "over", NASTY, "dogs"))
FOLLOWING = make_passage(6, 40, start=2.0)
LARGE = make_passage(120, 750, 4, 4)
HEAD_SWITCH_MS = 50


def toned(*passages: Passage) -> DisplayedResult:
    noisy = make_result(*passages)
    tone = (0.1 * np.sin(np.arange(len(noisy.samples)) / 9)).astype(np.float32)
    return DisplayedResult(noisy.result, tone, RATE, 0.1, "Recognition")


def payload(displayed: DisplayedResult) -> dict[str, Any]:
    sound = "data:audio/wav;base64," + base64.b64encode(wav_bytes(displayed.samples, RATE)).decode()
    found = map_payload(displayed, sound)
    assert found is not None
    return found


def selection_json(event: gr.EventData) -> str:
    return json.dumps(event_data(event, "passage", "direction", "view", "point", "head", "normalize"))


def load_passage(displayed: DisplayedResult, event: gr.EventData) -> dict[str, Any] | None:
    return passage_payload(displayed, event_data(event, "passage")["passage"])


@pytest.fixture(scope="module")
def maps() -> Iterator[str]:
    """A page with two maps and a button for each thing to show."""
    values = {"short": (SPOKEN,), "long": (SPOKEN, FOLLOWING), "large": (LARGE,)}
    with gr.Blocks() as blocks:
        left, right = AttentionMap(elem_id="left"), AttentionMap(elem_id="right")
        current = gr.State()
        for name, passages in values.items():
            result = toned(*passages)
            gr.Button(name, elem_id=name).click(
                lambda result=result: [payload(result), payload(result), result], None, [left, right, current]
            )
        for each in (left, right):
            each.load_passage(load_passage, current, each, trigger_mode="multiple")
        gr.Button("nothing", elem_id="nothing").click(lambda: [None, None], None, [left, right])
        got = gr.Textbox(elem_id="got")
        left.export(selection_json, None, got)
    blocks.launch(prevent_thread_lock=True, quiet=True)
    yield str(blocks.local_url)
    blocks.close()


@pytest.fixture
def left(page: Page, maps: str) -> Locator:
    """The left map with the short result."""
    return show(page, maps, "short")


def show(page: Page, url: str, name: str, theme: str = "light") -> Locator:
    page.goto(f"{url}?__theme={theme}")
    page.locator(f"#{name}").click()
    found = page.locator("#left .zm")
    expect(found).to_have_attribute("data-state", "ready")
    return found


def part(within: Locator, name: str) -> Locator:
    return within.locator(f".zm-{name}")


def expected(**selection: Any) -> np.ndarray:
    return selected_matrix(SPOKEN.attention, parse_selection(selection, [SPOKEN]))[0]


def over(within: Locator, row: int, column: int) -> dict[str, float]:
    """Position of the middle of a cell on the stage."""
    box = part(within, "stage").bounding_box()
    assert box is not None
    return {"x": (column + 0.5) / 50 * box["width"], "y": (row + 0.5) * 20}


def color(within: Locator, x: int, y: int) -> list[int]:
    """RGB of the picture at a point of the stage."""
    script = "(c, at) => [...c.getContext('2d').getImageData(...at.map(v => v * devicePixelRatio), 1, 1).data]"
    return list(part(within, "base").evaluate(script, [x, y]))[:3]


def test_says_nothing_before_there_is_a_result(page: Page, maps: str) -> None:
    page.goto(maps)
    expect(part(page.locator("#left"), "empty")).to_be_visible()
    expect(part(page.locator("#left"), "body")).to_be_hidden()


def test_shows_words_heads_gates_and_a_summary(left: Locator) -> None:
    expect(part(left, "word")).to_have_count(8)
    expect(part(left, "name")).to_have_text("Recognition: mean of 2 alignment heads, softmax weights")
    expect(part(left, "high")).to_have_text(f"{expected().max():.2f}")
    expect(part(left, "chip").first).to_have_text("zip 2, head 30.90")
    expect(part(left, "gate-value")).to_have_text(["−0.50", "−0.03", "0.43", "0.90"])
    stage = part(left, "stage")
    expect(stage).to_have_attribute("role", "img")
    expect(stage).to_have_attribute("aria-label", re.compile(r"softmax weights: 8 text tokens by 2\.0 seconds"))


def test_text_of_people_stays_text(page: Page, left: Locator) -> None:
    expect(part(left, "word").nth(6)).to_have_text(NASTY)
    part(left, "show-tokens").click()
    expect(part(left, "token").nth(6)).to_have_text(NASTY)
    part(left, "stage").hover(position=over(left, 6, 10))
    expect(part(left, "tip")).to_contain_text(NASTY)
    part(left, "details").locator("summary").click()
    expect(part(left, "table").locator("td").nth(6 * 5)).to_have_text(NASTY)
    assert left.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(("row", "column"), [(1, 7), (3, 22), (7, 49)])
def test_hover_tells_token_time_and_value(left: Locator, row: int, column: int) -> None:
    part(left, "stage").hover(position=over(left, row, column))
    text = part(left, "tip").inner_text()
    word = SPOKEN.words[row].text
    match = re.fullmatch(rf"“{word}” × ([\d.]+) s: ([\d.]+), mean of 2 alignment heads", text)
    assert match, text
    assert float(match[1]) == pytest.approx((column + 0.5) / 25, abs=0.006)
    assert float(match[2]) == pytest.approx(expected()[row, column], abs=0.005)


def test_selectors_change_matrix_and_name(left: Locator) -> None:
    left.get_by_role("button", name="One head").click()
    part(left, "point").select_option(index=1)
    part(left, "head").select_option(index=3)
    expect(part(left, "name")).to_have_text("Recognition: zip point 2, head 3, softmax weights")
    expect(part(left, "high")).to_have_text(f"{expected(view='head', point=1, head=2).max():.2f}")
    part(left, "head").select_option("mean")
    expect(part(left, "name")).to_have_text("Recognition: zip point 2, mean of 3 heads, softmax weights")
    part(left, "normalize").select_option("row maximum")
    expect(part(left, "name")).to_have_text("Recognition: zip point 2, mean of 3 heads, each row by its maximum")
    expect(part(left, "high")).to_have_text("1.00")
    left.get_by_role("button", name="Mean of all").click()
    expect(part(left, "name")).to_contain_text("mean of all 6 heads")


def test_thumbnails_show_all_heads_and_enlarge_one(left: Locator) -> None:
    left.get_by_role("button", name="All heads").click()
    expect(part(left, "thumb")).to_have_count(6)
    expect(part(left, "frame")).to_be_hidden()
    left.get_by_role("button", name="Zip point 1, head 3: enlarge").click()
    expect(part(left, "name")).to_have_text("Recognition: zip point 1, head 3, softmax weights")
    expect(part(left, "frame")).to_be_visible()


def test_head_switch_is_immediate_on_thirty_seconds(page: Page, maps: str) -> None:
    left = show(page, maps, "large")
    left.get_by_role("button", name="One head").click()
    took = part(left, "head").evaluate(
        """select => [0, 1, 2, 3].map(head => {
            const start = performance.now();
            select.value = head;
            select.dispatchEvent(new Event("change"));
            return performance.now() - start;
        })"""
    )
    print("head switch, ms:", took)
    assert sorted(took)[1] <= HEAD_SWITCH_MS  # the machine may be busy in one of them


def test_a_click_plays_the_slice_and_the_cursor_moves(page: Page, left: Locator) -> None:
    sound = part(left, "audio")
    part(left, "stage").click(position=over(left, 4, 27))  # within the fifth word, 1.00 to 1.25 s
    expect(part(left, "word").nth(4)).to_have_class(re.compile("zm-now"))
    page.wait_for_function("a => a.paused && a.currentTime > 0", arg=sound.element_handle())
    assert sound.evaluate("a => a.currentTime") == pytest.approx(1.0, abs=0.05)  # rests where the word begins
    seen = page.evaluate(
        """async ([sound, cursor]) => {
            const seen = [];
            sound.currentTime = 0;
            await sound.play();
            while (!sound.paused && seen.length < 200) {
                seen.push(Number(cursor.dataset.seconds));
                await new Promise(requestAnimationFrame);
                if (sound.currentTime > 0.8) sound.pause();
            }
            return seen;
        }""",
        [sound.element_handle(), part(left, "cursor").element_handle()],
    )
    assert seen[-1] > 0.6 and seen[len(seen) // 2 :] == sorted(seen[len(seen) // 2 :])


def test_a_word_plays_and_only_one_map_speaks(page: Page, left: Locator) -> None:
    other = page.locator("#right .zm")
    expect(other).to_have_attribute("data-state", "ready")
    playing = "m => !m.querySelector('audio').paused"
    left.locator("audio").evaluate("a => a.play()")
    part(other, "word").first.click()
    page.wait_for_function(playing, arg=other.element_handle())
    page.wait_for_function("a => a.paused", arg=part(left, "audio").element_handle())  # told by an event: later
    other.get_by_role("button", name="Mean of all").click()
    expect(part(left, "name")).to_contain_text("alignment heads")  # each has its own selection


def test_keys_move_the_cell_and_play(page: Page, left: Locator) -> None:
    stage, readout = part(left, "stage"), part(left, "readout")
    stage.focus()
    stage.press("ArrowRight")
    expect(readout).to_contain_text("“The” × 0.06 s: ")
    stage.press("ArrowDown")
    stage.press("Shift+ArrowRight")
    expect(readout).to_contain_text("“quick” × 0.46 s: ")
    stage.press("End")
    expect(readout).to_contain_text("× 1.98 s")
    stage.press("Home")
    stage.press("Enter")
    page.wait_for_function("a => a.currentTime > 0", arg=part(left, "audio").element_handle())
    word = part(left, "word")
    word.first.focus()
    word.first.press("ArrowRight")
    expect(word.nth(1)).to_be_focused()


def test_export_tells_python_what_is_shown(page: Page, left: Locator) -> None:
    left.get_by_role("button", name="One head").click()
    part(left, "point").select_option(index=1)
    part(left, "head").select_option(index=1)
    part(left, "export").click()
    got = page.locator("#got textarea")
    expect(got).to_have_value(re.compile("head"))
    assert json.loads(got.input_value()) == {
        "passage": 0,
        "direction": "text_from_speech",
        "view": "head",
        "point": 1,
        "head": 0,
        "normalize": "softmax",
    }


def test_passages_are_turned_by_hand_and_by_the_sound(page: Page, maps: str) -> None:
    left = show(page, maps, "long")
    expect(part(left, "word")).to_have_count(14)
    part(left, "next").click()
    expect(part(left, "passage")).to_have_text("passage 2 of 2")
    expect(part(left, "next")).to_be_disabled()
    box = part(left, "stage").bounding_box()
    assert box is not None
    part(left, "stage").hover(position={"x": (17 + 0.5) / 40 * box["width"], "y": (2 + 0.5) * 20})
    value = selected_matrix(FOLLOWING.attention, parse_selection({}, [FOLLOWING]))[0][2, 17]
    expect(part(left, "tip")).to_contain_text(f"“w2” × 2.70 s: {value:.3f}")
    part(left, "previous").click()
    expect(part(left, "passage")).to_have_text("passage 1 of 2")
    left = show(page, maps, "long")  # nothing of the second passage is here but its words
    part(left, "word").nth(9).click()
    expect(part(left, "passage")).to_have_text("passage 2 of 2")
    expect(part(left, "cursor")).to_be_visible()


def test_nothing_comes_after_something(page: Page, left: Locator) -> None:
    page.locator("#nothing").click()
    expect(part(left, "empty")).to_be_visible()
    expect(part(left, "body")).to_be_hidden()
    page.locator("#short").click()
    expect(part(left, "stage")).to_be_visible()


def test_colors_follow_the_theme_and_darken_evenly(page: Page, maps: str) -> None:
    for theme, rises in (("light", False), ("dark", True)):
        left = show(page, maps, "short", theme)
        ramp = part(left, "ramp").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 256, 1).data]")
        rgb = (np.array(ramp).reshape(256, 4)[:, :3] / 255.0) ** 2.2
        light = np.cbrt(rgb @ [0.2126, 0.7152, 0.0722])
        steps = np.diff(light[::16]) * (1 if rises else -1)
        assert steps.min() > 0.25 * steps.mean()  # no flat stretch, no step back
        paper = color(left, 400, 10)  # an early token at a late time: next to nothing
        assert (max(paper) < 60) if rises else (min(paper) > 230)
    page.evaluate("document.body.classList.remove('dark'); document.documentElement.classList.remove('dark')")
    page.wait_for_function("m => getComputedStyle(m).colorScheme !== 'dark'", arg=left.element_handle())
    page.wait_for_timeout(100)
    assert min(color(left, 400, 10)) > 230  # redrawn without a new result


def test_fits_a_phone(browser: Browser, maps: str, pictures: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True)
    page = context.new_page()
    left = show(page, maps, "large")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert part(left, "scroller").evaluate("s => s.scrollWidth > s.clientWidth")  # 30 s are stretched, scroll inside
    part(left, "stage").tap(position={"x": 60, "y": 60})
    expect(part(left, "tip")).to_be_visible()
    page.screenshot(path=pictures / "map-phone.png", full_page=True)
    context.close()
