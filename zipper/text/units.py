"""Measures in words: units, rates, degrees, percent, heights."""

import re

from zipper.text.numbers import FREE, NUMBER, WHOLE, Rule, cardinal, number

UNITS = {
    "km": "kilometer",
    "m": "meter",
    "cm": "centimeter",
    "mm": "millimeter",
    "nm": "nanometer",
    "kg": "kilogram",
    "g": "gram",
    "mg": "milligram",
    "ug": "microgram",
    "L": "liter",
    "l": "liter",
    "dl": "deciliter",
    "dL": "deciliter",
    "ml": "milliliter",
    "mL": "milliliter",
    "mi": "mile",
    "yd": "yard",
    "yds": "yard",
    "ft": "foot",
    "in": "inch",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "kB": "kilobyte",
    "KB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "Mbps": "megabit per second",
    "Gbps": "gigabit per second",
    "kbps": "kilobit per second",
    "mph": "mile per hour",
    "kph": "kilometer per hour",
    "fps": "frame per second",
    "rpm": "revolution per minute",
    "kW": "kilowatt",
    "MW": "megawatt",
    "kWh": "kilowatt hour",
    "W": "watt",
    "V": "volt",
    "mA": "milliamp",
    "mAh": "milliamp hour",
    "ms": "millisecond",
    "us": "microsecond",
    "hr": "hour",
    "hrs": "hour",
    "h": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "s": "second",
    "dB": "decibel",
    "kcal": "kilocalorie",
    "cal": "calorie",
    "px": "pixel",
    "pt": "point",
    "ha": "hectare",
    "kPa": "kilopascal",
    "Pa": "pascal",
    "kJ": "kilojoule",
    "J": "joule",
    "N": "newton",
    "bps": "bit per second",
    "dpi": "dot per inch",
    "ppm": "part per million",
    "tsp": "teaspoon",
    "tbsp": "tablespoon",
    "wk": "week",
    "wks": "week",
    "yr": "year",
    "yrs": "year",
    "mo": "month",
    "pct": "percent",
    "sq ft": "square foot",
    "sq m": "square meter",
    "sq mi": "square mile",
    "sqft": "square foot",
    "cc": "cubic centimeter",
}
IRREGULAR = {
    "foot": "feet",
    "inch": "inches",
    "hertz": "hertz",
    "kilohertz": "kilohertz",
    "megahertz": "megahertz",
    "gigahertz": "gigahertz",
    "percent": "percent",
}
# What a rate can be of, beside the units.
PER = "person|month|year|week|day|hour|minute|second|night|head|unit|item|page|gallon|user|seat|share|barrel|kilo"
UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
WORDS_TOO = ("in", "us", "pt", "N", "J", "mo", "h", "cal", "ha")  # units only where they touch the number
APART = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True) if unit not in WORDS_TOO)
ADJECTIVE = "km|kg|cm|mm|ft|lb|oz|mph|ml|MB|GB|TB|hr|min|sec|in"  # of what is joined by a hyphen
SIZE = r"(?= (?:x|by|tall|wide|long|high)\b)"
POWERS = {"2": "square", "3": "cubic"}
SCALES = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin", None: ""}


def unit_words(unit: str, amount: str, power: str | None = None) -> str:
    """A unit for an amount, in the plural but for one, and in square or cubic form."""
    words = UNITS[unit].split(" per ")
    name = words[0]
    lead, _, last = name.rpartition(" ")
    if amount != "1":
        last = IRREGULAR.get(last, last + "s")
    rest = f" per {words[1]}" if len(words) > 1 else ""
    return f"{POWERS[power] + ' ' if power else ''}{lead + ' ' if lead else ''}{last}{rest}"


def _unit(match: re.Match[str]) -> str:
    unit = match["touching"] or match["apart"]
    words = f"{cardinal(match['number'])} {unit_words(unit, match['number'], match['power'])}"
    if match["per"]:
        words += f" per {unit_words(match['per'], '1', match['perpower'])}"
    return words


def _compound(match: re.Match[str]) -> str:
    """ "a 5-km run", "a 12-inch ruler": one unit, in the singular."""
    return f"{cardinal(match['number'])}-{unit_words(match['unit'], '1')}"


def _degrees(match: re.Match[str]) -> str:
    scale = SCALES[match["scale"] and match["scale"].upper()]
    return f"{cardinal(match['number'])} {'degree' if match['number'] == '1' else 'degrees'}{scale}"


def _height(match: re.Match[str]) -> str:
    if match["inches"]:
        return f"{cardinal(match['feet'])} foot {cardinal(match['inches'])}"
    return f"{cardinal(match['feet'])} {'foot' if match['feet'] == '1' else 'feet'}"


def _inches(match: re.Match[str]) -> str:
    """12" as inches, unless the sign closes a quotation."""
    before = match.string[: match.start()].rpartition("\n")[2]
    if before.count('"') % 2:
        return match[0]
    return f"{cardinal(match['number'])} {'inch' if match['number'] == '1' else 'inches'}"


def _range_of(match: re.Match[str]) -> str:
    return f"{number(match['first'])} to "


END = rf"(?:\s?(?:%|°|percent\b|degrees\b)|(?:{UNIT})(?![\w'])|\s(?:{APART})(?![\w']))"
UNIT_RULES: tuple[Rule, ...] = (
    (re.compile(rf"{FREE}(?P<first>{NUMBER}) ?(?:%|°)? ?- ?(?={NUMBER}{END})"), _range_of),
    (re.compile(rf"(?<![\w.])(?P<number>{NUMBER}) ?%"), lambda m: f"{cardinal(m['number'])} percent"),
    (re.compile(rf"{WHOLE}(?P<number>{NUMBER}) ?°(?: ?(?P<scale>[CFK])\b)?"), _degrees),
    (re.compile(rf"(?<![\w.])(?P<feet>\d{{1,2}}) ?'(?: ?(?P<inches>\d{{1,2}}) ?(?:\"|'')?(?!\w)|{SIZE})"), _height),
    (re.compile(rf"{FREE}(?P<number>{NUMBER})\"(?!\w)"), _inches),
    (re.compile(rf"{FREE}(?P<number>{NUMBER})-(?P<unit>{ADJECTIVE})\b"), _compound),
    (
        re.compile(
            rf"{FREE}(?P<number>{NUMBER})(?!(?<=\d0)s\b)(?:(?P<touching>{UNIT})| (?P<apart>{APART}))"
            rf"(?:\^(?P<power>[23]))?(?:/(?P<per>{UNIT})(?:\^(?P<perpower>[23]))?)?(?![\w'^])(?!/\w)(?:\.(?= [a-z]))?"
        ),
        _unit,
    ),
    (re.compile(rf"(?<=[a-z)%])/(?={PER}\b)"), lambda m: " per "),
    (
        re.compile(rf"\b(dollars?|euros?|pounds?|cents?|pence|yen)/({UNIT})\b"),
        lambda m: f"{m[1]} per {unit_words(m[2], '1')}",
    ),
)
