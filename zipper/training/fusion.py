"""Stages `zip` and `single`: two pre-trained towers are fused, or one decoder is tuned, on aligned speech and text.

In `zip` the text tower stays frozen, the speech tower and the zips are trained; in `single`, the paper's baseline,
everything is. The loss is on the target modality, as in the paper. Ours is the alignment loss: the generators'
durations and a forced alignment say when each word is spoken, and a few heads of each zip point, or of the blocks of a
single decoder that are shown, are drawn there. It replaces the many steps in which attention would have to find the
diagonal by itself, and gives the word times of the product. With the same times, a linear layer that is used in
training alone names at every speech token the text piece that was completed last: recognition then has little
more to do than to look it up, as in hybrid CTC/attention training (Watanabe et al. 2017), with the alignment given.
In synthesis another such layer names the phone of the token that is chosen next: of all that a code says, that is what
must come from the text.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.data.batching import IGNORED
from zipper.data.pairs import SLACK, PairBatch, orders
from zipper.data.phones import PHONES
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.errors import ConfigError
from zipper.model.config import MODALITIES, FusedConfig, Modality
from zipper.model.fused import FusedModel, ZipperOutput
from zipper.model.streams import Stream
from zipper.model.zipper import ZipperModel

PIECE_DELAY = 1  # speech tokens after the last one of a piece from which on the piece head must name it


@dataclass(frozen=True)
class PairLoss:
    """Weights and regularization."""

    alignment: float = 0.3  # weight of the guidance of attention to the known word times; 0 is none
    alignment_heads: int = 2  # the first ones of every zip point
    pieces: float = 0.5  # weight of the piece head: the piece completed last, at every speech token
    phones: float = 0.3  # weight of the phone head: the phone of the next speech token, in synthesis
    tts: float = 1.0  # weight of the loss of synthesis; that of recognition is 1
    tts_noise: float = 0.08  # share of the speech inputs of synthesis replaced by random codes
    asr_noise: float = 0.04  # the same for recognition
    asr_jitter: float = 0.0  # share of the speech inputs of recognition that slip to a neighboring code
    levels: tuple[int, ...] = (8, 8, 8, 8)  # of the quantizer; they say which codes are neighbors
    smoothing: float = 0.05  # label smoothing on text


@dataclass(frozen=True)
class ZipLoss(PairLoss):
    """The same for towers whose cross-attention takes positions."""

    time_noise: float = 0.08  # standard deviation in seconds of noise on the known source times, as tracking is inexact
    time_slips: float = 0.08  # share of tokens whose source time is off by up to half a second


class PairStage(nn.Module):
    """A model of both modalities and its losses on PairBatch, or on windows of speech tokens alone."""

    def __init__(self, model: FusedModel, weights: PairLoss) -> None:
        super().__init__()
        self.model, self.weights = model, weights
        speech = model.config.speech
        self.codes = SpeechVocabulary.of_tower(speech).codes
        if weights.asr_jitter and math.prod(weights.levels) != self.codes:
            raise ConfigError(f"levels={weights.levels} do not multiply to the codes of the speech tower.")
        self.piece_head = nn.Linear(speech.width, model.config.text.vocab_size)
        self.phone_head = nn.Linear(speech.width, len(PHONES))
        for head in (self.piece_head, self.phone_head):  # zero at first: large states would make large first losses
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, batch: PairBatch | Tensor) -> dict[str, Tensor]:
        """Losses by name; a tensor holds windows (B, T + 1) of speech tokens alone."""
        if isinstance(batch, Tensor):
            return self._speech_alone(batch)
        return self._recognize(batch) if batch.task == "recognize" else self._synthesize(batch)

    def _speech_alone(self, windows: Tensor) -> dict[str, Tensor]:
        order = torch.arange(windows.shape[1] - 1, device=windows.device).expand(len(windows), -1)
        out: ZipperOutput = self.model(None, Stream(windows[:, :-1], order))
        assert out.speech_logits is not None
        targets = windows[:, 1:]
        loss = F.cross_entropy(out.speech_logits.float().flatten(0, 1), targets.flatten())
        strayed = _strayed(out, "speech", targets)
        return {
            "loss": loss + sum(strayed.values()),
            "speech": loss,
            **strayed,
            "tokens": loss.new_full((), windows.numel()),
        }

    def gates(self) -> dict[str, Tensor]:
        """Gates by name, for the log; a model that has none gives nothing."""
        return {}

    @abstractmethod
    def _source_times(self, batch: PairBatch) -> Tensor | None:
        """Where in the source each target token is found, for models that take it."""

    def _run(self, batch: PairBatch, noise: float, jitter: float = 0.0) -> ZipperOutput:
        text_order, speech_order = orders(batch)
        speech = self._corrupt(self._jitter(batch.speech, jitter), noise)
        target: Modality = "text" if batch.task == "recognize" else "speech"
        times = self._source_times(batch)
        text_times, speech_times = (times, None) if target == "text" else (None, times)
        out: ZipperOutput = self.model(
            Stream(batch.text, text_order, text_times),
            Stream(speech, speech_order, speech_times),
            capture=self.weights.alignment > 0,
            targets=(target,),
        )
        return out

    def _corrupt(self, ids: Tensor, share: float) -> Tensor:
        hit = (torch.rand(ids.shape, device=ids.device) < share) & (ids < self.codes)
        return torch.where(hit, torch.randint_like(ids, self.codes), ids)

    def _jitter(self, ids: Tensor, share: float) -> Tensor:
        """Move a share of the codes one level up or down in one dimension, as another microphone would."""
        if not share:
            return ids
        steps = torch.tensor(self.weights.levels, device=ids.device)
        strides = torch.cumprod(torch.cat((torch.ones_like(steps[:1]), steps[:-1])), 0)
        dimension = torch.randint_like(ids, len(steps))
        level = ids // strides[dimension] % steps[dimension]
        moved = (level + 2 * torch.randint_like(ids, 2) - 1).clamp(min=0).minimum(steps[dimension] - 1)
        hit = (torch.rand(ids.shape, device=ids.device) < share) & (ids < self.codes)
        return torch.where(hit, ids + (moved - level) * strides[dimension], ids)

    def _recognize(self, batch: PairBatch) -> dict[str, Tensor]:
        out = self._run(batch, self.weights.asr_noise, self.weights.asr_jitter)
        assert out.text_logits is not None
        targets = _next(batch.text, batch.text_length)
        logits = out.text_logits.float()[:, :-1].flatten(0, 1)
        loss = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, label_smoothing=self.weights.smoothing)
        strayed = _strayed(out, "text", targets)
        right = (logits.argmax(-1) == targets.flatten())[targets.flatten() != IGNORED].float().mean()
        # Row i holds token i and produces token i + 1, so it belongs at the time of token i + 1.
        spans = batch.spans[:, 1:]
        positions = torch.arange(batch.speech.shape[1], device=spans.device)
        allowed = (positions >= spans[..., :1] - SLACK) & (positions <= spans[..., 1:] + SLACK)
        guide = self._guide([a.text_from_speech for a in out.attention], allowed, spans[..., 0] >= 0)
        piece_loss, pieces_right = self._piece_loss(out.sources["speech"], batch)
        return {
            "loss": loss + sum(strayed.values()) + self.weights.alignment * guide + self.weights.pieces * piece_loss,
            "asr": loss,
            **strayed,
            "asr_align": guide,
            "asr_right": right,
            "pieces": piece_loss,
            "pieces_right": pieces_right,
            "tokens": batch.speech_length.sum(),
        }

    def _piece_loss(self, states: Tensor, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of naming, at each speech token, the piece that was completed last."""
        targets = completed_pieces(batch)
        logits = self.piece_head(states).float()
        known = targets != IGNORED
        if not bool(known.any()):
            return logits.sum() * 0, logits.new_zeros(())
        right = (logits.argmax(-1) == targets)[known].float().mean()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED), right

    def _synthesize(self, batch: PairBatch) -> dict[str, Tensor]:
        out = self._run(batch, self.weights.tts_noise)
        assert out.speech_logits is not None
        targets = _next(batch.speech, batch.speech_length)
        loss = F.cross_entropy(out.speech_logits.float()[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        strayed = _strayed(out, "speech", targets)
        spans = batch.spans
        positions = torch.arange(1, batch.speech.shape[1], device=spans.device)[:, None]  # row j produces token j + 1
        first, last = spans[..., 0][:, None], spans[..., 1][:, None]  # (B, 1, T text)
        allowed = (positions >= first - SLACK) & (positions <= last + SLACK) & (first >= 0)
        guide = self._guide([a.speech_from_text for a in out.attention], allowed, allowed.any(-1))
        phone_loss, phones_right = self._phone_loss(out.finals["speech"], batch.phones)
        return {
            "loss": self.weights.tts * (loss + sum(strayed.values()))
            + self.weights.alignment * guide
            + self.weights.phones * phone_loss,
            "tts": loss,
            **strayed,
            "tts_align": guide,
            "phones": phone_loss,
            "phones_right": phones_right,
            "tokens": batch.speech_length.sum(),
        }

    def _phone_loss(self, states: Tensor, phones: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of naming, where a speech token is chosen, the phone that it begins with."""
        logits, targets = self.phone_head(states[:, :-1]).float(), phones[:, 1:]
        known = targets >= 0
        if not bool(known.any()):
            return logits.sum() * 0, logits.new_zeros(())
        right = (logits.argmax(-1) == targets)[known].float().mean()
        return F.cross_entropy(logits[known], targets[known]), right

    def _guide(self, weights: list[Tensor | None], allowed: Tensor, known: Tensor) -> Tensor:
        """Mean of -log of the attention that falls where it is allowed, over rows whose time is known."""
        heads = self.weights.alignment_heads
        losses = []
        for attention in weights:
            assert attention is not None
            rows = attention[:, :heads, : allowed.shape[1], : allowed.shape[2]]
            inside = (rows * allowed[:, None]).sum(-1)  # (B, heads, T)
            losses.append(-(inside + 1e-4).log().mean(1)[known].mean() if bool(known.any()) else inside.sum() * 0)
        return torch.stack(losses).mean() if losses else allowed.new_zeros((), dtype=torch.float32)


class ZipStage(PairStage):
    """Two towers: the text tower is frozen, the speech tower too unless it is to be trained."""

    model: ZipperModel
    weights: ZipLoss

    def __init__(self, model: ZipperModel, weights: ZipLoss, train_speech: bool = True) -> None:
        super().__init__(model, weights)
        model.text.requires_grad_(False)
        model.speech.requires_grad_(train_speech)

    def gates(self) -> dict[str, Tensor]:
        """How far each gate is open, tanh of its weight: "gate.TARGET.POINT.attention" and ".ff", POINT from 1 on."""
        config, zips = self.model.config, self.model.zips
        if not config.zip.gates:
            return {}
        return {
            f"gate.{target}.{point + 1}.{name}": gate
            for target in MODALITIES
            for point in range(config.zip_points)
            for name, gate in zip(("attention", "ff"), zips.block(point, target).gates((1.0, 1.0)), strict=True)
        }

    def _source_times(self, batch: PairBatch) -> Tensor:
        """Source times as inexact as tracking will make them."""
        times = source_times(batch, self.model.config)
        slips = (torch.rand_like(times) < self.weights.time_slips) * (torch.rand_like(times) - 0.5)
        return (times + torch.randn_like(times) * self.weights.time_noise + slips).clamp(min=0)


class SingleStage(PairStage):
    """A single decoder, all of which is tuned."""

    def _source_times(self, batch: PairBatch) -> None:
        """None: it takes no positions but those of the sequence."""


def _strayed(out: ZipperOutput, modality: Modality, targets: Tensor) -> dict[str, Tensor]:
    """What it costs that the next token might be of the other modality, by name; nothing where it cannot be.

    targets (B, T - 1 or T): IGNORED where there is no loss.
    """
    if modality not in out.strayed:
        return {}
    known = targets != IGNORED
    return {f"{modality}_strayed": out.strayed[modality][:, : targets.shape[1]][known].mean()}


def _next(ids: Tensor, lengths: Tensor) -> Tensor:
    """Targets (B, T - 1): the next token, IGNORED behind the end."""
    positions = torch.arange(1, ids.shape[1], device=ids.device)
    return torch.where(positions < lengths[:, None], ids[:, 1:], IGNORED)


def completed_pieces(batch: PairBatch) -> Tensor:
    """The text piece that was completed last at each speech token, (B, T speech); IGNORED where there is none."""
    positions = torch.arange(batch.speech.shape[1], device=batch.speech.device)
    last = batch.spans[..., 1]  # (B, T text)
    done = (last[:, None] >= 0) & (last[:, None] + PIECE_DELAY <= positions[:, None])  # (B, T speech, T text)
    numbers = torch.arange(batch.text.shape[1], device=positions.device)
    latest = torch.where(done, numbers, -1).amax(-1)  # pieces are in the order of speech
    targets = batch.text.gather(1, latest.clamp(min=0))
    return torch.where((latest >= 0) & (positions < batch.speech_length[:, None]), targets, IGNORED)


def source_times(batch: PairBatch, config: FusedConfig) -> Tensor:
    """Time in the source at which each target token belongs, (B, T) seconds.

    Text lies at the middle of its span of speech, speech at the piece that began last. Where the times are unknown
    both run at a steady pace.
    """
    known = batch.spans[..., 0] >= 0  # (B, T text)
    if batch.task == "recognize":
        middles = batch.spans.float().mean(-1)
        steady = _steady(batch.text.shape[1], batch.text_length, batch.speech_length)
        return torch.where(_aligned(known), middles.clamp(min=0), steady) * config.seconds_per_token("speech")
    positions = torch.arange(batch.speech.shape[1], device=known.device)
    begun = (batch.spans[:, None, :, 0] <= positions[:, None]) & known[:, None]
    steady = _steady(batch.speech.shape[1], batch.speech_length, batch.text_length)
    return torch.where(_aligned(known), begun.sum(-1).float(), steady) * config.seconds_per_token("text")


def _aligned(known: Tensor) -> Tensor:
    """(B, 1): utterances whose times are known."""
    return known.any(1, keepdim=True)


def _steady(count: int, target: Tensor, source: Tensor) -> Tensor:
    """Source positions (B, count) of target tokens spread evenly."""
    return torch.arange(count, device=target.device)[None] * (source / target)[:, None]


class Mixture:
    """Batch number -> a batch of one of several kinds, in a fixed rotation that gives each kind its share."""

    def __init__(self, kinds: list[tuple[Callable[[int], Any], int]]) -> None:
        """kinds: (batches, how many in each rotation)."""
        self.kinds, self.turn_length = kinds, sum(count for _, count in kinds)
        self.slots = sorted((nth / count, kind, nth) for kind, (_, count) in enumerate(kinds) for nth in range(count))

    def __call__(self, number: int) -> Any:
        """Batch `number`, of the kind whose turn it is."""
        turn, slot = divmod(number, self.turn_length)
        _, kind, nth = self.slots[slot]
        batches, count = self.kinds[kind]
        return batches(turn * count + nth)
