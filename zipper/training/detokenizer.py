"""Stage `detokenizer`: train the network from speech tokens and a voice to mel, and pack it with the vocoder.

python -m zipper.training.detokenizer prepare --data DATA --work WORK
python -m zipper.training.detokenizer train --data DATA --work WORK --tokens STORE --vocoder FOLDER --out OUT

Under torchrun each process takes its own batches and the gradients are averaged.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from zipper.errors import ConfigError, WeightsError
from zipper.speech.acoustic import RESIDUAL_SCALE, AcousticConfig, AcousticModel, Block, padding_mask
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.training.mels import Batch, Clips, Voice, prepare
from zipper.training.store import Store

log = logging.getLogger(__name__)

LOG_STEPS = 25  # steps between two lines of the metrics file
STATISTICS_CLIPS = 200  # clips of each voice that mean and deviation of mel and pitch are taken from
HELD_OUT_CLIPS = 12  # clips of each voice in an evaluation
WEIGHTS = {"coarse": 1.0, "flow": 0.5, "pitch": 0.2, "voicing": 0.2}  # of the losses


@dataclass(frozen=True)
class DetokenizerTraining:
    """Settings of this stage; detokenizer.yaml says what they mean."""

    voices: tuple[Voice, ...]
    network: dict[str, Any] = field(default_factory=dict)
    steps: int = 4000
    batch_frames: int = 2048
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 4e-3
    weight_decay: float = 0.01
    warmup_steps: int = 60
    replaced_codes: float = 0.03
    save_minutes: float = 3.0
    seed: int = 1

    @classmethod
    def read(cls, path: Path, **changes: Any) -> "DetokenizerTraining":
        """Settings from a YAML file, with changes; ConfigError for what does not exist."""
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            values["voices"] = tuple(Voice(**voice) for voice in values["voices"])
            return replace(cls(**values), **changes)
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ConfigError(f"The settings in {path} cannot be used: {error}.") from error


def read_tokens(folder: Path) -> tuple[Store, np.ndarray]:
    """Token store of the `prepare` stage and the quantiser's grid (codes, dimensions) in FOLDER/grid.npy."""
    grid = np.load(folder / "grid.npy").astype(np.float32)
    return Store(folder), grid / max(1e-9, float(np.abs(grid).max()))


