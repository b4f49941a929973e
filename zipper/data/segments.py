"""Stretches of mels and of the sounds that a vocoder shall make of them, in batches that their number decides.

Shapes: B stretches, T frames, N = 256 T samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zipper.audio.mel import FLOOR
from zipper.data.held_out import is_held_out
from zipper.data.store import Store
from zipper.data.waveforms import FULL_SCALE
from zipper.errors import ConfigError, DataError
from zipper.rates import MELS, VOCODER_HOP

SILENCE = math.log(FLOOR)  # log-mel behind the end of a clip
HELD_OUT_SHARE = 0.04  # of the files of sources that hold out no people: more than elsewhere, as the sources are small
START_TURN = 8  # every so many batches hold the beginnings of clips, where a vocoder has seen nothing


class Stretches(NamedTuple):
    """What a batch holds; the sounds are to be compared from frame `skipped` on, `compared` frames."""

    mel: Tensor  # (B, T, 80)
    teacher: Tensor  # (B, 256 compared)
    real: Tensor  # (B, 256 compared), the recording where there is one, else the teacher
    skipped: int
    compared: int


@dataclass(frozen=True)
class Frames:
    """Of a stretch: those before, which are heard and not compared, those that are compared, and those behind."""

    before: int
    compared: int
    behind: int


Index = dict[str, tuple[int, int]]  # first row and rows of each clip


def _mapped(folder: Path, device: torch.device) -> tuple[Index, Tensor]:
    """Index and rows of a store; on a CPU they are read from the file when they are needed."""
    store = Store(folder)
    kind = getattr(torch, store.data.dtype.name)
    data = torch.from_file(str(folder / "data.bin"), shared=False, size=store.data.size, dtype=kind)
    return store.index, data.view(store.data.shape).to(device)


class _Source:
    """The clips of one source on a device."""

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        self.name = name
        self.mels, self.mel_data = _mapped(folder / "mels" / name, device)
        self.sounds, self.sound_data = _mapped(folder / "teacher" / name, device)
        self.recorded: Index = {}
        index = folder / "recorded" / name / "index.tsv"
        if index.exists() and index.stat().st_size:
            self.recorded, self.recorded_data = _mapped(folder / "recorded" / name, device)

    def mel(self, clip: str, first: int, last: int) -> Tensor:
        """Frames first..last (T, 80) float32; silence behind the end."""
        offset, length = self.mels[clip]
        found = self.mel_data[offset + first : offset + min(last, length)].float()
        return torch.nn.functional.pad(found, (0, 0, 0, last - first - len(found)), value=SILENCE)

    def sound(self, clip: str, first: int, last: int, real: bool) -> Tensor:
        """Samples of frames first..last (N,); real: of the recording if there is one; zeros behind the end."""
        recorded = real and clip in self.recorded
        offset, length = (self.recorded if recorded else self.sounds)[clip]
        data = self.recorded_data if recorded else self.sound_data
        start, end = first * VOCODER_HOP, last * VOCODER_HOP
        found = data[offset + start : offset + min(end, length)].float() / FULL_SCALE
        return torch.nn.functional.pad(found, (0, end - start - len(found)))


class Segments:
    """Batch number -> Stretches of clips that are not held out, at random places; seed and number decide which."""

    def __init__(
        self,
        folder: Path,
        shares: Mapping[str, float],
        rows: int,
        frames: Frames,
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        """shares: of each source in the batches; folder: what `vocoder_clips` prepared."""
        if not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise ConfigError("The sources of the vocoder need shares of which none is below 0 and one is above.")
        self.rows, self.frames, self.seed = rows, frames, seed
        device = device or torch.device("cpu")
        self.sources = [_Source(folder, name, device) for name in shares]
        self.shares = np.array(list(shares.values())) / sum(shares.values())
        self.clips = [[clip for clip in s.sounds if not is_held_out(clip, HELD_OUT_SHARE)] for s in self.sources]
        for source, clips in zip(self.sources, self.clips, strict=True):
            if not clips:
                raise DataError(f"{source.name} has no clip to train on; prepare more of it.")
        self.chances = [
            np.array([source.mels[clip][1] for clip in clips], np.float64)
            for source, clips in zip(self.sources, self.clips, strict=True)
        ]

    def __call__(self, number: int) -> Stretches:
        """Batch `number`; every eighth one begins where the clips do."""
        rng = np.random.default_rng([self.seed, number])
        before = 0 if number % START_TURN == START_TURN - 1 else self.frames.before
        picked = []
        for index in rng.choice(len(self.sources), self.rows, p=self.shares):
            chances = self.chances[index]
            clip = self.clips[index][rng.choice(len(chances), p=chances / chances.sum())]
            latest = self.sources[index].mels[clip][1] - before - self.frames.compared
            picked.append((index, clip, int(rng.integers(0, latest + 1)) if before and latest > 0 else 0))
        return self._stretches(picked, before)

    def held_out(self, batches: int) -> dict[str, list[Stretches]]:
        """Up to so many batches from the middles of held-out clips, by source; only sources that have some."""
        found: dict[str, list[Stretches]] = {}
        for index, source in enumerate(self.sources):
            clips = [clip for clip in source.sounds if is_held_out(clip, HELD_OUT_SHARE)]
            middle = [
                (index, clip, max(0, (source.mels[clip][1] - self.frames.compared) // 2 - self.frames.before))
                for clip in clips[: batches * self.rows]
            ]
            groups = [middle[start : start + self.rows] for start in range(0, len(middle), self.rows)]
            if groups:
                found[source.name] = [self._stretches(group, self.frames.before) for group in groups]
        return found

    def _stretches(self, picked: Sequence[tuple[int, str, int]], before: int) -> Stretches:
        """picked: source, clip and first frame of each."""
        mels, teachers, reals = [], [], []
        for index, clip, first in picked:
            source, start = self.sources[index], first + before
            end = start + self.frames.compared
            mels.append(source.mel(clip, first, end + self.frames.behind))
            teachers.append(source.sound(clip, start, end, real=False))
            reals.append(source.sound(clip, start, end, real=True))
        mel = torch.stack(mels).view(len(picked), -1, MELS)
        return Stretches(mel, torch.stack(teachers), torch.stack(reals), before, self.frames.compared)
