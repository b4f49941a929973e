"""From text as people type it to text as the model learned to say it.

Straight quotes, dashes as " - ", numbers, signs, abbreviations and letters in words of the English alphabet.
Text is data: markup is neither obeyed nor removed as such, its signs are simply not spoken.
"""

import re
import unicodedata

from zipper import limits
from zipper.errors import LimitError, TextError
from zipper.text.abbreviations import PHRASES, TITLE_RULES
from zipper.text.addresses import ADDRESSES, VERSIONS
from zipper.text.characters import is_foreign, plain
from zipper.text.dates import DATES, PHONES, TIMES
from zipper.text.layout import lines
from zipper.text.letters import AS_WORDS, LETTERS, SHORT_WORDS, SPELLED
from zipper.text.money import MONEY
from zipper.text.numbers import BARE, GROUPED, apply
from zipper.text.roman import NUMERAL, ROMAN
from zipper.text.signs import AFTER, BEFORE
from zipper.text.units import UNIT_RULES

# In the order in which they apply: what binds a sign or number to its neighbors first, bare ones last.
RULES = (
    *(ADDRESSES, PHRASES, TITLE_RULES, VERSIONS, ROMAN, PHONES, BEFORE),
    *(GROUPED, DATES, TIMES, MONEY, UNIT_RULES, BARE, AFTER),
)
SHOUTED_WORDS = 3  # a line of at least this many words without a small letter is shouted, fewer may be a name


def normalize(text: str) -> str:
    """Text as it is spoken, in one line per paragraph: numbers, signs, abbreviations and letters in words.

    Raises:
        TextError: nothing to speak, or letters of another script than Latin.
        LimitError: over MAX_TEXT_CHARACTERS as typed, or MAX_SPOKEN_PER_TYPED times that as spoken.
    """
    if not isinstance(text, str):
        raise TextError("The text must be a string.")
    if len(text) > limits.MAX_TEXT_CHARACTERS:
        most = limits.MAX_TEXT_CHARACTERS
        raise LimitError(f"The text has {len(text):,} characters; at most {most:,} are spoken at once.")
    if not text.strip():
        raise TextError("There is no text to speak.")
    foreign = [c for c in unicodedata.normalize("NFKC", text) if is_foreign(c)]
    if foreign:
        raise TextError(f"Only English can be spoken, and {foreign[0]} is a letter of another script.")
    written = write_out(text)
    if not any(c.isalpha() for c in written):
        raise TextError("The text has no letter or number that could be spoken.")
    most = round(limits.MAX_SPOKEN_PER_TYPED * limits.MAX_TEXT_CHARACTERS)
    if len(written) > most:
        raise LimitError(
            f"Written out as it is spoken, the text has {len(written):,} characters; at most {most:,} are spoken at "
            "once, so give fewer numbers or signs."
        )
    return written


def write_out(text: str) -> str:
    """Numbers, signs, abbreviations and letters in words, quotes and dashes plain; silent signs left out."""
    text = "\n".join(_sentence_case(line) for line in lines(plain(text)).split("\n"))
    for rules in RULES:
        text = apply(rules, text)
    text = re.sub(r"[^A-Za-z .,;:!?'\"()\n-]+", " ", text)
    text = apply(LETTERS, re.sub(r"[ \t]+", " ", text))
    return _tidy(text)


def _sentence_case(line: str) -> str:
    """SHOUTED TEXT in sentence case, as the model never learned it; abbreviations and numerals stay."""
    if len(re.findall(r"[A-Z]{2,}", line)) < SHOUTED_WORDS or any(c.islower() for c in line):
        return line
    lowered = re.sub(r"[A-Z]+", lambda m: m[0] if _stays(m[0]) else m[0].lower(), line)
    return re.sub(r"(^\W*|[.!?]\s+)([a-z])", lambda m: m[1] + m[2].upper(), lowered)


def _stays(word: str) -> bool:
    if word == "I":
        return True
    if word.lower() in SHORT_WORDS:
        return False
    return word in SPELLED or word in AS_WORDS or (len(word) > 1 and re.fullmatch(NUMERAL, word) is not None)


def _tidy(text: str) -> str:
    """Single spaces, marks next to their word, no mark twice, none at the start of a line."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n\s*", "\n", text).strip()
    text = re.sub(r"\(\s*\)|\"\s*\"", " ", text)
    text = re.sub(r" +([,;:!?]|\.(?!\.))", r"\1", text)
    text = re.sub(r"([,;:])[,;:]+", r"\1", text)
    text = re.sub(r"[,;:]+([.!?])", r"\1", text)
    text = re.sub(r"([.!?])\1{3,}", r"\1", text)
    text = re.sub(r"(?m)^[ ,;:.!?)-]+", "", text)
    return re.sub(r" {2,}", " ", text).strip()
