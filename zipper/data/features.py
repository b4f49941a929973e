"""Audio to Whisper features, once: the input of the tokenizer's training and of tokenization."""

import io
import itertools
import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from zipper.data.augment import Augmenter
from zipper.data.batching import pack_sorted
from zipper.data.manifest import read_audio_bytes, read_source
from zipper.data.store import StoreWriter
from zipper.rates import FRAMES_PER_TOKEN, SPEECH_RATE
from zipper.speech.whisper_encoder import MAX_FRAMES, WhisperEncoder, log_mel, mel_frames

log = logging.getLogger(__name__)

BATCH_TOKENS = 4_000  # speech tokens (40 ms) of one encoder batch
CHUNK = 512  # utterances that are sorted by length together
MAX_TOKENS = MAX_FRAMES // FRAMES_PER_TOKEN  # longer utterances are left out


def decode(data: bytes) -> np.ndarray:
    """Encoded mono audio to float32 samples at 16 kHz."""
    samples: np.ndarray
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    if rate != SPEECH_RATE:
        samples = soxr.resample(samples, rate, SPEECH_RATE)
    return samples


@torch.inference_mode()
def encode(encoder: WhisperEncoder, mels: list[Tensor]) -> list[np.ndarray]:
    """Features, float16 (T / 2, width), of a batch of log-mels (T, mels)."""
    lengths = torch.tensor([len(mel) for mel in mels])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(pad_sequence(mels, batch_first=True), lengths).half().numpy()
    return [features[i, : n // 2] for i, n in enumerate(lengths.tolist())]


def extract(source: Path, encoder: WhisperEncoder, out: Path, augmenter: Augmenter | None = None) -> None:
    """Features of every recording in a source's manifest into the store `out`; continues an interrupted run."""
    listed = {utterance.id for utterance in read_source(source)}  # a folder may hold more sound than that
    with StoreWriter(out, "float16", (encoder.config.width,)) as store, ThreadPoolExecutor(2) as pool:
        missing = listed - store.done.keys()
        todo = (pair for pair in read_audio_bytes(source) if pair[0] in missing)
        started, seconds = time.monotonic(), 0.0
        for chunk in _chunks(todo):
            mels = list(pool.map(lambda pair: (pair[0], _prepare(pair[0], pair[1], augmenter)), chunk))
            kept = [pair for pair in mels if 0 < len(pair[1]) <= mel_frames(MAX_TOKENS)]
            for items in pack_sorted([len(mel) for _, mel in kept], mel_frames(BATCH_TOKENS)):
                batch = [kept[i] for i in items]
                for (name, mel), features in zip(batch, encode(encoder, [mel for _, mel in batch]), strict=True):
                    store.add(name, features)
                    seconds += len(mel) / 100
            store.flush()
            pace = seconds / (time.monotonic() - started)
            log.info("%s: %.2f h, %.0f x real time", source.name, seconds / 3600, pace)


def _prepare(name: str, data: bytes, augmenter: Augmenter | None) -> Tensor:
    samples = decode(data)
    if augmenter is not None:
        samples = augmenter(name, samples)
    return log_mel(torch.from_numpy(samples))


def _chunks(pairs: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(pairs)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk
