"""Speech tokenizer trained through ASR: the codes must keep what Whisper's text decoder needs.

The codes of a changed recording (noise, room, band) are read by the decoder half, which must name the phone in each
20 ms, rebuild the features of the clean recording and, through a bridge, feed Whisper's frozen text decoder:
cross-entropy on the transcript, and KL divergence from what the decoder makes of the clean features. Only the codes lie
between the two, so they learn to keep words.

Shapes: B clips, N samples, F frames (50 Hz), T tokens (25 Hz), L text tokens, W feature width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from zipper.data.batching import IGNORED, BatchPlan
from zipper.data.waveforms import DeviceAugmentConfig, DeviceAugmenter, Waveforms, bucket
from zipper.rates import FRAME_RATE, FRAMES_PER_TOKEN, SPEECH_RATE, TOKEN_RATE
from zipper.speech.quantizer import ConvBlock, Quantizer
from zipper.speech.whisper_encoder import WhisperEncoder, log_mels
from zipper.training.whisper_decoder import WhisperDecoder

PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")  # before a transcript
END = "<|endoftext|>"
SILENCE_SECONDS = 0.6  # behind each clip
MAX_SAMPLES = 26 * SPEECH_RATE  # slowed down by a tenth it still fits Whisper's 30 s


@dataclass(frozen=True)
class AsrTokenizerLoss:
    """Weights of the parts and regularization."""

    text: float = 1.0
    teacher: float = 0.6  # share of the KL divergence in the loss of the text; the rest is cross-entropy
    phones: float = 0.5
    features: float = 0.3
    dropout: float = 0.1
    masked: float = 0.06  # share of the time that is hidden
    mask_seconds: float = 0.2  # longest hidden stretch
    plain: float = 0.2  # share of the batches that are not changed by microphone and room


@dataclass(frozen=True)
class AsrTokenizerConfig:
    """Sizes of the bridge and of a batch, losses and augmentation."""

    bridge_blocks: int = 4
    batch_seconds: float = 400.0
    loss: AsrTokenizerLoss = field(default_factory=AsrTokenizerLoss)
    augment: DeviceAugmentConfig = field(default_factory=DeviceAugmentConfig)


class AsrTokenizerBatch(NamedTuple):
    """samples (B, N), lengths (B,) samples, labels (B, F) phones or IGNORED.

    text: (B, L) prompt, transcript and end, IGNORED behind.
    """

    samples: Tensor
    lengths: Tensor
    labels: Tensor
    text: Tensor


class Bridge(nn.Module):
    """States of the decoder half (B, T, C) to features for Whisper's decoder (B, 2 T, W); used in training alone."""

    def __init__(self, quantizer: Quantizer, blocks: int) -> None:
        super().__init__()
        config = quantizer.config
        self.blocks = nn.ModuleList(ConvBlock(config.width, config.kernel) for _ in range(blocks))
        for block in self.blocks:
            nn.init.zeros_(block.down.weight)  # type: ignore[union-attr, arg-type]
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.feature_width * FRAMES_PER_TOKEN)
        self.head.load_state_dict(quantizer.feature_head.state_dict())

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, C), mask (B, T, 1) of the real ones -> features (B, 2 T, W)."""
        for block in self.blocks:
            states = block(states, mask)
        features: Tensor = self.head(self.norm(states))
        return features.view(len(states), states.shape[1] * FRAMES_PER_TOKEN, -1)


class AsrTokenizerStage(nn.Module):
    """Quantizer and bridge with their loss; encoder and decoder of Whisper stand by, frozen and out of the state."""

    def __init__(
        self,
        quantizer: Quantizer,
        encoder: WhisperEncoder,
        decoder: WhisperDecoder,
        augmenter: DeviceAugmenter,
        config: AsrTokenizerConfig,
        prompt: int,
    ) -> None:
        """prompt: text tokens before the transcript, for which there is no loss."""
        super().__init__()
        self.quantizer, self.config, self.prompt = quantizer, config, prompt
        self.bridge = Bridge(quantizer, config.bridge_blocks)
        self._frozen = (encoder, decoder)  # a tuple, so that they are no part of what is trained and saved
        self.augmenter = augmenter
        for module in self.modules():
            if isinstance(module, ConvBlock):
                module.dropout.p = config.loss.dropout

    def forward(self, batch: AsrTokenizerBatch) -> dict[str, Tensor]:
        """Losses by name; changes the recordings while training."""
        encoder, _ = self._frozen
        samples, lengths, ratio = *_with_silence(batch), None
        if self.training:
            samples, lengths, ratio = self.augmenter.speed(samples, lengths)
        with torch.no_grad():
            mels, counts = log_mels(samples.float(), lengths)
            clean = encoder(mels, counts).float()
            noisy = clean
            if self.training and float(torch.rand(())) > self.config.loss.plain:
                noisy = encoder(*log_mels(self.augmenter(samples.float(), lengths), lengths)).float()
        tokens = counts // 2 // FRAMES_PER_TOKEN
        if ratio is None:
            ratio = torch.ones(len(samples), device=samples.device)
        labels = stretch(batch.labels, ratio, clean.shape[1])
        if self.training:
            noisy = self._mask(noisy)
        return self._losses(clean, noisy, tokens, labels, batch.text)

    def _mask(self, features: Tensor) -> Tensor:
        """Hide some stretches of time: their features become the mean of the training data."""
        loss, (B, frames, _) = self.config.loss, features.shape
        longest = int(loss.mask_seconds * FRAME_RATE)
        starts = torch.rand(B, frames, device=features.device) < loss.masked * 2 / longest
        sizes = torch.randint(1, longest + 1, (B, frames), device=features.device)
        ends = torch.where(starts, torch.arange(frames, device=features.device) + sizes, 0).cummax(1).values
        hidden = torch.arange(frames, device=features.device) < ends
        return torch.where(hidden[..., None], self.quantizer.mean, features)

    def _losses(self, clean: Tensor, noisy: Tensor, tokens: Tensor, labels: Tensor, text: Tensor) -> dict[str, Tensor]:
        weights, quantizer = self.config.loss, self.quantizer
        out = quantizer(noisy, tokens)
        position = torch.arange(clean.shape[1], device=clean.device)
        mask = position < tokens[:, None] * FRAMES_PER_TOKEN  # (B, F)
        error = (out.features.float() - quantizer.standardize(clean)).square().mean(-1)
        error = (error * mask).sum() / mask.sum()
        known = labels != IGNORED
        phones = F.cross_entropy(out.phones.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        right = ((out.phones.argmax(-1) == labels) & known).sum() / known.sum().clamp(min=1)
        entropy, divergence, right_text = self._decoder_losses(clean, out.states, tokens, text)
        loss = weights.text * torch.lerp(entropy, divergence, weights.teacher)
        inside = torch.arange(out.ids.shape[1], device=tokens.device) < tokens[:, None]  # (B, T)
        used = torch.bincount(out.ids[inside])
        return {
            "loss": loss + weights.phones * phones + weights.features * error,
            "text": entropy,
            "kl": divergence,
            "text_right": right_text,
            "phones": phones,
            "phones_right": right,
            "mse": error,
            "codes": (used > 0).sum().float(),
            "tokens": tokens.sum(),
        }

    def _decoder_losses(
        self, clean: Tensor, states: Tensor, tokens: Tensor, text: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy, KL divergence and share of right text tokens, of what is behind the prompt."""
        _, decoder = self._frozen
        frames = tokens * FRAMES_PER_TOKEN
        mask = (torch.arange(states.shape[1], device=states.device) < tokens[:, None])[..., None].float()
        bridged = self.bridge(states, mask) / self.quantizer.scale + self.quantizer.mean
        inputs, targets = text[:, :-1].clamp(min=0), text[:, 1:].clone()
        targets[:, : self.prompt - 1] = IGNORED
        counted = targets != IGNORED
        with torch.no_grad():
            teacher = decoder(inputs, clean.to(bridged.dtype), frames)[counted].float().log_softmax(-1)
        student = decoder(inputs, bridged, frames)[counted].float().log_softmax(-1)
        truth = targets[counted]
        entropy = F.nll_loss(student, truth)
        divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
        return entropy, divergence, (student.argmax(-1) == truth).float().mean()


