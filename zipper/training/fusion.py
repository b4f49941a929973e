"""Stage `zip`: fuse two pre-trained towers on aligned speech and text.

The text tower stays frozen, the speech tower and the zips are trained; the loss is on the target modality, as in the
paper. Ours is the alignment loss: the generators' durations and a forced alignment say when each word is spoken, and
a few heads of each zip point are drawn there. It replaces the many steps in which attention would have to find the
diagonal by itself, and gives the word times of the product. With the same times, a linear layer that is used in
training alone names at every speech token the text piece that was completed last: recognition then has little
more to do than to look it up, as in hybrid CTC/attention training (Watanabe et al. 2017), with the alignment given.
In synthesis another such layer names the phone of the token that is chosen next: of all that a code says, that is what
must come from the text.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.data.pairs import SLACK, PairBatch, orders
from zipper.data.phones import PHONES
from zipper.errors import ConfigError
from zipper.model.config import Modality, ZipConfig
from zipper.model.zipper import Stream, ZipperModel, ZipperOutput

IGNORED = -100
HEARD_AFTER = 1  # speech tokens after the last one of a piece at which the speech tower is asked for it


@dataclass(frozen=True)
class ZipLoss:
    """Weights and regularization."""

    alignment: float = 0.3
    alignment_heads: int = 2  # the first ones of every zip point
    heard: float = 0.5  # weight of naming the piece that was completed last, at every speech token
    spoken: float = 0.3  # weight of naming the phone of the next speech token in synthesis
    synthesis: float = 1.0  # weight of the synthesis loss, recognition is 1
    speech_noise: float = 0.08  # share of the speech inputs of synthesis replaced by random codes
    hearing_noise: float = 0.04  # the same for recognition
    hearing_jitter: float = 0.0  # share of the speech inputs of recognition that slip to a neighboring code
    levels: tuple[int, ...] = (8, 8, 8, 8)  # of the quantizer; they say which codes are neighbors
    smoothing: float = 0.05  # label smoothing on text
    place_noise: float = 0.08  # seconds by which the known places of tokens are shaken, as tracking will be off
    place_slips: float = 0.08  # share of tokens whose place is off by up to half a second


class ZipStage(nn.Module):
    """The fused model and its losses on PairBatch, or on windows of speech tokens alone."""

    def __init__(self, model: ZipperModel, weights: ZipLoss) -> None:
        super().__init__()
        self.model, self.weights = model, weights
        self.model.text.requires_grad_(False)
        speech = model.config.speech
        if weights.hearing_jitter and math.prod(weights.levels) != min(speech.begin_id, speech.end_id):
            raise ConfigError(f"levels={weights.levels} do not multiply to the codes of the speech tower.")
        self.heard = nn.Linear(speech.width, model.config.text.vocab_size)
        self.spoken = nn.Linear(speech.width, len(PHONES))
        for head in (self.heard, self.spoken):  # at first they pull at nothing: the states are large
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, batch: PairBatch | Tensor) -> dict[str, Tensor]:
        if isinstance(batch, Tensor):
            return self._speech_alone(batch)
        return self._recognize(batch) if batch.task == "recognize" else self._synthesize(batch)

    def _speech_alone(self, windows: Tensor) -> dict[str, Tensor]:
        logits = self.model.speech(windows[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())
        return {"loss": loss, "speech": loss, "tokens": torch.tensor(float(windows.numel()))}

    def _run(self, batch: PairBatch, noise: float, jitter: float = 0.0) -> ZipperOutput:
        text_order, speech_order = orders(batch)
        speech = self._corrupt(self._jitter(batch.speech, jitter), noise)
        target: Modality = "text" if batch.task == "recognize" else "speech"
        place = self._shake(places(batch, self.model.config.zip))
        text_place, speech_place = (place, None) if target == "text" else (None, place)
        return self.model(
            Stream(batch.text, text_order, text_place),
            Stream(speech, speech_order, speech_place),
            capture=True,
            targets=(target,),
        )

    def _shake(self, place: Tensor) -> Tensor:
        """Places as inexact as tracking them will be."""
        slips = (torch.rand_like(place) < self.weights.place_slips) * (torch.rand_like(place) - 0.5)
        return (place + torch.randn_like(place) * self.weights.place_noise + slips).clamp(min=0)

    def _corrupt(self, ids: Tensor, share: float) -> Tensor:
        config = self.model.config.speech
        codes = min(config.begin_id, config.end_id)  # codes come first in the vocabulary
        hit = (torch.rand(ids.shape, device=ids.device) < share) & (ids < codes)
        return torch.where(hit, torch.randint_like(ids, codes), ids)

    def _jitter(self, ids: Tensor, share: float) -> Tensor:
        """Move a share of the codes one level up or down in one dimension, as another microphone would."""
        config = self.model.config.speech
        if not share:
            return ids
        steps = torch.tensor(self.weights.levels, device=ids.device)
        strides = torch.cumprod(torch.cat((torch.ones_like(steps[:1]), steps[:-1])), 0)
        dimension = torch.randint_like(ids, len(steps))
        level = ids // strides[dimension] % steps[dimension]
        moved = (level + 2 * torch.randint_like(ids, 2) - 1).clamp(min=0).minimum(steps[dimension] - 1)
        hit = (torch.rand(ids.shape, device=ids.device) < share) & (ids < min(config.begin_id, config.end_id))
        return torch.where(hit, ids + (moved - level) * strides[dimension], ids)

    def _recognize(self, batch: PairBatch) -> dict[str, Tensor]:
        out = self._run(batch, self.weights.hearing_noise, self.weights.hearing_jitter)
        assert out.text_logits is not None
        targets = _next(batch.text, batch.text_length)
        logits = out.text_logits.float()[:, :-1].flatten(0, 1)
        loss = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, label_smoothing=self.weights.smoothing)
        right = (logits.argmax(-1) == targets.flatten())[targets.flatten() != IGNORED].float().mean()
        # Row i holds token i and produces token i + 1, so it belongs at the time of token i + 1.
        spans = batch.spans[:, 1:]
        places = torch.arange(batch.speech.shape[1], device=spans.device)
        allowed = (places >= spans[..., :1] - SLACK) & (places <= spans[..., 1:] + SLACK)
        guide = self._guide([a.text_from_speech for a in out.attention], allowed, spans[..., 0] >= 0)
        heard, named = self._heard(out.sources["speech"], batch)
        return {
            "loss": loss + self.weights.alignment * guide + self.weights.heard * heard,
            "asr": loss,
            "asr_align": guide,
            "asr_right": right,
            "heard": heard,
            "heard_right": named,
            "tokens": batch.speech_length.sum(),
        }

    def _heard(self, states: Tensor, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of naming, at each speech token, the piece that was completed last."""
        targets = completed_pieces(batch)
        logits = self.heard(states).float()
        known = targets != IGNORED
        if not bool(known.any()):
            return logits.sum() * 0, logits.new_zeros(())
        right = (logits.argmax(-1) == targets)[known].float().mean()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED), right

    def _synthesize(self, batch: PairBatch) -> dict[str, Tensor]:
        out = self._run(batch, self.weights.speech_noise)
        assert out.speech_logits is not None
        targets = _next(batch.speech, batch.speech_length)
        loss = F.cross_entropy(out.speech_logits.float()[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        spans = batch.spans
        places = torch.arange(1, batch.speech.shape[1], device=spans.device)[:, None]  # row j produces token j + 1
        first, last = spans[..., 0][:, None], spans[..., 1][:, None]  # (B, 1, T text)
        allowed = (places >= first - SLACK) & (places <= last + SLACK) & (first >= 0)
        guide = self._guide([a.speech_from_text for a in out.attention], allowed, allowed.any(-1))
        spoken, named = self._spoken(out.finals["speech"], batch.phones)
        return {
            "loss": self.weights.synthesis * loss + self.weights.alignment * guide + self.weights.spoken * spoken,
            "tts": loss,
            "tts_align": guide,
            "spoken": spoken,
            "spoken_right": named,
            "tokens": batch.speech_length.sum(),
        }

    def _spoken(self, states: Tensor, phones: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of naming, where a speech token is chosen, the phone that it begins with."""
        logits, targets = self.spoken(states[:, :-1]).float(), phones[:, 1:]
        known = targets >= 0
        if not bool(known.any()):
            return logits.sum() * 0, logits.new_zeros(())
        right = (logits.argmax(-1) == targets)[known].float().mean()
        return F.cross_entropy(logits[known], targets[known]), right

    def _guide(self, weights: list[Tensor | None], allowed: Tensor, known: Tensor) -> Tensor:
        """Mean of -log of the attention that falls where it is allowed, over rows whose time is known."""
        heads = self.weights.alignment_heads
        losses = []
        for found in weights:
            assert found is not None
            rows = found[:, :heads, : allowed.shape[1], : allowed.shape[2]]
            inside = (rows * allowed[:, None]).sum(-1)  # (B, heads, T)
            losses.append(-(inside + 1e-4).log().mean(1)[known].mean() if bool(known.any()) else inside.sum() * 0)
        return torch.stack(losses).mean()


def _next(ids: Tensor, lengths: Tensor) -> Tensor:
    """Targets (B, T - 1): the next token, IGNORED behind the end."""
    places = torch.arange(1, ids.shape[1], device=ids.device)
    return torch.where(places < lengths[:, None], ids[:, 1:], IGNORED)


def completed_pieces(batch: PairBatch) -> Tensor:
    """The text piece that was completed last at each speech token, (B, T speech); IGNORED where there is none."""
    at = torch.arange(batch.speech.shape[1], device=batch.speech.device)
    last = batch.spans[..., 1]  # (B, T text)
    done = (last[:, None] >= 0) & (last[:, None] + HEARD_AFTER <= at[:, None])  # (B, T speech, T text)
    numbers = torch.arange(batch.text.shape[1], device=at.device)
    latest = torch.where(done, numbers, -1).amax(-1)  # pieces are in the order of speech
    targets = batch.text.gather(1, latest.clamp(min=0))
    return torch.where((latest >= 0) & (at < batch.speech_length[:, None]), targets, IGNORED)


def places(batch: PairBatch, zips: ZipConfig) -> Tensor:
    """Where each token of the target is found in the source, (B, T) seconds of the source.

    Text lies at the middle of its span of speech, speech at the piece that began last. Where the times are unknown
    both run at a steady pace.
    """
    known = batch.spans[..., 0] >= 0  # (B, T text)
    if batch.task == "recognize":
        found = batch.spans.float().mean(-1)
        steady = _steady(batch.text.shape[1], batch.text_length, batch.speech_length)
        return torch.where(_aligned(known), found.clamp(min=0), steady) * zips.speech_seconds_per_token
    at = torch.arange(batch.speech.shape[1], device=known.device)
    begun = (batch.spans[:, None, :, 0] <= at[:, None]) & known[:, None]
    steady = _steady(batch.speech.shape[1], batch.speech_length, batch.text_length)
    return torch.where(_aligned(known), begun.sum(-1).float(), steady) * zips.text_seconds_per_token


def _aligned(known: Tensor) -> Tensor:
    """(B, 1): utterances whose times are known."""
    return known.any(1, keepdim=True)


def _steady(count: int, target: Tensor, source: Tensor) -> Tensor:
    """Source positions (B, count) of target tokens spread evenly."""
    return torch.arange(count, device=target.device)[None] * (source / target)[:, None]


class Mixture:
    """Batch number -> a batch of one of several kinds, in a fixed rotary that gives each kind its share."""

    def __init__(self, kinds: list[tuple[Callable[[int], Any], int]]) -> None:
        """kinds: (batches, how many of each rotary)."""
        self.kinds, self.rotary = kinds, sum(count for _, count in kinds)
        self.places = sorted(
            (place / count, kind, place) for kind, (_, count) in enumerate(kinds) for place in range(count)
        )

    def __call__(self, number: int) -> Any:
        rotary, place = divmod(number, self.rotary)
        _, kind, nth = self.places[place]
        batches, count = self.kinds[kind]
        return batches(rotary * count + nth)
