"""Explore in a browser, on the tiny model: on a phone, in the dark, by keyboard and for axe."""

import json
from pathlib import Path

import pytest
from browsing import reach, serious
from playwright.sync_api import Locator, Page, expect

from app import examples
from app.explore import towers

TABS = ("Gates", "Both ways", "Round trip", "Towers")


def explore(page: Page, url: str, theme: str = "light") -> Locator:
    """The panel's own tabs, once they can be seen."""
    page.goto(f"{url}?__theme={theme}")
    page.get_by_role("tab", name="Explore", exact=True).click()
    tabs = page.locator("#explore-tabs").get_by_role("tab")
    expect(tabs.first).to_be_visible()
    return tabs


def ready(page: Page, name: str) -> Locator:
    """A map, once it shows something."""
    found = page.locator(f"#{name} .zm")
    expect(found).to_have_attribute("data-state", "ready")
    return found


@pytest.mark.parametrize(("width", "lines"), [(390, 1), (320, 2)])
def test_all_tabs_are_in_sight_on_a_phone(page: Page, tiny_url: str, pictures: Path, width: int, lines: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    tabs = explore(page, tiny_url)
    for name in TABS:
        tabs.filter(has_text=name).click()  # there, and not behind a menu
        expect(tabs).to_have_text(TABS)
        boxes = [tab.bounding_box() for tab in tabs.all()]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
        assert len({box["y"] for box in boxes if box}) <= lines
        page.screenshot(path=pictures / f"phone-{width}-{name.lower().replace(' ', '-')}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_file_lists_keep_to_the_dark(page: Page, tiny_url: str, pictures: Path) -> None:
    explore(page, tiny_url, "dark")
    page.locator("#gates-run").click()
    ready(page, "gates-left-map").locator(".zm-export").click()
    rows = page.locator(".file-preview tr:visible")
    expect(rows).to_have_count(6)
    rows.last.scroll_into_view_if_needed()
    page.screenshot(path=pictures / "dark-files.png")
    colors = "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    block = rows.first.locator("xpath=ancestor::*[contains(@class, 'block')][1]").evaluate(colors)
    for row in rows.all():
        stripe = row.evaluate(colors)
        assert all(abs(one - other) <= 12 for one, other in zip(stripe, block, strict=True)), (stripe, block)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_for_axe(page: Page, tiny_url: str, theme: str) -> None:
    """With a result in each tab, its map in every view, its files and what is folded away."""
    tabs = explore(page, tiny_url, theme)
    found: dict[str, list[str]] = {}

    def look(where: str) -> None:
        found.update({f"{where}, {rule}": nodes for rule, nodes in serious(page).items()})

    look("Gates, nothing yet")
    page.locator("#gates-run").click()
    shown = ready(page, "gates-right-map")
    shown.locator(".zm-export").click()
    expect(page.locator(".file-preview a:visible")).to_have_count(6)
    shown.locator("summary").click()
    shown.get_by_role("button", name="Tokens").click()
    shown.get_by_role("button", name="One head").click()
    look("Gates")
    shown.get_by_role("button", name="All heads").click()
    look("Gates, all heads")
    for name, prefix in (("Both ways", "both"), ("Round trip", "round")):
        tabs.filter(has_text=name).click()
        page.locator(f"#{prefix}-run").click()
        ready(page, f"{prefix}-left-map")  # the run is under way
        expect(page.locator(f"#{prefix}-status progress")).to_be_hidden()  # and over
        look(name)
    tabs.filter(has_text="Towers").click()
    for folded in page.get_by_role("button", name="Advanced").all():
        if folded.is_visible():
            folded.click()
    for prefix in ("towers-text", "towers-speech"):
        page.locator(f"#{prefix}-run").click()
        expect(page.locator(f"#{prefix}-status")).to_contain_text("Done")
    look("Towers")
    assert not found, json.dumps(found, indent=1)


def test_gates_and_map_by_keyboard_alone(page: Page, tiny_url: str) -> None:
    page.goto(tiny_url)
    expect(page.get_by_role("tab", name="Explore", exact=True)).to_be_visible()
    reach(page, page.get_by_role("tab", name="Explore", exact=True))
    page.keyboard.press("Enter")
    reach(page, page.locator("#gates-task"))
    page.keyboard.press("ArrowDown")
    expect(page.locator("#gates-text")).to_be_visible()  # the other direction
    page.keyboard.press("ArrowUp")
    expect(page.locator("#gates-text")).to_be_hidden()
    first = page.locator("#gates-slider-0")
    reach(page, first.locator("input[type=range]"))
    page.keyboard.press("ArrowLeft")
    expect(first.locator("input[type=number]")).to_have_value("0.95")
    reach(page, page.locator("#gates-close"))
    page.keyboard.press("Space")
    expect(first.locator("input[type=number]")).to_have_value("0")
    reach(page, page.locator("#gates-run"))
    page.keyboard.press("Enter")
    shown = ready(page, "gates-left-map")
    expect(page.locator("#gates-status progress")).to_be_hidden()
    reach(page, page.locator("#gates-stop"))
    words = shown.locator(".zm-items button")
    reach(page, words.first)
    page.keyboard.press("ArrowRight")
    expect(words.nth(1)).to_be_focused()
    reach(page, shown.get_by_role("button", name="All heads"))
    page.keyboard.press("Enter")
    reach(page, shown.locator(".zm-thumb").first)
    page.keyboard.press("Space")
    expect(shown.locator(".zm-name")).to_contain_text("zip point 1, head 1")
    expect(shown.get_by_role("button", name="One head")).to_be_focused()  # where a person goes on from
    reach(page, shown.locator(".zm-head"))
    page.keyboard.press("ArrowDown")
    expect(shown.locator(".zm-name")).to_contain_text("zip point 1, head 2")
    reach(page, shown.locator(".zm-stage"))
    page.keyboard.press("ArrowRight")
    expect(shown.locator(".zm-readout")).to_contain_text(" s: ")
    reach(page, shown.locator(".zm-export"))
    page.keyboard.press("Enter")
    expect(page.locator(".file-preview a:visible")).to_have_count(6)
    reach(page, page.locator(".file-preview:visible a").first)
    with page.expect_download():
        page.keyboard.press("Enter")
    reach(page, page.get_by_text("Save this sound (WAV)").locator("visible=true").first)
    with page.expect_download():
        page.keyboard.press("Enter")


def test_comparisons_by_keyboard_alone(page: Page, tiny_url: str) -> None:
    tabs = explore(page, tiny_url)
    reach(page, tabs.filter(has_text="Both ways"))
    page.keyboard.press("Enter")
    reach(page, page.locator("#both-example"))
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#both-said textarea")).not_to_have_value("")
    reach(page, page.locator("#both-run"))
    page.keyboard.press("Enter")
    ready(page, "both-right-map")
    expect(page.locator("#both-status progress")).to_be_hidden()
    tabs.first.focus()
    reach(page, tabs.filter(has_text="Round trip"))
    page.keyboard.press("Space")
    reach(page, page.locator("#round-text textarea"))
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("Something else.")
    reach(page, page.locator("#round-texts"))
    page.keyboard.press("Enter")
    expect(page.locator("#round-text textarea")).to_have_value(examples.texts()[0])
    reach(page, page.locator("#round-run"))
    page.keyboard.press("Enter")
    ready(page, "round-left-map")


def test_towers_by_keyboard_alone(page: Page, tiny_url: str) -> None:
    tabs = explore(page, tiny_url)
    reach(page, tabs.filter(has_text="Towers"))
    page.keyboard.press("Enter")
    prompt = page.locator("#towers-prompt textarea")
    reach(page, prompt)
    page.keyboard.type("Now ")
    reach(page, page.locator("#towers-prompts button").nth(1))
    page.keyboard.press("Enter")
    expect(prompt).to_have_value(towers.PROMPTS[1])
    reach(page, page.locator("#towers-tokens input[type=range]"))
    page.keyboard.press("Home")
    reach(page, page.get_by_role("button", name="Advanced").locator("visible=true").first)
    page.keyboard.press("Enter")
    reach(page, page.locator("#towers-text-temperature input[type=range]"))
    reach(page, page.locator("#towers-text-run"))
    page.keyboard.press("Enter")
    expect(page.locator("#towers-text-status")).to_contain_text("Done")
    reach(page, page.locator("#towers-seconds input[type=range]"))
    page.keyboard.press("Home")
    reach(page, page.locator("#towers-speech-run"))
    page.keyboard.press("Enter")
    expect(page.locator("#towers-speech-status")).to_contain_text("Done")
