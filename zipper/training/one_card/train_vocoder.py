"""Job on one card: the vocoder, first by the sound of its teacher alone, then with discriminators.

python -m zipper.training.one_card.train_vocoder --pack PACK --out OUT --run RUN --compile \\
    --seconds 240 --adversarial-seconds 240

PACK holds clips/ (what `train vocoder prepare` wrote) and maybe vocoder/, to go on from. Mels and sounds are laid on
the device once, so that no step waits for data. The state is saved every minute; --resume goes on from it. Writes
OUT/vocoder and for each part its log and the losses of held-out clips.
"""

import argparse
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from zipper.speech.istft import IstftVocoder
from zipper.speech.vocoder import save_vocoder
from zipper.training.config import CONFIGS, load_config
from zipper.training.loop import LOG_FILE
from zipper.training.one_card.train_text_tower import start_logging
from zipper.training.schedule import LoopConfig
from zipper.training.stages import compile_blocks
from zipper.training.vocoder import VocoderLoss, VocoderTraining, new_vocoder, segments_of, train_on

log = logging.getLogger(__name__)

SAVE_SECONDS = 60.0


def train_part(
    name: str, config: VocoderTraining, vocoder: IstftVocoder, a: argparse.Namespace, device: torch.device
) -> None:
    """One part of the training; the vocoder and what is measured of it into OUT."""
    segments = segments_of(config, a.pack / "clips", vocoder.look_ahead, device)
    trainer = train_on(config, vocoder, segments, a.run / name, a.resume)
    log.info("%s: %d steps of %d frames", name, trainer.step, config.rows * config.frames)
    save_vocoder(vocoder, a.out / "vocoder")
    for file in (LOG_FILE, "validation.json"):
        shutil.copy(a.run / name / file, a.out / f"{name}-{file}")


def run(a: argparse.Namespace, device: torch.device) -> None:
    """Both parts."""
    loop = LoopConfig(
        steps=0, seconds=a.seconds, lr=a.lr, warmup=100, weight_decay=0.01, clip=5.0, average=0.999,
        save_seconds=SAVE_SECONDS, seed=a.seed,
    )  # fmt: skip
    start = str(a.pack / "vocoder") if (a.pack / "vocoder").is_dir() else ""
    config = load_config(VocoderTraining, CONFIGS / "vocoder.yaml", a.set)
    config = replace(config, loop=loop, rows=a.rows, start=start)
    vocoder = new_vocoder(config)
    if a.compile:
        compile_blocks(vocoder.backbone.blocks)
    if a.seconds:
        train_part("vocoder", config, vocoder, a, device)
    if a.adversarial_seconds:
        loop = replace(loop, seconds=a.adversarial_seconds, lr=a.adversarial_lr)
        loss = replace(config.loss, adversarial=a.adversarial, channels=a.channels)
        train_part("vocoder-adversarial", replace(config, loop=loop, loss=loss), vocoder, a, device)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pack", "out", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240, help="of distillation (default %(default)s)")
    parser.add_argument("--adversarial-seconds", type=float, default=240, help="default %(default)s")
    for name, rate in (("lr", 2e-3), ("adversarial-lr", 5e-4)):
        parser.add_argument(f"--{name}", type=float, default=rate, help="default %(default)s")
    parser.add_argument("--adversarial", type=float, default=1.0, help="weight of that loss (default %(default)s)")
    for name, number in (("rows", 64), ("channels", VocoderLoss.channels), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number, help="default %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of network, loss or frames")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the blocks")
    parser.add_argument("--resume", action="store_true", help="go on from the last save")
    a = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start_logging(device)
    run(a, device)


if __name__ == "__main__":
    main()
