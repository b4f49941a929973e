"""What several browser tests do with a page: use its panels, go through it with the Tab key, and ask axe about it."""

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

MAX_TABS = 200  # presses of the key after which an element counts as out of reach
TABS = ("Transcribe", "Synthesize", "Explore", "About")
SERIOUS = ("serious", "critical")


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is on the wanted element or inside it."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("e => e.contains(document.activeElement)"):
            return
    raise AssertionError(f"{wanted} cannot be reached with the Tab key")


def serious(page: Page) -> dict[str, list[str]]:
    """The rules of which axe finds serious violations in what the page shows now, and where."""
    page.wait_for_timeout(400)  # the page fades in
    return {
        violation["id"]: [f"{' '.join(map(str, n['target']))}: {n['html'][:120]}" for n in violation["nodes"]]
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in SERIOUS
    }


def open_page(page: Page, url: str, theme: str = "light") -> None:
    page.goto(f"{url}?__theme={theme}")
    expect(page.get_by_role("tab", name="Transcribe", exact=True)).to_be_visible()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def ready(page: Page, name: str) -> Locator:
    """The map of a panel, once it shows something."""
    found = page.locator(f"#{name} .zm")
    expect(found).to_have_attribute("data-state", "ready")
    return found


def text_of(page: Page) -> str:
    return page.locator("#transcribe-text textarea").input_value()


def choose_example(page: Page, name: str) -> Locator:
    page.locator("#transcribe-examples").get_by_text(re.compile(rf"^{name} ")).click()
    return ready(page, "transcribe-map")


def upload(page: Page, path: Path) -> None:
    recorder = page.locator("#transcribe-recording")
    recorder.get_by_role("button", name=re.compile("upload", re.IGNORECASE)).first.click()
    recorder.locator("input[type=file]").set_input_files(path)


def speak(page: Page, text: str) -> None:
    tab(page, "Synthesize")
    page.locator("#synthesize-text textarea").fill(text)
    page.locator("#synthesize-go").click()


def picture(shown: Locator) -> str:
    return str(shown.locator(".zm-base").evaluate("canvas => canvas.toDataURL()"))
