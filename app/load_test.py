"""Many people at once: `python -m app.load_test URL --people 20` on an app that runs.

Each person is a session of its own and asks for something of its own. What they get is compared with what the same
request gave alone, so that a result which reached the wrong person is found. Meanwhile somebody keeps opening the page.
"""

import argparse
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from gradio_client import Client, handle_file

from app.settings import EXAMPLES

FROZEN = 30.0  # s without an answer after which the page counts as frozen; how quick it is, is reported
LOOKS = 0.5  # s between two looks at the page


@dataclass(frozen=True)
class Waited:
    """What one request came to: seconds from asking to the answer, and what was wrong with it, if anything."""

    seconds: float
    wrong: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load and report; exit code 1 if anybody got an error, another's result or a frozen page."""
    parser = argparse.ArgumentParser(prog="python -m app.load_test", description="Put an app that runs under load.")
    parser.add_argument("url", help="address of the app, such as http://127.0.0.1:7860")
    parser.add_argument("--people", type=int, default=20, help="how many at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="requests of each (default: %(default)s)")
    options = parser.parse_args(arguments)
    waited, looks = run(options.url, options.people, options.rounds)
    wrong = [w.wrong for w in (*waited, *looks) if w.wrong]
    seconds = [w.seconds for w in waited]
    print(f"{options.people} people, {len(waited)} requests, {len(wrong)} wrong")
    print(f"waiting: median {statistics.median(seconds):.1f} s, p95 {percentile(seconds, 95):.1f} s")
    pages = [look.seconds for look in looks]
    print(f"page meanwhile: median {statistics.median(pages):.2f} s, longest {max(pages):.2f} s")
    for message in wrong:
        print(f"wrong: {message}", file=sys.stderr)
    return 1 if wrong else 0


def run(url: str, people: int, rounds: int = 1) -> tuple[list[Waited], list[Waited]]:
    """Every request of everybody, and how long the page took each time it was opened meanwhile."""
    requests = [_request(person) for person in range(people)]
    alone = _connect(url)
    expected = [ask(alone) for ask in requests]
    clients = [_connect(url) for _ in range(people)]  # everybody has opened the page before anybody asks
    looks: list[Waited] = []
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(url, alone, looks, done))
    watcher.start()
    with ThreadPoolExecutor(people) as pool:
        jobs = [pool.submit(_ask, *asked, rounds) for asked in zip(clients, requests, expected, strict=True)]
        waited = [one for job in jobs for one in job.result()]
    done.set()
    watcher.join()
    return waited, looks


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` per cent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def _request(person: int) -> Callable[[Client], Any]:
    """What one person asks for: a recording to be read, or a sentence to be spoken that names its person."""
    if person % 2:
        text, seed = f"This is for person number {person}.", person
        return lambda client: client.predict(text, "", seed, api_name="/synthesize")[1]
    recordings = sorted((EXAMPLES / "recordings").glob("*.opus"))
    path = recordings[person // 2 % len(recordings)]
    return lambda client: client.predict(handle_file(str(path)), api_name="/transcribe")


def _ask(client: Client, request: Callable[[Client], Any], expected: Any, rounds: int) -> list[Waited]:
    waited = []
    for _ in range(rounds):
        started, wrong = time.monotonic(), None
        try:
            if request(client) != expected:
                wrong = "the answer is not the one that the same request got alone"
        except Exception as error:  # whatever it is, it is what a person would have got
            wrong = f"{type(error).__name__}: {error}"
        waited.append(Waited(time.monotonic() - started, wrong))
    return waited


def _watch(url: str, client: Client, looks: list[Waited], done: threading.Event) -> None:
    """Open the page and ask for something light, again and again until `done`; at least once."""
    while not looks or not done.is_set():
        started, wrong = time.monotonic(), None
        try:
            httpx.get(url, timeout=FROZEN).raise_for_status()
            client.submit(api_name="/voices").result(timeout=FROZEN)
        except Exception as error:  # a frozen page, or whatever else somebody who opens it would have got
            wrong = f"the page: {type(error).__name__} {error}"
        looks.append(Waited(time.monotonic() - started, wrong))
        done.wait(LOOKS)


def _connect(url: str) -> Client:
    return Client(url, verbose=False)


if __name__ == "__main__":
    sys.exit(main())