def _with_silence(batch: AsrTokenizerBatch) -> tuple[Tensor, Tensor]:
    """Samples and lengths with silence behind each clip: without it Whisper's decoder does not know that it ended."""
    silence = int(SILENCE_SECONDS * SPEECH_RATE)
    lengths = (batch.lengths + silence).clamp(max=MAX_SAMPLES)
    width = bucket(int(lengths.max()))
    return F.pad(batch.samples, (0, max(0, width - batch.samples.shape[1])))[:, :width], lengths


def stretch(labels: Tensor, ratio: Tensor, frames: int) -> Tensor:
    """Labels (B, F) of clips that became faster by ratio (B,): (B, frames)."""
    position = (torch.arange(frames, device=labels.device) * ratio[:, None]).long()
    inside = position < labels.shape[1]
    return torch.where(inside, labels.gather(1, position.clamp(max=labels.shape[1] - 1)), IGNORED)


class AsrTokenizerBatches:
    """Batch number -> AsrTokenizerBatch on the device of the waveforms."""

    def __init__(
        self,
        waveforms: Waveforms,
        names: Sequence[str],
        labels: Mapping[str, np.ndarray],
        texts: Mapping[str, Sequence[int]],
        seconds: float,
        seed: int,
    ) -> None:
        """names: utterances, some maybe several times; labels: phones at 50 Hz; texts: prompt, transcript and end."""
        self.waveforms, self.names, self.labels, self.texts = waveforms, list(names), labels, texts
        sizes = [int(waveforms.counts[waveforms.index[name]]) for name in self.names]
        self.plan = BatchPlan([-(-size * TOKEN_RATE // SPEECH_RATE) for size in sizes], int(seconds * TOKEN_RATE), seed)

    def __call__(self, number: int) -> AsrTokenizerBatch:
        """Batch `number` of an endless sequence of epochs."""
        return self.collate([self.names[i] for i in self.plan[number]])

    def collate(self, names: Sequence[str]) -> AsrTokenizerBatch:
        """Gather and pad the recordings of these names."""
        device = self.waveforms.device
        samples, lengths = self.waveforms.gather(names)
        frames = FRAMES_PER_TOKEN * -(-samples.shape[1] * TOKEN_RATE // SPEECH_RATE)
        labels = torch.full((len(names), frames), IGNORED)
        for row, name in enumerate(names):
            if (known := self.labels.get(name)) is not None:
                known = known[:frames]
                labels[row, : len(known)] = torch.from_numpy(known.astype(np.int64))
        texts = [torch.tensor(self.texts[name]) for name in names]
        longest = max(map(len, texts))
        texts[0] = F.pad(texts[0], (0, -(-longest // 32) * 32 - len(texts[0])), value=IGNORED)
        text = pad_sequence(texts, batch_first=True, padding_value=IGNORED)
        return AsrTokenizerBatch(samples, lengths, labels.to(device), text.to(device))
