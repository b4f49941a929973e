"""Second job on one card: both towers and the fusion, from bundles of tokens and the ids of a text corpus.

python -m zipper.training.one_card.fuse --pack PACK --out OUT --text-seconds 60 --speech-seconds 40 --fuse-seconds 230

PACK holds bundles/*.npz, text/ (text_tokenizer.json, and ids.npy, the corpus in pieces) and speech_tokenizer/
(quantizer.json and quantizer.safetensors). Everything is laid on the device once, so that no step waits for data.
"""

import argparse
import logging
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zipper.model.checkpoint import save, save_tower
from zipper.model.tower import Tower
from zipper.rates import FRAME_RATE
from zipper.speech.quantizer import Quantizer
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import FusionConfig, TowerSize
from zipper.training.held_out import READERS, TENTHS, is_held_out
from zipper.training.loop import BatchPlan, LoopConfig, Trainer
from zipper.training.one_card.bundle import UNKNOWN_PHONE, Row, read_bundle
from zipper.training.one_card.listen import load_quantizer
from zipper.training.pairs import PairBatch, Task, piece_spans
from zipper.training.pretrain import PretrainStage, pack_tokens
from zipper.training.stages import SPECIALS, code_embeddings, fused_model, tower_config
from zipper.training.zipping import Mixture, ZipLoss, ZipStage

log = logging.getLogger(__name__)

VARIANTS = 3  # ways to cut each text into pieces, where pieces are dropped
VOICE = "heart"  # the speaker that the mouth learns
CHUNK = 256
WINDOW = 512  # tokens of a window in pre-training


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
    found = []
    for _ in range(count):
        pieces = dropping.encode(row.text)
        spans = np.array(piece_spans(pieces, exact, times), np.int32).reshape(-1, 2)
        found.append((np.array(pieces, np.int32), spans))
    return found


class Flat:
    """Arrays of different lengths, one after another on a device."""

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device) -> None:
        counts = np.array([len(array) for array in arrays], np.int64)
        self.counts = torch.from_numpy(counts).to(device)
        self.starts = torch.from_numpy(np.cumsum(counts) - counts).to(device)
        self.data = torch.from_numpy(np.concatenate(list(arrays))).to(device)

    def gather(self, rows: Tensor, longest: int, fill: int) -> Tensor:
        """(B, longest, ...) int64, `fill` behind the end."""
        place = torch.arange(longest, device=rows.device)
        index = (self.starts[rows][:, None] + place).clamp(max=len(self.data) - 1)
        inside = place < self.counts[rows][:, None]
        found = self.data[index].long()
        return torch.where(inside.view(*inside.shape, *[1] * (found.dim() - 2)), found, fill)


class DevicePairs:
    """Batch number -> PairBatch on the device."""

    def __init__(
        self, task: Task, rows: Sequence[Row], folder: Path, ids: tuple[int, int], budget: int, dropout: float,
        device: torch.device, pool: ProcessPoolExecutor | None, seed: int = 0,
    ) -> None:
        """folder: of the text tokenizer; ids: begin and end of speech; budget: speech tokens of a batch, padded."""
        self.task, self.ids, self.device = task, ids, device
        exact = TextTokenizer.from_pretrained(folder)
        self.text_ids = (exact.begin_id, exact.end_id)
        self.variants = VARIANTS if dropout else 1
        jobs = [(folder, dropout, self.variants, row) for row in rows]
        encoded = list(pool.map(encode_row, jobs, chunksize=CHUNK) if pool else map(encode_row, jobs))
        flat = [variant for found in encoded for variant in found]
        self.text = Flat([pieces for pieces, _ in flat], device)
        self.spans = Flat([spans for _, spans in flat], device)
        self.speech = Flat([row.tokens for row in rows], device)
        self.phones = Flat([row.phones for row in rows], device)
        self.lengths = [len(row.tokens) for row in rows]
        self.text_lengths = [max(len(found[v][0]) for v in range(self.variants)) for found in encoded]
        self.plan = BatchPlan(self.lengths, budget, seed)

    def __call__(self, number: int) -> PairBatch:
        picked = self.plan[number]
        rows = torch.tensor(picked, device=self.device)
        variant = rows * self.variants + number % self.variants
        speech = self._between(self.speech, rows, max(self.lengths[i] for i in picked), self.ids)
        longest = max(self.text_lengths[i] for i in picked)
        text = self._between(self.text, variant, longest, self.text_ids)
        spans = nn.functional.pad(self.spans.gather(variant, longest, -1), (0, 0, 1, 1), value=-1)
        phones = nn.functional.pad(self.phones.gather(rows, speech.shape[1] - 2, -1), (1, 1), value=-1)
        return PairBatch(
            self.task, text, speech, self.text.counts[variant] + 2, self.speech.counts[rows] + 2,
            torch.where(spans >= 0, spans + 1, spans),  # begin stands before the first piece
            torch.where(phones == UNKNOWN_PHONE, -1, phones),
        )  # fmt: skip

    def _between(self, flat: Flat, rows: Tensor, longest: int, ids: tuple[int, int]) -> Tensor:
        """(B, longest + 2) ids between begin and end, 0 behind the end."""
        found = nn.functional.pad(flat.gather(rows, longest, 0), (1, 1))
        found[:, 0] = ids[0]
        return found.scatter(1, flat.counts[rows][:, None] + 1, ids[1])


