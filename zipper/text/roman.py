"""Roman numerals where they can be nothing else: after words that are counted, after rulers, and in names."""

import re

from zipper.text.abbreviations import STARTERS
from zipper.text.numbers import Rule
from zipper.text.words_of import in_words

NUMERAL = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
SINGLE = "IVX"  # Section C, Class D and Type L are letters
COUNTED = (
    r"(?i:World War|Super Bowl|Chapters?|Parts?|Acts?|Scene|Books?|Volumes?|Section|Article|Appendix|Phase|Stage|Types?"
    r"|Class|Title|Level|Episode|Round|Unit|Lesson|Schedule|Category|Figure|Table|Division|Grade|Tier|Page|Canto|Psalm)"
    r"|Final Fantasy|Grand Theft Auto|Star Wars|Apollo|Gemini|Mark|Factor|Rocky|Rambo|Vatican|Corps|Legion|Olympiad"
    r"|WrestleMania|Exhibit|Annex|Group|Step|Plate"
)
RULERS = frozenset(
    "Henry Louis Charles Elizabeth George Edward Richard James William Mary Philip Pope Paul Benedict Pius Leo "
    "Napoleon Ferdinand Frederick Catherine Peter Nicholas Alexander Ivan Ramses Ramesses Ptolemy Gustav "
    "Gustavus Christian Otto Wilhelm Innocent Gregory Clement Urban Boniface Sixtus Julius Alfonso Isabella "
    "Haakon Olav Harald Margrethe Robert David Stephen Francis Franz Joseph Maximilian Leopold Albert Rudolf "
    "Sigismund Xerxes Darius Artaxerxes Cyrus Antiochus Seleucus Thutmose Amenhotep Cosimo Umberto Pedro "
    "Carlos Felipe Sancho Emmanuel Cleopatra Augustus Constantine Theodosius Valentinian Justinian Leonidas "
    "Mithridates Tiglath Mehmed Murad Selim Suleiman Abbas Tutankhamun Henri Luis Enrique Friedrich Heinrich "
    "Philippe Ludwig Erik Eric Magnus Valdemar Sverre Celestine Honorius Adrian Hadrian Eugene Sylvester "
    "Calixtus Callixtus Martin Malcolm Kenneth Alexios Michael Basil Vladimir Casimir Boleslaw Wladyslaw "
    "Mindaugas Abdullah Hassan Mohammed Muhammad Faisal Hussein Rama Akihito Carl Karl Juan Afonso Manuel "
    "Victoria Anne John Tsar King Queen Emperor".split()
)
# Valid numerals that are words, names of places, sizes or file kinds far more often.
NOT_NUMERALS = frozenset(
    "I V X L C D M CD DC MC CM DM MD XL MM CC DI MI LI MIX DIV CIV CV DIM MIL LIV DL ML CL VI XXL DVI DIX LCD "
    "LCI MLI".split()
)
AFTER_ONE = (
    r"(?=\s*[,.;:!?)'\"-]|\s*$|\s*\n|\s+(?:of|was|is|and|in|the|to|by|on|at|as|for|from|with|died|ruled|reigned|became|had"
    r"|began|begins|ended|ends|or|are|were|veterans?|soldiers?|diabetes|errors?|error)\b)"
)


def roman(numeral: str) -> int:
    """The value of a numeral that is well formed: ``"XIV"`` is 14."""
    values = [VALUES[letter] for letter in numeral]
    return sum(-v if v < following else v for v, following in zip(values, [*values[1:], 0], strict=True))


def _counted(match: re.Match[str]) -> str:
    if len(match["numeral"]) == 1 and match["numeral"] not in SINGLE:
        return match[0]
    return f"{match['before']} {_words(match['numeral'])}"


def _ruler(match: re.Match[str]) -> str:
    """Henry VIII is "the eighth", other names with a numeral are counted: Rocky II."""
    name, numeral = match["before"], match["numeral"]
    if name not in RULERS and not _third(match):
        plain = numeral in NOT_NUMERALS or set(numeral) - set("IVX") or re.fullmatch(STARTERS, name)
        return match[0] if plain else f"{name} {_words(numeral)}"
    if numeral in ("X", "C", "L", "D", "M") and name not in ("Pius", "Leo", "Louis", "Charles", "Benedict", "Gregory"):
        return match[0]  # Malcolm X
    ordinal = in_words(roman(numeral), to="ordinal").replace(",", "")
    return f"{name} the {ordinal}"


def _third(match: re.Match[str]) -> bool:
    """Robert Smith III: a surname behind another name."""
    before = match.string[: match.start()]
    return match["numeral"] in ("II", "III", "IV") and bool(re.search(r"\b[A-Z][a-z]+(?: [A-Z]\.?)? $", before))


def _words(numeral: str) -> str:
    return str(in_words(roman(numeral))).replace(",", "")


ROMAN: tuple[Rule, ...] = (
    (
        re.compile(rf"\b(?P<before>{COUNTED}) (?P<numeral>{NUMERAL})(?<!I)(?![\w'])|\bWW(?P<numeral_>I{{1,3}})\b"),
        lambda m: f"World War {_words(m['numeral_'])}" if m["numeral_"] else _counted(m),
    ),
    (re.compile(rf"\b(?P<before>{COUNTED}) (?P<numeral>(?:{NUMERAL})(?<=\wI))(?![\w'])"), _counted),
    (re.compile(r"\b(?P<before>(?i:World War|Super Bowl)) (?P<numeral>I)\b"), _counted),
    (re.compile(rf"\b(?P<before>{COUNTED}) (?P<numeral>I)\b{AFTER_ONE}"), _counted),
    (re.compile(rf"\b(?P<before>{'|'.join(sorted(RULERS))}) (?P<numeral>I)\b{AFTER_ONE}"), _ruler),
    (re.compile(rf"\b(?P<before>[A-Z][a-z]+),? (?P<numeral>(?:{NUMERAL})(?<!\bI))(?![\w/+#-])"), _ruler),
)
