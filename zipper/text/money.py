"""Money in words: amounts, ranges, rates, and amounts that stand before what they describe."""

import re

from zipper.text.numbers import NUMBER, WHOLE, Rule, cardinal

# Sign: one, several, a hundredth, hundredths
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
CODES = {"US$": "$", "USD": "$", "GBP": "£", "EUR": "€", "JPY": "¥"}
SCALES = {
    "k": "thousand",
    "K": "thousand",
    "M": "million",
    "m": "million",
    "mn": "million",
    "B": "billion",
    "b": "billion",
    "bn": "billion",
    "T": "trillion",
    "tn": "trillion",
}
SCALE = rf"hundred|thousand|million|billion|trillion|{'|'.join(sorted(SCALES, key=len, reverse=True))}"
SIGN = rf"{'|'.join(re.escape(code) for code in CODES)}|[$£€¥]"
AMOUNT = rf"(?P<number>{NUMBER})(?:[ -]?(?P<scale>{SCALE})\b)?"

DETERMINER = re.compile(
    r"(?:^|\b)(?:a|an|the|this|that|another|each|every|one|first|second|last|new|single|my|your|his|her|its|our|their"
    r"|whose|no)\s(?:[a-z]+ ){0,1}$",
    re.I,
)
# What an amount that stands as an adjective is said of, where no article tells.
DESCRIBED = re.compile(
    r"[ -](?:loans?|bills?|deals?|fines?|budgets?|notes?|tickets?|fees?|offers?|grants?|investments?|donations?|funds?"
    r"|contracts?|projects?|gifts?|rewards?|lawsuits?|packages?|plans?|bonus(?:es)?|houses?|homes?|bets?|checks?|prizes?"
    r"|coupons?|deposits?|vouchers?|settlements?|debts?|mortgages?|acquisitions?|bailouts?|coins?|menus?|meals?)\b"
)
NOT_DESCRIBED = re.compile(
    r"(?! (?:of|in|for|on|to|and|or|is|was|were|are|at|by|from|with|per|a|an|the|each|every|more|less|off|extra|as|but"
    r"|that|which|who|it|he|she|we|they|you|i|plus|minus|if|when|than|into|over|under|after|before|so|will|would|can|could|had"
    r"|has|have|did|does|do|came|went|back|apiece|out|up|down|about|only|this|not|today|because|since|until|please|now"
    r"|tomorrow|yesterday|against|between|through|without|worth|total|instead|too|there|here|again|later|ago)\b)"
    r"[ -](?=[a-z])"
)


def _amount(match: re.Match[str]) -> str:
    one, several, cent, cents = CURRENCIES[CODES.get(match["sign"], match["sign"])]
    if _describes(match):
        several, cents = one, cent
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


def _describes(match: re.Match[str]) -> bool:
    """Whether the amount is an adjective, as in "a $5 bill"."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if after.startswith("-") and after[1:2].isalpha():
        return True
    if DESCRIBED.match(after):
        return True
    return bool(DETERMINER.search(before[-30:]) and NOT_DESCRIBED.match(after))


def _range(match: re.Match[str]) -> str:
    """$5-$10: the first number alone, if both have the same sign; the second follows as an amount."""
    scale = match["scale"]
    lower = cardinal(match["number"]) + (f" {SCALES.get(scale, scale)}" if scale else "")
    return f"{lower} to {match['sign']}"


MONEY: tuple[Rule, ...] = (
    (re.compile(rf"{WHOLE}(?P<number>{NUMBER}) ?(?P<sign>[€£¥])(?!\d)"), lambda m: f"{m['sign']}{m['number']}"),
    (re.compile(rf"{WHOLE}(?P<number>{NUMBER}) (?P<sign>USD|EUR|GBP|JPY)\b"), lambda m: f"{m['sign']}{m['number']}"),
    (re.compile(rf"(?P<sign>[$£€¥]){AMOUNT}(?: ?- ?|\s+to\s+)(?P=sign)(?=\.?\d)"), _range),
    (re.compile(rf"(?P<sign>[$£€¥])(?P<number>{NUMBER})(?P<scale>)? ?- ?(?=\.?\d)"), _range),
    (re.compile(rf"(?P<sign>{SIGN}) ?{AMOUNT}"), _amount),
    (
        re.compile(rf"{WHOLE}(?P<number>{NUMBER}) ?¢"),
        lambda m: f"{cardinal(m['number'])} {'cent' if m['number'] == '1' else 'cents'}",
    ),
)
