"""Titles, streets, page references and the like, written out; a full stop stays where it ends a sentence too."""

import re

from zipper.text.letters import AS_WORDS, names
from zipper.text.numbers import Rule

TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Dr": "Doctor",
    "Prof": "Professor",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Gen": "General",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Maj": "Major",
    "Rev": "Reverend",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President",
    "Hon": "Honorable",
    "Mt": "Mount",
    "Ft": "Fort",
    "Fr": "Father",
    "Messrs": "Messieurs",
}
ABBREVIATIONS = {
    "Jr": "Junior",
    "Sr": "Senior",
    "vs": "versus",
    "approx": "approximately",
    "dept": "department",
    "Dept": "Department",
    "est": "estimated",
    "Est": "Established",
    "govt": "government",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Co": "Company",
    "Corp": "Corporation",
    "Bros": "Brothers",
    "Assn": "Association",
    "Univ": "University",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Hwy": "Highway",
    "Ln": "Lane",
    "Pkwy": "Parkway",
    "Sq": "Square",
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Jan": "January",
    "Feb": "February",
    "Aug": "August",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
    "Apt": "Apartment",
    "apt": "apartment",
    "Ste": "Suite",
    "max": "maximum",
    "min": "minimum",
    "incl": "including",
    "misc": "miscellaneous",
    "tel": "telephone",
    "Tel": "Telephone",
    "ext": "extension",
    "Ext": "Extension",
    "temp": "temperature",
    "avg": "average",
    "appt": "appointment",
    "viz": "namely",
    "cf": "compare",
    "asst": "assistant",
    "attn": "attention",
    "Attn": "Attention",
}
NUMBERED = "vs|incl|cf|Ext|ext|Tel|tel|Apt|apt|Ste|approx|max|min|avg"  # before a number too
# Only before a number.
REFERENCES = {
    "p": "page",
    "pp": "pages",
    "vol": "volume",
    "vols": "volumes",
    "ch": "chapter",
    "chap": "chapter",
    "fig": "figure",
    "figs": "figures",
    "sec": "section",
    "eq": "equation",
    "ed": "edition",
    "art": "article",
    "para": "paragraph",
    "ver": "version",
    "c": "circa",
    "ca": "circa",
    "l": "line",
    "ll": "lines",
    "n": "note",
    "pt": "part",
    "no": "number",
    "nos": "numbers",
    "op": "opus",
    "tab": "table",
}
STREETS = {"St": "Street", "Dr": "Drive", "Ave": "Avenue", "Ct": "Court", "Pl": "Place", "Ln": "Lane", "Rd": "Road"}

# Words in upper case that open a sentence far more often than they follow an abbreviation inside one.
STARTERS = (
    r"(?:It|He|She|We|They|You|I|The|This|That|These|Those|There|Here|A|An|But|And|So|Or|In|On|At|If|When|While|After"
    r"|Before|What|Why|How|Who|Where|My|Our|Your|His|Her|Its|Their|No|Not|Yes|Then|Now|As|For|From|To|With|By|Is|Are"
    r"|Was|Were|Do|Does|Did|Have|Has|Can|Could|Will|Would|Should|Please|Let|Some|Many|Most|All|Both|Each|Every|One|"
    r"Two|Since|Because|Although|However|Today|Tomorrow|Yesterday|Thanks|Thank)\b"
)
ENDS = rf"(?=\s*$|\s*\n|\s+[\"'(]?{STARTERS})"

