"""What the detokenizer learns from: tokens, mel and pitch of each clip, in batches of similar length.

`prepare` reads each clip once and keeps mel and pitch in the work folder. Batch n is a function of the seed
and n alone, so a run continues exactly where it stopped. Shapes: B clips, N tokens, T frames, M = 80 bands.
"""

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from zipper.audio.mel import MelSpectrogram
from zipper.data.batching import BatchPlan
from zipper.data.held_out import is_held_out
from zipper.data.labels import read_aligned
from zipper.data.manifest import read_audio_bytes, read_source, source_name
from zipper.data.pitch import track_pitch
from zipper.data.store import JoinedStores, Store, StoreWriter
from zipper.errors import DataError
from zipper.rates import MELS, VOCODER_RATE
from zipper.speech.delivery import frames_of

log = logging.getLogger(__name__)

EVERYONE = "*"
MIN_SECONDS, MAX_SECONDS = 0.5, 20.0  # of a clip that is used
CHUNK = 256  # clips that are analysed before the index is written


@dataclass(frozen=True)
class Voice:
    """A voice and where its clips are.

    Voices that are not shipped only teach the network what the codes of other speakers sound like.
    """

    name: str
    source: str  # folder or tar with a manifest.tsv, below the data folder; several are joined by +
    speaker: str  # as the manifest calls it; EVERYONE makes each speaker of the source a voice that is not shipped
    share: float  # of the clips of an epoch
    hours: float  # at most, of its clips
    shipped: bool = True

    @property
    def sources(self) -> list[str]:
        """Names of its folders and tars."""
        return self.source.split("+")


class Batch(NamedTuple):
    """Padded clips; padding is code 0, mel 0 and pitch 0."""

    codes: Tensor  # (B, N) int64
    code_lengths: Tensor  # (B,)
    voice: Tensor  # (B,)
    mel: Tensor  # (B, T, M) log-mel
    hz: Tensor  # (B, T), 0 where unvoiced
    lengths: Tensor  # (B,) frames


def each_speaker(voices: Sequence[Voice], work: Path) -> tuple[Voice, ...]:
    """The same, with EVERYONE replaced by the speakers that the labels of the source name, sharing share and hours."""
    all_voices: list[Voice] = []
    for voice in voices:
        if voice.speaker != EVERYONE:
            all_voices.append(voice)
            continue
        folders = [work / "labels" / source_name(Path(source)) for source in voice.sources]
        speakers = sorted({row.speaker for folder in folders for row in read_aligned(folder)})
        if not speakers:
            raise DataError(f"{voice.source} names no speaker.")
        share, hours = voice.share / len(speakers), voice.hours / len(speakers)
        all_voices += [Voice(f"{voice.name}-{who}", voice.source, who, share, hours, shipped=False) for who in speakers]
    return tuple(all_voices)


def choose(voice: Voice, data: Path) -> list[str]:
    """Ids of the clips of a voice, in the order of its manifests, up to its hours."""
    chosen, seconds = [], 0.0
    for utterance in chain.from_iterable(read_source(data / source) for source in voice.sources):
        fits = MIN_SECONDS <= utterance.seconds <= MAX_SECONDS
        if utterance.speaker == voice.speaker and fits and seconds < 3600 * voice.hours:
            chosen.append(utterance.id)
            seconds += utterance.seconds
    if not chosen:
        raise DataError(f"{voice.source} holds no clip of the speaker {voice.speaker!r}.")
    return chosen


def prepare(voices: Sequence[Voice], data: Path, work: Path, workers: int) -> None:
    """Mel and pitch of every chosen clip into WORK/mels and WORK/pitch; continues an earlier run."""
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for voice in voices:
            wanted = set(choose(voice, data))
            with (
                StoreWriter(work / "mels" / voice.name, "float16", (MELS,)) as mels,
                StoreWriter(work / "pitch" / voice.name, "float16") as pitches,
            ):
                missing = wanted - pitches.done.keys()
                pairs = chain.from_iterable(read_audio_bytes(data / source) for source in voice.sources)
                todo = (pair for pair in pairs if pair[0] in missing)
                while chunk := list(islice(todo, CHUNK)):
                    for name, mel, hz in pool.map(analyse, chunk, chunksize=16):
                        if name not in mels.done:
                            mels.add(name, mel)
                        pitches.add(name, hz)
                    mels.flush()
                    pitches.flush()
                log.info("%s: %d clips", voice.name, len(pitches.done))


