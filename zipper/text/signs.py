"""Signs between words and numbers: slashes, comparisons, arithmetic, and names of programming languages."""

import re

from zipper.text.letters import names
from zipper.text.numbers import Rule

SYMBOLS = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "¥": "yen",
    "°": "degrees",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "@": "at",
    "©": "copyright",
    "§": "section",
    "¢": "cents",
    "¬": "not",
    "^": "to the power of",
    "¿": "",
    "¡": "",
}

# Before numbers are written out: what a digit beside the sign decides.
BEFORE: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w)])[:;=]-?[()DPpO|\\/](?!\w)|(?m:\s<3\s*$)"), lambda m: ""),  # faces
    (re.compile(r"\b([A-Z]{1,2})&([A-Z]{1,2})\b"), lambda m: f"{names(m[1])} and {names(m[2])}"),
    (re.compile(r"(?<!\w)([A-F])\+(?=[\s.,;:!?)]|$)"), lambda m: f"{names(m[1])} plus"),
    (re.compile(r"\b([CFJ])#(?!\w)"), lambda m: f"{m[1]} sharp"),
    (re.compile(r"\bC\+\+(?!\w)"), lambda m: "C plus plus"),
    (re.compile(r"\bg\+\+(?!\w)"), lambda m: "G plus plus"),
    (re.compile(r"(?<!\w)\.NET\b"), lambda m: "dot net"),
    (re.compile(r"(?:\babout )?(?<![\w<])~ ?(?=[$£€]?\d)"), lambda m: "about "),
    (re.compile(r"(?<=[\w)]) ?>= ?(?=[\w(-])"), lambda m: " is at least "),
    (re.compile(r"(?<=[\w)]) ?<= ?(?=[\w(-])"), lambda m: " is at most "),
    (re.compile(r"(?<=[\w)]) ?!= ?(?=[\w(-])"), lambda m: " is not equal to "),
    (re.compile(r"(?<=[\w)]) ?== ?(?=[\w(-])"), lambda m: " equals "),
    (re.compile(r"(?<=[\w)]) ?(?:->|=>) ?(?=\w)"), lambda m: " to "),
    (re.compile(r"(?<=[\w)])\s+>\s+(?=[\w(-])|(?<=\d)>(?=\d)"), lambda m: " is greater than "),
    (re.compile(r"(?<=[\w)])\s+<\s+(?=[\w(-])|(?<=\d)<(?=\d)"), lambda m: " is less than "),
    (re.compile(r"(?<![\w\s])>\s?(?=[$£€]?\d)|(?<=\s)>\s?(?=[$£€]?\d)"), lambda m: "more than "),
    (re.compile(r"(?<=\s)<\s?(?=[$£€]?\d)|^<\s?(?=[$£€]?\d)"), lambda m: "less than "),
    (re.compile(r"(?<=\d) ?\* ?(?=\d)|(?<=\w) \* (?=\w)"), lambda m: " times "),
    (re.compile(r"(?<=\d) / (?=\d)"), lambda m: " divided by "),
    (re.compile(r"(?<=\d) - (?=\d+ ?=)"), lambda m: " minus "),
    (re.compile(r"(?<=\w) - (?=\w+ = )"), lambda m: " minus "),
    (re.compile(r"(?<=\d)\+(?=[\s.,;:!?)]|$)"), lambda m: " plus"),
)

# After numbers are written out: "or" between two words, else the sign by its name.
AFTER: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w/])([A-Z]{1,5})/([A-Z]{1,5})(?![\w/])"), lambda m: f"{m[1]} slash {m[2]}"),
    (re.compile(r"(?<=[A-Za-z]{2})/(?=[A-Za-z]{2})|(?<=\w) / (?=\w)"), lambda m: " or "),
    (re.compile(r"(?<=\w)/(?=\w)"), lambda m: " slash "),
    (re.compile(r"(?<=[a-z0-9])\.(?=[a-z]{2,})"), lambda m: " dot "),  # a name that no rule of addresses knew
    (re.compile("|".join(re.escape(sign) for sign in SYMBOLS)), lambda m: f" {SYMBOLS[m[0]]} "),
)
