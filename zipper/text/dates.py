"""Dates, times of day and telephone numbers in words."""

import re

from zipper.text.numbers import FREE, Rule, cardinal, digits, number, ordinal, year

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# The full stop of an abbreviation, unless it ends the sentence as well.
DOT = r"(?:\.(?!\s*$|\s*\n|\s+(?-i:[A-Z])))?"
MONTH = (
    r"\b(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|"
    rf"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b{DOT}"
)
HALF = rf"[ap]\.?m\b{DOT}"  # a.m., PM
CLOCK = r"\d\d?(?::\d\d)?"
ERA = r"(?P<era>BCE|BC|CE|AD|B\.C\.E\.|B\.C\.|C\.E\.|A\.D\.)"
COMPARED = re.compile(
    r"\b(?:ratio|odds|aspect|scale|score|won|lost|beat|ahead|mix|mixed|proportion)\b[^.!?\n]{0,25}$", re.I
)


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3]))


def _month_day(match: re.Match[str]) -> str:
    tail = f", {year(match['year'])}" if match["year"] else ""
    until = f" to {ordinal(match['until'])}" if match["until"] else ""
    return f"{_month(match[1])} {ordinal(match['day'])}{until}{tail}"


def _day_month(match: re.Match[str]) -> str:
    article = "" if match.string[: match.start()].lower().endswith("the ") else "the "
    tail = f", {year(match['year'])}" if match["year"] else ""
    until = f" to the {ordinal(match['until'])}" if match["until"] else ""
    return f"{article}{ordinal(match['day'])}{until} of {_month(match['month'])}{tail}"


def _month_year(match: re.Match[str]) -> str:
    return f"{_month(match[1])} {year(match['year'])}"


def _date(month: str, day: str, of_year: str, otherwise: str) -> str:
    """A date in digits; 15/03 can only be the fifteenth of March, 3/4 is March fourth."""
    if int(month) > 12 >= int(day):
        month, day = day, month
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return " ".join(cardinal(part) for part in re.findall(r"\d+", otherwise))
    full = of_year if len(of_year) == 4 else ("20" if int(of_year) < 50 else "19") + of_year
    return f"{MONTHS[int(month) - 1]} {ordinal(day)}, {year(full)}"


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), match["minute"], match["half"]
    if hour > 24 or int(minute) > 59 or (not half and COMPARED.search(match.string[: match.start()])):
        return f"{cardinal(str(hour))} to {cardinal(str(int(minute)))}"
    if int(minute):
        words = f"{cardinal(str(hour))} {'oh ' if minute[0] == '0' else ''}{cardinal(str(int(minute)))}"
    else:
        words = f"{cardinal(str(hour))}" + ("" if half else " o'clock" if 1 <= hour <= 12 else " hundred")
    if match["second"]:
        words += f" and {cardinal(str(int(match['second'])))} second{'' if int(match['second']) == 1 else 's'}"
    return f"{words} {_half(half)}" if half else words


def _half(half: str) -> str:
    return half[0].upper() + "M"


def _duration(match: re.Match[str]) -> str:
    hours, minutes, seconds = (int(part) for part in match[0].split(":"))
    parts = ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
    return " ".join(f"{cardinal(str(n))} {name}{'' if n == 1 else 's'}" for n, name in parts if n) or "zero seconds"


def _era(match: re.Match[str]) -> str:
    letters = match["era"].replace(".", "")
    ended = "." if match["era"].endswith(".") and not match.string[match.end() :].strip() else ""
    return f"{number(match['number']) if letters in ('AD', 'CE') else cardinal(match['number'])} {letters}{ended}"


def _phone(match: re.Match[str]) -> str:
    """Digit by digit, with a pause after each group."""
    ahead = "plus " if match[0].startswith("+") else ""
    return ahead + ", ".join(digits(group) for group in re.findall(r"\d+", match[0]))


