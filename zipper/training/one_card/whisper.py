"""Whisper, frozen, as a job on one GPU uses it: features, phones in time, transcripts of recordings."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from zipper.data.batching import BatchPlan
from zipper.data.labels import fit_classifier
from zipper.data.phones import PhoneClassifier
from zipper.data.waveforms import Waveforms
from zipper.rates import SPEECH_RATE, TOKEN_RATE
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder, log_mels
from zipper.training.tokenizer_asr import END, PROMPT
from zipper.training.whisper_decoder import DecoderConfig, WhisperDecoder

ENCODE_SECONDS = 1600.0  # of speech that go through the encoder at once
TEACHER_SILENCE = 1.0  # seconds behind a recording, without which the teacher may run on
PIECES_A_SECOND = 6  # of a transcript, at most
CLASSIFIER_ROWS = 4096  # frames of a step of the phone classifier


@dataclass(frozen=True)
class Whisper:
    """The frozen encoder and decoder of Whisper and the text pieces of its decoder."""

    encoder: WhisperEncoder
    decoder: WhisperDecoder
    pieces: Tokenizer
    kept: list[int]  # ids of the pieces that the decoder keeps, sorted
    number: dict[int, int]  # of each kept piece
    device: torch.device

    def ids(self, text: str) -> list[int]:
        """Prompt, transcript and end, as the decoder numbers its pieces; pieces that it lacks are left out."""
        whole = self.pieces.encode(" " + text.strip(), add_special_tokens=False).ids
        *prompt, end = self.marks()
        return [*prompt, *(self.number[i] for i in whole if i in self.number), end]

    def marks(self) -> list[int]:
        """Prompt and end, as the decoder numbers its pieces."""
        ids = (self.pieces.token_to_id(mark) for mark in (*PROMPT, END))
        return [self.number[i] for i in ids if i is not None]

    def text(self, ids: Sequence[int]) -> str:
        """Text of ids as the decoder numbers them."""
        return str(self.pieces.decode([self.kept[i] for i in ids], skip_special_tokens=True)).strip()


def load_encoder(pack: Path, device: torch.device) -> WhisperEncoder:
    """Read the pack's encoder, which stays as it is."""
    encoder = WhisperEncoder(EncoderConfig())
    encoder.load_state_dict({name: weight.float() for name, weight in load_file(pack / "encoder.safetensors").items()})
    return encoder.eval().requires_grad_(False).to(device)


def load_whisper(pack: Path, device: torch.device) -> Whisper:
    """Read the pack's encoder and decoder."""
    encoder = load_encoder(pack, device)
    kept = json.loads((pack / "whisper" / "kept.json").read_text())
    decoder = WhisperDecoder(DecoderConfig(len(kept)))
    decoder.load_state_dict({n: w.float() for n, w in load_file(pack / "whisper" / "decoder.safetensors").items()})
    pieces = Tokenizer.from_file(str(pack / "whisper" / "tokenizer.json"))
    decoder.eval().requires_grad_(False).to(device)
    return Whisper(encoder, decoder, pieces, kept, {piece: index for index, piece in enumerate(kept)}, device)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 for what runs on this device."""
    return torch.autocast(device.type, dtype=torch.bfloat16)


def batches_of(waveforms: Waveforms, names: Sequence[str], seconds: float) -> Iterator[list[str]]:
    """Names of similar length together."""
    sizes = [-(-int(waveforms.counts[waveforms.index[name]]) * TOKEN_RATE // SPEECH_RATE) for name in names]
    plan = BatchPlan(sizes, int(seconds * TOKEN_RATE), 0)
    for batch in plan.batches(0):
        yield [names[i] for i in batch]


@torch.inference_mode()
def features_of(encoder: WhisperEncoder, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, F, W) in bfloat16 and their number (B,) of frames."""
    mels, counts = log_mels(samples, lengths)
    with autocast(samples.device):
        return encoder(mels, counts), counts // 2


def phone_classifier(
    whisper: Whisper, waveforms: Waveforms, phones: Mapping[str, np.ndarray], steps: int
) -> PhoneClassifier:
    """Learn phones from generated speech, whose durations are known."""
    inputs, labels = [], []
    for names in batches_of(waveforms, list(phones), ENCODE_SECONDS):
        features, frames = features_of(whisper.encoder, *waveforms.gather(names))
        for row, (name, count) in enumerate(zip(names, frames.tolist(), strict=True)):
            known = phones[name][:count]
            inputs.append(features[row, : len(known)].clone())
            labels.append(torch.from_numpy(known.astype(np.int64)))
    return fit_classifier(torch.cat(inputs), torch.cat(labels).to(whisper.device), steps, seed=0, rows=CLASSIFIER_ROWS)


@torch.inference_mode()
def phone_log_probs(
    whisper: Whisper, classifier: PhoneClassifier, waveforms: Waveforms, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (F, phones) float16) of each recording."""
    for batch in batches_of(waveforms, names, ENCODE_SECONDS):
        features, frames = features_of(whisper.encoder, *waveforms.gather(batch))
        probs = classifier(features.float()).log_softmax(-1).half().cpu().numpy()
        for name, row, count in zip(batch, probs, frames.tolist(), strict=True):
            yield name, row[:count]


@torch.inference_mode()
def transcripts(whisper: Whisper, waveforms: Waveforms, names: Sequence[str], seconds: float) -> dict[str, str]:
    """What the teacher reads in each recording, as many as it can in so many seconds."""
    deadline = time.monotonic() + seconds
    *prompt, end = whisper.marks()
    texts: dict[str, str] = {}
    for batch in batches_of(waveforms, names, ENCODE_SECONDS):
        if time.monotonic() > deadline:
            break
        samples, lengths = waveforms.gather(batch)
        longer = (lengths + int(TEACHER_SILENCE * SPEECH_RATE)).clamp(max=int(29.9 * SPEECH_RATE))
        features, frames = features_of(
            whisper.encoder, F.pad(samples, (0, int(longer.max()) - samples.shape[1])), longer
        )
        limit = min(220, 8 + int(PIECES_A_SECOND * int(longer.max()) / SPEECH_RATE))
        with autocast(whisper.device):
            ids = whisper.decoder.greedy(torch.tensor(prompt, device=whisper.device), features, frames, end, limit)
        for name, row in zip(batch, ids.tolist(), strict=True):
            texts[name] = whisper.text(row[: row.index(end)] if end in row else row)
    return texts
