"""The people and the words that no stage of the training ever sees, so that generalization can be measured."""

import zlib
from collections import Counter
from collections.abc import Iterable

READERS = {
    "librispeech-dev-clean-20": frozenset({"3000", "5338", "6295", "8842"}),
    "librispeech-dev-other-12": frozenset({"116", "3663"}),
}  # of LibriSpeech
TENTHS = ("common-voice-v1-valid-dev", "speechocean762")  # a tenth, by file where speakers have no ids, else by speaker
FILE_SHARE = 0.01  # of the files of every other source

FREQUENT = 3_000  # most frequent words, which are never held out: without them no sentence would be left
WORD_SHARE = 31  # one word in so many of the others


def is_held_out(utterance: str, share: float = FILE_SHARE) -> bool:
    """Whether an utterance, SOURCE/ID, belongs to the held-out people; decided by its id alone.

    share: of the files of sources that hold out no people.
    """
    source, _, name = utterance.partition("/")
    source = source.partition(".")[0]  # a view of a source is named SOURCE.VIEW
    if source in READERS:
        return name.partition("-")[0] in READERS[source]
    if source == "speechocean762":
        return zlib.crc32(name.split("_")[1].encode()) % 10 == 0
    if source in TENTHS:
        return zlib.crc32(utterance.encode()) % 10 == 0
    return zlib.crc32(utterance.encode()) % 10_000 < share * 10_000


def held_out_words(counts: Counter[str], known: Iterable[str]) -> frozenset[str]:
    """Words of a lexicon that no sentence of generated speech may hold: some 2,000 of 65,000, chosen by their letters.

    counts: how often each word occurs in the corpus.
    """
    frequent = {word for word, _ in counts.most_common(FREQUENT)}
    return frozenset(
        word for word in known if len(word) > 3 and word not in frequent and zlib.crc32(word.encode()) % WORD_SHARE == 0
    )
