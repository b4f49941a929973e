"""Damaged recordings: the examples in twelve containers, cut, with bytes or the sizes and rates in headers changed.

Each is decoded; every tenth that can be is also read by the shipped model.
"""

import functools
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from zipper import Zipper, limits
from zipper.audio.io import load_audio
from zipper.rates import SPEECH_RATE

LIMIT_SECONDS = limits.MAX_DECODE_SECONDS + limits.MAX_REQUEST_SECONDS
EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples" / "recordings"
READ_EVERY = 10  # of the attempts, one in so many is read by the model
NAME = "clip"

# How ffmpeg makes them
CONTAINERS: dict[str, tuple[str, ...]] = {
    "wav": (),
    "flac": (),
    "ogg": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus"),
    "mp3": (),
    "aiff": (),
    "m4a": ("-movflags", "faststart"),
    "webm": (),
    "avi": ("-c:a", "mp3"),
    "flv": ("-c:a", "mp3", "-ar", "44100"),
    "ts": (),
    "mpg": (),
}

# After these bytes stand sizes, rates and counts
TAGS = (
    b"RIFF",
    b"fmt ",
    b"data",
    b"FORM",
    b"COMM",
    b"SSND",
    b"fLaC",
    b"OggS",
    b"OpusHead",
    b"vorbis",
    b"ID3",
    b"Info",
    b"ftyp",
    b"moov",
    b"mvhd",
    b"mdhd",
    b"stsd",
    b"mp4a",
    b"esds",
    b"stts",
    b"stsc",
    b"stsz",
    b"stco",
    b"mdat",
    b"avih",
    b"strh",
    b"strf",
    b"movi",
    b"FLV",
    b"onMetaData",
    b"duration",
    b"\x1aE\xdf\xa3",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\x1f\x43\xb6\x75",
    b"\x18\x53\x80\x67",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xc0",
)
FIELD_DISTANCE = 40  # bytes after a tag where a field is changed
VALUES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 8_000, 0x7FFF, 0xFFFF, 655_350, 0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def prepare(folder: Path) -> None:
    """Every example in every container would be more than is tried: each container has one."""
    examples = sorted(EXAMPLES.glob("*.opus"))
    for place, (name, options) in enumerate(CONTAINERS.items()):
        source, out = examples[place % len(examples)], folder / f"whole.{name}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, *options, out], check=True)


def attempt(number: int, seed: int, folder: Path) -> str:
    """Damage a file and read it."""
    choose = random.Random(f"{seed}/{number}")
    container = choose.choice(list(CONTAINERS))
    data = bytearray((folder / f"whole.{container}").read_bytes())
    for _ in range(choose.choice((1, 1, 2, 3))):
        choose.choice(DAMAGES)(choose, data)
    path = folder / f"{NAME}.{container}"
    path.write_bytes(data)
    samples = load_audio(path)
    if number % READ_EVERY:
        return "decoded"
    _model().transcribe((samples, SPEECH_RATE))
    return "decoded and read"


def _cut(choose: random.Random, data: bytearray) -> None:
    """As an upload that broke off; or without its beginning, or its middle."""
    first, last = sorted(choose.randrange(len(data) + 1) for _ in range(2))
    kept = choose.choice((slice(first, None), slice(first, None), slice(0, first), slice(first, last)))
    del data[kept]


def _change_bytes(choose: random.Random, data: bytearray) -> None:
    """As a bad disk."""
    for _ in range(choose.choice((1, 10, 1000))):
        if data:
            data[choose.randrange(len(data))] = choose.randrange(256)


def _change_beginning(choose: random.Random, data: bytearray) -> None:
    for _ in range(choose.choice((1, 5, 20))):
        if data:
            data[choose.randrange(min(len(data), 300))] = choose.randrange(256)


def _change_field(choose: random.Random, data: bytearray) -> None:
    """A size, a rate or a count is another one: doubled, halved, zero, the largest."""
    places = [place for tag in TAGS for place in _places(bytes(data), tag)] or [0]
    place = choose.choice(places) + choose.randrange(FIELD_DISTANCE)
    width, order = choose.choice((1, 2, 4, 4, 8)), choose.choice(("little", "big"))
    now = int.from_bytes(data[place : place + width], order)  # type: ignore[arg-type]
    value = choose.choice((*VALUES, 2 * now, now // 2, now + 1, choose.getrandbits(64)))
    data[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]


DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _cut,
    _change_bytes,
    _change_beginning,
    _change_field,
    _change_field,
)


def _places(data: bytes, tag: bytes) -> list[int]:
    """Where fields may begin after the first few occurrences of a tag."""
    found, place = [], data.find(tag)
    while place >= 0 and len(found) < 4:
        found.append(place + len(tag))
        place = data.find(tag, place + 1)
    return found


@functools.cache
def _model() -> Zipper:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return Zipper.from_pretrained()
