"""A map with a cursor that moves as the sound does, and its words of which the spoken one stands out, as a GIF."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from PIL.GifImagePlugin import getdata

from zipper.rates import TOKEN_RATE
from zipper.results import Passage, Word

FRAMES = 10  # a second
WIDEST = 900  # px
COLORS = 250  # of the picture and its words; the rest is left for the cursor and for what has not changed
CURSOR, OUTLINE, UNCHANGED = COLORS, COLORS + 1, COLORS + 2  # their numbers in the palette
RGB = {CURSOR: (0xD9, 0x48, 0x0F), OUTLINE: (255, 255, 255)}
PAPER, INK, SPOKEN, ON_SPOKEN = "white", "#1f2430", "#17686c", "white"
LETTERS, LINE, GAP, MARGIN = 18, 28, 10, 14  # px of the words: their size, a line, between two, around all

Font = ImageFont.FreeTypeFont


class Plot(NamedTuple):
    """Where the map lies in its picture, as shares of its width and height from the top left; bottom: of the strips."""

    left: float
    right: float
    top: float
    map_bottom: float
    bottom: float


class PlacedWord(NamedTuple):
    """A word with the box around it, px below the picture."""

    word: Word
    box: tuple[int, int, int, int]


def animate(picture: Image.Image, plot: Plot, passage: Passage) -> bytes:
    """The GIF of a drawn map; it lasts as long as the passage, and starts again."""
    picture = picture.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    words = place_words(passage.words, picture.width)
    plain, spoken = (_draw_words(words, picture.width, lit) for lit in (False, True))
    whole = Image.new("RGB", (picture.width, picture.height + 2 * plain.height), PAPER)
    whole.paste(picture, (0, 0))
    whole.paste(plain, (0, picture.height))
    whole.paste(spoken, (0, picture.height + plain.height))
    reduced = whole.quantize(COLORS, dither=Image.Dither.NONE)
    still = reduced.crop((0, 0, picture.width, picture.height + plain.height))
    lit = reduced.crop((0, picture.height + plain.height, *whole.size))
    seconds = passage.attention.weights.shape[3] / TOKEN_RATE
    times = [passage.start + number / FRAMES for number in range(math.ceil(seconds * FRAMES))]
    frames = (_frame(still, lit, picture.height, words, plot, passage, time) for time in times)
    return _gif(frames, (reduced.getpalette() or [])[: 3 * COLORS])


def _gif(frames: Iterator[Image.Image], palette: list[int]) -> bytes:
    """Frames of one size in the same colors, of which each holds only what differs from the one before.

    Pillow can do that too, but compares all colors of all pixels, which takes minutes here. palette: red, green and
    blue of each color of the picture in turn.
    """
    first = next(frames)
    colors = bytes(palette).ljust(3 * COLORS, b"\0") + bytes(RGB[CURSOR] + RGB[OUTLINE])
    blocks = [b"GIF89a", struct.pack("<HHBBB", *first.size, 0xF7, 0, 0), colors.ljust(3 * 256, b"\0")]
    blocks += [b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", *getdata(first, duration=1000 // FRAMES, disposal=1)]
    before = np.asarray(first)
    for frame in frames:
        now = np.asarray(frame)
        changed = now != before
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        top, bottom = (rows[0], rows[-1] + 1) if rows.size else (0, 1)
        left, right = (columns[0], columns[-1] + 1) if columns.size else (0, 1)
        part = np.where(changed, now, UNCHANGED)[top:bottom, left:right].astype(np.uint8)
        image = Image.fromarray(part).convert("L")
        options = {"duration": 1000 // FRAMES, "disposal": 1, "transparency": UNCHANGED}
        blocks += getdata(image, (int(left), int(top)), **options)
        before = now
    return b"".join((*blocks, b";"))


def place_words(words: Sequence[Word], width: int) -> list[PlacedWord]:
    """The words in lines of a width in px, each with its box."""
    font, placed, left, top = _font(), list[PlacedWord](), MARGIN, MARGIN
    for word in words:
        wide = math.ceil(font.getlength(word.text)) + GAP
        if left > MARGIN and left + wide > width - MARGIN:
            left, top = MARGIN, top + LINE
        placed.append(PlacedWord(word, (left, top, left + wide, top + LINE - 2)))
        left += wide
    return placed


def _draw_words(words: Sequence[PlacedWord], width: int, lit: bool) -> Image.Image:
    """All words, as they look while they are spoken or not."""
    bottom = max((placed.box[3] for placed in words), default=0) + MARGIN
    image = Image.new("RGB", (width, bottom), PAPER)
    draw, font = ImageDraw.Draw(image), _font()
    for word, (left, top, right, low) in words:
        if lit:
            draw.rounded_rectangle((left, top, right - 1, low - 1), 5, fill=SPOKEN)
        middle = (left + GAP / 2, (top + low) / 2)
        draw.text(middle, word.text, fill=ON_SPOKEN if lit else INK, font=font, anchor="lm")
    return image


def _frame(
    still: Image.Image,
    lit: Image.Image,
    below: int,
    words: Sequence[PlacedWord],
    plot: Plot,
    passage: Passage,
    time: float,
) -> Image.Image:
    """One moment. below: px of the picture above the words."""
    frame = still.copy()
    for word, box in words:
        if word.start <= time < word.end:
            frame.paste(lit.crop(box), (box[0], below + box[1]))
    draw, attention = ImageDraw.Draw(frame), passage.attention
    rows, columns = attention.weights.shape[2:]
    share = (time - passage.start) * TOKEN_RATE / columns
    x = round((plot.left + share * (plot.right - plot.left)) * still.width)
    top, bottom = round(plot.top * below), round(plot.bottom * below)
    draw.rectangle((x - 2, top, x + 1, bottom), fill=OUTLINE)
    draw.rectangle((x - 1, top, x, bottom), fill=CURSOR)
    cell = min(int(np.searchsorted(attention.path[:, 1], int(share * columns))), len(attention.path) - 1)
    row_share = (attention.path[cell, 0] + 0.5) / rows
    y = round((plot.top + row_share * (plot.map_bottom - plot.top)) * below)
    draw.ellipse((x - 7, y - 7, x + 6, y + 6), fill=OUTLINE)
    draw.ellipse((x - 5, y - 5, x + 4, y + 4), fill=CURSOR)
    return frame


def _font() -> Font:
    """The font of the picture, which comes with matplotlib."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), LETTERS)