class DeviceWindows:
    """Batch number -> (rows, WINDOW + 1) windows of a flat token array on the device."""

    def __init__(self, tokens: np.ndarray, rows: int, device: torch.device, length: int = WINDOW) -> None:
        self.tokens, self.rows, self.length = torch.from_numpy(tokens.astype(np.int32)).to(device), rows, length

    def __call__(self, number: int) -> Tensor:
        draw = torch.Generator().manual_seed(number)
        starts = torch.randint(len(self.tokens) - self.length - 1, (self.rows, 1), generator=draw)
        place = starts.to(self.tokens.device) + torch.arange(self.length + 1, device=self.tokens.device)
        return self.tokens[place].long()


def pretrain(tower: Tower, windows: DeviceWindows, loop: LoopConfig, run: Path, out: Path) -> Tower:
    """Next-token prediction for so many seconds; rounded to half precision, as the fused model will hold it."""
    if loop.seconds:
        Trainer(PretrainStage(tower), windows, loop, run).run(resume=False)
    tower.load_state_dict({name: weight.half().float() for name, weight in tower.state_dict().items()})
    save_tower(tower.cpu(), out)
    return tower


def held_out_batches(rows: Sequence[Row], make: "PairMaker") -> dict[str, list[PairBatch]]:
    """Batches of the people that are held out, by group, unchanged views alone."""
    groups: dict[str, tuple[Task, list[Row]]] = {
        "readers": ("recognise", [row for row in rows if row.source in READERS]),
        "strangers": ("recognise", [row for row in rows if row.source in TENTHS]),
        "voice": ("synthesise", [row for row in rows if row.speaker == VOICE and "." not in row.source]),
    }
    found: dict[str, list[PairBatch]] = {}
    for group, (task, some) in groups.items():
        if some:
            pairs = make(task, some[:600], 0.0)
            found[group] = [pairs(number) for number in range(min(3, len(pairs.plan.batches(0))))]
    return found


class PairMaker:
    """DevicePairs of one set of sizes."""

    def __init__(
        self, folder: Path, ids: tuple[int, int], budget: int, device: torch.device, pool: ProcessPoolExecutor | None
    ) -> None:
        self.folder, self.ids, self.budget, self.device, self.pool = folder, ids, budget, device, pool

    def __call__(self, task: Task, rows: Sequence[Row], dropout: float) -> DevicePairs:
        return DevicePairs(task, rows, self.folder, self.ids, self.budget, dropout, self.device, self.pool)


def speech_tower(size: TowerSize, quantizer: Quantizer, seed: int) -> Tower:
    """A fresh tower whose embedding starts where the quantizer puts each code."""
    codes = quantizer.config.codes
    torch.manual_seed(seed)
    tower = Tower(tower_config(size, codes + SPECIALS, codes, codes + 1))
    with torch.no_grad():
        tower.embedding.weight[:codes] = code_embeddings(quantizer.cpu(), size.width)
    return tower


