"""Random texts and options, through the API and the command line; a thousand take about five minutes."""

import contextlib
import functools
import io
import random
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zipper import Zipper, cli, limits
from zipper.rates import SPEECH_RATE

from .tiny import make_model

REQUEST_SECONDS = 4.0  # s of wall clock that each request is given here
LIMIT_SECONDS = REQUEST_SECONDS + 30.0  # and how much longer loading and one step may take on a busy machine
SHIPPED_EVERY = 25  # of the attempts, one in so many uses the weights that come along
EXAMPLE = Path(__file__).resolve().parents[2] / "assets" / "examples" / "recordings" / "short.opus"

WORDS = (
    "hello",
    "World",
    "NASA",
    "U.S.A.",
    "Dr.",
    "e.g.",
    "etc.",
    "it's",
    "na\u00efve",
    "Stra\u00dfe",
    "co-op",
    "C#",
    "a/b",
    "and/or",
    "3.14",
    "-10",
    "1,234,567",
    "$5",
    "\u00a31.50",
    "5'11\"",
    "10^6",
    "20-30%",
    "15/03/2024",
    "(555) 123-4567",
    "v1.2.3",
    "XIV",
    "IV",
    "&amp;",
    "<b>",
    "</b>",
    "<script>alert(1)</script>",
    "**bold**",
    "`code`",
    "# head",
    "- item",
    "[a](b)",
    "https://example.org/a?b=c#d",
    "me@example.org",
    "@",
    "&",
    "\u00bd",
    "\u0663",
    "\u4e00\u4e8c",
    "\u043f\u0440",
    "\U0001f600",
    "\u2026",
    "\u2014",
    "\u202e",
    "\u200b",
    "\x00",
    "\x1b[31m",
    "\ud83d",
    "\udcff",
    "\ufeff",
    "a" * 300,
    "9" * 400,
    "1e400",
    "0x1F",
    "NaN",
    "--",
    "...",
    "!!!",
    "?!",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "00:00",
    "12:60",
    "99/99/9999",
    "1/0",
    "0/0",
    "-0",
    "1.2.3.4.5",
    "%s",
    "{}",
    "'; DROP TABLE",
    "../../etc",
    "$HOME",
    "~",
)
OTHER_TYPES: tuple[Any, ...] = (None, 5, 1.5, b"bytes", ["a"], {"a": 1}, True, object(), np.array(["a"]))
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    2,
    3,
    8,
    16,
    17,
    400,
    401,
    -1,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63),
    10**400,
    0.0,
    0.3,
    1.0,
    2.5,
    1e-40,
    1e308,
    float("nan"),
    float("inf"),
    -0.5,
    "8",
    "",
    None,
    True,
    b"1",
    [1],
    np.int64(3),
    np.uint8(3),
    np.float32(0.5),
    np.array(3),
    np.array([1, 2]),
    torch.tensor(2),
    torch.tensor(0.5, requires_grad=True),
    torch.ones(2),
)


def prepare(folder: Path) -> None:
    """A tiny model, so that a thousand attempts take minutes."""
    (folder / "tiny").mkdir()
    make_model(folder / "tiny")


def attempt(number: int, seed: int, folder: Path) -> str:
    """Make up one request from two numbers and see what comes of it; in a few words."""
    choose = random.Random(f"{seed}/{number}")
    limits.MAX_REQUEST_SECONDS = REQUEST_SECONDS
    model = _model(None if number % SHIPPED_EVERY == 0 else folder / "tiny")
    return choose.choice((_call, _call, _command))(choose, model, folder)


@functools.cache
def _model(folder: Path | None) -> Zipper:
    return Zipper.from_pretrained(folder)


def _call(choose: random.Random, model: Zipper, folder: Path) -> str:
    """Through the API."""
    name, call = choose.choice(list(CALLS.items()))
    call(choose, model)
    return f"{name} answered"


def _speak(choose: random.Random, model: Zipper) -> None:
    options = _some(choose, seed=NUMBERS, temperature=NUMBERS, gate_scale=NUMBERS, keep_unended=(True, False))
    voice = choose.choice((None, None, model.voices[-1], _text(choose), *OTHER_TYPES))
    if choose.random() < 0.5:
        model.synthesize(_anything(choose), voice, **options)
    else:
        for part in model.synthesize_stream(_anything(choose), voice, **options):
            assert np.isfinite(part.samples).all()


def _continue(choose: random.Random, model: Zipper) -> None:
    model.complete(_anything(choose), **_some(choose, seed=NUMBERS, temperature=NUMBERS, max_tokens=NUMBERS))


def _go_on(choose: random.Random, model: Zipper) -> None:
    options = _some(choose, seed=NUMBERS, temperature=NUMBERS, max_tokens=NUMBERS, voice=(None, "x", *OTHER_TYPES))
    model.complete(EXAMPLE, "speech", **options)


def _read(choose: random.Random, model: Zipper) -> None:
    made = _sound(choose)
    sound = choose.choice((EXAMPLE, (made, SPEECH_RATE), (made, choose.choice(NUMBERS)), _text(choose)))
    model.transcribe(sound, **_some(choose, beams=NUMBERS, gate_scale=NUMBERS))


