"""Job on one card: the speech tower and the fusion, from bundles of tokens and the pre-trained text tower.

python -m zipper.training.one_card.train_fusion --pack PACK --out OUT --run RUN \\
    --speech-seconds 40 --fusion-seconds 100 200

PACK holds bundles/*.npz, text/text_tokenizer.json and speech_tokenizer/ (quantizer.json and quantizer.safetensors), OUT
holds pretrain-text/. Everything is laid on the device once, so that no step waits for data.
"""

import argparse
import logging
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zipper.data.batching import BatchPlan
from zipper.data.held_out import READERS, TENTHS, is_held_out
from zipper.data.pairs import PairBatch, Task, piece_spans
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.model.checkpoint import load_tower, save
from zipper.rates import FRAME_RATE, TOKEN_RATE
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import FusionConfig
from zipper.training.fusion import Mixture, ZipLoss, ZipStage
from zipper.training.loop import Trainer
from zipper.training.one_card.bundle import UNKNOWN_PHONE, Row, read_bundle
from zipper.training.one_card.tokenize_speech import load_quantizer
from zipper.training.one_card.train_text_tower import DeviceWindows, add_options, pretrain, start_logging, tower_size
from zipper.training.pair_stages import compile_fused, fused_model
from zipper.training.pretrain import pack_tokens
from zipper.training.schedule import LoopConfig
from zipper.training.stages import speech_tower

log = logging.getLogger(__name__)

VARIANTS = 3  # ways to cut each text into pieces, where pieces are dropped
VOICE = "heart"  # the speaker of synthesis
DROPOUT = 0.1  # of pieces, in the text that is spoken
CHUNK = 256


@cache
def _tokenizers(folder: Path, dropout: float) -> tuple[TextTokenizer, TextTokenizer]:
    exact = TextTokenizer.from_pretrained(folder)
    return exact, exact.with_dropout(dropout) if dropout else exact


