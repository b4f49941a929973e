"""One style of transcript: natural case and a closing mark, whatever style a corpus was written in."""

import re
from collections import Counter
from collections.abc import Iterable

CLOSING = (".", "?", "!")
QUESTION_OPENERS = frozenset(
    "who what when where why how which whose is are was were do does did can could will would shall should".split()
)
CASE_LINES = 120_000  # lines of a corpus that are enough to learn the case of words from
WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


class Truecaser:
    """Gives each word the case that it mostly has inside the sentences of a corpus."""

    def __init__(self, forms: dict[str, str]) -> None:
        self.forms = forms

    @classmethod
    def learn(cls, lines: Iterable[str], least: int = 3) -> "Truecaser":
        """Count the forms of words that do not open a sentence."""
        counts: dict[str, Counter[str]] = {}
        for line in lines:
            for match in WORD.finditer(line):
                if re.search(r"[\w,;'-] $", line[max(0, match.start() - 2) : match.start()]):
                    counts.setdefault(match[0].lower(), Counter())[match[0]] += 1
        forms = {}
        for word, forms_of_word in counts.items():
            form, _ = forms_of_word.most_common(1)[0]
            if forms_of_word.total() >= least and form != word and not (form.isupper() and len(form) > 4):
                forms[word] = form
        return cls(forms)

    def __call__(self, text: str) -> str:
        """A transcript without case (all upper or all lower) in natural case; others only gain a closing mark."""
        text = " ".join(text.split())
        if text and (text.isupper() or text.islower()):
            text = " ".join(self.forms.get(word, word) for word in text.lower().split(" "))
        if text and not text.endswith(CLOSING):
            first = text.split(" ", 1)[0].lower()
            text = text.rstrip(",;:- ") + ("?" if first in QUESTION_OPENERS and _is_short(text) else ".")
        return text[:1].upper() + text[1:]


def _is_short(text: str) -> bool:
    """Long sentences that open with "when" or "what" are seldom questions."""
    return len(text) < 60 and not text.lower().startswith(("when ", "which ", "what a "))
