"""Numbers, money, dates and times in English words, by num2words and the rules for what surrounds them."""

import re
from collections.abc import Callable

from num2words import num2words

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
LONGEST_NUMBER = 12  # digits; longer ones are read digit by digit
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Sign: one, several, a hundredth, hundredths
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "kg": "kilogram", "g": "gram",
    "mg": "milligram", "L": "liter", "l": "liter", "ml": "milliliter", "mL": "milliliter", "mi": "mile",
    "ft": "foot", "lb": "pound", "lbs": "pound", "oz": "ounce", "Hz": "hertz", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte",
    "GB": "gigabyte", "TB": "terabyte", "mph": "mile per hour", "km/h": "kilometer per hour", "kW":
    "kilowatt", "W": "watt", "V": "volt", "ms": "millisecond", "hr": "hour", "hrs": "hour", "min": "minute",
    "mins": "minute", "sec": "second", "secs": "second", "s": "second",
}  # fmt: skip
PLURALS = {"foot": "feet", "hertz": "hertz", "kilohertz": "kilohertz", "megahertz": "megahertz",
           "gigahertz": "gigahertz"}  # fmt: skip
FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
             "⅞": "7/8"}  # fmt: skip
IDIOMS = {"24/7": "twenty-four seven", "9/11": "nine eleven"}
SCALES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion"}

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
FREE = r"(?<![\w.,/:])"  # not inside a word or a longer number
DOT = (
    r"(?:\.(?!\s*$|\s+(?-i:[A-Z])))?"  # the full stop of an abbreviation, unless it ends the sentence as well
)
MONTH = (
    r"\b(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|"
    rf"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b{DOT}"
)
HALF = rf"[ap]\.?m\b{DOT}"  # a.m., PM
UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
SCALE = rf"hundred|thousand|million|billion|trillion|{'|'.join(SCALES)}"

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def spell_numbers(text: str) -> str:
    """Write every number of a text in words, with what belongs to it: money, dates, times, units."""
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return text


def cardinal(number: str) -> str:
    """A number as written, with thousands commas or decimals, in words: ``"1,234.5"``."""
    whole, _, decimals = number.replace(",", "").partition(".")
    if len(whole) > LONGEST_NUMBER or (len(whole) > 1 and whole.startswith("0")):
        words = digits(whole)
    else:
        words = _plain(num2words(int(whole or "0")))
    return f"{words} point {digits(decimals)}" if decimals else words


def ordinal(number: str) -> str:
    """``"21"`` as ``"twenty-first"``."""
    number = number.replace(",", "")
    return _plain(num2words(int(number), to="ordinal")) if len(number) <= LONGEST_NUMBER else digits(number)


def year(number: str) -> str:
    """A year of one to four digits in words: ``"1984"`` as ``"nineteen eighty-four"``."""
    return _plain(num2words(int(number), to="year"))


def digits(number: str) -> str:
    """Digit by digit; anything else between them is left out."""
    return " ".join(DIGITS[int(digit)] for digit in number if digit.isdecimal())


def _plain(words: str) -> str:
    return words.replace(",", "")


def _money(match: re.Match[str]) -> str:
    one, several, cent, cents = CURRENCIES[match["sign"]]
    number, scale = match["number"], match["scale"]
    if scale:
        return f"{cardinal(number)} {SCALES.get(scale, scale)} {several}"
    whole, _, part = number.replace(",", "").partition(".")
    if part and len(part) != 2:
        return f"{cardinal(number)} {several}"
    amounts = []
    if int(whole or "0") or not int(part or "0"):
        amounts.append(f"{cardinal(whole or '0')} {one if whole == '1' else several}")
    if int(part or "0"):
        amounts.append(f"{cardinal(str(int(part)))} {cent if int(part) == 1 else cents}")
    return " and ".join(amounts)


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3]))


def _month_day(match: re.Match[str]) -> str:
    tail = f", {year(match['year'])}" if match["year"] else ""
    return f"{_month(match[1])} {ordinal(match['day'])}{tail}"


def _day_month(match: re.Match[str]) -> str:
    article = "" if match.string[: match.start()].lower().endswith("the ") else "the "
    return f"{article}{ordinal(match['day'])} of {_month(match[2])}"


def _date(month: str, day: str, of_year: str, otherwise: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return " ".join(cardinal(part) for part in re.findall(r"\d+", otherwise))
    full = of_year if len(of_year) == 4 else ("20" if int(of_year) < 50 else "19") + of_year
    return f"{MONTHS[int(month) - 1]} {ordinal(day)}, {year(full)}"


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), match["minute"], match["half"]
    if hour > 24 or int(minute) > 59:
        return f"{cardinal(match['hour'])} {cardinal(str(int(minute)))}"
    if int(minute):
        words = f"{cardinal(str(hour))} {'oh ' if minute[0] == '0' else ''}{cardinal(str(int(minute)))}"
    else:
        words = f"{cardinal(str(hour))}" + ("" if half else " o'clock" if 1 <= hour <= 12 else " hundred")
    return f"{words} {half[0].upper()}M" if half else words