def losses(model: AcousticModel, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Losses of a batch by name; the generator decides times and noise of the flow."""
    mask = padding_mask(batch.lengths, batch.mel.shape[1])  # (B, T, 1)
    target = model.standardise(batch.mel)
    frames = torch.arange(batch.mel.shape[1], device=mask.device)
    h = model.encode(batch.codes, batch.voice, batch.code_lengths)
    coarse = model.coarse(model.spread(h, frames, lengths=batch.code_lengths), batch.voice, batch.hz, mask)

    start = torch.randn(target.shape, generator=generator).to(mask.device)
    time_ = torch.rand(len(target), generator=generator).to(mask.device)
    end = (target - coarse.mel.detach()) / RESIDUAL_SCALE
    x = torch.lerp(start, end, time_[:, None, None])
    velocity = model.flow(x, time_, model.condition(coarse), mask)

    voiced = (batch.hz > 0).float()
    height = model.pitch_height(batch.hz, batch.voice)
    known, count = mask[..., 0], mask.sum()
    voicing = F.binary_cross_entropy_with_logits(coarse.voicing, voiced, reduction="none")
    return {
        "coarse": ((coarse.mel - target).abs().mean(-1) * known).sum() / count,
        "flow": ((velocity.float() - (end - start)).square().mean(-1) * known).sum() / count,
        "pitch": ((coarse.pitch - height).abs() * voiced).sum() / voiced.sum().clamp(min=1),
        "voicing": (voicing * known).sum() / count,
    }


def set_statistics(model: AcousticModel, clips: Clips) -> None:
    """Mean and deviation of each mel band, and of each voice's log pitch, from some clips of each voice."""
    mels = []
    for index, voice in enumerate(clips.train):
        some = voice[:STATISTICS_CLIPS]
        mels += [clips.mel[clip.id].astype(np.float32) for clip in some]
        hz = np.concatenate([clips.pitch[clip.id].astype(np.float32) for clip in some])
        height = np.log(hz[hz > 0])
        model.get_buffer("pitch_mean")[index] = float(np.median(height))
        model.get_buffer("pitch_deviation")[index] = float(height.std())
    frames = np.concatenate(mels)
    model.get_buffer("mel_mean").copy_(torch.from_numpy(frames.mean(0)))
    model.get_buffer("mel_deviation").copy_(torch.from_numpy(frames.std(0)))


def optimisers(model: nn.Module, config: DetokenizerTraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the rest."""
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    matrices = [weight for block in blocks for weight in (block.rise.weight, block.fall.weight)]
    others = [weight for weight in model.parameters() if all(weight is not matrix for matrix in matrices)]
    return [
        torch.optim.Muon(
            matrices, config.matrix_learning_rate, config.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, config.learning_rate, (0.9, 0.98), weight_decay=config.weight_decay),
    ]


def pace(config: DetokenizerTraining, step: int) -> float:
    """Factor of the learning rates: up in warmup_steps, then straight down to 0 at the last step."""
    return min((step + 1) / config.warmup_steps, 1.0) * max(0.0, 1 - step / config.steps)


def replace_codes(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Replace a share of the codes by codes from elsewhere in the batch."""
    slips = torch.rand(batch.codes.shape, generator=generator) < share
    shuffled = batch.codes.flatten()[torch.randperm(batch.codes.numel(), generator=generator)]
    return replace(batch, codes=torch.where(slips, shuffled.view_as(batch.codes), batch.codes))


def average_gradients(model: nn.Module) -> None:
    """Over all processes; nothing to do for one."""
    if dist.is_initialized():
        for weight in model.parameters():
            if weight.grad is not None:
                dist.all_reduce(weight.grad)
                weight.grad /= dist.get_world_size()


class Trainer:
    """One run: the network, its optimisers and the step it has reached."""

    def __init__(self, model: AcousticModel, clips: Clips, config: DetokenizerTraining, work: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.clips, self.config, self.work = model.to(self.device), clips, config, work
        self.optimisers = optimisers(model, config)
        self.step = 0
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.processes = dist.get_world_size() if dist.is_initialized() else 1

    @property
    def checkpoint(self) -> Path:
        """File that save writes and resume reads."""
        return self.work / "detokenizer.pt"

    def save(self) -> None:
        """All that a run needs to go on, as data and random numbers follow from the step; and evaluate."""
        if self.rank > 0:
            return
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)
        self.record(self.evaluate())

    def resume(self) -> None:
        """Continue from the last checkpoint; WeightsError if there is none that fits."""
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.step = state["step"]
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(f"No run can be continued from {self.checkpoint}: {error}.") from error

    def batches(self) -> Iterator[Batch]:
        """Batches of this process from the current step on, without end."""
        position, epoch = self.step * self.processes + self.rank, 0
        while True:
            plan = self.clips.epoch(self.config.seed, epoch, self.config.batch_frames)
            while position < len(plan):
                yield self.clips.batch(plan[position])
                position += self.processes
            position -= len(plan)
            epoch += 1

    def update(self, batch: Batch) -> dict[str, float]:
        """One step; the losses before it."""
        seeds = np.random.SeedSequence([self.config.seed, self.step, self.rank])
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        batch = replace_codes(batch, self.config.replaced_codes, generator).to(self.device)
        factor = pace(self.config, self.step)
        rates = (self.config.matrix_learning_rate, self.config.learning_rate)
        with torch.autocast(self.device.type, torch.bfloat16):
            parts = losses(self.model, batch, generator)
            loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        loss.backward()
        average_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser, rate in zip(self.optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * factor
            optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        return {name: float(part.detach()) for name, part in parts.items()}

    def run(self) -> None:
        """Train to the last step, with a progress bar, a metrics file and checkpoints every few minutes."""
        saved = started = time.monotonic()
        recent: list[dict[str, float]] = []
        tokens = 0
        bar = tqdm(total=self.config.steps, initial=self.step, disable=self.rank > 0, mininterval=5)
        for batch in self.batches():
            if self.step >= self.config.steps:
                break
            tokens += int(batch.code_lengths.sum()) * self.processes
            recent.append(self.update(batch))
            bar.update()
            if self.step % LOG_STEPS == 0:
                shown = {name: round(mean(parts[name] for parts in recent), 4) for name in WEIGHTS}
                shown["tokens_per_second"] = round(tokens / (time.monotonic() - started))
                bar.set_postfix(shown)
                self.record(shown)
                recent.clear()
            if time.monotonic() - saved > 60 * self.config.save_minutes:
                self.save()
                saved = time.monotonic()
        bar.close()
        self.save()

    def record(self, values: dict[str, float]) -> None:
        """One JSON line to the metrics file."""
        if self.rank == 0:
            with (self.work / "detokenizer.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")

    @torch.inference_mode()
    def evaluate(self) -> dict[str, float]:
        """Losses on held-out clips, every time with the same noise."""
        generator = torch.Generator().manual_seed(self.config.seed)
        totals: dict[str, list[float]] = {name: [] for name in WEIGHTS}
        for voice in range(len(self.config.voices)):
            clips = [clip for clip in self.clips.held_out if clip.voice == voice][:HELD_OUT_CLIPS]
            batch = self.clips.batch(clips).to(self.device)
            for name, part in losses(self.model, batch, generator).items():
                totals[name].append(float(part))
        return {f"held_out_{name}": round(mean(parts), 4) for name, parts in totals.items()}


def build(config: DetokenizerTraining, grid: np.ndarray) -> AcousticModel:
    """A new network for these voices and codes, initialised from the seed."""
    torch.manual_seed(config.seed)
    names = tuple(voice.name for voice in config.voices)
    sizes: dict[str, Any] = {
        name: tuple(size) if isinstance(size, list) else size for name, size in config.network.items()
    }
    model = AcousticModel(AcousticConfig(codes=len(grid), code_dims=grid.shape[1], voices=names, **sizes))
    model.codes.get_buffer("grid").copy_(torch.from_numpy(grid))
    return model


def read_vocoder(folder: Path) -> HifiGan:
    """The published generator, V1, from FOLDER/generator.safetensors."""
    vocoder = HifiGan(HifiGanConfig())
    vocoder.load_state_dict(load_file(folder / "generator.safetensors"))
    return vocoder


def train(config: DetokenizerTraining, arguments: argparse.Namespace) -> None:
    """The `train` command."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    tokens, grid = read_tokens(arguments.tokens)
    clips = Clips(config.voices, arguments.data, tokens, arguments.work)
    model = build(config, grid)
    set_statistics(model, clips)
    trainer = Trainer(model, clips, config, arguments.work)
    if arguments.resume:
        trainer.resume()
    size = sum(weight.numel() for weight in model.parameters())
    log.info("%.2f M parameters, from step %d", size / 1e6, trainer.step)
    trainer.run()
    if trainer.rank == 0:
        Detokenizer(model.cpu(), read_vocoder(arguments.vocoder)).save(arguments.out)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(prog="zipper.training.detokenizer", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    for name in ("prepare", "train"):
        stage = stages.add_parser(name)
        stage.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".yaml"))
        stage.add_argument("--data", type=Path, required=True, help="folder of the sources")
        stage.add_argument("--work", type=Path, required=True, help="folder for mels, checkpoints, metrics")
    stages.choices["prepare"].add_argument("--workers", type=int, default=2)
    trainer = stages.choices["train"]
    trainer.add_argument("--tokens", type=Path, required=True, help="token store with grid.npy")
    trainer.add_argument("--vocoder", type=Path, required=True, help="folder with generator.safetensors")
    trainer.add_argument("--out", type=Path, required=True, help="folder for the finished detokenizer")
    trainer.add_argument("--steps", type=int, help="instead of the configuration's")
    trainer.add_argument("--resume", action="store_true", help="continue from the last checkpoint in WORK")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.stage == "prepare":
        config = DetokenizerTraining.read(arguments.config)
        prepare(config.voices, arguments.data, arguments.work, arguments.workers)
    else:
        changes = {"steps": arguments.steps} if arguments.steps else {}
        train(DetokenizerTraining.read(arguments.config, **changes), arguments)


if __name__ == "__main__":
    main()
