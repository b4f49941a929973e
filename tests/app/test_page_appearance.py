"""The page in a browser: for axe, on a phone, in light and dark, and by keyboard alone."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from browsing import TABS, choose_example, open_page, reach, ready, serious, tab
from PIL import Image
from playwright.sync_api import Page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_for_axe(page: Page, url: str, theme: str) -> None:
    open_page(page, url, theme)
    choose_example(page, "clear")
    found: dict[str, list[str]] = {}
    for name in TABS:
        tab(page, name)
        found |= {f"{name}, {rule}": nodes for rule, nodes in serious(page).items()}
    assert not found, json.dumps(found, indent=1)


def test_fits_a_phone(page: Page, url: str, pictures: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, url)
    choose_example(page, "clear")
    for name in TABS:
        tab(page, name)  # all are there, none behind a menu
        page.wait_for_timeout(300)
        page.screenshot(path=pictures / f"phone-{name.lower()}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_light_and_dark(page: Page, url: str, theme: str, pictures: Path) -> None:
    open_page(page, url, theme)
    choose_example(page, "clear")
    margin = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))[:8]
    assert (margin.max() < 64) if theme == "dark" else (margin.min() > 192)
    for name in TABS:
        tab(page, name)
        page.wait_for_timeout(300)
        page.screenshot(path=pictures / f"{theme}-{name.lower()}.png", full_page=True)


def test_by_keyboard_alone(page: Page, url: str) -> None:
    """From the top of the page to the tab, the text, the button and the cells of the map, without a mouse."""
    open_page(page, url)
    reach(page, page.get_by_role("tab", name="Synthesize", exact=True).first)
    page.keyboard.press("Enter")
    reach(page, page.locator("#synthesize-text"))
    page.keyboard.type("Hello there.")
    reach(page, page.locator("#synthesize-go"))
    page.keyboard.press("Enter")
    shown = ready(page, "synthesize-map")
    reach(page, shown.locator(".zm-stage"))
    readouts = set()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        readouts.add(shown.locator(".zm-readout").inner_text())
    assert len(readouts) == 3
