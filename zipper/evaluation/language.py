"""A model on held-out text alone: its perplexity, and that of the text tower from before the fusion.

In a Zipper both are the same to the bit; a single decoder, tuned as a whole, may have lost some of its text.
"""

import lzma
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from zipper.errors import DataError
from zipper.inference.components import TextTokens
from zipper.model.fused import FusedModel
from zipper.model.streams import Segment, pack
from zipper.model.tower import Tower

MAX_TOKENS = 512  # of one sequence; longer lines are cut
BATCH_TOKENS = 4096  # of one batch, padding included


@dataclass(frozen=True)
class LanguageResult:
    """Perplexity of the tower alone and of the fused model on text only; `identical` is about every logit."""

    tokens: int
    words: int
    perplexity_token: float
    perplexity_word: float
    fused_perplexity_token: float
    fused_perplexity_word: float
    identical: bool
    tokens_per_second: float


def read_lines(path: Path, limit: int | None = None) -> list[str]:
    """Lines of a text file, plain or .xz; DataError if there are none."""
    try:
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        lines = [line.strip() for line in data.decode("utf-8").split("\n")]
    except (OSError, lzma.LZMAError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read as text.") from None
    full = [line for line in lines if line][:limit]
    if not full:
        raise DataError(f"{path} holds no text.")
    return full


@torch.inference_mode()
def evaluate_language(
    model: FusedModel, tokenizer: TextTokens, lines: Sequence[str], tower: Tower | None = None
) -> LanguageResult:
    """Negative log-likelihood of the lines by the tower and by the fused model given text only.

    `tower` is the text tower from before the fusion; by default what the model itself makes of text alone.
    """
    alone_nll = fused_nll = seconds = 0.0
    tokens = 0
    identical = True
    for batch in _batches(model, tokenizer, lines):
        stream, _ = pack([[Segment("text", ids)] for ids in batch])
        assert stream is not None
        start = time.perf_counter()
        alone = model.text_alone(stream.ids) if tower is None else tower(stream.ids)  # (B, T, V)
        seconds += time.perf_counter() - start
        fused = model(stream, None).text_logits
        lengths = [len(ids) for ids in batch]
        identical &= all(torch.equal(a[:n], f[:n]) for a, f, n in zip(alone, fused, lengths, strict=True))
        alone_nll += _nll(alone, stream.ids, lengths)
        fused_nll += _nll(fused, stream.ids, lengths)
        tokens += sum(lengths) - len(lengths)
    words = sum(len(line.split()) for line in lines)
    return LanguageResult(
        tokens=tokens,
        words=words,
        perplexity_token=round(math.exp(alone_nll / tokens), 4),
        perplexity_word=round(math.exp(alone_nll / words), 4),
        fused_perplexity_token=round(math.exp(fused_nll / tokens), 4),
        fused_perplexity_word=round(math.exp(fused_nll / words), 4),
        identical=identical,
        tokens_per_second=round(tokens / seconds, 1),
    )


def _batches(model: FusedModel, tokenizer: TextTokens, lines: Sequence[str]) -> Iterator[list[tuple[int, ...]]]:
    """Sequences with begin and end, of similar lengths, longest first; long lines in several."""
    config = model.config.text
    sequences: list[tuple[int, ...]] = []
    for line in lines:
        ids = [config.begin_id, *tokenizer.encode(line), config.end_id]
        # Neighbors share one token, which is predicted in one and given in the next.
        sequences += [tuple(ids[i : i + MAX_TOKENS + 1]) for i in range(0, len(ids) - 1, MAX_TOKENS)]
    sequences.sort(key=len, reverse=True)
    while sequences:
        count = max(1, BATCH_TOKENS // len(sequences[0]))
        yield sequences[:count]
        sequences = sequences[count:]


def _nll(logits: torch.Tensor, ids: torch.Tensor, lengths: Sequence[int]) -> float:
    """Summed negative log-likelihood in nats of each sequence's tokens after its first; padding left out."""
    mask = torch.arange(1, ids.shape[1])[None] < torch.tensor(lengths)[:, None]  # (B, T - 1)
    loss = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
    return float(loss[mask].double().sum())
