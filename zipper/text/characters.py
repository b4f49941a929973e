"""Every character a person may type or paste, as ASCII letters, digits and typewriter signs."""

import html
import re
import unicodedata

PUNCTUATION = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201a": "'",
    "\u201b": "'",
    "\u2032": "'",
    "\u00b4": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u201e": '"',
    "\u00ab": '"',
    "\u00bb": '"',
    "\u2033": '"',
    "''": '"',
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2212": "-",
    "\u2013": " - ",
    "\u2014": " - ",
    "\u2015": " - ",
    "\u2026": "...",
    "\u00b7": " ",
    "\u2044": "/",
    "\u2215": "/",
}
RANGE_DASH = re.compile(r"(?<=[\d%])[\u2012\u2013](?=[$£€\d])")  # 1914–1918
LETTERS = {
    "ß": "ss",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "µ": "u",
}
# Signs that have no place on a typewriter; those that have one are left to the rules of signs.
SIGNS = {
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "≈": "~",
    "→": "->",
    "⇒": "->",
    "←": "<-",
    "№": "No. ",
    "€": "€",
    "™": "",
    "®": "",
    "√": " square root of ",
    "∞": " infinity ",
    "π": " pi ",
    "Ω": " ohms ",
    "‰": " per mille ",
}
SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
RAISED = re.compile(r"(?<=[\w)])[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
VULGAR = "½¼¾⅓⅔⅛⅜⅝⅞"
SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")  # Unicode categories: control, format, surrogate, private, unassigned
BREAKS = re.compile(r"\r\n?|[\u2028\u2029\u0085\x0b\x0c]")


def plain(text: str) -> str:
    """ASCII but for vulgar fractions and the signs that are read; accents and control characters go.

    HTML entities are read as the characters they stand for. Line breaks are ``\\n``, other spaces are kept.
    """
    text = BREAKS.sub("\n", html.unescape(text))
    text = RANGE_DASH.sub("-", SPACES.sub(" ", text))
    text = RAISED.sub(lambda m: "^" + m[0].translate(SUPERSCRIPT), text)
    text = "".join(PUNCTUATION.get(c, LETTERS.get(c, SIGNS.get(c, c))) for c in text)
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in INVISIBLE)
    parts = re.split(f"([{VULGAR}])", kept)  # a decomposed fraction would lose its line
    decomposed = "".join(part if part in VULGAR else unicodedata.normalize("NFKD", part) for part in parts)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def is_foreign(character: str) -> bool:
    """Whether it is a letter of another script than Latin; Greek letters that are signs are not."""
    if not character.isalpha() or character.isascii() or character in SIGNS or character in LETTERS:
        return False
    name = unicodedata.name(character, "")
    return not name.startswith(("LATIN", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"))