def encode_row(job: tuple[Path, float, int, Row]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(pieces, spans (n, 2)) of a row's text, `count` times."""
    folder, dropout, count, row = job
    exact, dropping = _tokenizers(folder, dropout)
    words = row.text.split() if len(row.words) else []
    times = [(w, a, b) for w, (a, b) in zip(words, (row.words / FRAME_RATE).tolist(), strict=True)]
    variants = []
    for _ in range(count):
        pieces = dropping.encode(row.text)
        spans = np.array(piece_spans(pieces, exact, times), np.int32).reshape(-1, 2)
        variants.append((np.array(pieces, np.int32), spans))
    return variants


class FlatArrays:
    """Arrays of different lengths, one after another on a device."""

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        counts = np.array([len(array) for array in arrays], np.int64)
        self.counts = torch.from_numpy(counts).to(device)
        self.starts = torch.from_numpy(np.cumsum(counts) - counts).to(device)
        self.data = torch.from_numpy(np.concatenate(list(arrays))).to(device)

    def gather(self, rows: Tensor, longest: int, fill: int) -> Tensor:
        """(B, longest, ...) int64, `fill` behind the end."""
        position = torch.arange(longest, device=rows.device)
        index = (self.starts[rows][:, None] + position).clamp(max=len(self.data) - 1)
        inside = position < self.counts[rows][:, None]
        values = self.data[index].long()
        return torch.where(inside.view(*inside.shape, *[1] * (values.dim() - 2)), values, fill)


class DevicePairs:
    """Batch number -> PairBatch on the device."""

    def __init__(
        self,
        task: Task,
        rows: Sequence[Row],
        folder: Path,
        ids: tuple[int, int],
        budget: int,
        dropout: float,
        device: torch.device,
        pool: ProcessPoolExecutor | None,
        seed: int = 0,
    ) -> None:
        """folder: of the text tokenizer; ids: begin and end of speech; budget: speech tokens of a batch, padded."""
        self.task, self.ids, self.device = task, ids, device
        exact = TextTokenizer.from_pretrained(folder)
        self.text_ids = (exact.begin_id, exact.end_id)
        self.variants = VARIANTS if dropout else 1
        jobs = [(folder, dropout, self.variants, row) for row in rows]
        encoded = list(pool.map(encode_row, jobs, chunksize=CHUNK) if pool else map(encode_row, jobs))
        flat = [variant for variants in encoded for variant in variants]
        self.text = FlatArrays([pieces for pieces, _ in flat], device)
        self.spans = FlatArrays([spans for _, spans in flat], device)
        self.speech = FlatArrays([row.tokens for row in rows], device)
        self.phones = FlatArrays([row.phones for row in rows], device)
        self.lengths = [len(row.tokens) for row in rows]
        self.text_lengths = [max(len(variants[v][0]) for v in range(self.variants)) for variants in encoded]
        self.plan = BatchPlan(self.lengths, budget, seed)

    def __call__(self, number: int) -> PairBatch:
        """Batch `number` of an endless sequence of epochs."""
        picked = self.plan[number]
        rows = torch.tensor(picked, device=self.device)
        variant = rows * self.variants + number % self.variants
        speech = self._between(self.speech, rows, max(self.lengths[i] for i in picked), self.ids)
        longest = max(self.text_lengths[i] for i in picked)
        text = self._between(self.text, variant, longest, self.text_ids)
        spans = nn.functional.pad(self.spans.gather(variant, longest, -1), (0, 0, 1, 1), value=-1)
        phones = nn.functional.pad(self.phones.gather(rows, speech.shape[1] - 2, -1), (1, 1), value=-1)
        return PairBatch(
            self.task,
            text,
            speech,
            self.text.counts[variant] + 2,
            self.speech.counts[rows] + 2,
            torch.where(spans >= 0, spans + 1, spans),  # begin stands before the first piece
            torch.where(phones == UNKNOWN_PHONE, -1, phones),
        )

    def _between(self, flat: FlatArrays, rows: Tensor, longest: int, ids: tuple[int, int]) -> Tensor:
        """(B, longest + 2) ids between begin and end, 0 behind the end."""
        padded = nn.functional.pad(flat.gather(rows, longest, 0), (1, 1))
        padded[:, 0] = ids[0]
        return padded.scatter(1, flat.counts[rows][:, None] + 1, ids[1])


def held_out_batches(rows: Sequence[Row], make: "PairMaker") -> dict[str, list[PairBatch]]:
    """Batches of the people that are held out, by group, unchanged views alone."""
    groups: dict[str, tuple[Task, list[Row]]] = {
        "readers": ("recognize", [row for row in rows if row.source in READERS]),
        "strangers": ("recognize", [row for row in rows if row.source in TENTHS]),
        "voice": ("synthesize", [row for row in rows if row.speaker == VOICE and "." not in row.source]),
    }
    batches: dict[str, list[PairBatch]] = {}
    for group, (task, some) in groups.items():
        if some:
            pairs = make(task, some[:600], 0.0)
            batches[group] = [pairs(number) for number in range(min(3, len(pairs.plan.batches(0))))]
    return batches


class PairMaker:
    """DevicePairs of one set of sizes."""

    def __init__(
        self, folder: Path, ids: tuple[int, int], budget: int, device: torch.device, pool: ProcessPoolExecutor | None
    ) -> None:
        self.folder, self.ids, self.budget, self.device, self.pool = folder, ids, budget, device, pool

    def __call__(self, task: Task, rows: Sequence[Row], dropout: float) -> DevicePairs:
        """Pairs of one task; dropout: share of merges of text tokens that are left out."""
        return DevicePairs(task, rows, self.folder, self.ids, self.budget, dropout, self.device, self.pool)


def read_rows(folder: Path) -> list[Row]:
    """The rows of all bundles that are there by now."""
    rows = [row for path in sorted(folder.glob("*.npz")) for row in read_bundle(path)]
    log.info("%d rows, %.1f h", len(rows), hours(rows))
    return rows


def hours(rows: Iterable[Row]) -> float:
    """Hours of speech."""
    return sum(len(row.tokens) for row in rows) / TOKEN_RATE / 3600


def asr_rows(rows: Sequence[Row], max_generated_hours: float) -> list[Row]:
    """What recognition learns from: all recordings, and so many hours of generated speech, which is easier."""
    chosen, seconds = [], 0.0
    for row in rows:
        generated = row.speaker == VOICE
        if not generated or seconds < max_generated_hours * 3600:
            chosen.append(row)
            seconds += generated * len(row.tokens) / TOKEN_RATE
    return chosen


def is_tts_row(row: Row) -> bool:
    """Whether synthesis learns from it: the voice, unchanged."""
    return row.speaker == VOICE and "." not in row.source


def train_part(
    a: argparse.Namespace, stage: ZipStage, rows: Sequence[Row], make: PairMaker, part: int, before: Trainer | None
) -> Trainer:
    """One part of the fusion, which goes on from the part before; the learning rate falls in the last one."""
    train = [row for row in rows if not is_held_out(row.id)]
    tokens = pack_tokens((row.tokens for row in train), *make.ids)
    windows = DeviceWindows(tokens, max(1, a.batch_tokens // a.window), make.device, a.window)
    asr, tts = asr_rows(train, a.asr_generated_hours), [row for row in train if is_tts_row(row)]
    log.info("part %d: %.1f h of recognition, %.1f h of synthesis", part, hours(asr), hours(tts))
    kinds = (make("recognize", asr, 0.0), make("synthesize", tts, DROPOUT), windows)
    held_out = held_out_batches([row for row in rows if is_held_out(row.id)], make)
    loop = LoopConfig(
        steps=0,
        warmup=100,
        lr=a.lr,
        seconds=a.fusion_seconds[part],
        average=0.995,
        validate_seconds=90,
        save_seconds=90,
        final_lr=0.0 if part == len(a.fusion_seconds) - 1 else 1.0,
    )
    trainer = Trainer(stage, Mixture(list(zip(kinds, a.mixture, strict=True))), loop, a.run / f"zip-{part}", held_out)
    if before is not None:
        trainer.optimizers, trainer.step = before.optimizers, before.step
    trainer.run(resume=False)
    log.info("part %d ends at step %d", part, trainer.step)
    return trainer


def run(a: argparse.Namespace, device: torch.device, pool: ProcessPoolExecutor | None) -> None:
    """The speech tower, then the fusion."""
    rows = read_rows(a.pack / "bundles")
    quantizer = load_quantizer(a.pack / "speech_tokenizer", torch.device("cpu"))
    ids = SpeechVocabulary(quantizer.config.codes).specials
    tokens = pack_tokens((row.tokens for row in rows if not is_held_out(row.id)), *ids)
    windows = DeviceWindows(tokens, a.rows, device, a.window)
    tower = speech_tower(tower_size(a), quantizer, a.seed)
    speech = pretrain(tower, windows, a, 3e-3, a.speech_seconds, a.out / "pretrain-speech")

    config = FusionConfig(
        LoopConfig(steps=0), (), (), text_interval=a.interval, speech_interval=a.interval, heads=a.heads
    )
    model = fused_model(load_tower(a.out / "pretrain-text").float(), speech.float(), config)
    if a.compile:
        compile_fused(model)
    stage = ZipStage(model, ZipLoss(asr_jitter=0.2, levels=tuple(quantizer.config.levels)))
    make = PairMaker(a.pack / "text", ids, a.batch_tokens, device, pool)
    trainer: Trainer | None = None
    for part in range(len(a.fusion_seconds)):
        rows = read_rows(a.pack / "bundles")
        trainer = train_part(a, stage, rows, make, part, trainer)
    save(model.half().eval(), a.out / "zipper")


def parser() -> argparse.ArgumentParser:
    """Command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(top)
    top.add_argument("--interval", type=int, default=2, help="blocks between zip points (default %(default)s)")
    top.add_argument("--speech-seconds", type=float, default=40.0, help="default %(default)s")
    what = "of each part of the fusion; before each the bundles are read again, as new ones may have come"
    top.add_argument("--fusion-seconds", type=float, nargs="+", default=[230.0], help=what)
    top.add_argument("--batch-tokens", type=int, default=64_000, help="of speech, padded (default %(default)s)")
    top.add_argument("--asr-generated-hours", type=float, default=30.0, help="hours of generated speech in recognition")
    top.add_argument("--lr", type=float, default=2e-3, help="of the fusion (default %(default)s)")
    top.add_argument("--mixture", type=int, nargs=3, default=(10, 9, 1), metavar=("ASR", "TTS", "SPEECH"))
    top.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    a = parser().parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start_logging(device)
    if a.workers < 2:
        run(a, device, None)
        return
    with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
        run(a, device, pool)


if __name__ == "__main__":
    main()
