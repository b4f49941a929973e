"""Stage `vocoder`: teach a vocoder by inverse STFT to sound as the HiFi-GAN of a detokenizer does.

python -m zipper train vocoder prepare --work WORK --detokenizer assets/detokenizer --recordings SPEECH/*.tar \\
    --tokens WORK/tokens/hibari WORK/tokens/kokoro --minutes 20
python -m zipper train vocoder train   --work WORK
python -m zipper train vocoder train   --work WORK --set start=WORK/vocoder --set loss.adversarial=1 --set loop.lr=5e-4
python -m zipper train vocoder combine --work WORK --detokenizer assets/detokenizer --out FOLDER

`prepare` writes WORK/vocoder_clips, `train` WORK/runs/vocoder (with discriminators WORK/runs/vocoder-adversarial) and
WORK/vocoder, `combine` the folder of a detokenizer that speaks with it.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zipper.configuration import from_plain
from zipper.data.segments import Frames, Segments, Stretches
from zipper.data.vocoder_clips import prepare, recorded_name, recordings, spoken, spoken_name
from zipper.errors import ConfigError, DataError, WeightsError
from zipper.rates import VOCODER_HOP
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.istft import IstftConfig, IstftVocoder
from zipper.speech.vocoder import load_vocoder, save_vocoder
from zipper.training.config import CONFIGS, add_training_options, load_stage_config
from zipper.training.discriminators import Discriminators
from zipper.training.loop import Trainer
from zipper.training.schedule import LoopConfig
from zipper.training.spectral_losses import SpectralLoss
from zipper.training.transfer import to_device

log = logging.getLogger(__name__)

CLIPS = "vocoder_clips"
BEFORE = 16  # frames that are heard before those that are compared: the teacher's reach is 14
SHORTEST = 9  # frames that are compared, at least: the spectra mirror 1,024 samples at the edges
HELD_OUT_BATCHES = 2  # of each source


@dataclass(frozen=True)
class VocoderLoss:
    """Weights of the losses; with an adversarial weight above 0 discriminators learn beside the vocoder."""

    wave: float = 5.0
    convergence: float = 0.5
    log_magnitude: float = 0.5
    phase: float = 1.0
    mel: float = 1.0
    adversarial: float = 0.0
    features: float = 1.0  # of the discriminators, where there are some
    channels: int = 16  # of the discriminators


@dataclass(frozen=True)
class VocoderTraining:
    """Stage `vocoder`."""

    loop: LoopConfig
    sources: dict[str, float] = field(default_factory=dict)  # shares of the batches; without any: by their minutes
    network: dict[str, Any] = field(default_factory=dict)  # sizes other than the defaults of IstftConfig
    rows: int = 8
    frames: int = 64  # of a row that are compared
    start: str = ""  # folder of a vocoder to go on from
    loss: VocoderLoss = field(default_factory=VocoderLoss)

    def __post_init__(self) -> None:
        if self.rows < 1 or self.frames < SHORTEST:
            raise ConfigError(f"The vocoder's training needs at least 1 row of at least {SHORTEST} frames.")


class VocoderStage(nn.Module):
    """The vocoder with its losses."""

    def __init__(self, vocoder: IstftVocoder, weights: VocoderLoss) -> None:
        super().__init__()
        self.vocoder, self.weights = vocoder, weights
        self.distance = SpectralLoss()
        self.discriminators = Discriminators(weights.channels) if weights.adversarial else None

    def forward(self, batch: Stretches) -> dict[str, Tensor]:
        """Weighted sum, and each loss by name; held-out batches are not shown to the discriminators."""
        first, last = (frame * VOCODER_HOP for frame in (batch.skipped, batch.skipped + batch.compared))
        samples = self.vocoder(batch.mel)[:, first:last]
        parts = self.distance(samples, batch.teacher)
        total = torch.stack([getattr(self.weights, name) * part for name, part in parts.items()]).sum()
        if self.discriminators is not None and self.training:
            judged = self.discriminators(samples, batch.real)
            total = total + self.weights.adversarial * judged["adversarial"] + judged["discriminator"]
            total = total + self.weights.features * judged["features"]
            parts |= judged
        return {"loss": total, **parts, "tokens": total.new_tensor(batch.mel.shape[0] * batch.compared)}


def new_vocoder(config: VocoderTraining) -> IstftVocoder:
    """The vocoder of `start`, or one that is initialized from the seed."""
    torch.manual_seed(config.loop.seed)
    vocoder = IstftVocoder(from_plain(IstftConfig, config.network, "network"))
    if config.start:
        trained = load_vocoder(Path(config.start))
        if not isinstance(trained, IstftVocoder) or trained.config != vocoder.config:
            raise WeightsError(f"The vocoder in {config.start} is another one than the configuration's.")
        vocoder.load_state_dict(trained.state_dict())
    return vocoder


def shares_of(config: VocoderTraining, clips: Path) -> dict[str, float]:
    """Shares of the sources: those of the configuration, else the size of all that are prepared."""
    if config.sources:
        return config.sources
    prepared = sorted(folder for folder in (clips / "teacher").glob("*") if (folder / "data.bin").is_file())
    if not prepared:
        raise DataError(f"{clips} holds no prepared clips; run `train vocoder prepare` first.")
    return {folder.name: float((folder / "data.bin").stat().st_size) for folder in prepared}


def segments_of(config: VocoderTraining, clips: Path, look_ahead: int, device: torch.device | None = None) -> Segments:
    """The batches of a configuration."""
    frames = Frames(BEFORE, config.frames, look_ahead)
    return Segments(clips, shares_of(config, clips), config.rows, frames, config.loop.seed, device)


def train_on(config: VocoderTraining, vocoder: IstftVocoder, segments: Segments, run: Path, resume: bool) -> Trainer:
    """Train a vocoder; its state, its log and the losses of the held-out clips go into the folder of the run."""
    log.info("%.2f M parameters", sum(weight.numel() for weight in vocoder.parameters()) / 1e6)
    stage, held_out = VocoderStage(vocoder, config.loss), segments.held_out(HELD_OUT_BATCHES)
    trainer = Trainer(stage, segments, config.loop, run, held_out)
    trainer.run(resume)
    if trainer.processes.is_main:
        figures = held_out_losses(stage, held_out)
        (run / "validation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return trainer


@torch.no_grad()
def held_out_losses(stage: VocoderStage, held_out: Mapping[str, Sequence[Stretches]]) -> dict[str, dict[str, float]]:
    """Mean losses of each held-out source, on the CPU and in full precision."""
    stage.eval()
    figures = {}
    for name, batches in held_out.items():
        losses = [stage(to_device(batch, torch.device("cpu"))) for batch in batches]
        names = [loss for loss in losses[0] if loss != "tokens"]
        figures[name] = {n: round(sum(float(one[n]) for one in losses) / len(losses), 4) for n in names}
    return figures


def train(config: VocoderTraining, work: Path, resume: bool) -> None:
    """The `train` command."""
    vocoder = new_vocoder(config)
    segments = segments_of(config, work / CLIPS, vocoder.look_ahead)
    run = work / "runs" / ("vocoder-adversarial" if config.loss.adversarial else "vocoder")
    if train_on(config, vocoder, segments, run, resume).processes.is_main:
        save_vocoder(vocoder, work / "vocoder")


def prepare_all(a: argparse.Namespace) -> None:
    """The `prepare` command."""
    if not (a.recordings or a.tokens):
        raise DataError("There is nothing to prepare: name --recordings or --tokens.")
    detokenizer = Detokenizer.from_pretrained(a.detokenizer)
    clips = a.work / CLIPS
    for source in a.recordings:
        prepare(recorded_name(source), partial(recordings, source), detokenizer.vocoder, clips, a.minutes)
    for tokens in a.tokens:
        prepare(spoken_name(tokens), partial(spoken, tokens, detokenizer), detokenizer.vocoder, clips, a.minutes)


def combine(work: Path, detokenizer: Path, out: Path) -> None:
    """Write a detokenizer that speaks with the vocoder of a work folder."""
    Detokenizer(Detokenizer.from_pretrained(detokenizer).acoustic, load_vocoder(work / "vocoder")).save(out)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(
        prog="zipper train vocoder", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare_ = commands.add_parser("prepare", help="mels, and the teacher's sound of them")
    train_ = commands.add_parser("train", help="train the vocoder")
    combine_ = commands.add_parser("combine", help="put the vocoder into a detokenizer")
    for command in (prepare_, train_, combine_):
        command.add_argument("--work", type=Path, required=True, help="folder of prepared data, runs and results")
    for command in (prepare_, combine_):
        command.add_argument("--detokenizer", type=Path, required=True, help="folder; its vocoder is the teacher")
    recorded = "tars or folders with manifest.tsv and audio/"
    prepare_.add_argument("--recordings", type=Path, nargs="+", default=[], metavar="SOURCE", help=recorded)
    stores = "stores of speech tokens, which the detokenizer makes mels of"
    prepare_.add_argument("--tokens", type=Path, nargs="+", default=[], metavar="STORE", help=stores)
    prepare_.add_argument("--minutes", type=float, default=20.0, help="of each, at most (default %(default)s)")
    add_training_options(train_, CONFIGS / "vocoder.yaml")
    combine_.add_argument("--out", type=Path, required=True, help="folder for the new detokenizer")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.command == "prepare":
        prepare_all(arguments)
    elif arguments.command == "train":
        train(load_stage_config(VocoderTraining, arguments), arguments.work, arguments.resume)
    else:
        combine(arguments.work, arguments.detokenizer, arguments.out)
