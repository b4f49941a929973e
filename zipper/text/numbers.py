"""Numbers in English words, and the rules for those that stand by themselves."""

import re
from collections.abc import Callable

from zipper.text.words_of import in_words

LONGEST_NUMBER = 12  # digits; longer ones are read digit by digit
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
IDIOMS = {"24/7": "twenty-four seven", "9/11": "nine eleven", "50/50": "fifty fifty", "20/20": "twenty twenty"}
RATED = r"\b(?:rat(?:e|es|ed|ing)|scor(?:e|es|ed|ing)|give|gives|gave|grade[ds]?|stars?|solid|perfect)\b[^.!?\n]{0,30}$"

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+)"
WHOLE = r"(?<!\d)"  # not from the middle of a number, which would be tried from every digit
FREE = r"(?<![\w.,/:^])"  # not inside a word or a longer number

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def apply(rules: tuple[Rule, ...], text: str) -> str:
    """The text after each rule in turn."""
    for pattern, replace in rules:
        text = pattern.sub(replace, text)
    return text


def cardinal(number: str) -> str:
    """A number as written, with thousands commas or decimals, in words: ``"1,234.5"``."""
    whole, _, decimals = number.replace(",", "").partition(".")
    if len(whole) > LONGEST_NUMBER or (len(whole) > 1 and whole.startswith("0")):
        words = digits(whole)
    else:
        words = _plain(in_words(int(whole or "0")))
    return f"{words} point {digits(decimals)}" if decimals else words


def ordinal(number: str) -> str:
    """``"21"`` as ``"twenty-first"``."""
    number = number.replace(",", "")
    return _plain(in_words(int(number), to="ordinal")) if len(number) <= LONGEST_NUMBER else digits(number)


def year(number: str) -> str:
    """A year of one to four digits in words: ``"1984"`` as ``"nineteen eighty-four"``."""
    return _plain(in_words(int(number), to="year"))


def digits(number: str) -> str:
    """Digit by digit; anything else between them is left out."""
    return " ".join(DIGITS[int(digit)] for digit in number if digit.isdecimal())


def number(written: str) -> str:
    """A bare number: of four digits from 1100 to 2099 it is nearly always a year."""
    return year(written) if re.fullmatch(r"1[1-9]\d\d|20\d\d", written) else cardinal(written)


def plural(words: str) -> str:
    """``"nineteen ninety"`` as ``"nineteen nineties"``."""
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


def _plain(words: str) -> str:
    return words.replace(",", "")


def _fraction(match: re.Match[str]) -> str:
    if match[0] in IDIOMS:
        return IDIOMS[match[0]]
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    before = match.string[: match.start()]
    if re.search(r"\bodds\b[^.!?\n]{0,20}$", before, re.I):
        return f"{cardinal(top)} to {cardinal(bottom)}"
    rated = bottom in ("10", "100") or (int(bottom) > 4 and re.search(RATED, before, re.I))
    if not whole and rated and float(top) <= int(bottom) and not re.match(r" of\b", match.string[match.end() :]):
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if not (len(bottom) <= 2 and 2 <= int(bottom) <= 20 and "." not in top and 0 < int(top) < int(bottom)):
        return f"{cardinal(whole) + ' ' if whole else ''}{cardinal(top)} over {cardinal(bottom)}"
    part = {2: "half", 4: "quarter"}.get(int(bottom), ordinal(bottom))
    if int(top) > 1:
        part = "halves" if part == "half" else part + "s"
    if not whole:
        return f"{cardinal(top)} {part}"
    return f"{cardinal(whole)} and {'a' if top == '1' else cardinal(top)} {part}"


def _decade(match: re.Match[str]) -> str:
    return plural(year(match[1]) if len(match[1]) == 4 else cardinal(match[1]))


def _power(match: re.Match[str]) -> str:
    base = match["base"]
    if base[0] in "0123456789.":
        base = number(base)
    elif not re.search("[aeiou]", base):
        base = base.upper()  # mc: two letters
    named = {"2": "squared", "3": "cubed"}.get(match["power"])
    if named:
        return f"{base} {named}"
    power = match["power"]
    return f"{base} to the power of {'minus ' if power[0] == '-' else ''}{cardinal(power.lstrip('-'))}"


