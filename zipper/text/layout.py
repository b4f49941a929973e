"""Lines, lists and Markdown as a reader takes them: which line breaks are pauses, and what is not read aloud."""

import re

WRAPPED = 50  # characters; a longer line without a mark at its end was broken by a mail program
FENCE = re.compile(r"(?m)^\s*(?:```|~~~|''')[^\n]*$")
RULE = re.compile(r"(?m)^\s*(?:[-*_=]\s*){3,}$|^\s*\|?(?:\s*:?-{2,}:?\s*\|)+(?:\s*:?-{2,}:?)?\s*$")
HEADING = re.compile(r"(?m)^\s*#{1,6}\s+(.*?)\s*#*$")
QUOTE = re.compile(r"(?m)^(?:\s*>)+ ?")
ITEM = re.compile(r"(?m)^[ \t]*(?:[-*+\u2022\u2023\u25e6\u25aa\u25cf]|-\s*-)[ \t]+(?:\[[ xX]\][ \t]+)?")
NUMBERED = re.compile(r"(?m)^[ \t]*(\d{1,3})[.)][ \t]+(?=\S)")
IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*(?:\s\"[^\"\n]*\")?\)")
REFERENCE = re.compile(r"\[([^\[\]\n]+)\](?:\[[^\[\]\n]*\])")
EMPHASIS = (
    re.compile(r"(\*{1,3})(?=\S)([^*\n]*?[^\s*])\1"),
    re.compile(r"(?<![\w])(_{1,3})(?=[^\s_])([^\n]*?[^\s_])\1(?!\w)"),
    re.compile(r"(~~)(?=\S)([^~\n]*?[^\s~])\1"),
)
CODE = re.compile(r"`([^`\n]+)`")
CELL = re.compile(r"[ \t]*\|[ \t]*")
OPENED = "\x1f"  # begins an item, so that its line is not taken for the rest of the one before


def lines(text: str) -> str:
    """The text without Markdown signs, a line for each paragraph, heading or item of a list.

    A line break inside a sentence (before a lower-case letter, or after a long line without a mark) is a space.
    """
    for pattern in (FENCE, RULE):
        text = pattern.sub("", text)
    text = QUOTE.sub("", text)
    text = HEADING.sub(lambda m: OPENED + m[1] + "\n" + OPENED, text)
    text = ITEM.sub(OPENED, text)
    text = NUMBERED.sub(lambda m: f"{OPENED}{m[1]}, ", text)
    text = IMAGE_OR_LINK.sub(r"\1", text)
    text = REFERENCE.sub(r"\1", text)
    for pattern in EMPHASIS:
        text = pattern.sub(r"\2", text)
    text = CODE.sub(r"\1", text).replace("`", "'")
    if "|" in text:
        text = "\n".join(_row(line) for line in text.split("\n"))
    return _joined(text)


def _row(line: str) -> str:
    """A row of a table as a list of its cells."""
    if line.count("|") < 2:
        return line
    return OPENED + ", ".join(cell for cell in CELL.split(line.strip()) if cell)


def _joined(text: str) -> str:
    paragraphs: list[str] = []
    blank = True
    for line in text.split("\n"):
        content = line.strip(" \t")
        if paragraphs and content.strip(OPENED) and not blank and _goes_on(paragraphs[-1], content):
            paragraphs[-1] += " " + content
        elif content.strip(OPENED):
            paragraphs.append(content)
        blank = not content.strip(OPENED)
    return "\n".join(paragraph.replace(OPENED, "") for paragraph in paragraphs)


def _goes_on(before: str, line: str) -> bool:
    """Whether a line is the rest of the sentence of the line before it."""
    if line[0] == OPENED:
        return False
    if line[0].islower():
        return True
    mark = before.rstrip("\"')")[-1:]
    return len(before) >= WRAPPED and mark not in (".", "!", "?", ":") and line[0] not in "-*"