PHRASES: tuple[Rule, ...] = (
    (re.compile(r"\be\. ?g\.,?", re.I), lambda m: "for example,"),
    (re.compile(r"\bi\. ?e\.,?", re.I), lambda m: "that is,"),
    (re.compile(rf"\betc\.{ENDS}"), lambda m: "et cetera."),
    (re.compile(r"\betc\b\.?"), lambda m: "et cetera"),
    (re.compile(rf"\bet al\.{ENDS}"), lambda m: "and others."),
    (re.compile(r"\bet al\b\.?"), lambda m: "and others"),
    (re.compile(r"\band/or\b"), lambda m: "and or"),
    (re.compile(r"\bw/o\b"), lambda m: "without"),
    (re.compile(r"\bw/(?=\s)"), lambda m: "with"),
    (re.compile(r"\bb/c\b"), lambda m: "because"),
    (re.compile(r"\bc/o\b"), lambda m: "care of"),
    (re.compile(r"\b[Nn]/[Aa]\b"), lambda m: "not applicable"),
    (re.compile(r"\bP\.?S\.?(?=[:,.]? )"), lambda m: names("PS")),
    (re.compile(r"\brock[ -]?(?:&|'?n'?)[ -]?roll\b", re.I), lambda m: "rock and roll"),
    (re.compile(r"\best\. (?=\d{4}\b)"), lambda m: "established "),
    (re.compile(r"&c\b\.?"), lambda m: "et cetera"),
    (re.compile(r"(?<=[a-z]) v\. (?=[A-Z])"), lambda m: " versus "),
    (re.compile(r"\bv\. (?=\d)"), lambda m: "verse "),
    (re.compile(r"(?<=\w)\((e?s)\)"), lambda m: m[1]),
    (re.compile(r"\bWi-?[Fi]i\b"), lambda m: "Why Fye"),
    (re.compile(r"\b(?:Ph\.? ?D)\b\.?"), lambda m: names("PHD")),
)


def _title(match: re.Match[str]) -> str:
    return TITLES[match[1]] + " "


def _street(match: re.Match[str]) -> str:
    return f" {STREETS[match['way']]}"


def _street_end(match: re.Match[str]) -> str:
    return f" {STREETS[match['way']]}."


def _reference(match: re.Match[str]) -> str:
    return REFERENCES[match[1].lower()]


def _initials(match: re.Match[str]) -> str:
    """U.S. and F.B.I. letter by letter; a.m. stays for the rules of time."""
    if match[0].lower() in ("a.m.", "p.m.") and re.search(r"\d ?$", match.string[: match.start()]):
        return match[0]
    letters = match[0].replace(".", "").upper()
    ended = "." if re.match(ENDS, match.string[match.end() :]) else ""
    return (letters.capitalize() if letters in AS_WORDS else names(letters)) + ended


WAY = "|".join(STREETS)
TITLE_RULES: tuple[Rule, ...] = (
    (re.compile(rf"(?<=[a-z]) (?P<way>{WAY})\.{ENDS}"), _street_end),
    (re.compile(rf"(?<=\d [A-Z])(?P<name>[a-z]+) (?P<way>{WAY})\b\.?"), lambda m: m["name"] + _street(m)),
    (re.compile(r"(?<=[a-z]) (?P<way>St|Dr)\b\.?(?=,| [a-z#\d])"), _street),
    (re.compile(r"\bSt\.? (?=[A-Z][a-z])"), lambda m: "Saint "),
    (re.compile(rf"\b({'|'.join(TITLES)})\. ?(?=[A-Z])"), _title),
    (re.compile(r"\b(Mr|Mrs|Ms|Dr|MR|MRS|MS|DR|mr|mrs)(?:\.|(?= [A-Z]))"), lambda m: TITLES[m[1].capitalize()]),
    (re.compile(rf"(?<!\d )\b({'|'.join(ABBREVIATIONS)})\.{ENDS}"), lambda m: ABBREVIATIONS[m[1]] + "."),
    (re.compile(rf"(?<!\d )\b({'|'.join(ABBREVIATIONS)})\.(?! \d)"), lambda m: ABBREVIATIONS[m[1]]),
    (re.compile(rf"\b({NUMBERED})\. (?=\d)"), lambda m: ABBREVIATIONS[m[1]] + " "),
    (re.compile(rf"\b({'|'.join(REFERENCES)})\.(?= ?\(?\d)", re.I), _reference),
    (re.compile(r"\b(vol|ch|chap|fig|sec|pt|art|pp?)\.(?=(?-i: [IVXLC]+\b))", re.I), _reference),
    (re.compile(r"\b(?:[A-Za-z]\.){2,}"), _initials),
    (re.compile(r"\b(?:[A-Z]\. ){2,}"), lambda m: names(re.sub("[. ]", "", m[0])) + " "),
    (re.compile(rf"(?<=\b[A-Z])(?<!\bI)\.(?= [A-Z][a-z])(?! {STARTERS}| [A-Z][a-z]+ly\b)"), lambda m: ""),
)
