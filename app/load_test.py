"""Load test of a running app: `python -m app.load_test URL --people 20`.

Each person has a session and a request of their own. Each answer is compared with that to the same request alone, which
reveals results that reached the wrong person. Meanwhile the page is opened again and again.
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

FROZEN_SECONDS = 30.0  # s without an answer after which the page counts as frozen; shorter times are reported
CHECK_SECONDS = 0.5  # s between two checks of the page


@dataclass(frozen=True)
class Response:
    """The outcome of one request: seconds until the answer, and what was wrong with it, None for nothing."""

    seconds: float
    error: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test and report; exit code 1 for an error, another person's result or a frozen page."""
    parser = argparse.ArgumentParser(prog="python -m app.load_test", description="Put an app that runs under load.")
    parser.add_argument("url", help="address of the app, such as http://127.0.0.1:7860")
    parser.add_argument("--people", type=int, default=20, help="how many at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="requests of each (default: %(default)s)")
    options = parser.parse_args(arguments)
    responses, checks = run(options.url, options.people, options.rounds)
    errors = [response.error for response in (*responses, *checks) if response.error]
    seconds = [response.seconds for response in responses]
    print(f"{options.people} people, {len(responses)} requests, {len(errors)} wrong")
    print(f"waiting: median {statistics.median(seconds):.1f} s, p95 {percentile(seconds, 95):.1f} s")
    page_seconds = [check.seconds for check in checks]
    print(f"page meanwhile: median {statistics.median(page_seconds):.2f} s, longest {max(page_seconds):.2f} s")
    for message in errors:
        print(f"wrong: {message}", file=sys.stderr)
    return 1 if errors else 0


def run(url: str, people: int, rounds: int = 1) -> tuple[list[Response], list[Response]]:
    """The responses to the requests of all people, and those of the page, which is opened meanwhile."""
    requests = [_request(person) for person in range(people)]
    single = _connect(url)
    expected = [request(single) for request in requests]
    clients = [_connect(url) for _ in range(people)]  # all have opened the page before the first request
    checks: list[Response] = []
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(url, single, checks, done))
    watcher.start()
    with ThreadPoolExecutor(people) as pool:
        jobs = [pool.submit(_ask, *job, rounds) for job in zip(clients, requests, expected, strict=True)]
        responses = [response for job in jobs for response in job.result()]
    done.set()
    watcher.join()
    return responses, checks


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` per cent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def _request(person: int) -> Callable[[Client], Any]:
    """The request of one person: to transcribe a recording, or to speak a sentence that contains their number."""
    if person % 2:
        text, seed = f"This is for person number {person}.", person
        return lambda client: client.predict(text, "", seed, api_name="/synthesize")[1]
    recordings = sorted((EXAMPLES / "recordings").glob("*.opus"))
    path = recordings[person // 2 % len(recordings)]
    return lambda client: client.predict(handle_file(str(path)), api_name="/transcribe")


def _ask(client: Client, request: Callable[[Client], Any], expected: Any, rounds: int) -> list[Response]:
    responses = []
    for _ in range(rounds):
        started, problem = time.monotonic(), None
        try:
            if request(client) != expected:
                problem = "the answer is not the one that the same request got alone"
        except Exception as error:  # any error is one that a person would have got
            problem = f"{type(error).__name__}: {error}"
        responses.append(Response(time.monotonic() - started, problem))
    return responses


def _watch(url: str, client: Client, checks: list[Response], done: threading.Event) -> None:
    """Open the page and call an endpoint that needs no model, again and again until `done`; at least once."""
    while not checks or not done.is_set():
        started, problem = time.monotonic(), None
        try:
            httpx.get(url, timeout=FROZEN_SECONDS).raise_for_status()
            client.submit(api_name="/voices").result(timeout=FROZEN_SECONDS)
        except Exception as error:  # a frozen page, or another error that a person would have got
            problem = f"the page: {type(error).__name__} {error}"
        checks.append(Response(time.monotonic() - started, problem))
        done.wait(CHECK_SECONDS)


def _connect(url: str) -> Client:
    return Client(url, verbose=False)


if __name__ == "__main__":
    sys.exit(main())
