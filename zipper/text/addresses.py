"""Web and mail addresses, paths, file names, versions and handles, as one reads them out."""

import re

from zipper.text.letters import names
from zipper.text.numbers import Rule, cardinal, digits

# Endings of names that are words; the others of up to three letters are spelled.
WORDS = frozenset(
    "com org net info app dev blog shop store online site news live mil name gov me be doc zip bin".split()
)
TOPLEVEL = (
    "com|org|net|edu|gov|mil|int|io|ai|co|uk|us|ca|de|fr|eu|au|nz|jp|cn|in|ie|ch|nl|it|es|se|no|info|biz|app|dev|tv|me"
    "|blog|shop|store|online|site|news|live|ly|fm|gg|xyz"
)
SUFFIX = (
    "txt|pdf|docx?|xlsx?|pptx?|csv|tsv|json|ya?ml|toml|xml|html?|css|jsx?|tsx?|py|ipynb|java|cpp|hpp|rs|go|rb|php|sh|bat"
    "|exe|dll|zip|tar|gz|7z|jpe?g|png|gif|svg|webp|mp[34]|wav|flac|ogg|opus|avi|mkv|mov|md|ini|cfg|conf|log|sql|js|env"
)
SIGNS = {
    ".": "dot",
    "/": "slash",
    "\\": "backslash",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    "+": "plus",
    "~": "tilde",
}
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
HOST = rf"(?:{LABEL}\.)+(?:{TOPLEVEL})(?![A-Za-z0-9-])"
TAIL = r"(?:[/?#][^\s<>\"]*[\w/=-])?"  # the mark of a sentence does not belong to an address

HE, OTHERS = "he|she|they|him|hers?|them|his|theirs?|it", "he|she|they|him|hers?|them|his|theirs?|it|its"
PRONOUNS = re.compile(rf"(?:{HE})(?:/(?:{OTHERS}))+", re.I)


def spell_address(address: str) -> str:
    """An address sign by sign; words stay words, abbreviations are spelled."""
    words: list[str] = []
    for token in re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]", address):
        if token.isdigit():
            words.append(cardinal(token) if len(token) <= 2 and token[0] != "0" else digits(token))
        elif token in SIGNS:
            words.append(SIGNS[token])
        elif token.isalpha():
            words.append(_label(token))
    return " ".join(words)


def _label(token: str) -> str:
    """A part of an address: spelled if it is no word by its looks."""
    low = token.lower()
    if low in WORDS:
        return low
    spelled = low in SPELLED or not re.search("[aeiouy]", low) or (len(low) < 3 and low not in ("my", "go", "we"))
    return names(low) if spelled else token


SPELLED = frozenset(
    "edu usr etc io ai uk us api url uri csv html php xml css sql exe ini mp tsv eu faq cgi www js py".split()
)


def _host(match: re.Match[str]) -> str:
    address = re.sub(r"^https?://", "", match[0], flags=re.I).rstrip("/")
    return spell_address(address)


def _path(match: re.Match[str]) -> str:
    return spell_address(match[0])


def _words(match: re.Match[str]) -> str:
    """snake_case as words."""
    return match[0].replace("_", " ")


def _version(match: re.Match[str]) -> str:
    said = "" if re.search(r"version $", match.string[: match.start()], re.I) else "version "
    return said + _points(match["number"])


def _points(number: str) -> str:
    return " point ".join(digits(part) if part[0] == "0" else cardinal(part) for part in number.split("."))


def _ip(match: re.Match[str]) -> str:
    return " dot ".join(digits(part) for part in match[0].split("."))


ADDRESSES: tuple[Rule, ...] = (
    (re.compile(rf"\b[A-Za-z0-9][\w.+-]*@{HOST}"), lambda m: spell_address(m[0])),
    (re.compile(r"\bmailto:", re.I), lambda m: ""),
    (re.compile(r"\b(?:https?|ftp)://[^\s<>\"]*[\w/=-]", re.I), _host),
    (re.compile(rf"\b(?:localhost|\d{{1,3}}(?:\.\d{{1,3}}){{3}}):\d{{2,5}}{TAIL}"), _host),
    (re.compile(rf"(?<![\w@./-]){HOST}(?::\d{{2,5}})?{TAIL}"), _host),
    (re.compile(r"\b[A-Za-z]:\\[\w.\\-]*\w"), _path),
    (re.compile(r"(?<![\w/<])~?\.{0,2}/[A-Za-z_.][\w.-]*(?:/[\w.-]+)*(?<![.-])/?(?![\w>])"), _path),
    (
        re.compile(
            r"(?<![\w/.<-])[A-Za-z_][\w-]*(?:/[\w-]+){2,}(?:\.\w+)?|(?<![\w/.<-])[A-Za-z_][\w-]*(?:/[\w-]+)+\.\w+"
        ),
        lambda m: m[0].replace("/", " or ") if PRONOUNS.fullmatch(m[0]) else _path(m),
    ),
    (re.compile(rf"(?<![\w.-])[\w-]+(?:\.[\w-]+)*\.(?:{SUFFIX})\b(?!\.\w)"), _path),
    (re.compile(r"(?<![\w@.])@(?=[A-Za-z]\w)"), lambda m: "at "),
    (re.compile(r"(?<![\w&])#(?=[A-Za-z]\w)"), lambda m: "hashtag "),
    (re.compile(r"\b[A-Za-z]\w*_\w+\b|\b_\w+"), _words),
)

VERSIONS: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"), _ip),
    (re.compile(r"\bv(?P<number>\d+(?:\.\d+)*)\b(?!\.\w)"), _version),
    (re.compile(r"(?<![\w.])(?!\d\d?\.\d\d?\.\d{4}\b)\d+(?:\.\d+){2,}(?!\w)"), lambda m: _points(m[0])),
)
