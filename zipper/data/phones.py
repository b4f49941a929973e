"""Phones in time: the frame-level targets of the tokenizer and the word times that guide attention.

Generated speech comes with exact phone durations. Real speech gets its own from a forced alignment: a small frame
classifier learns phones from the generated speech on frozen Whisper features, and Viterbi lays the transcript's
phones over the recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio.functional import forced_align

from zipper.rates import FRAME_RATE

SILENCE = "sil"
PHONES = (SILENCE, *"əɪæʌɛɔɑɐʊɜᵊᵻiuAIOWYtnɹsdlkmzðwhpfvbŋɡjʃʧTʤθʒ")  # misaki's American English symbols
PHONE_IDS = {symbol: i for i, symbol in enumerate(PHONES)}
STRESS = frozenset("ˈˌ")  # their time belongs to the vowel behind them
LONG = frozenset("ːʲ")  # their time belongs to the phone before them
REPLACED = {"ɾ": "T", "ʔ": "t", "Q": "O", "a": "æ", "ɒ": "ɑ", "e": "ɛ", "o": "O", "r": "ɹ", "g": "ɡ", "ɚ": "ɜ"}
WORD_BREAK = 0.1  # seconds; a shorter space is no pause and is shared by its neighbors


@dataclass(frozen=True)
class TimedPhone:
    """One phone of one word; word is -1 in silence."""

    id: int
    start: float  # seconds
    end: float
    word: int


def timed_phones(durations: Sequence[tuple[str, float]]) -> list[TimedPhone]:
    """Generator durations (symbols with stress marks, spaces, punctuation and "_") as phones in time."""
    out: list[TimedPhone] = []
    time, word, held = 0.0, 0, 0.0  # held: time of a stress mark or short space, given to what follows
    for symbol, seconds in durations:
        symbol = REPLACED.get(symbol, symbol)
        if symbol == " ":
            word += 1
        if symbol in STRESS:
            held += seconds
        elif symbol == " " and seconds <= WORD_BREAK and out:
            last = out[-1]
            out[-1] = TimedPhone(last.id, last.start, last.end + seconds / 2, last.word)
            time, held = time + seconds / 2, held + seconds / 2
        elif symbol in LONG and out:
            last = out[-1]
            out[-1] = TimedPhone(last.id, last.start, last.end + seconds, last.word)
            time += seconds
        else:
            phone = PHONE_IDS.get(symbol, 0)
            end = time + held + seconds
            out.append(TimedPhone(phone, time, end, word if phone else -1))
            time, held = end, 0.0
    return out


def frame_labels(phones: Sequence[TimedPhone], frames: int) -> np.ndarray:
    """Phone id at the center of each 20 ms frame, int64 (frames,); silence behind the last phone."""
    ends = np.array([phone.end for phone in phones])
    ids = np.array([*(phone.id for phone in phones), 0])
    return ids[np.searchsorted(ends, (np.arange(frames) + 0.5) / FRAME_RATE)]


def word_times(phones: Sequence[TimedPhone]) -> list[tuple[float, float]]:
    """(start, end) seconds of each word that has a phone, in order."""
    spans: dict[int, tuple[float, float]] = {}
    for phone in phones:
        if phone.word >= 0:
            spans[phone.word] = (spans.get(phone.word, (phone.start, 0.0))[0], phone.end)
    return [spans[word] for word in sorted(spans)]


def transcript_phones(sentences: Sequence[str]) -> tuple[list[int], list[int]]:
    """Phone ids and the word index of each, out of phoneme strings with spaces between words."""
    ids, words, word = [], [], 0
    for sentence in sentences:
        for spoken in sentence.split():
            phones = [PHONE_IDS.get(REPLACED.get(symbol, symbol), 0) for symbol in spoken]
            phones = [phone for phone in phones if phone]
            ids += phones
            words += [word] * len(phones)
            word += bool(phones)
    return ids, words


def align(log_probs: Tensor, ids: Sequence[int], words: Sequence[int]) -> tuple[list[TimedPhone], float] | None:
    """Viterbi alignment of a transcript.

    log_probs: (frames, phones) of the classifier. Silence may stand between any two phones. Returns the phones in
    time and the mean log-probability of a frame, or None when the recording is too short for its transcript.
    """
    repeats = sum(a == b for a, b in zip(ids, ids[1:], strict=False))
    if not ids or len(log_probs) < len(ids) + repeats:
        return None
    targets = torch.tensor([list(ids)], dtype=torch.int32)
    path, scores = forced_align(log_probs[None].contiguous(), targets, blank=0)
    out: list[TimedPhone] = []
    position, previous = -1, 0
    for frame, phone in enumerate(path[0].tolist()):
        start, end = frame / FRAME_RATE, (frame + 1) / FRAME_RATE
        if phone and phone != previous:
            position += 1
        word = words[position] if phone else -1
        if phone == previous and out:
            out[-1] = TimedPhone(phone, out[-1].start, end, word)
        else:
            out.append(TimedPhone(phone, start, end, word))
        previous = phone
    return out, float(scores.mean())


class PhoneClassifier(nn.Module):
    """Features (.., width) -> phone logits (.., phones), frame by frame."""

    def __init__(self, width: int, hidden: int = 512) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, len(PHONES))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., W) -> logits of the phones (..., P)."""
        logits: Tensor = self.net(features)
        return logits
