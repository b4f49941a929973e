"""Stage `quantization-cost`: how many word errors the quantizer adds.

The same small recognizer learns from speech tokens and from the features that they are made of; both then read
held-out recordings as they are, in noise and through Opus. Beside the word errors stand the use of the codes and how
many of them a disturbance changes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import jiwer
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.data.augment import add_noise, through_opus
from zipper.data.batching import IGNORED, BatchPlan
from zipper.data.features import decode, encode
from zipper.data.held_out import is_held_out
from zipper.data.labels import Aligned, read_aligned
from zipper.data.manifest import read_audio_bytes, source_name
from zipper.data.pairs import piece_spans
from zipper.data.store import Store
from zipper.rates import FRAMES_PER_TOKEN
from zipper.speech.quantizer import ConvBlock, Quantizer
from zipper.speech.whisper_encoder import WhisperEncoder, log_mel
from zipper.text.tokenizer import TextTokenizer
from zipper.training.loop import Trainer
from zipper.training.processes import Processes
from zipper.training.schedule import LoopConfig

InputKind = Literal["tokens", "features"]
KINDS: tuple[InputKind, InputKind] = ("features", "tokens")
WIDTH, BLOCKS, KERNEL = 256, 5, 15  # of the recognizer: it sees 1.4 s to either side
BATCH_TOKENS = 5000
PATH_WEIGHT = 0.3  # of the known alignment beside CTC, which would take long to find it
BLANK = 0  # pieces follow from 1 on
NOISE_DB = 10.0  # signal above the noise
OPUS_RATE = 8_000  # Hz


class RecognizerBatch(NamedTuple):
    """inputs (B, T) tokens or (B, T, 2W) features; path (B, T) pieces + 1 where one ends; pieces (B, L) + 1."""

    inputs: Tensor
    lengths: Tensor
    path: Tensor
    pieces: Tensor
    piece_lengths: Tensor


class Recognizer(nn.Module):
    """Convolutions over 25 Hz inputs that name text pieces or, between them, the blank."""

    def __init__(self, kind: InputKind, quantizer: Quantizer, pieces: int) -> None:
        super().__init__()
        self.kind = kind
        config = quantizer.config
        self.register_buffer("grid", quantizer.fsq.latents(torch.arange(config.codes)))
        self.register_buffer("mean", quantizer.mean.repeat(FRAMES_PER_TOKEN))
        self.register_buffer("scale", quantizer.scale.repeat(FRAMES_PER_TOKEN))
        width = len(config.levels) if kind == "tokens" else config.feature_width * FRAMES_PER_TOKEN
        self.enter = nn.Linear(width, WIDTH)
        self.table = nn.Embedding(config.codes, WIDTH) if kind == "tokens" else None
        self.blocks = nn.ModuleList(ConvBlock(WIDTH, KERNEL) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.name = nn.Linear(WIDTH, 1 + pieces)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) tokens or (B, T, 2W) features, lengths (B,) -> logits (B, T, 1 + pieces)."""
        if self.table is not None:
            x = self.enter(self.get_buffer("grid")[inputs]) + self.table(inputs)
        else:
            x = self.enter((inputs.float() - self.get_buffer("mean")) / self.get_buffer("scale"))
        mask = (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).to(x.dtype)[..., None]
        for block in self.blocks:
            x = block(x, mask)
        logits: Tensor = self.name(self.norm(x))
        return logits


