"""A listener for the detokenizer's training: a network that names the phone in each mel frame.

An L1 loss counts a smeared consonant little; a listener hears another word. Frozen, it compares what it hears in the
predicted mel with what it hears in the true one: the phones (KL divergence) and the states of its blocks (L1), as
perceptual losses do for pictures (Johnson et al. 2016, arXiv 1603.08155).

Shapes: B clips, T mel frames, M = 80 bands, C = width.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.rates import FRAME_RATE, MELS, VOCODER_HOP, VOCODER_RATE
from zipper.speech.acoustic import Block, padding_mask
from zipper.training.loop import LoopConfig, Trainer
from zipper.training.mels import Batch, Clips, Voice
from zipper.training.phones import PHONES
from zipper.training.store import JoinedStores, Store

log = logging.getLogger(__name__)

IGNORED = -100  # label of padding
NOISE = 0.5  # deviations of the mel, at most, added while it learns: it should not hinge on the finest detail


class Heard(NamedTuple):
    """Logits (B, T, phones) and the states (B, T, C) of every block."""

    phones: Tensor
    states: tuple[Tensor, ...]


class Listener(nn.Module):
    """Standardised mel to phones; sees 15 frames (0.17 s) to either side."""

    def __init__(self, width: int = 192, blocks: int = 5) -> None:
        super().__init__()
        self.inlet = nn.Linear(MELS, width)
        self.blocks = nn.ModuleList(Block(width, 3 * width, (3, 3)) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.phones = nn.Linear(width, len(PHONES))

    def forward(self, mel: Tensor, mask: Tensor) -> Heard:
        """mel (B, T, M) standardised; mask (B, T, 1), 0 on padding."""
        h, states = self.inlet(mel), list[Tensor]()
        for block in self.blocks:
            h = block(h, mask)
            states.append(h)
        return Heard(self.phones(self.norm(h)), tuple(states))


def hearing_loss(listener: Listener, mel: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """How differently two mels (B, T, M) sound to the listener: nats of the phones plus relative L1 of the states."""
    with torch.no_grad():
        true = listener(target, mask)
    heard = listener(mel, mask)
    known, count = mask[..., 0], mask.sum()
    nats = F.kl_div(
        heard.phones.float().log_softmax(-1), true.phones.float().softmax(-1), reduction="none"
    ).sum(-1)
    loss = (nats * known).sum() / count
    for mine, wanted in zip(heard.states, true.states, strict=True):
        apart = ((mine - wanted).float().abs().mean(-1) * known).sum()
        loss = loss + apart / (wanted.float().abs().mean(-1) * known).sum() / len(true.states)
    return loss


class Labelled(NamedTuple):
    """A batch of clips and the phone in each mel frame (B, T)."""

    clips: Batch
    phones: Tensor


class LabelledClips:
    """Batches of clips with the phones that the labels of their sources name."""

    def __init__(self, clips: Clips, voices: tuple[Voice, ...], work: Path) -> None:
        self.clips = clips
        self.labels = [
            JoinedStores([Store(work / "labels" / source.removesuffix(".tar")) for source in voice.sources])
            for voice in voices
        ]

    def __call__(self, number: int) -> Labelled:
        items = self.clips.items(number)
        batch = self.clips.collate(items)
        phones = torch.full(batch.hz.shape, IGNORED)
        for row, (name, voice) in enumerate(items):
            frames = int(batch.lengths[row])
            labels = self.labels[voice][name].astype(np.int64)
            seconds = (np.arange(frames) + 0.5) * VOCODER_HOP / VOCODER_RATE
            place = np.minimum((seconds * FRAME_RATE).astype(np.int64), len(labels) - 1)
            phones[row, :frames] = torch.from_numpy(labels[place])
        return Labelled(batch, phones)


class ListenerStage(nn.Module):
    """Cross-entropy of the phone in each frame of a mel with some noise; mean and deviation (M,) standardise it."""

    def __init__(self, listener: Listener, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.listener = listener
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, batch: Labelled) -> dict[str, Tensor]:
        mel = (batch.clips.mel - self.get_buffer("mean")) / self.get_buffer("deviation")
        amount = NOISE * torch.rand(len(mel), 1, 1, device=mel.device)
        mask = padding_mask(batch.clips.lengths, mel.shape[1])
        logits = self.listener(mel + amount * torch.randn_like(mel), mask).phones.float()
        loss = F.cross_entropy(logits.flatten(0, 1), batch.phones.flatten(), ignore_index=IGNORED)
        known = batch.phones != IGNORED
        right = (logits.argmax(-1) == batch.phones)[known].float().mean()
        return {"loss": loss, "accuracy": right, "tokens": batch.clips.code_lengths.sum()}


def train_listener(
    clips: Clips, voices: tuple[Voice, ...], work: Path, loop: LoopConfig, mean: Tensor, deviation: Tensor
) -> Listener:
    """A frozen listener that has learnt from the clips; goes on with, or takes, what WORK/runs/listener holds."""
    torch.manual_seed(loop.seed)
    stage = ListenerStage(Listener(), mean, deviation)
    Trainer(stage, LabelledClips(clips, voices, work), loop, work / "runs" / "listener").run(resume=True)
    return stage.listener.cpu().eval().requires_grad_(False)