def _scientific(match: re.Match[str]) -> str:
    power = match["power"].lstrip("+")
    minus = "minus " if power[0] == "-" else ""
    return f"{cardinal(match['number'])} times ten to the power of {minus}{cardinal(str(int(power.lstrip('-'))))}"


def _range(match: re.Match[str]) -> str:
    return f"{number(match[1])} to {number(match[2])}"


def _season(match: re.Match[str]) -> str:
    """2019/20 and 2019-20: a year and the end of the next."""
    if int(match[2]) == (int(match[1]) + 1) % 100:
        return f"{year(match[1])} {cardinal(match[2]) if match[2][0] != '0' else 'oh ' + cardinal(match[2][1])}"
    return match[0]


def _spaced(match: re.Match[str]) -> str:
    """A bare number, kept apart from letters that touch it, as in "B2B"."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return (" " if before.isalnum() else "") + number(match[0]) + (" " if after.isalnum() else "")


# Digits that belong together, before anything reads them.
GROUPED: tuple[Rule, ...] = (
    (re.compile(rf"{FREE}\d{{1,3}}(?:[ ']\d{{3}}){{2,}}(?![\d,.']\d|\d)"), lambda m: re.sub("[ ']", "", m[0])),
    (re.compile(rf"{FREE}\d{{1,3}}[ ']000(?![\d,'])"), lambda m: re.sub("[ ']", "", m[0])),
    (re.compile(f"(\\d?)([{''.join(FRACTIONS)}])"), lambda m: f"{m[1]} {FRACTIONS[m[2]]}".strip()),
    (re.compile(r"([$£€¥])-(?=\.?\d)"), lambda m: f"minus {m[1]}"),
    (re.compile(r"(?<![\w.)%\"'-])-(?=[$£€¥]?\.?\d)"), lambda m: "minus "),
    (re.compile(r"\b([A-Z]+-?)(\d+)s\b"), lambda m: f"{m[1]}{'' if m[1][-1] == '-' else ' '}{plural(cardinal(m[2]))}"),
    (re.compile(r"(?<![\w.)%+])\+(?=[$£€¥]?\.?\d)"), lambda m: "plus "),
)

# What is left when dates, money, units and the like have been read.
BARE: tuple[Rule, ...] = (
    (re.compile(rf"{FREE}(?P<number>{NUMBER})[eE](?P<power>[+-]?\d{{1,3}})\b"), _scientific),
    (re.compile(rf"(?P<base>{WHOLE}{NUMBER}|\b[A-Za-z]{{1,2}})\^(?P<power>-?\d+)\b"), _power),
    (re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", re.I), lambda m: ordinal(m[1])),
    (re.compile(r"(?<![\w.])'?((?:1[1-9]|20)?\d0)'?s\b"), _decade),
    (re.compile(rf"{FREE}((?:1[89]|20)\d\d)[/-](\d\d)(?![\w/-])"), _season),
    (re.compile(rf"{FREE}(?:(?P<whole>\d+) )?(?P<top>\d+(?:\.\d+)?)/(?P<bottom>\d+)(?![\w/]|\.\d)"), _fraction),
    (re.compile(rf"{FREE}(\d+(?:\.\d+)?) ?- ?(\d+(?:\.\d+)?)(?![\w-])"), _range),
    (re.compile(rf"{FREE}({NUMBER}) ?x (?=[a-z])"), lambda m: f"{number(m[1])} times "),
    (re.compile(rf"{WHOLE}({NUMBER}) ?x ?(?={NUMBER})"), lambda m: f"{number(m[1])} by "),
    (re.compile(rf"{FREE}({NUMBER})x\b"), lambda m: f"{number(m[1])} times"),
    (re.compile(r"#(?=\d)"), lambda m: "number "),
    (re.compile(r"\b(?:bus|flight|room|agent|call|dial|line) (\d{3})\b(?![,.]\d|[- ]\d|%)"), lambda m: _called(m)),
    (re.compile(r"\b(in|since|around|circa|year) (10[1-9]\d)\b(?! [a-z]+s\b)", re.I), lambda m: f"{m[1]} {year(m[2])}"),
    (re.compile(NUMBER), _spaced),
)


def _called(match: re.Match[str]) -> str:
    """911 and the like, by its digits."""
    return f"{match[0][: -len(match[1])]}{digits(match[1])}"
