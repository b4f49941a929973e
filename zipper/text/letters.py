"""Letters that are said by their names: abbreviations, initials, letters by themselves.

The text tower reads pieces of words and says "I bee em" where it cannot say IBM, so a letter is written as one
would spell its name. Abbreviations that are said as words stay words.
"""

import re
from importlib.resources import files

from zipper.text.numbers import Rule, plural

NAMES = {
    "A": "ay",
    "B": "bee",
    "C": "see",
    "D": "dee",
    "E": "ee",
    "F": "eff",
    "G": "gee",
    "H": "aitch",
    "I": "eye",
    "J": "jay",
    "K": "kay",
    "L": "ell",
    "M": "em",
    "N": "en",
    "O": "oh",
    "P": "pee",
    "Q": "cue",
    "R": "are",
    "S": "ess",
    "T": "tee",
    "U": "you",
    "V": "vee",
    "W": "double you",
    "X": "ex",
    "Y": "why",
    "Z": "zee",
}
# Said as words though they are written in capitals.
AS_WORDS = frozenset(
    "NASA NATO UNESCO UNICEF OPEC AIDS COVID SARS MERS RAM ROM PIN SIM LASER RADAR SCUBA SONAR ASAP IKEA FIFA "
    "UEFA ASCII JPEG NAFTA ASEAN SWAT CAPTCHA BASIC COBOL LISP NASDAQ FEMA OSHA EPCOT MIDI NAND BIOS CERN "
    "DARPA LIDAR POTUS SCOTUS TASER ZIP YAML TOML CAD MOMA IMAX WASP YOLO FOMO LOL CRISPR PETA CAPEX OPEX UNIX "
    "LINUX ICANN BAFTA PISA INTERPOL QANTAS LEGO NIMBY BRICS GAAP BART STEM ROFL MIME SOAP AJAX CRUD JSON DIV "
    "NOAA LAN WAN DRAM EBITDA MADD".split()
)
# Spelled though they could be read as words, or are words in small letters.
SPELLED = frozenset(
    "US USA UK EU UN FBI CIA NSA CEO CFO CTO COO ATM DNA RNA TV PC AI API URL UFO IBM BBC CNN NBC ABC CBS HBO "
    "ESPN MIT UCLA USC NYU UPS USPS IRS ID IQ EQ ER ICU OCD ADHD HIV ISO IEEE ITU IMF IPO EPA FDA FAA FCC NRA "
    "ACLU AAA AOL IP UI UX USB GPU CPU SSD HDD LED LCD OLED DVD CD VCR MRI EKG ECG EEG IVF ISBN AC DC LA NY "
    "NYC SF PM EST PST EDT PDT GMT UTC BA MA MBA MD PHD JD RSVP FYI BTW IMO IDK OMG EMT ESL ESP ETF OECD AFL "
    "CIO UAE USSR DIY DOA EOD IDE ISP VIP SUV MPG RPM BMW GMC AMD HP NFL NBA NHL MLB NCAA UFC WWE MVP GPA SAT "
    "AP GED PTA HOA DUI DMV SSN OS PDF XML HTML HTTP HTTPS SQL AWS EBIT OTC IOU AKA PDA POV UV EUR USD GBP AUD "
    "NGO IOC ICC EMP EV BC AD CE BCE KGB EPS UVA RIP TBA TBD CPR LSD MSG POW SOS TNT UHF VHF WMD ACL BLT IBS "
    "PMS STD XL XXL USMC USAF USDA UCSF IMDB PBS NPR CNBC OJ TLC UDP TCP SSH FTP DNS VPN RSS SMS MMS GPS AA QA "
    "PR HR GDP CPI VAT".split()
)
RESPELLED = {
    "OK": "okay",
    "BBQ": "barbecue",
    "GIF": "gif",
    "JPEG": "jay peg",
    "WWW": " ".join(["double you"] * 3),
    "NAACP": "en double ay see pee",
    "AAA": "triple ay",
    "NCAA": "en see double ay",
}
# Pronouns, unless what stands around them says otherwise.
DOUBTFUL = {
    "AM": re.compile(r"(?<!\bI )\bAM\b"),
    "IT": re.compile(
        r"\b(?:in|an?|the|our|your|my|their|his|her|of) IT(?= *[.,;!?]|$| [a-z]+)"
        r"|\bIT (?:department|support|team|staff|job|company|manager|specialist|guy|system|services?|industry|help)\b"
    ),
    "WHO": re.compile(r"\b(?:the|by) WHO\b|\bWHO (?:said|says|declared|report|guidelines?|recommends?)\b"),
}
TITLES = frozenset("MR MRS MS DR ST JR SR HMM SHH PST BRR GRR TSK ZZZ SHHH HMMM".split())
NAMED = re.compile(r"\b(?:letters?|vitamin|vowels?)\s$", re.I)  # even "I" and "a" are letters after these
LETTERED = re.compile(
    r"\b(?:vitamin|plan|team|grade|class|group|type|option|section|hepatitis|an|letter|part|exhibit|point|from|straight|line"
    r"|building|gate|terminal|apartment|suite|unit|room|side|model|level|schedule|form|appendix|figure|table)\s$",
    re.I,
)
VOWEL = re.compile("[AEIOUY]")
HARD_END = re.compile("[^AEIOUYLRNS][^AEIOUYSTHED]$|[^AEIOUY]{3}$|^[^AEIOUY]{3}|^[^AEIOUYSTPBCDFGKW][^AEIOUYH]|[JQV]$")
SHORT_WORDS = frozenset(files("zipper.text").joinpath("short_words.txt").read_text(encoding="utf-8").split())


