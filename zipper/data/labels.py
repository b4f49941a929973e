"""Stage `labels`: one text style, phones and word times for every utterance."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zipper.data.manifest import Utterance
from zipper.data.phones import (
    PhoneClassifier,
    TimedPhone,
    align,
    frame_labels,
    timed_phones,
    transcript_phones,
    word_times,
)
from zipper.data.store import Store, StoreWriter
from zipper.errors import ConfigError

log = logging.getLogger(__name__)

# mean log-probability of a frame under which a transcript does not belong to its recording
WORST_SCORE = -3.0

FEWEST_STEPS = 40  # of the phone classifier: two of them warm it up, and the schedule cannot do with one

Phonemize = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Aligned:
    """One utterance as training reads it. `words` is (word, start, end) in seconds, empty where unknown."""

    id: str
    speaker: str
    text: str
    words: list[tuple[str, float, float]]


def train_classifier(features: Store, utterances: Sequence[Utterance], steps: int, seed: int) -> PhoneClassifier:
    """Learn phones from generated speech, whose durations are known."""
    if steps < FEWEST_STEPS:
        raise ConfigError(f"The phone classifier needs at least {FEWEST_STEPS} steps.")
    known = [u for u in utterances if u.id in features and u.phones]
    x = torch.from_numpy(np.concatenate([features[u.id] for u in known]))
    y = torch.from_numpy(np.concatenate([_generated(u, features.length(u.id))[1] for u in known]))
    return fit_classifier(x, y, steps, seed)


def fit_classifier(x: Tensor, y: Tensor, steps: int, seed: int, rows: int = 2048) -> PhoneClassifier:
    """Learn the phones y (N,) of the features x (N, W), `rows` of them a step, on their device."""
    torch.manual_seed(seed)
    classifier = PhoneClassifier(x.shape[1]).to(x.device)
    optimizer = torch.optim.AdamW(classifier.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        picked = torch.randint(0, len(x), (rows,), device=x.device)
        inputs = x[picked].float()
        loss = F.cross_entropy(classifier(inputs + 0.05 * torch.randn_like(inputs)), y[picked], label_smoothing=0.05)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return classifier.eval()


def _generated(utterance: Utterance, frames: int) -> tuple[list[TimedPhone], np.ndarray]:
    phones = timed_phones(utterance.phones)
    return phones, frame_labels(phones, frames)


@torch.inference_mode()
def _recognized(
    utterance: Utterance, features: np.ndarray, classifier: PhoneClassifier, phonemize: Phonemize
) -> tuple[list[TimedPhone], np.ndarray] | None:
    ids, words = transcript_phones(phonemize(utterance.text.lower()))
    log_probs = classifier(torch.from_numpy(np.array(features)).float()).log_softmax(-1)
    aligned = align(log_probs, ids, words)
    if aligned is None or aligned[1] < WORST_SCORE:
        return None
    return aligned[0], frame_labels(aligned[0], len(features))


def label_source(
    utterances: Sequence[Utterance],
    features: Store,
    out: Path,
    classifier: PhoneClassifier,
    phonemize: Phonemize,
    style: Callable[[str], str],
) -> None:
    """Write out/ (a store of phone labels, int8 at 50 Hz) and out/aligned.jsonl for one source."""
    dropped = 0
    with StoreWriter(out, "int8") as store, (out / "aligned.jsonl").open("a", encoding="utf-8") as rows:
        for utterance in utterances:
            if utterance.id not in features or utterance.id in store.done:
                continue
            labeled = (
                _generated(utterance, features.length(utterance.id))
                if utterance.phones
                else _recognized(utterance, features[utterance.id], classifier, phonemize)
            )
            if labeled is None:
                dropped += 1
                continue
            store.add(utterance.id, labeled[1])
            rows.write(_line(_row(utterance, labeled[0], style(utterance.text))))
    log.info("%s: %d utterances labeled, %d left out", out.name, len(store.done), dropped)


def label_view(plain: Path, features: Store, out: Path, speed: Callable[[str], float]) -> None:
    """Labels of an augmented view of a source from those of its plain recordings, in the folder `plain`.

    features: those of the view; speed: how many times faster an utterance became (Augmenter.speed).
    """
    phones = Store(plain)
    with StoreWriter(out, "int8") as store, (out / "aligned.jsonl").open("a", encoding="utf-8") as rows:
        for row in read_aligned(plain):
            if row.id not in features or row.id in store.done:
                continue
            ratio, known = speed(row.id), np.array(phones[row.id])
            frames = (np.arange(features.length(row.id)) * ratio).astype(int)
            store.add(row.id, known[frames.clip(max=len(known) - 1)])
            times = [(w, a / ratio, b / ratio) for w, a, b in row.words]
            rows.write(_line(Aligned(row.id, row.speaker, row.text, times)))
    log.info("%s: %d utterances labeled", out.name, len(store.done))


def _row(utterance: Utterance, phones: Sequence[TimedPhone], text: str) -> Aligned:
    times, words = word_times(phones), text.split()
    known = len(times) == len(words)  # else a number or a hyphen was read as more words than are written
    timed = [(w, a, b) for w, (a, b) in zip(words, times, strict=True)] if known else []
    return Aligned(utterance.id, utterance.speaker, text, timed)


def _line(row: Aligned) -> str:
    words = [[w, round(a, 3), round(b, 3)] for w, a, b in row.words]
    return (
        json.dumps({"id": row.id, "speaker": row.speaker, "text": row.text, "words": words}, ensure_ascii=False) + "\n"
    )


def read_aligned(folder: Path) -> list[Aligned]:
    """The rows that label_source wrote."""
    with (folder / "aligned.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Aligned(r["id"], r["speaker"], r["text"], [(w, a, b) for w, a, b in r["words"]]) for r in rows]


def append_aligned(folder: Path, rows: Sequence[Aligned]) -> None:
    """Add rows to those of a folder."""
    with (folder / "aligned.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(map(_line, rows))


def write_aligned(folder: Path, rows: Sequence[Aligned]) -> None:
    """Put rows in the place of those that label_source wrote; the old ones survive a crash."""
    new = folder / "aligned.jsonl.new"
    new.write_text("".join(map(_line, rows)), encoding="utf-8")
    new.replace(folder / "aligned.jsonl")
