"""A fraction of the transcribed speech, to see how much of it a model needs.

Utterances are chosen whole. Each has a place in an order that its id and a seed decide, and a fraction is the first
part of that order: a smaller one lies within a larger one, and a recording and its changed views go together.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate


def place(utterance: str, seed: int) -> int:
    """Where an utterance stands in the order of a seed: a number that means nothing by itself."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {utterance}".encode(), digest_size=8).digest())


def part_of(lengths: Mapping[str, int], fraction: float, seed: int) -> frozenset[str]:
    """Ids of a fraction, above 0 to 1, of the speech of each source, as near to it as whole utterances come.

    lengths: of each utterance, SOURCE/ID, in any unit. Of every source at least one utterance is taken.
    """
    sources: dict[str, list[str]] = defaultdict(list)
    for utterance in lengths:
        sources[utterance.partition("/")[0].partition(".")[0]].append(utterance)  # a view is named SOURCE.VIEW
    chosen: set[str] = set()
    for utterances in sources.values():
        ordered = sorted(utterances, key=lambda utterance: (place(utterance, seed), utterance))
        ends = list(accumulate(lengths[utterance] for utterance in ordered))
        wanted = fraction * ends[-1]
        count = min(range(len(ends)), key=lambda index: abs(ends[index] - wanted)) + 1
        chosen.update(ordered[:count])
    return frozenset(chosen)