CALLS: dict[str, Callable[[random.Random, Zipper], None]] = {
    "synthesis": _speak,
    "completion": _continue,
    "continued speech": _go_on,
    "recognition": _read,
}


def _command(choose: random.Random, model: Zipper, folder: Path) -> str:
    """Through the command line, which tells what is wrong itself: on one line, with exit code 2."""
    arguments, given = _arguments(choose, folder), _bytes(choose)
    out, err = io.TextIOWrapper(io.BytesIO(), choose.choice(("utf-8", "ascii"))), io.StringIO()
    with _loading(model), _standard_input(given), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments)
        except SystemExit as ended:  # --help
            code = int(ended.code or 0)
    told = err.getvalue()
    if code not in (0, 2) or not all(line.startswith("zipper: ") for line in told.splitlines()):
        raise AssertionError(f"{arguments} gave {code}, {told!r}")
    if code == 2 and not told:
        raise AssertionError(f"{arguments} gave 2 without a word")
    return f"command ended with {code}"


def _arguments(choose: random.Random, folder: Path) -> list[str]:
    texts, numbers = (_text(choose), "-", "Hello there.", ""), [str(number) for number in NUMBERS]
    outputs = ["out.wav", "out.mp3", "out.srt", "made/", "missing/out.wav", "out", "o\udcff.wav", "x" * 300, "."]
    options = {
        "-o": ["-", "/dev/null", "/dev/full", *(f"{folder}/{name}" for name in outputs)],
        "--seed": numbers,
        "--tokens": numbers,
        "--beams": numbers,
        "--voice": ["ada", "alto", _text(choose)],
        "--format": ["txt", "srt", "vtt", "json", "docx"],
        "--words": ["json", "x"],
        "--modality": ["text", "speech", "x"],
        "--model": [f"{folder}/tiny", f"{folder}/none", str(EXAMPLE)],
        "--help": [""],
        _text(choose): [_text(choose)],
    }
    command = choose.choice(("transcribe", "synthesize", "complete", "import-llama", _text(choose)))
    recordings = (str(EXAMPLE), "-", str(folder), f"{folder}/none", "/dev/null", _text(choose))
    given = [choose.choice(recordings if command == "transcribe" else texts)]
    for name in choose.sample(list(options), choose.choice((0, 1, 1, 1, 2))):
        given += [name, choose.choice(options[name])]
    if command == "synthesize" and "-o" not in given:
        given += ["-o", f"{folder}/out.wav"]
    if command == "import-llama":
        given = [choose.choice(recordings), f"{folder}/llama"]
    return [command, *given]


@contextlib.contextmanager
def _loading(model: Zipper) -> Any:
    """Give commands the model that is loaded already."""
    usual = Zipper.from_pretrained
    Zipper.from_pretrained = lambda *_: model  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Zipper.from_pretrained = usual  # type: ignore[method-assign]


@contextlib.contextmanager
def _standard_input(data: bytes) -> Any:
    usual, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = usual


def _some(choose: random.Random, **pools: tuple[Any, ...]) -> dict[str, Any]:
    """Some of the options; mostly one, so that it is the one that counts."""
    names = choose.sample(list(pools), choose.choice((0, 1, 1, 2)))
    return {name: choose.choice(pools[name]) for name in names}


def _anything(choose: random.Random) -> Any:
    return choose.choice(OTHER_TYPES) if choose.random() < 0.05 else _text(choose)


def _text(choose: random.Random) -> str:
    """Words that people type, words that nobody types, and characters from anywhere."""
    kind, size = choose.random(), choose.choice((1, 1, 2, 3, 5, 8, 13, 40))
    if kind < 0.7:
        return choose.choice((" ", " ", "", "\n")).join(choose.choice(WORDS) for _ in range(size))
    if kind < 0.8:
        return "".join(choose.choice(string.printable) for _ in range(size * 4))
    if kind < 0.9:
        return "".join(chr(choose.randrange(0x11_0000)) for _ in range(size * 2))
    if kind < 0.95:
        return choose.choice((*string.printable, "\u0301", "\U0001f600", "Hello. ")) * choose.choice((50, 500, 5_000))
    return choose.choice(("", " ", "\n\n\n", "\u3000"))


def _bytes(choose: random.Random) -> bytes:
    if choose.random() < 0.3:
        return choose.randbytes(choose.choice((0, 1, 10, 1_000)))
    encoding = choose.choice(("utf-8", "utf-16", "latin-1", "cp1252"))
    return _text(choose).encode(encoding, errors="replace")


def _sound(choose: random.Random) -> Any:
    """Samples of every type, shape and content, of at most some seconds."""
    noise = np.random.default_rng(choose.randrange(100)).normal(0, 0.3, choose.choice((0, 1, 100, 20_000, 48_000)))
    made = choose.choice((noise, noise.astype(np.float16), (noise * 9_000).astype(np.int16), noise > 0, noise * 1e30))
    return choose.choice(
        (
            made,
            made.tolist(),
            torch.from_numpy(noise).requires_grad_(),
            made[:, None],
            made[None],
            made[None, None],
            "abc",
            None,
            [[1, 2], [3]],
            np.full(20_000, np.nan),
            noise.astype(complex),
            noise.astype(str)[:100],
        )
    )
