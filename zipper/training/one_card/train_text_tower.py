"""Job on one card: pre-training of the text tower; `train_fusion` pre-trains the speech tower with the same code.

python -m zipper.training.one_card.train_text_tower --pack PACK --out OUT --run RUN --seconds 100

PACK holds text/ (text_tokenizer.json, and ids.npy, the corpus in pieces). Writes OUT/pretrain-text.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zipper.model.checkpoint import save_tower
from zipper.model.tower import Tower
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import TowerSize
from zipper.training.loop import Trainer
from zipper.training.pretrain import PretrainStage
from zipper.training.schedule import LoopConfig
from zipper.training.stages import compile_blocks, tower_config

log = logging.getLogger(__name__)

WINDOW = 512  # tokens of a window in pre-training
SIZES = {"width": 384, "depth": 10, "heads": 6, "kv-heads": 2, "ff-width": 1024}


class DeviceWindows:
    """Batch number -> (rows, WINDOW + 1) windows of a flat token array on the device."""

    def __init__(self, tokens: np.ndarray, rows: int, device: torch.device, length: int = WINDOW) -> None:
        self.tokens, self.rows, self.length = torch.from_numpy(tokens.astype(np.int32)).to(device), rows, length

    def __call__(self, number: int) -> Tensor:
        """Windows (rows, length + 1) at random positions that the number decides."""
        draw = torch.Generator().manual_seed(number)
        starts = torch.randint(len(self.tokens) - self.length - 1, (self.rows, 1), generator=draw)
        index = starts.to(self.tokens.device) + torch.arange(self.length + 1, device=self.tokens.device)
        return self.tokens[index].long()


def pretrain(
    tower: Tower, windows: DeviceWindows, a: argparse.Namespace, lr: float, seconds: float, out: Path
) -> Tower:
    """Next-token prediction for so many seconds; rounded to half precision, as the fused model will hold it."""
    if a.compile:
        compile_blocks(tower.blocks)
    loop = LoopConfig(steps=0, lr=lr, seconds=seconds, warmup=100, save_seconds=60)
    trainer = Trainer(PretrainStage(tower), windows, loop, a.run / out.name)
    trainer.run(resume=False)
    log.info("%s: %d steps of %d tokens", out.name, trainer.step, windows.rows * windows.length)
    tower.load_state_dict({name: weight.half().float() for name, weight in tower.state_dict().items()})
    save_tower(tower, out)
    return tower


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the jobs share: folders, sizes of a tower and of a batch."""
    for name in ("pack", "out", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value, help="of each tower (default %(default)s)")
    for name, value in (("rows", 96), ("window", WINDOW), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value, help="default %(default)s")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the blocks")


def tower_size(a: argparse.Namespace) -> TowerSize:
    """The sizes among the options."""
    return TowerSize(a.width, a.depth, a.heads, a.kv_heads, a.ff_width)


def start_logging(device: torch.device) -> None:
    """Times before messages; and no attention that plans each new shape for a tenth of a second."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def main(argv: Sequence[str] | None = None) -> None:
    """Pre-train the text tower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=100, help="default %(default)s")
    a = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start_logging(device)
    tokenizer = TextTokenizer.from_pretrained(a.pack / "text")
    torch.manual_seed(a.seed)
    tower = Tower(tower_config(tower_size(a), tokenizer.vocab_size, tokenizer.begin_id, tokenizer.end_id))
    corpus = np.load(a.pack / "text" / "ids.npy")
    pretrain(tower, DeviceWindows(corpus, a.rows, device, a.window), a, 3e-3, a.seconds, a.out / "pretrain-text")


if __name__ == "__main__":
    main()
