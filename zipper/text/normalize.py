"""From text as people type it to text as the model learned to say it, and cut into passages.

Straight quotes, dashes as " - ", numbers, symbols and abbreviations in words, letters of the English
alphabet. Text is data: markup is neither obeyed nor removed as such, its signs are simply not spoken.
"""

import re
import unicodedata

from zipper import limits
from zipper.errors import LimitError, TextError
from zipper.text.numbers import spell_numbers

PUNCTUATION = {
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'", "`": "'", "\u00b4": "'",
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"', "\u2033": '"',
    "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u2013": " - ", "\u2014": " - ", "\u2015": " - ",
    "\u2026": "...", "\u00a0": " ", "\u2022": ", ", "\u00b7": " ",
}  # fmt: skip
LETTERS = {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
"đ": "d",
           "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "µ": "micro"}  # fmt: skip
SYMBOLS = {"&": "and", "+": "plus", "=": "equals", "%": "percent", "$": "dollars", "£": "pounds", "€":
"euros",
           "¥": "yen", "°": "degrees", "×": "times", "÷": "divided by", "±": "plus or minus", "@": "at",
           "©": "copyright", "§": "section"}  # fmt: skip
TITLES = {"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor", "Capt":
"Captain",
          "Lt": "Lieutenant", "Col": "Colonel", "Gen": "General", "Sgt": "Sergeant", "Rev": "Reverend",
          "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President", "Hon":
          "Honorable", "Mt": "Mount", "Ft": "Fort"}  # fmt: skip
ABBREVIATIONS = {"Jr": "Junior", "Sr": "Senior", "vs": "versus", "approx": "approximately", "dept":
"department",
                 "est": "established", "govt": "government", "Inc": "Incorporated", "Ltd": "Limited",
                 "Co": "Company", "Corp": "Corporation", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road",
                 "Mon": "Monday", "Tues": "Tuesday", "Wed": "Wednesday", "Thurs": "Thursday", "Fri": "Friday",
                 "Jan": "January", "Feb": "February", "Aug": "August", "Sept": "September", "Oct": "October",
                 "Nov": "November", "Dec": "December"}  # fmt: skip
PHRASES = (
    (re.compile(r"\be\. ?g\.,?", re.I), "for example,"),
    (re.compile(r"\bi\. ?e\.,?", re.I), "that is,"),
    (re.compile(r"\betc\.(?=\s*$|\s+[A-Z])"), "et cetera."),
    (re.compile(r"\betc\b\.?"), "et cetera"),
    (re.compile(r"\band/or\b"), "and or"),
    (re.compile(r"\bw/o\b"), "without"),
    (re.compile(r"\bw/(?=\s)"), "with"),
)
VULGAR = "½¼¾⅓⅔⅛⅜⅝⅞"
INVISIBLE = (
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
)  # Unicode categories: control, format, surrogate, private, unassigned

SENTENCE_START = r"(?=[\"'(]*[A-Z0-9])"
SENTENCE_END = re.compile(rf"(?<=[.!?])\s+{SENTENCE_START}|(?<=[.!?][\"')])\s+{SENTENCE_START}|\n+")
CLAUSE_END = re.compile(r"(?<=[,;:])\s+|\s+-\s+")


def normalize(text: str) -> str:
    """Text as it is spoken, in one line per paragraph: numbers, symbols and abbreviations in words.

    Raises:
        TextError: nothing to speak, or letters of another script than Latin.
        LimitError: over MAX_TEXT_CHARACTERS.
    """
    if not isinstance(text, str):
        raise TextError("The text must be a string.")
    if len(text) > limits.MAX_TEXT_CHARACTERS:
        most = f"{limits.MAX_TEXT_CHARACTERS:,}"
        raise LimitError(f"The text has {len(text):,} characters; at most {most} are spoken at once.")
    if not text.strip():
        raise TextError("There is no text to speak.")
    foreign = [c for c in unicodedata.normalize("NFKC", text) if _is_foreign(c)]
    if foreign:
        raise TextError(f"Only English can be spoken, and {foreign[0]} is a letter of another script.")
    written = write_out(text)
    if not any(c.isalpha() for c in written):
        raise TextError("The text has no letter or number that could be spoken.")
    return written


def write_out(text: str) -> str:
    """Numbers, symbols and abbreviations in words, quotes and dashes plain; silent signs left out."""
    text = _plain_characters(text)
    for pattern, words in PHRASES:
        text = pattern.sub(words, text)
    text = _abbreviations(text)
    text = spell_numbers(text)
    text = re.sub(r"(?<=[a-z0-9])\.(?=[a-z]{2,})", " dot ", text)  # example.com
    text = re.sub(r"(?<=\w)/(?=\w)", " or ", text)  # his/her
    for sign, word in SYMBOLS.items():
        text = text.replace(sign, f" {word} ")
    text = re.sub(r"[^A-Za-z .,;:!?'\"()\n-]+", " ", text)
    return _tidy(text)


def sentences(text: str) -> list[str]:
    """Cut normalised text into passages of at most MAX_SENTENCE_CHARACTERS: at sentence ends, else at commas,
    else between words. Each starts in upper case and ends in a mark, as the sentences that the model learned.
    """
    passages: list[str] = []
    for sentence in SENTENCE_END.split(text):
        for passage in _fit(sentence.strip()):
            if any(c.isalpha() for c in passage):
                ended = passage if passage[-1] in ".!?\"')" else passage.rstrip(" ,;:-") + "."
                passages.append(ended[0].upper() + ended[1:])
    return passages


def _is_foreign(character: str) -> bool:
    if not character.isalpha() or character.isascii():
        return False
    name = unicodedata.name(character, "")
    return not name.startswith(("LATIN", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"))


def _plain_characters(text: str) -> str:
    """ASCII letters and typewriter punctuation; control characters and accents go."""
    text = "".join(PUNCTUATION.get(c, LETTERS.get(c, c)) for c in text.replace("\r", "\n"))
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in INVISIBLE)
    parts = re.split(f"([{VULGAR}])", kept)  # a decomposed fraction would lose its line
    plain = "".join(part if part in VULGAR else unicodedata.normalize("NFKD", part) for part in parts)
    return "".join(c for c in plain if not unicodedata.combining(c))


def _abbreviations(text: str) -> str:
    text = re.sub(r"\bSt\.? (?=[A-Z][a-z])", "Saint ", text)
    text = re.sub(r"(?<=[a-z]) St\b\.?(?=\s*$|\s+[A-Z])", " Street.", text)
    text = re.sub(r"(?<=[a-z]) St\b\.?", " Street", text)
    text = re.sub(rf"\b({'|'.join(TITLES)})\. ?(?=[A-Z])", lambda m: TITLES[m[1]] + " ", text)
    text = re.sub(r"\b(Mr|Mrs|Ms|Dr)(?:\.|(?= [A-Z]))", lambda m: TITLES[m[1]], text)
    text = re.sub(rf"\b({'|'.join(ABBREVIATIONS)})\.(?! \d)", _abbreviation, text)
    return re.sub(r"\b(?:[A-Za-z]\.){2,}", _initials, text)


def _abbreviation(match: re.Match[str]) -> str:
    return ABBREVIATIONS[match[1]] + ("." if _ends_text(match) else "")


def _initials(match: re.Match[str]) -> str:
    """U.S. and F.B.I. letter by letter; a.m. stays for the rules of time."""
    if match[0].lower() in ("a.m.", "p.m."):
        return match[0]
    letters = " ".join(match[0].rstrip(".").upper().split("."))
    return letters + ("." if _ends_text(match) else "")


def _ends_text(match: re.Match[str]) -> bool:
    """Whether nothing follows on the line, so that the full stop of an abbreviation ends the sentence too."""
    return not match.string[match.end() :].split("\n")[0].strip()


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
    return _sentence_case(re.sub(r" {2,}", " ", text).strip())


def _sentence_case(text: str) -> str:
    """SHOUTED TEXT in sentence case, as the model never learned it; a lone acronym stays."""
    if len(text.split()) < 3 or any(c.islower() for c in text):
        return text
    lowered = re.sub(r"\bi\b", "I", text.lower())
    return re.sub(r"(^|[.!?]\s+|\n)([a-z])", lambda m: m[1] + m[2].upper(), lowered)


def _fit(sentence: str) -> list[str]:
    """A sentence in as few pieces as the limit allows, cut at clauses and else at spaces."""
    longest = limits.MAX_SENTENCE_CHARACTERS - 1  # room for the mark that sentences() adds
    if len(sentence) <= longest:
        return [sentence] if sentence else []
    joined: list[str] = []
    for piece in (piece for clause in CLAUSE_END.split(sentence) for piece in _cut(clause, longest)):
        if joined and len(joined[-1]) + 1 + len(piece) <= longest:
            joined[-1] += " " + piece
        else:
            joined.append(piece)
    return joined


def _cut(clause: str, longest: int) -> list[str]:
    """A clause cut at its spaces, and a "word" longer than that at the limit."""
    pieces: list[str] = []
    while len(clause) > longest:
        space = clause.rfind(" ", 1, longest + 1)
        stop = space if space > 0 else longest
        pieces.append(clause[:stop].strip())
        clause = clause[stop:].strip()
    return [piece for piece in [*pieces, clause] if piece]