def names(letters: str) -> str:
    """Letters by their names: ``"FBI"`` is "eff bee eye"."""
    return " ".join(NAMES[letter] for letter in letters.upper())


def is_spelled(word: str) -> bool:
    """Whether a word in capitals is said letter by letter, by itself."""
    if word in SPELLED:
        return True
    if word in AS_WORDS or word.lower() in SHORT_WORDS or word in TITLES:
        return False
    if len(word) > 4:
        return len(word) <= 6 and not VOWEL.search(word)
    return len(word) <= 3 or not VOWEL.search(word) or bool(HARD_END.search(word))


def _capitals(match: re.Match[str]) -> str:
    word, end = match["word"], match["end"] or ""
    if end[:1] == "'" and end != "'S":
        return match[0].lower()  # DON'T
    if word in RESPELLED:
        said = RESPELLED[word]
    elif is_spelled(word) if word not in DOUBTFUL else _means_letters(word, match):
        said = names(word)
    else:
        said = word.capitalize() if word in AS_WORDS else word.lower()  # "Nasa" is said right, "NASA" is not
    return plural(said) if end == "s" else said + end.lower()


def _means_letters(word: str, match: re.Match[str]) -> bool:
    """Whether a doubtful word stands for letters here."""
    around = match.string[max(0, match.start() - 12) : match.end() + 20]
    return bool(DOUBTFUL[word].search(around))


def _single(match: re.Match[str]) -> str:
    letter = match[0]
    before, after = match.string[: match.start()], match.string[match.end() :]
    if letter in "Ia":
        return NAMES[letter.upper()] if NAMED.search(before) else letter
    if letter == "A" and not LETTERED.search(before) and _article(before, after):
        return letter
    if letter.islower() and (before.endswith("-") or after[:2] in ("-" + letter, "- ")):
        return letter  # a stutter, or the end of a compound
    return NAMES[letter.upper()]


def _article(before: str, after: str) -> bool:
    """Whether a capital A is the article: before a word, but not in "A to Z"."""
    return bool(re.match(r"\s+[\"'(]*[A-Za-z]{2,}", after)) and not re.match(r" (?:to|and|or) [A-Z]\b", after)


LETTERS: tuple[Rule, ...] = (
    (re.compile(r"\b(?P<word>[A-Z]{2,})(?P<end>s\b|'[A-Z]+\b)?(?![A-Za-z])"), _capitals),
    (re.compile(r"(?<![\w'])(?<!' )[A-Za-z](?![\w'])|(?<![\w'])[B-HJ-Zb-hj-z](?='s\b)"), _single),
)
