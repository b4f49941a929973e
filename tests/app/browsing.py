"""What several browser tests do with a page: go through it with the Tab key, and ask axe about it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

MOST_TABS = 200  # presses of the key until something on the page counts as out of reach
SERIOUS = ("serious", "critical")


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is on the wanted element or inside it."""
    for _ in range(MOST_TABS):
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
