"""What the detokenizer learns from: tokens, mel and pitch of each clip, in batches of similar length.

`prepare` reads each clip once and keeps mel and pitch in flat files; batches are a function of seed and step
alone, so a run continues exactly where it stopped. Shapes: B clips, N tokens, T frames, M = 80 bands.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from zipper.errors import DataError
from zipper.rates import MELS, VOCODER_RATE
from zipper.speech.acoustic import frames_of
from zipper.speech.mel import MelSpectrogram
from zipper.training.manifest import Utterance, read_audio_bytes, read_source
from zipper.training.pitch import track_pitch
from zipper.training.store import Store, StoreWriter

log = logging.getLogger(__name__)

MIN_SECONDS, MAX_SECONDS = 0.5, 20.0  # of a clip that is used
HELD_OUT_EVERY = 60  # one clip in so many of a voice is never trained on
CHUNK = 256  # clips that are analysed before the index is written
POOL = 64  # batches that are sorted by length together


@dataclass(frozen=True)
class Voice:
    """A voice of the product and where its clips are."""

    name: str
    source: str  # folder or tar with a manifest.tsv, below the data folder
    speaker: str  # as the manifest calls it
    share: float  # of the clips of an epoch
    hours: float  # at most, of its clips


@dataclass(frozen=True)
class Batch:
    """Padded clips; padding is code 0, mel 0 and pitch 0."""

    codes: Tensor  # (B, N) int64
    code_lengths: Tensor  # (B,)
    voice: Tensor  # (B,)
    mel: Tensor  # (B, T, M) log-mel
    hz: Tensor  # (B, T), 0 where unvoiced
    lengths: Tensor  # (B,) frames

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def choose(voice: Voice, data: Path) -> list[Utterance]:
    """Clips of a voice, in the order of its manifest, up to its hours."""
    chosen, seconds = [], 0.0
    for utterance in read_source(data / voice.source):
        fits = MIN_SECONDS <= utterance.seconds <= MAX_SECONDS
        if utterance.speaker == voice.speaker and fits and seconds < 3600 * voice.hours:
            chosen.append(utterance)
            seconds += utterance.seconds
    if not chosen:
        raise DataError(f"{data / voice.source} holds no clip of the speaker {voice.speaker!r}.")
    return chosen


def prepare(voices: Sequence[Voice], data: Path, out: Path, workers: int) -> None:
    """Mel and pitch of every chosen clip into OUT/mel and OUT/pitch; continues an interrupted run."""
    wanted = {utterance.id for voice in voices for utterance in choose(voice, data)}
    with (
        StoreWriter(out / "mel", "float16", (MELS,)) as mels,
        StoreWriter(out / "pitch", "float16") as pitches,
        ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool,
    ):
        missing = wanted - pitches.done.keys()
        for source in dict.fromkeys(voice.source for voice in voices):
            todo = (pair for pair in read_audio_bytes(data / source) if pair[0] in missing)
            while chunk := list(islice(todo, CHUNK)):
                for name, mel, hz in pool.map(analyse, chunk, chunksize=16):
                    if name not in mels.done:
                        mels.add(name, mel)
                    pitches.add(name, hz)
                mels.flush()
                pitches.flush()
                log.info("%s: %d of %d clips", source, len(pitches.done), len(wanted))


def analyse(pair: tuple[str, bytes]) -> tuple[str, np.ndarray, np.ndarray]:
    """(id, encoded audio) -> id, log-mel (T, M) and pitch in Hz (T,)."""
    samples, rate = soundfile.read(io.BytesIO(pair[1]), dtype="float32")
    samples = soxr.resample(samples, rate, VOCODER_RATE)
    mel = MelSpectrogram()(torch.from_numpy(samples)[None])[0]
    return pair[0], mel.numpy(), track_pitch(samples)


@dataclass(frozen=True)
class Clip:
    """One clip: its id and the index of its voice."""

    id: str
    voice: int


class Clips:
    """Clips of all voices with tokens, mel and pitch, split into trained and held out."""

    def __init__(self, voices: Sequence[Voice], data: Path, tokens: Store, work: Path) -> None:
        self.tokens, self.mel, self.pitch = tokens, Store(work / "mel"), Store(work / "pitch")
        self.shares = [voice.share for voice in voices]
        self.train: list[list[Clip]] = []
        self.held_out: list[Clip] = []
        for index, voice in enumerate(voices):
            clips = [Clip(utterance.id, index) for utterance in choose(voice, data)]
            clips = [clip for clip in clips if clip.id in tokens and clip.id in self.pitch]
            if not clips:
                raise DataError(f"No clip of {voice.name} has tokens, mel and pitch; prepare them first.")
            self.held_out += clips[::HELD_OUT_EVERY]
            self.train.append([clip for i, clip in enumerate(clips) if i % HELD_OUT_EVERY] or clips)

    def frames(self, clip: Clip) -> int:
        """Frames of a clip that its tokens cover."""
        return min(self.mel.length(clip.id), frames_of(self.tokens.length(clip.id)))

    def epoch(self, seed: int, number: int, batch_frames: int) -> list[list[Clip]]:
        """Batches of at most batch_frames frames, padding counted; each voice has its share of the clips."""
        rng = np.random.default_rng([seed, number])
        total = sum(map(len, self.train)) / sum(self.shares)
        drawn: list[Clip] = []
        for clips, share in zip(self.train, self.shares, strict=True):
            count = max(1, round(total * share))
            order = np.concatenate([rng.permutation(len(clips)) for _ in range(-(-count // len(clips)))])
            drawn += [clips[i] for i in order[:count]]
        order = rng.permutation(len(drawn))
        batches = list(self._pack([drawn[i] for i in order], batch_frames))
        return [batches[i] for i in rng.permutation(len(batches))]

    def _pack(self, clips: list[Clip], batch_frames: int) -> Iterator[list[Clip]]:
        """Sort pools of clips by length, so that little is padded and yet no two epochs are alike."""
        mean = sum(map(self.frames, clips)) / len(clips)
        pool = max(1, int(POOL * batch_frames / mean))
        for start in range(0, len(clips), pool):
            batch: list[Clip] = []
            for clip in sorted(clips[start : start + pool], key=self.frames):
                if batch and (len(batch) + 1) * self.frames(clip) > batch_frames:
                    yield batch
                    batch = []
                batch.append(clip)
            yield batch

    def batch(self, clips: Sequence[Clip]) -> Batch:
        """Load and pad."""
        frames = [self.frames(clip) for clip in clips]
        counts = [self.tokens.length(clip.id) for clip in clips]
        codes = torch.zeros(len(clips), max(counts), dtype=torch.int64)
        mel = torch.zeros(len(clips), max(frames), MELS)
        hz = torch.zeros(len(clips), max(frames))
        for row, clip in enumerate(clips):
            codes[row, : counts[row]] = torch.from_numpy(self.tokens[clip.id].astype(np.int64))
            mel[row, : frames[row]] = torch.from_numpy(self.mel[clip.id][: frames[row]].astype(np.float32))
            hz[row, : frames[row]] = torch.from_numpy(self.pitch[clip.id][: frames[row]].astype(np.float32))
        voice = torch.tensor([clip.voice for clip in clips])
        return Batch(codes, torch.tensor(counts), voice, mel, hz, torch.tensor(frames))