def run(a: argparse.Namespace, device: torch.device, pool: ProcessPoolExecutor | None) -> None:
    """All stages in their order."""
    rows = [row for path in sorted((a.pack / "bundles").glob("*.npz")) for row in read_bundle(path)]
    train = [row for row in rows if not is_held_out(row.id)]
    log.info("%d rows, %.1f h", len(rows), sum(len(row.tokens) for row in rows) / 25 / 3600)
    quantizer = load_quantizer(a.pack / "speech_tokenizer", torch.device("cpu"))
    tokenizer = TextTokenizer.from_pretrained(a.pack / "text")
    codes, size = quantizer.config.codes, TowerSize(a.width, a.depth, a.heads, a.kv_heads, a.ff_width)
    ids = (codes, codes + 1)
    shared = LoopConfig(steps=0, warmup=100, save_seconds=60)

    torch.manual_seed(a.seed)
    text = Tower(tower_config(size, tokenizer.vocab_size, tokenizer.begin_id, tokenizer.end_id))
    corpus = np.load(a.pack / "text" / "ids.npy", mmap_mode="r")
    windows = DeviceWindows(np.asarray(corpus), a.rows, device, a.window)
    loop = replace(shared, lr=4e-3, seconds=a.text_seconds)
    text = pretrain(text, windows, loop, a.run / "text", a.out / "pretrain-text")

    spoken = pack_tokens((row.tokens for row in train), *ids)
    loop = replace(shared, lr=3e-3, seconds=a.speech_seconds)
    tower = speech_tower(size, quantizer, a.seed)
    speech = pretrain(tower, DeviceWindows(spoken, a.rows, device, a.window), loop, a.run / "speech", a.out / "speech")

    config = FusionConfig(LoopConfig(steps=0), (), (), a.interval, a.interval, a.heads)
    model = fused_model(text.float(), speech.float(), config)
    make = PairMaker(a.pack / "text", ids, a.batch_tokens, device, pool)
    mouth = [row for row in train if row.speaker == VOICE and "." not in row.source]
    hearing, speaking, alone = a.mixture
    mixture = Mixture(
        [
            (make("recognise", train, 0.0), hearing),
            (make("synthesise", mouth, config.dropout), speaking),
            (DeviceWindows(spoken, max(1, a.batch_tokens // a.window), device, a.window), alone),
        ]
    )
    held_out = held_out_batches([row for row in rows if is_held_out(row.id)], make)
    stage = ZipStage(model, ZipLoss(hearing_jitter=0.2, levels=tuple(quantizer.config.levels)))
    loop = replace(shared, lr=a.lr, seconds=a.fuse_seconds, average=0.995, validate_seconds=60)
    trainer = Trainer(stage, mixture, loop, a.run / "zip", held_out)
    trainer.run(resume=False)
    log.info("fusion: %d steps", trainer.step)
    save(model.cpu().half().eval(), a.out / "zipper")


def parser() -> argparse.ArgumentParser:
    """Command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pack", "out", "run"):
        top.add_argument(f"--{name}", type=Path, required=True)
    for name, seconds in (("text", 60.0), ("speech", 40.0), ("fuse", 230.0)):
        top.add_argument(f"--{name}-seconds", type=float, default=seconds, help="default %(default)s")
    sizes = {"width": 384, "depth": 10, "heads": 6, "kv-heads": 2, "ff-width": 1024, "interval": 2}
    for name, value in sizes.items():
        top.add_argument(f"--{name}", type=int, default=value, help="of each tower (default %(default)s)")
    for name, value in (("rows", 96), ("window", WINDOW), ("batch-tokens", 48_000), ("seed", 0)):
        top.add_argument(f"--{name}", type=int, default=value, help="default %(default)s")
    top.add_argument("--lr", type=float, default=2.5e-3, help="of the fusion (default %(default)s)")
    top.add_argument("--mixture", type=int, nargs=3, default=(10, 9, 1), metavar=("HEAR", "SPEAK", "ALONE"))
    top.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    a = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans each new shape for a tenth of a second
    if a.workers < 2:
        run(a, device, None)
        return
    with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
        run(a, device, pool)


if __name__ == "__main__":
    main()