class RecognizerStage(nn.Module):
    """CTC (Graves et al. 2006), with the path that the word times suggest."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognizer = recognizer

    def forward(self, batch: RecognizerBatch) -> dict[str, Tensor]:
        """Losses by name of a batch of recognition."""
        logits = self.recognizer(batch.inputs, batch.lengths).float()
        path = F.cross_entropy(logits.flatten(0, 1), batch.path.flatten(), ignore_index=IGNORED)
        scores = logits.log_softmax(-1).transpose(0, 1)
        ctc = F.ctc_loss(scores, batch.pieces, batch.lengths, batch.piece_lengths, BLANK, zero_infinity=True)
        loss = ctc + PATH_WEIGHT * path
        return {"loss": loss, "ctc": ctc, "path": path, "tokens": batch.lengths.sum()}


@dataclass(frozen=True)
class CostRow:
    """One row of the result; unchanged: share of codes that are those of the clean recording, in per cent."""

    inputs: InputKind
    condition: str
    wer: float
    cer: float
    code_perplexity: float | None = None
    unchanged: float | None = None


class RecognizerBatches:
    """Batch number -> RecognizerBatch of one kind of input, over the utterances whose word times are known."""

    def __init__(
        self, kind: InputKind, work: Path, sources: Sequence[str], tokenizer: TextTokenizer, seed: int
    ) -> None:
        self.kind, self.tokenizer = kind, tokenizer
        self.stores = {name: Store(work / kind / name) for name in sources}
        rows = [(name, row) for name in sources for row in read_aligned(work / "labels" / name)]
        self.rows = [(n, r) for n, r in rows if r.id in self.stores[n] and r.words and not is_held_out(r.id)]
        self.plan = BatchPlan([self._length(*row) for row in self.rows], BATCH_TOKENS, seed)

    def _length(self, source: str, row: Aligned) -> int:
        length = self.stores[source].length(row.id)
        return length if self.kind == "tokens" else length // FRAMES_PER_TOKEN

    def __call__(self, number: int) -> RecognizerBatch:
        """Batch `number` of an endless sequence of epochs."""
        picked = [self.rows[i] for i in self.plan[number]]
        inputs = [as_inputs(self.kind, np.array(self.stores[source][row.id])) for source, row in picked]
        return collate(inputs, [row for _, row in picked], self.tokenizer)


def as_inputs(kind: InputKind, array: np.ndarray) -> Tensor:
    """Tokens as they are; features (F, W) in pairs, (F / 2, 2W)."""
    if kind == "tokens":
        return torch.from_numpy(array.astype(np.int64))
    whole = len(array) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
    return torch.from_numpy(array[:whole]).reshape(-1, FRAMES_PER_TOKEN * array.shape[1])


def collate(inputs: Sequence[Tensor], rows: Sequence[Aligned], tokenizer: TextTokenizer) -> RecognizerBatch:
    """Padded inputs and targets."""
    lengths = torch.tensor([len(x) for x in inputs])
    pieces = [[piece + 1 for piece in tokenizer.encode(row.text)] for row in rows]
    path = torch.full((len(rows), int(lengths.max())), IGNORED)
    for number, (row, ids) in enumerate(zip(rows, pieces, strict=True)):
        path[number, : lengths[number]] = BLANK
        spans = piece_spans([piece - 1 for piece in ids], tokenizer, row.words)
        for piece, (_, last) in zip(ids, spans, strict=True):
            if 0 <= last < lengths[number]:
                path[number, last] = piece
    longest = max(map(len, pieces))
    padded = torch.tensor([[*ids, *[BLANK] * (longest - len(ids))] for ids in pieces])
    joined = torch.nn.utils.rnn.pad_sequence(list(inputs), batch_first=True)
    return RecognizerBatch(joined, lengths, path, padded, torch.tensor([len(ids) for ids in pieces]))


@torch.inference_mode()
def transcribe(recognizer: Recognizer, tokenizer: TextTokenizer, inputs: Tensor) -> str:
    """Text of one recording, by the likeliest piece at each position."""
    best = recognizer(inputs[None], torch.tensor([len(inputs)]))[0].argmax(-1).unique_consecutive()
    return tokenizer.decode((best[best != BLANK] - 1).tolist()).strip()


CONDITIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "clean": lambda samples: samples,
    f"noise, {NOISE_DB:g} dB": lambda samples: add_noise(samples, NOISE_DB, np.random.default_rng(0)),
    f"Opus at {OPUS_RATE // 1000} kHz": lambda samples: through_opus(samples, OPUS_RATE),
}


def measure_cost(
    work: Path,
    sources: Sequence[Path],
    encoder: WhisperEncoder,
    quantizer: Quantizer,
    tokenizer: TextTokenizer,
    normalize: Callable[[str], str],
    loop: LoopConfig,
    limit: int,
    resume: bool = False,
) -> list[CostRow]:
    """Train both recognizers on the prepared sources and let them read up to `limit` held-out recordings of each.

    Under torchrun the main process alone reads; the others return nothing.
    """
    names = [source_name(source) for source in sources]
    recognizers = {kind: train_recognizer(kind, work, names, quantizer, tokenizer, loop, resume) for kind in KINDS}
    if not Processes().is_main:
        return []
    recordings: list[tuple[str, np.ndarray]] = []
    for source, name in zip(sources, names, strict=True):
        recordings += held_out(source, work / "labels" / name, limit)
    references = [normalize(text) for text, _ in recordings]
    rows: list[CostRow] = []
    clean: list[Tensor] = []
    for condition, change in CONDITIONS.items():
        mels = [log_mel(torch.from_numpy(change(samples).astype(np.float32))) for _, samples in recordings]
        features = [encode(encoder, [mel])[0] for mel in mels]
        tokens = [quantizer.encode(torch.from_numpy(array)[None])[1][0] for array in features]
        clean = clean or tokens
        inputs = {"features": [as_inputs("features", array) for array in features], "tokens": tokens}
        for kind in KINDS:
            texts = [normalize(transcribe(recognizers[kind], tokenizer, one)) for one in inputs[kind]]
            wer, cer = (round(100 * rate(references, texts), 1) for rate in (jiwer.wer, jiwer.cer))
            use = (perplexity(tokens), unchanged_codes(clean, tokens)) if kind == "tokens" else (None, None)
            rows.append(CostRow(kind, condition, wer, cer, *use))
    return rows


def train_recognizer(
    kind: InputKind,
    work: Path,
    names: Sequence[str],
    quantizer: Quantizer,
    tokenizer: TextTokenizer,
    loop: LoopConfig,
    resume: bool,
) -> Recognizer:
    """One recognizer, trained on the prepared sources `names`; on the CPU, for evaluation."""
    torch.manual_seed(loop.seed)
    recognizer = Recognizer(kind, quantizer, tokenizer.vocab_size)
    batches = RecognizerBatches(kind, work, names, tokenizer, loop.seed)
    Trainer(RecognizerStage(recognizer), batches, loop, work / "runs" / f"quantization-cost-{kind}").run(resume)
    return recognizer.eval()


def held_out(source: Path, labels: Path, limit: int) -> list[tuple[str, np.ndarray]]:
    """Text and samples at 16 kHz of the first held-out recordings of a source."""
    texts = {row.id: row.text for row in read_aligned(labels) if is_held_out(row.id)}
    chosen = set(sorted(texts)[:limit])
    return [(texts[name], decode(data)) for name, data in read_audio_bytes(source) if name in chosen]


def perplexity(tokens: Sequence[Tensor]) -> float:
    """Of the distribution of the codes: how many would be in use if all were used alike."""
    share = torch.bincount(torch.cat(list(tokens))).float()
    share = share[share > 0] / share.sum()
    return round(float(torch.exp(-(share * share.log()).sum())), 1)


def unchanged_codes(clean: Sequence[Tensor], changed: Sequence[Tensor]) -> float:
    """Codes that are the same at the same position, in per cent."""
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in zip(clean, changed, strict=True)]
    return round(100 * float(torch.cat([a == b for a, b in pairs]).float().mean()), 1)
