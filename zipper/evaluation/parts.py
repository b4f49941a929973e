"""Where the time of a request goes: clocks around the calls that make up recognition and synthesis."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from zipper import api
from zipper.api import Zipper
from zipper.evaluation.measure import Case, load_zipper, make_input
from zipper.inference import engine
from zipper.inference.session import Session
from zipper.rates import SPEECH_RATE
from zipper.speech import tokenizer

REST = "everything else"
Name = str | Callable[..., str]  # of a part; where it depends on the call, from the arguments


class Stopwatch:
    """Seconds and calls of each part. What a part spends inside another one counts for the other alone."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._clock = clock
        self._within: list[float] = []  # seconds spent in other parts, for each part that is running

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside as a call of a part."""
        started = self._clock()
        self._within.append(0.0)
        try:
            yield
        finally:
            spent = self._clock() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._within.pop()
            self.calls[name] = self.calls.get(name, 0) + 1
            if self._within:
                self._within[-1] += spent

    def function(self, name: Name, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose calls are counted."""

        @wraps(call)
        def counted(*args: Any, **more: Any) -> Any:
            with self.part(name if isinstance(name, str) else name(*args, **more)):
                return call(*args, **more)

        return counted

    def generator(self, name: str, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same generator function, no item of which is None; counted is what makes an item, not what takes it."""

        @wraps(call)
        def counted(*args: Any, **more: Any) -> Iterator[Any]:
            items = call(*args, **more)
            while True:
                with self.part(name):
                    item = next(items, None)
                if item is None:
                    return
                yield item

        return counted


def _reading(session: Session, modality: str, ids: Any) -> str:
    return f"{modality} tower, step" if len(ids) == 1 or getattr(ids, "ndim", 1) > 1 else f"{modality} tower, prompt"


@contextmanager
def watched(zipper: Zipper, watch: Stopwatch) -> Iterator[None]:
    """While this lasts, the parts of a Zipper with its own tokenizers and detokenizer are counted, for one thread."""
    speech: Any = zipper.speech_tokenizer
    sound: Any = zipper.detokenizer
    generation: Any = engine
    functions: list[tuple[Any, str, Name]] = [
        (api, "load_audio", "opening the recording"),
        (api, "windows", "finding speech"),
        (tokenizer, "log_mel", "spectrogram"),
        (speech.encoder, "forward", "Whisper encoder"),
        (speech.quantizer, "encode", "quantizer"),
        (Session, "feed", _reading),
        (engine, "make_passage", "alignment and word times"),
        (api, "normalize", "text normalization"),
        (api, "cut", "cutting the text"),
        *((sound.acoustic, name, "acoustic network") for name in ("encode", "spread", "coarse", "refine", "restore")),
        (sound.vocoder, "window", "vocoder"),
    ]
    if zipper._word_penalty is not None:
        functions.append((zipper, "_word_penalty", "lexicon"))
    replacements = [(owner, name, watch.function(part, getattr(owner, name))) for owner, name, part in functions]
    replacements.append((engine, "generate", watch.generator("choosing tokens", generation.generate)))
    with _replaced(replacements):
        yield


@contextmanager
def _replaced(replacements: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Attributes of modules, classes and objects, replaced for a while."""
    before = [(owner, name, vars(owner).get(name)) for owner, name, _ in replacements]
    try:
        for owner, name, new in replacements:
            setattr(owner, name, new)
        yield
    finally:
        for owner, name, old in before:
            if old is None:  # it came from the class
                delattr(owner, name)
            else:
                setattr(owner, name, old)


def profile(case: Case) -> list[dict[str, Any]]:
    """Lines of a table, the part with the most time first: what one recognition or synthesis consists of.

    The first request, which warms up, is not counted.
    """
    zipper, watch = load_zipper(case), Stopwatch()
    _request(zipper, case, min(case.seconds, 2.0))
    with watched(zipper, watch), watch.part(REST):
        _request(zipper, case, case.seconds)
    total = sum(watch.seconds.values())
    ranked = sorted(watch.seconds, key=lambda part: (part == REST, -watch.seconds[part]))
    rows = [_row(case, part, watch.seconds[part], watch.calls[part], total) for part in ranked]
    return [*rows, _row(case, "together", total, 1, total)]


def _request(zipper: Zipper, case: Case, seconds: float) -> None:
    """One whole request of the case's task, with this much audio or text."""
    given: Any = make_input(case, seconds)
    if case.task == "transcribe":
        zipper.transcribe((given, SPEECH_RATE))
    else:
        zipper.synthesize(given)


def _row(case: Case, part: str, seconds: float, calls: int, total: float) -> dict[str, Any]:
    return {
        "task": case.task,
        "asked s": case.seconds,
        "part": part,
        "s": round(seconds, 3),
        "share %": round(100 * seconds / total, 1),
        "calls": calls,
        "ms a call": round(1000 * seconds / calls, 2),
    }
