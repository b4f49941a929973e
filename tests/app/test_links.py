"""Links to results: what they carry arrives, and nothing else of what a stranger may write into an address."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import numpy as np
import pytest
from browsing import choose_example, ready, speak, tab
from playwright.sync_api import Browser, Locator, Page, expect

from app import examples
from app import page as app_page
from app.components.attention_map.payload import map_payload
from app.explore import directions, gates
from app.links import Known, Link, parse, selected_head, with_head
from app.panel import LARGEST_SEED
from app.state import DisplayedResult
from app.synthesize import tab as synthesize
from app.transcribe import tab as transcribe
from zipper import Zipper, limits
from zipper.audio.io import load_audio
from zipper.errors import OptionError
from zipper.rates import SPEECH_RATE

KNOWN = Known(("ada", "beth"), ("clear", "short"), points=4, heads=4)
SCRIPT = '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
TEXT = "Hello & <b>there</b> = 50 % + more?"
SEEDS = ("-1", "1.5", "", "1e3", "٣", "9" * 16, "9" * 9999)  # that are none
SPEEDS = ("0.5", "nan", "inf", "1_0", "9" * 99)
HEADS = ("5.1", "1.5", "0.1", "1", "max", "1.1.1", "")
CLEAR = next(example for example in examples.recordings() if example.name == "clear")


@pytest.mark.parametrize(
    "link",
    [
        Link("transcribe", example="clear"),
        Link("synthesize", text=TEXT, voice="beth", seed=LARGEST_SEED, temperature=0.35, speed=1.25, pitch=-3.5),
        Link("synthesize", text="  Zwölf\nBoxkämpfer ", voice="ada", seed=0),
        Link("gates", direction="recognition", example="short", gates=(0.0, 0.05, 1.0, 1.0, 0.5, 0.0, 0.0, 1.0)),
        Link("gates", direction="synthesis", text=SCRIPT, voice="ada", seed=7, gates=(0.0,) * 8),
        Link("both", example="clear", voice="beth", seed=3),
        Link("round", text=TEXT, voice="ada", seed=3),
    ],
)
def test_what_a_link_carries_arrives(link: Link) -> None:
    query = link.query()
    assert query is not None and quote(query, safe="=&%+-_.~") == query  # nothing that an address may not hold
    assert parse(dict(parse_qsl(query)), KNOWN) == link


@pytest.mark.parametrize("query", ["", "__theme=dark", "view=api", "text=Hello&voice=nobody"])
def test_an_address_without_a_tab_is_no_link(query: str) -> None:
    assert parse(dict(parse_qsl(query)), KNOWN) is None


def test_foreign_values_are_ignored() -> None:
    assert parse({"tab": "both", "example": "clear", "utm_source": "x", "text": "no text here"}, KNOWN) == Link(
        "both", example="clear"
    )
    assert parse({"tab": "about"}, KNOWN) == Link("about")
    both = {"tab": "gates", "direction": "synthesis", "text": "Hello.", "example": "clear"}
    assert parse(both, KNOWN) == Link("gates", direction="synthesis", text="Hello.")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tab": SCRIPT}, "names a tab that is not here"),
        ({"tab": "synthesize", "voice": SCRIPT}, "names a voice that is not here; there are ada, beth"),
        ({"tab": "transcribe", "example": "../../etc/passwd"}, "names an example that is not here"),
        ({"tab": "gates", "direction": "sideways"}, "names a direction that is not here"),
        ({"tab": "synthesize", "text": "a" * (limits.MAX_LINK_CHARACTERS + 1)}, "too long: a link carries at most 400"),
        ({"tab": "round", "text": " \n"}, "text of the link is empty"),
        *(({"tab": "round", "seed": seed}, "seed of the link") for seed in SEEDS),
        *(({"tab": "synthesize", "speed": speed}, "from 0.6 to 1.6") for speed in SPEEDS),
        ({"tab": "synthesize", "pitch": "-4.5"}, "pitch of the link must be a number from -4 to 4"),
        ({"tab": "synthesize", "temperature": "2"}, "temperature of the link"),
        ({"tab": "gates", "gates": "0,0,0"}, "must be 8 numbers"),
        ({"tab": "gates", "gates": "," * 100_000}, "must be 8 numbers"),
        ({"tab": "gates", "gates": "0,0,0,0,0,0,0,2"}, "Each gate of the link must be a number from 0 to 1"),
        *(({"tab": "transcribe", "head": head}, "names a head") for head in HEADS),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_not_repeated(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence) as raised:
        parse(values, KNOWN)
    assert "<" not in str(raised.value) and "passwd" not in str(raised.value) and len(str(raised.value)) < 200


def test_heads_are_those_of_the_map() -> None:
    assert selected_head("mean", KNOWN) == {"view": "mean"}
    assert selected_head("2.mean", KNOWN) == {"view": "point", "point": 1}
    assert selected_head("4.1", KNOWN) == {"view": "head", "point": 3, "head": 0}


def results_of(updates: Iterator[Any], *names: str) -> list[DisplayedResult]:
    """The results that a run shows."""
    found = [getattr(update, name) for update in updates for name in names]
    return [value for value in found if isinstance(value, DisplayedResult)]


def test_speech_links_to_itself(zipper: Zipper) -> None:
    (displayed,) = results_of(synthesize.synthesize(zipper, TEXT, "bass", 3, 0.5, 1.2, -1.0), "result")
    link = parse(dict(parse_qsl(displayed.link or "")), Known.of(zipper))
    assert link == Link("synthesize", text=TEXT, voice="bass", seed=3, temperature=0.5, speed=1.2, pitch=-1.0)
    (again,) = results_of(synthesize.synthesize(zipper, *synthesize._of_link(zipper, link)), "result")
    np.testing.assert_array_equal(again.samples, displayed.samples)
    payload = map_payload(displayed)
    assert payload is not None and payload["link"] == displayed.link and payload["no_link"] is None


def test_long_texts_have_no_link(zipper: Zipper) -> None:
    text = "Hello there, how are you today? " * 20
    (displayed,) = results_of(synthesize.synthesize(zipper, text, None, 3, 0.5), "result")
    payload = map_payload(displayed)
    assert displayed.link is None and payload is not None and "up to 400 characters" in payload["no_link"]


def test_only_examples_as_they_are_offered_have_a_link(zipper: Zipper, tmp_path: Any) -> None:
    samples = load_audio(CLEAR.path)
    (displayed,) = results_of(transcribe.transcribe_samples(zipper, samples), "result")
    assert displayed.link == "tab=transcribe&example=clear"
    for own in (samples[: -SPEECH_RATE // 2], 0.9 * samples):
        (displayed,) = results_of(transcribe.transcribe_samples(zipper, own.astype(np.float32)), "result")
        payload = map_payload(displayed)
        assert displayed.link is None and payload is not None and "no recording of your own" in payload["no_link"]
    for said, link in ((CLEAR.text, "tab=both&example=clear&voice=alto&seed=5"), ("Hello.", None)):
        both = directions.both_directions(zipper, str(CLEAR.path), said, None, 5)
        assert [each.link for each in results_of(both, "left", "right")] == [link, link]
    closed = [0.0, 0.05, 1.0, 1.0]
    compared = results_of(gates.compare_recording(zipper, str(CLEAR.path), CLEAR.text, closed), "left", "right")
    link = parse(dict(parse_qsl(compared[0].link or "")), Known.of(zipper))
    assert link == Link("gates", direction="recognition", example="clear", gates=tuple(closed))


def test_a_link_tells_the_map_its_head(zipper: Zipper) -> None:
    link = Link("synthesize", text="Hello.", head="2.1")
    *_, last = with_head(synthesize.synthesize(zipper, "Hello.", None, 0, 0.5), link, zipper)
    assert last.heatmap["selection"] == {"view": "head", "point": 1, "head": 0}


def test_links_wait_in_the_queue_of_clicks(zipper: Zipper) -> None:
    page = app_page.build(zipper)
    states = {block._id for block in page.blocks.values() if type(block).__name__ == "State"}
    runs = [f for f in page.fns.values() if f.queue and any(t[0] in states and t[1] == "change" for t in f.targets)]
    assert len(runs) == 5 and {run.concurrency_id for run in runs} == {"model"}
    assert {run.concurrency_limit for run in runs} == {1}


# ---- in a browser


def follow(page: Page, url: str, **values: str) -> None:
    page.goto(f"{url}/?{urlencode(values)}")


def shared(page: Page, shown: Locator) -> str:
    """The link that a map offers."""
    shown.locator(".zm-copy").click()
    expect(shown.locator(".zm-shared-note")).to_contain_text("link")
    return shown.locator(".zm-address").input_value()


def test_a_link_opens_the_same_result(page: Page, browser: Browser, tiny_url: str) -> None:
    page.goto(tiny_url)
    tab(page, "Synthesize")
    page.locator("#synthesize-voice input").click()
    page.get_by_role("option", name="bass").click()
    page.locator("#synthesize-seed input").fill("3")
    speak(page, TEXT)
    shown = ready(page, "synthesize-map")
    status = page.locator("#synthesize-status").inner_text().partition(", made")[0]
    shown.get_by_role("button", name="One head").click()
    shown.locator(".zm-point").select_option(index=1)
    shown.locator(".zm-head").select_option(label="2")
    name = shown.locator(".zm-name").inner_text()
    address = shared(page, shown)
    assert dict(parse_qsl(urlsplit(address).query)) == {
        "tab": "synthesize", "text": TEXT, "voice": "bass", "seed": "3", "head": "2.2",
    }  # fmt: skip
    other = browser.new_context().new_page()
    other.goto(address)
    shown = ready(other, "synthesize-map")
    expect(other.get_by_role("tab", name="Synthesize", exact=True)).to_have_attribute("aria-selected", "true")
    expect(other.locator("#synthesize-text textarea")).to_have_value(TEXT)
    expect(other.locator("#synthesize-voice input")).to_have_value("bass")
    expect(other.locator("#synthesize-seed input")).to_have_value("3")
    expect(other.locator("#synthesize-status")).to_contain_text(status)
    expect(shown.locator(".zm-name")).to_have_text(name)
    expect(other.locator("#link-notice")).to_be_hidden()
    other.context.close()


def test_a_link_opens_an_example(page: Page, tiny_url: str) -> None:
    page.goto(tiny_url)
    address = shared(page, choose_example(page, "short"))
    page.goto("about:blank")
    page.goto(address)
    ready(page, "transcribe-map")
    expect(page.locator("#transcribe-reference textarea")).to_have_value("no that's not what i mean")


def test_a_link_opens_a_comparison(page: Page, tiny_url: str) -> None:
    follow(page, tiny_url, tab="gates", direction="synthesis", text="Hello.", voice="bass", seed="2", gates="0,0.5,1,1")
    ready(page, "gates-left-map")
    ready(page, "gates-right-map")
    expect(page.locator("#gates-text textarea")).to_have_value("Hello.")
    for number, value in enumerate(("0", "0.5", "1", "1")):
        expect(page.locator(f"#gates-slider-{number} input[type=number]")).to_have_value(value)
    follow(page, tiny_url, tab="round", text="Good morning.", seed="1")
    expect(ready(page, "round-left-map").locator(".zm-items")).to_contain_text("Good")
    expect(page.locator("#round-text textarea")).to_have_value("Good morning.")


@pytest.mark.parametrize(
    ("values", "opened", "sentence"),
    [
        ({"tab": "synthesize", "text": "Hello.", "voice": "nobody"}, "Synthesize", "names a voice"),
        ({"tab": "synthesize", "text": "word " * 2000}, "Synthesize", "too long"),
        ({"tab": "round", "text": "Hello.", "seed": "-1"}, "Explore", "seed of the link"),
        ({"tab": "transcribe", "example": SCRIPT}, "Transcribe", "names an example"),
        ({"tab": SCRIPT}, "Transcribe", "names a tab"),
    ],
)
def test_a_bad_link_says_so_and_runs_nothing(
    page: Page, tiny_url: str, values: dict[str, str], opened: str, sentence: str
) -> None:
    joined: list[str] = []
    page.on("request", lambda request: joined.append(request.url) if "queue/join" in request.url else None)
    follow(page, tiny_url, **values)
    expect(page.locator("#link-notice")).to_contain_text(sentence)
    expect(page.locator("#link-notice")).to_contain_text("Nothing of it was used.")
    expect(page.get_by_role("tab", name=opened, exact=True)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(500)
    assert len(joined) == 1  # to have the link checked
    assert page.evaluate("window.hacked") is None


def test_script_in_a_text_is_text(page: Page, tiny_url: str) -> None:
    follow(page, tiny_url, tab="synthesize", text=SCRIPT)
    expect(page.locator("#synthesize-text textarea")).to_have_value(SCRIPT)
    ready(page, "synthesize-map").locator(".zm-copy").click()
    assert page.evaluate("window.hacked") is None and page.locator("img[src=x]").count() == 0


def test_a_link_without_a_text_fills_in_what_it_says(page: Page, tiny_url: str) -> None:
    follow(page, tiny_url, tab="synthesize", voice="bass")
    expect(page.locator("#synthesize-voice input")).to_have_value("bass")
    expect(page.locator("#synthesize-map .zm")).to_have_attribute("data-state", "example")


def test_the_clipboard_is_written_where_that_is_allowed(browser: Browser, tiny_url: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(tiny_url)
    shown = page.locator("#transcribe-map .zm")
    address = shared(page, shown)
    expect(shown.locator(".zm-shared-note")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == address
    assert address.endswith("/?tab=transcribe&example=clear")
    context.close()


@pytest.mark.parametrize("clipboard", ["undefined", '{writeText: () => Promise.reject(new DOMException("no"))}'])
def test_the_link_can_be_copied_by_hand_where_it_is_not(page: Page, tiny_url: str, clipboard: str) -> None:
    page.add_init_script(f'Object.defineProperty(navigator, "clipboard", {{value: {clipboard}}})')
    page.goto(tiny_url)
    shown = page.locator("#transcribe-map .zm")
    address = shared(page, shown)
    expect(shown.locator(".zm-shared-note")).to_contain_text("from the field")
    field = shown.locator(".zm-address")
    expect(field).to_be_focused()
    expect(field).not_to_be_editable()
    assert field.evaluate("f => f.value.slice(f.selectionStart, f.selectionEnd)") == address


def test_a_recording_of_ones_own_has_no_link(page: Page, tiny_url: str) -> None:
    page.goto(tiny_url)
    recorder = page.locator("#transcribe-recording")
    recorder.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2000)
    recorder.get_by_role("button", name="Stop", exact=True).click()
    shown = ready(page, "transcribe-map")
    shown.locator(".zm-copy").click()
    expect(shown.locator(".zm-shared-note")).to_contain_text("no recording of your own")
    expect(shown.locator(".zm-address")).to_be_hidden()
