"""Transcripts in natural case and punctuation: those of an ASR model (the teacher), corrected by the reference."""

import re
from difflib import SequenceMatcher

MARKS = ",.?!;:"
CLOSING = ".?!"
WORST_AGREEMENT = 0.5  # share of the words under which the teacher recognized something else than was said
SHORT = 4  # letters of a word whose capital is not taken from the teacher
SAME = {"mister": "mr", "missus": "mrs", "mistress": "mrs", "doctor": "dr", "saint": "st", "okay": "ok"}


def _key(word: str) -> str:
    letters = re.sub(r"[^\w']", "", word.lower()).strip("'")
    return SAME.get(letters, letters)


def correct(teacher_text: str, reference: str) -> str:
    """The reference's words with the teacher's case and marks where both agree.

    reference: in the case that its words have when nothing else is known, without marks. What the teacher left out is
    put back, what it added is left out; its marks behind such words are kept. The words of the result are those of the
    reference, one for one.
    """
    ours, theirs = reference.split(), teacher_text.split()
    matcher = SequenceMatcher(None, [_key(w) for w in theirs], [_key(w) for w in ours], autojunk=False)
    if not ours or matcher.ratio() < WORST_AGREEMENT:
        return close(reference)
    words: list[str] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            words += [_spelled(t, o) for t, o in zip(theirs[i1:i2], ours[j1:j2], strict=True)]
            continue
        words += ours[j1:j2]
        mark = theirs[i2 - 1][-1] if i2 > i1 and theirs[i2 - 1][-1] in MARKS else ""
        if mark and words and words[-1][-1] not in MARKS:
            words[-1] += mark
    for index in range(1, len(words)):
        if words[index - 1][-1] in CLOSING:
            words[index] = words[index][:1].upper() + words[index][1:]
    return close(" ".join(words))


def _spelled(teacher: str, reference: str) -> str:
    """The teacher's form of a word on which both agree; abbreviations are written as the reference has them."""
    bare = teacher.strip("\"'()[]-" + MARKS)
    if _key(bare) in SAME.values() and _key(bare) != re.sub(r"[^\w']", "", reference.lower()):
        mark = teacher[-1] if teacher[-1] in MARKS and teacher[-1] != "." else ""
        return (reference.capitalize() if bare[:1].isupper() else reference) + mark
    word = re.sub(r"[\"()\[\]\u201c\u201d]", "", teacher)
    # A teacher now and then begins a line inside a sentence; short words that are names are known as such.
    return word[:1].lower() + word[1:] if reference.islower() and len(reference) <= SHORT else word


def close(text: str) -> str:
    """A capital at the start and a mark at the end."""
    text = text.strip().rstrip(",;:-")
    if text and text[-1] not in CLOSING:
        text += "."
    return text[:1].upper() + text[1:]