def _unit(match: re.Match[str]) -> str:
    first, _, rest = UNITS[match["unit"]].partition(" ")
    if match["number"] != "1":
        first = PLURALS.get(first, first + "s")
    return f"{cardinal(match['number'])} {first} {rest}".rstrip()


def _fraction(match: re.Match[str]) -> str:
    if match[0] in IDIOMS:
        return IDIOMS[match[0]]
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    if not (len(bottom) <= 2 and 2 <= int(bottom) <= 20 and 0 < int(top) < int(bottom)):
        return f"{cardinal(whole) + ' ' if whole else ''}{cardinal(top)} over {cardinal(bottom)}"
    part = {2: "half", 4: "quarter"}.get(int(bottom), ordinal(bottom)) + ("s" if int(top) > 1 else "")
    if not whole:
        return f"{cardinal(top)} {part}"
    return f"{cardinal(whole)} and {'a' if top == '1' else cardinal(top)} {part}"


def _decade(match: re.Match[str]) -> str:
    words = year(match[1]) if len(match[1]) == 4 else cardinal(match[1])
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _number(number: str) -> str:
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", number):  # a bare number of this size is nearly always a year
        return year(number)
    return cardinal(number)


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit", None: ""}[match["scale"]]
    return f"{cardinal(match['number'])} {'degree' if match['number'] == '1' else 'degrees'}{scale}"


def _spaced(match: re.Match[str], words: str) -> str:
    """Keep words apart from letters that touched the digits, as in "B2B"."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return (" " if before.isalnum() else "") + words + (" " if after.isalnum() else "")


# In the order in which they apply: what binds a number to its neighbours first, bare numbers last.
_RULES: tuple[Rule, ...] = (
    (re.compile(f"(\\d?)([{''.join(FRACTIONS)}])"), lambda m: f"{m[1]} {FRACTIONS[m[2]]}".strip()),
    (re.compile(rf"{FREE}(\d{{4}})-(\d\d)-(\d\d)(?![\w-])"), lambda m: _date(m[2], m[3], m[1], m[0])),
    (
        re.compile(rf"{FREE}(\d\d?)/(\d\d?)/(\d{{4}}|\d\d)(?![\w/])"),
        lambda m: _date(m[1], m[2], m[3], m[0]),
    ),
    (
        re.compile(
            rf"{MONTH} (?P<day>\d\d?)(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?"
            r"(?![\w%°]|[:.,/]\d| (?:%|percent))"
        ),
        _month_day,
    ),
    (re.compile(rf"{FREE}(?P<day>\d\d?)(?:st|nd|rd|th)? (?:of )?{MONTH}"), _day_month),
    (re.compile(rf"(?P<sign>[$£€¥]) ?(?P<number>{NUMBER})(?: ?(?P<scale>{SCALE})\b)?"), _money),
    (
        re.compile(rf"{FREE}(?P<hour>\d\d?):(?P<minute>\d\d)(?: ?(?P<half>{HALF}))?(?![:\d])", re.I),
        _time,
    ),
    (re.compile(rf"{FREE}(\d\d?) ?({HALF})", re.I), lambda m: f"{cardinal(m[1])} {m[2][0].upper()}M"),
    (
        re.compile(rf"{FREE}(?:\+?\d{{1,3}}[- ])?(?:\d{{3}}[-.])?\d{{3}}-\d{{4}}(?![\w-])"),
        lambda m: digits(m[0]),
    ),
    (re.compile(rf"(?<![\w.])(?P<number>{NUMBER}) ?%"), lambda m: f"{cardinal(m['number'])} percent"),
    (re.compile(rf"(?P<number>{NUMBER}) ?°(?: ?(?P<scale>[CF])\b)?"), _degrees),
    (
        re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", re.I),
        lambda m: ordinal(m[1]),
    ),
    (re.compile(r"(?<![\w.])'?((?:1[1-9]|20)?\d0)'?s\b"), _decade),
    (re.compile(rf"{FREE}(?:(?P<whole>\d+) )?(?P<top>\d+)/(?P<bottom>\d+)(?![\w/])"), _fraction),
    (re.compile(rf"{FREE}(?P<number>{NUMBER})[ -]?(?P<unit>{UNIT})\b(?!['/])"), _unit),
    (
        re.compile(rf"{FREE}(\d+(?:\.\d+)?) ?- ?(\d+(?:\.\d+)?)(?![\w-])"),
        lambda m: f"{m[1]} to {m[2]}",
    ),
    (re.compile(r"(?<![\w.])-(?=\.?\d)"), lambda m: "minus "),
    (
        re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}"),
        lambda m: " point ".join(cardinal(part) for part in m[0].split(".")),
    ),
    (re.compile(r"\b(?:No|no|Nos)\. ?(?=\d)|#(?=\d)"), lambda m: "number "),
    (re.compile(rf"(?P<number>{NUMBER})"), lambda m: _spaced(m, _number(m["number"]))),
)