def analyse(pair: tuple[str, bytes]) -> tuple[str, np.ndarray, np.ndarray]:
    """(id, encoded audio) -> id, log-mel (T, M) and pitch in Hz (T,)."""
    samples, rate = soundfile.read(io.BytesIO(pair[1]), dtype="float32")
    samples = soxr.resample(samples, rate, VOCODER_RATE)
    mel = MelSpectrogram()(torch.from_numpy(samples)[None])[0]
    return pair[0], mel.numpy(), track_pitch(samples)


class Clip(NamedTuple):
    """One clip: its id and the index of its voice."""

    id: str
    voice: int


class Clips:
    """Tokens, mel and pitch of the clips of all voices; calling it with a number gives that batch.

    `train` and `held_out` hold the clips of each voice.
    """

    def __init__(self, voices: Sequence[Voice], work: Path, batch_frames: int, seed: int) -> None:
        self.seed = seed
        self.shares = [voice.share for voice in voices]
        self.tokens = [
            JoinedStores([Store(work / "tokens" / source_name(Path(source))) for source in voice.sources])
            for voice in voices
        ]
        self.mels = [Store(work / "mels" / voice.name) for voice in voices]
        self.pitches = [Store(work / "pitch" / voice.name) for voice in voices]
        self.train: list[list[Clip]] = []
        self.held_out: list[list[Clip]] = []
        for index, voice in enumerate(voices):
            clips = [Clip(name, index) for name in self.pitches[index] if name in self.tokens[index]]
            self.held_out.append([clip for clip in clips if is_held_out(clip.id)])
            self.train.append([clip for clip in clips if not is_held_out(clip.id)])
            if not self.train[-1]:
                raise DataError(f"No clip of {voice.name} has tokens, mel and pitch; prepare them first.")
        self._starts = list(accumulate(map(len, self.train), initial=0))[:-1]  # of each voice among all clips
        self._clips = [clip for clips in self.train for clip in clips]
        self.plan = BatchPlan(map(self.frames, self._clips), batch_frames, seed, self._draw)

    def frames(self, clip: Clip) -> int:
        """Frames of a clip that its tokens cover."""
        tokens = self.tokens[clip.voice].length(clip.id)
        return min(self.mels[clip.voice].length(clip.id), frames_of(tokens))

    def __call__(self, number: int) -> Batch:
        """Batch `number` of an endless sequence of epochs."""
        return self.collate([self._clips[i] for i in self.plan[number]])

    def _draw(self, epoch: int) -> list[int]:
        """Indices of the clips of an epoch, in which each voice has its share."""
        rng = np.random.default_rng([self.seed, epoch])
        total = len(self._clips) / sum(self.shares)
        drawn: list[int] = []
        for clips, share, start in zip(self.train, self.shares, self._starts, strict=True):
            count = max(1, round(total * share))
            turns = [rng.permutation(len(clips)) for _ in range(-(-count // len(clips)))]
            drawn += [start + int(i) for i in np.concatenate(turns)[:count]]
        return drawn

    def collate(self, clips: Sequence[Clip]) -> Batch:
        """Load and pad."""
        frames = [self.frames(clip) for clip in clips]
        counts = [self.tokens[clip.voice].length(clip.id) for clip in clips]
        codes = torch.zeros(len(clips), max(counts), dtype=torch.int64)
        mel = torch.zeros(len(clips), max(frames), MELS)
        hz = torch.zeros(len(clips), max(frames))
        for row, ((name, voice), count, length) in enumerate(zip(clips, counts, frames, strict=True)):
            codes[row, :count] = torch.from_numpy(self.tokens[voice][name].astype(np.int64))
            mel[row, :length] = torch.from_numpy(self.mels[voice][name][:length].astype(np.float32))
            hz[row, :length] = torch.from_numpy(self.pitches[voice][name][:length].astype(np.float32))
        voices = torch.tensor([clip.voice for clip in clips])
        return Batch(codes, torch.tensor(counts), voices, mel, hz, torch.tensor(frames))