DATES: tuple[Rule, ...] = (
    (re.compile(rf"{FREE}(\d{{4}})([-/.])(\d\d?)\2(\d\d?)(?![\w/-]|\.\d)"), lambda m: _date(m[3], m[4], m[1], m[0])),
    (
        re.compile(rf"{FREE}(\d\d?)([-/.])(\d\d?)\2(\d{{4}})(?![\w/-]|\.\d)|{FREE}(\d\d?)/(\d\d?)/(\d\d)(?![\w/])"),
        lambda m: _date(m[1] or m[5], m[3] or m[6], m[4] or m[7], m[0]),
    ),
    (
        re.compile(
            rf"{MONTH} (?P<day>\d\d?)(?:st|nd|rd|th)?(?: ?- ?(?P<until>\d\d?)(?:st|nd|rd|th)?(?!\d))?"
            r"(?:,? (?P<year>\d{4}))?(?![\w%°]|[:.,/]\d| (?:%|percent))"
        ),
        _month_day,
    ),
    (
        re.compile(
            rf"{FREE}(?P<day>\d\d?)(?:st|nd|rd|th)?(?: ?- ?(?P<until>\d\d?)(?:st|nd|rd|th)?)? (?:of )?"
            rf"{MONTH.replace('(Jan', '(?P<month>Jan', 1)}(?:,? (?P<year>\d{{4}})(?![\w%]|[.,]\d))?"
        ),
        _day_month,
    ),
    (re.compile(rf"{MONTH},? (?P<year>(?:1\d|20)\d\d)(?![\w%]|[.,]\d)"), _month_year),
    (re.compile(rf"{FREE}(?P<number>\d{{1,3}}(?:,\d{{3}})+|\d{{1,5}}) ?{ERA}(?!\w)"), _era),
)

PHONES: tuple[Rule, ...] = (
    (re.compile(r"\b1-800-(?=[A-Z])"), lambda m: "one eight hundred, "),
    (re.compile(rf"{FREE}\d+(?:-\d+){{3,}}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w+])(?:\+?\d{1,3}[ .-]?)?\(\d{2,5}\)[ .-]?\d{3,4}[ .-]?\d{3,4}(?![\w-])"), _phone),
    (re.compile(rf"{FREE}(?:\+?\d{{1,3}}[- .])?(?:\d{{3}}[-.])?\d{{3}}[-.]\d{{4}}(?![\w-]|\.\d)"), _phone),
    (re.compile(rf"{FREE}\+\d{{1,3}}(?:[ -]\d{{2,5}}){{2,5}}(?![\w-])"), _phone),
    (re.compile(rf"{FREE}\d{{3}} \d{{3}} \d{{4}}(?![\w-]|[ ,.]\d)"), _phone),
    (re.compile(rf"{FREE}0\d{{2,4}} \d{{3,4}} \d{{3,4}}(?![\w-]|[ ,.]\d)"), _phone),
    (re.compile(rf"{FREE}\d{{3}}-\d{{2}}-\d{{4}}(?![\w-])|{FREE}\d{{4}}(?:[- ]\d{{4}}){{3}}(?![\w-])"), _phone),
)

TIMES: tuple[Rule, ...] = (
    (
        re.compile(rf"{FREE}(\d\d?):(\d\d)\.(\d+)(?!\w)"),
        lambda m: f"{cardinal(m[1])} {cardinal(str(int(m[2])))} point {digits(m[3])}",
    ),
    (
        re.compile(rf"{FREE}(?P<first>{CLOCK}) ?(?P<half>{HALF})? ?(?:-|to) ?(?=\d\d?(?::\d\d)? ?{HALF})", re.I),
        lambda m: f"{m['first']}{' ' + _half(m['half']) if m['half'] else ''} to ",
    ),
    (re.compile(rf"{FREE}\d\d?:\d\d:\d\d(?! ?{HALF})(?![:\d])", re.I), _duration),
    (
        re.compile(
            rf"{FREE}(?P<hour>\d\d?)(?::|\.(?=\d\d ?[ap]\.?m\b))(?P<minute>\d\d)"
            rf"(?::(?P<second>\d\d))?(?: ?(?P<half>{HALF}))?(?![:\d])",
            re.I,
        ),
        _time,
    ),
    (re.compile(rf"{FREE}(\d\d?) ?({HALF})", re.I), lambda m: f"{cardinal(m[1])} {_half(m[2])}"),
    (re.compile(rf"{FREE}(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)(?![:\d])"), lambda m: f"{cardinal(m[1])} to {cardinal(m[2])}"),
)
