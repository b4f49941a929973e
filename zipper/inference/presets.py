"""How each kind of request is decoded: sampling, guards against loops, and limits that follow from its
length.
"""

import math

from zipper import limits
from zipper.inference.components import TextTokens
from zipper.inference.sampling import SamplingOptions
from zipper.model.config import TowerConfig
from zipper.rates import TOKEN_RATE
from zipper.text.lexicon import Lexicon, LexiconPenalty

BEAMS = 8  # of recognition: a seventh fewer word errors than greedy decoding; 8 read a little better than 4, as fast
UNKNOWN_WORD_PENALTY = 3.0  # nats that a beam loses by a word of no dictionary: names are rare, misspellings are not
# A recognizer that loops repeats a few words; no English sentence says the same eight pieces five times.
TEXT_LOOP = 8  # text tokens, longest cycle that is looked for
TEXT_REPEATS = 4

# A passage does not end while more than this of its source has not been looked at.
END_MARGIN = 1.2  # s before the last sound; beyond it may be breath, noise or the tail of a word
END_OVERRIDE = 0.8  # probability of the end that lifts this: what is left is noise, and words would be made up
# Of 50 held-out recordings 1 has a longer stretch of speech that belongs to no word; of those that lose 1.5 s, 9 in 10.
UNHEARD_SECONDS = 0.9  # s of it from which words may be missing
SPEECH_END_MARGIN = 0.5  # s on the clock of text tokens, 0.2 s each: the last piece is most often a full stop

SPEECH_TEMPERATURE = 0.4  # by the word errors of held-out sentences: 11.5 % at 0.7, 8.8 % at 0.5 and at 0.3
SPEECH_TOP_P = 0.9
SPEECH_LOOP = 4  # speech tokens; a held vowel or a pause repeats one token, never as long as this allows
SPEECH_REPEATS = 20
MIN_SPEECH_SECONDS_PER_CHARACTER = 0.02  # s; the fastest speakers reach 0.035
ATTEMPTS = 3  # tries at a passage whose speech does not come to an end

COMPLETION_TEMPERATURE = 0.8
COMPLETION_TOP_P = 0.95


def recognition(seconds: float, beams: int, voiced_until: float = 0.0) -> SamplingOptions:
    """For a passage of speech of this length, whose last sound is at `voiced_until` seconds."""
    return SamplingOptions(
        repetition_window=TEXT_LOOP,
        max_repeats=TEXT_REPEATS,
        max_tokens=math.ceil(seconds * limits.MAX_TEXT_TOKENS_PER_SECOND) + limits.EXTRA_TEXT_TOKENS,
        beams=beams,
        min_source_seconds=max(0.0, voiced_until - END_MARGIN),
        end_override=END_OVERRIDE,
    )


def lexicon_penalty(words: Lexicon, tokenizer: TextTokens, text: TowerConfig) -> LexiconPenalty:
    """What a hypothesis of recognition loses by words that do not exist."""
    specials = (text.begin_id, text.end_id)
    pieces = ["" if i in specials else tokenizer.piece(i) for i in range(tokenizer.vocab_size)]
    return LexiconPenalty(words, pieces, text.end_id, UNKNOWN_WORD_PENALTY)


def synthesis(text: str, seed: int, temperature: float, text_seconds: float = 0.0) -> SamplingOptions:
    """For a passage of text that is written out and takes `text_seconds` on the clock of text tokens."""
    most = len(text) * limits.MAX_SPEECH_SECONDS_PER_CHARACTER + limits.EXTRA_SPEECH_SECONDS
    return SamplingOptions(
        temperature=temperature,
        top_p=SPEECH_TOP_P,
        repetition_window=SPEECH_LOOP,
        max_repeats=SPEECH_REPEATS,
        max_tokens=math.ceil(most * TOKEN_RATE),
        min_tokens=math.ceil(len(text) * MIN_SPEECH_SECONDS_PER_CHARACTER * TOKEN_RATE),
        seed=seed,
        min_source_seconds=max(0.0, text_seconds - SPEECH_END_MARGIN),
    )


def completion(max_tokens: int, seed: int, temperature: float) -> SamplingOptions:
    """For the continuation of one modality by its own tower."""
    return SamplingOptions(temperature=temperature, top_p=COMPLETION_TOP_P, max_tokens=max_tokens, seed=seed)
