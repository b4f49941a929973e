"""Recordings and transcripts of the packed sources, decoded on many CPU cores, and their phones in time."""

import io
import logging
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import soxr
import torch

from zipper.data.labels import WORST_SCORE
from zipper.data.manifest import SUFFIXES, Utterance, read_source, source_name
from zipper.data.phones import align, frame_labels, transcript_phones, word_times
from zipper.data.waveforms import to_int16
from zipper.rates import SPEECH_RATE

log = logging.getLogger(__name__)

LONGEST_SECONDS = 25.0
CHUNK = 64  # recordings handed to a worker at once

T = TypeVar("T")


@dataclass(frozen=True)
class Timed:
    """Phones at 50 Hz, int8, and (start, end) of each word in seconds, empty where they are not known."""

    phones: np.ndarray
    words: list[tuple[float, float]]


def read_sources(
    tars: Sequence[Path], pool: Executor, limit: int | None = None
) -> tuple[dict[str, Utterance], dict[str, np.ndarray]]:
    """Utterances and int16 samples at 16 kHz of every recording that is not too long, by SOURCE/ID.

    limit: recordings of each source, for a trial.
    """
    utterances = {u.id: u for tar in tars for u in read_source(tar)}
    jobs = ((tar, names) for tar in tars for names in in_chunks(_members(tar)[:limit]))
    clips: dict[str, np.ndarray] = {}
    for decoded in pool.map(_decode, jobs):
        clips.update((name, samples) for name, samples in decoded if name in utterances)
    return {name: u for name, u in utterances.items() if name in clips}, clips


def _members(tar: Path) -> list[str]:
    with tarfile.open(tar) as archive:
        return [m.name for m in archive if m.name.endswith(SUFFIXES)]


@cache
def _archive(tar: Path) -> tarfile.TarFile:
    return tarfile.open(tar)


def _decode(job: tuple[Path, Sequence[str]]) -> list[tuple[str, np.ndarray]]:
    tar, names = job
    clips = []
    for name in names:
        file = _archive(tar).extractfile(name)
        assert file is not None
        try:
            samples, rate = soundfile.read(io.BytesIO(file.read()), dtype="float32")
        except soundfile.SoundFileError as error:
            log.warning("%s cannot be read: %s", name, error)
            continue
        if rate != SPEECH_RATE:
            samples = soxr.resample(samples, rate, SPEECH_RATE)
        if 0 < len(samples) <= LONGEST_SECONDS * SPEECH_RATE:
            clips.append((f"{source_name(tar)}/{Path(name).stem}", to_int16(samples)))
    return clips


@cache
def _phonemizer() -> Any:
    from hibari import Hibari

    torch.set_num_threads(1)
    return Hibari(threads=1).phonemize


def align_all(
    texts: Mapping[str, str], log_probs: Iterable[tuple[str, np.ndarray]], pool: Executor
) -> dict[str, Timed | None]:
    """Forced alignment of transcripts; log_probs: (name, (F, phones) float16) of a phone classifier.

    None where a transcript does not belong to its recording.
    """
    jobs = in_chunks((name, texts[name], probs) for name, probs in log_probs)
    return dict(chain.from_iterable(pool.map(_align, jobs)))


def _align(jobs: Sequence[tuple[str, str, np.ndarray]]) -> list[tuple[str, Timed | None]]:
    return [(name, _align_one(text, probs)) for name, text, probs in jobs]


def _align_one(text: str, probs: np.ndarray) -> Timed | None:
    ids, words = transcript_phones(_phonemizer()(text.lower()))
    aligned = align(torch.from_numpy(probs).float(), ids, words)
    if aligned is None or aligned[1] < WORST_SCORE:
        return None
    times = word_times(aligned[0])
    return Timed(frame_labels(aligned[0], len(probs)).astype(np.int8), times if len(times) == len(text.split()) else [])


def in_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of CHUNK items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
