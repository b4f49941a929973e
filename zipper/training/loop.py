"""The training loop of every stage: optimizers, precision, schedule, saving, resuming, several processes."""

import gc
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from zipper.errors import ConfigError

log = logging.getLogger(__name__)

STATE_FILE = "state.pt"
WEIGHTS_FILE = "weights.safetensors"
LOG_FILE = "log.jsonl"

Batch = Any
Losses = Mapping[str, Tensor]  # must hold "loss", the one that is minimized, and may hold "tokens", a count


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is optimized.

    Matrices inside the network take Muon steps (Jordan et al. 2024), scaled to the size of AdamW's so that one
    learning rate serves both; embeddings, norms, gates and biases take AdamW steps.
    """

    steps: int
    lr: float = 2e-3
    matrix_lr: float = 1.0  # factor on lr for the matrices that Muon trains
    gate_lr: float = 1e-2  # scalars (gates) move a distance of 1, weights one of 0.02: they need their own pace
    warmup: int = 100  # steps
    final_lr: float = 0.0  # share of lr at the last step; the decay is linear
    weight_decay: float = 0.05
    clip: float = 1.0  # gradient norm
    accumulate: int = 1  # micro-batches a step, over all processes
    autocast: bool = True  # bfloat16
    save_seconds: float = 180.0
    seconds: float = 0.0  # if above 0, the run ends after so long, and the schedule follows the clock, not the steps
    average: float = 0.0  # decay, a step, of an exponential average of the weights, which is the result; 0 is none
    validate_seconds: float = 300.0  # between two looks at the held-out people
    log_steps: int = 20
    seed: int = 0


class Trainer:
    """Runs `stage`, a module whose forward(batch) returns losses, over batch(0), batch(1), ...

    `batch` must be a pure function of its number: that makes the data position one integer, and a run over two
    processes the same as over one.
    """

    def __init__(
        self,
        stage: nn.Module,
        batch: Callable[[int], Batch],
        config: LoopConfig,
        folder: Path,
        held_out: Mapping[str, Sequence[Batch]] | None = None,
    ) -> None:
        """held_out: batches of people that are not trained on, by group; logged as "held_out.GROUP.LOSS"."""
        self.stage, self.batch, self.config, self.folder = stage, batch, config, folder
        self.held_out = held_out or {}
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        if config.accumulate % self.world:
            raise ConfigError(f"accumulate={config.accumulate} does not divide over {self.world} processes.")
        self.device = (
            torch.device("cuda", self.rank % torch.cuda.device_count())
            if torch.cuda.is_available()
            else torch.device("cpu")
        )
        stage.to(self.device)
        self.optimizers = build_optimizers(stage, config)
        self.step = 0
        self.spent = 0.0  # seconds of this run, those before an interruption counted
        self.average = [p.detach().clone() for p in self._averaged()] if config.average else []
        torch.manual_seed(config.seed + self.rank)

    def _averaged(self) -> list[Tensor]:
        return [p for p in self.stage.parameters() if p.requires_grad]

    def run(self, resume: bool) -> None:
        """Train to the last step; with `resume` from the last save, if there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and (self.folder / STATE_FILE).exists():
            self._load()
        started_here = self._start_processes()
        module: nn.Module = (
            DistributedDataParallel(self.stage, find_unused_parameters=True) if self.world > 1 else self.stage
        )
        self.stage.train()
        try:
            self._loop(module)
        finally:
            # The reducer must not be what holds the process group last: its end keeps Python's lock, which the threads
            # of the group may need to come to theirs, and the process would hang.
            del module
            gc.collect()
            if started_here:
                dist.destroy_process_group()

    def _start_processes(self) -> bool:
        if self.world == 1 or dist.is_initialized():
            return False
        dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return True

    def _loop(self, module: nn.Module) -> None:
        meter, saved, looked, before = Meter(), time.monotonic(), time.monotonic(), time.monotonic()
        total = self.config.steps if not self.config.seconds else None
        bar = tqdm(total=total, initial=self.step, disable=self.rank != 0, mininterval=5)
        while self.progress() < 1:
            losses = self._one_step(module)
            self.step += 1
            self.spent += time.monotonic() - before
            before = time.monotonic()
            meter.add(losses)
            bar.update()
            if self.step % self.config.log_steps == 0 and self.rank == 0:
                means = meter.read()
                bar.set_postfix({k: f"{v:.4g}" for k, v in means.items()})
                self._write_log(means)
            if time.monotonic() - saved > self.config.save_seconds:
                self.save()
                saved = time.monotonic()
            if self.held_out and time.monotonic() - looked > self.config.validate_seconds:
                self._write_log(self.validate())
                looked = time.monotonic()
        bar.close()
        self.save()
        if self.average:
            torch._foreach_copy_([p.data for p in self._averaged()], self.average)
        if self.held_out and self.rank == 0:
            self._write_log(self.validate())

    def progress(self) -> float:
        """Share of the run that is behind it, by the clock or by the steps."""
        if self.config.seconds:
            return self.spent / self.config.seconds
        return self.step / self.config.steps

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses of the held-out batches of each group."""
        self.stage.eval()
        figures: dict[str, float] = {}
        for group, batches in self.held_out.items():
            meter = Meter()
            for batch in batches:
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.autocast):
                    losses = self.stage(to_device(batch, self.device))
                meter.add({name: float(value) for name, value in losses.items() if name != "tokens"})
            figures.update((f"held_out.{group}.{n}", value) for n, value in meter.read().items() if n != "tokens/s")
        self.stage.train()
        log.info("step %d: %s", self.step, {name: round(value, 4) for name, value in figures.items()})
        return figures

    def _one_step(self, module: nn.Module) -> dict[str, float]:
        share = self.config.accumulate // self.world
        micro: list[dict[str, float]] = []
        for index in range(share):
            number = self.step * self.config.accumulate + index * self.world + self.rank
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.autocast):
                losses: Losses = module(to_device(self.batch(number), self.device))
            (losses["loss"] / share).backward()
            micro.append({name: float(value.detach()) for name, value in losses.items()})
        totals = mean_losses(self._gather(micro))
        trained = [p for p in self.stage.parameters() if p.grad is not None]
        totals["grad"] = float(nn.utils.clip_grad_norm_(trained, self.config.clip))
        rate = learning_rate(self.step, self.progress(), self.config)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average:
            decay = min(self.config.average, (1 + self.step) / (10 + self.step))  # short at first
            torch._foreach_lerp_(self.average, [p.detach() for p in self._averaged()], 1 - decay)
        return totals

    def _gather(self, micro: list[dict[str, float]]) -> list[dict[str, float]]:
        """The losses of every micro-batch of this step, over all processes."""
        if self.world == 1:
            return micro
        everyone: list[Any] = [None] * self.world
        dist.all_gather_object(everyone, micro)
        return [losses for process in everyone for losses in process]

    def _write_log(self, means: Mapping[str, float]) -> None:
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, **{k: round(v, 5) for k, v in means.items()}}) + "\n")

    def save(self) -> None:
        """Weights, optimizers, step (which is the data position) and random state; the old save survives a crash."""
        if self.rank != 0:
            return
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.stage.state_dict().items()}
        save_file(weights, self.folder / (WEIGHTS_FILE + ".new"))
        torch.save(
            {
                "step": self.step,
                "spent": self.spent,
                "average": self.average,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "random": torch.get_rng_state(),
            },
            self.folder / (STATE_FILE + ".new"),
        )
        for name in (WEIGHTS_FILE, STATE_FILE):
            (self.folder / (name + ".new")).replace(self.folder / name)

    def _load(self) -> None:
        self.stage.load_state_dict(load_file(self.folder / WEIGHTS_FILE))
        state = torch.load(self.folder / STATE_FILE, weights_only=True)
        self.step, self.spent = state["step"], state["spent"]
        self.average = [tensor.to(self.device) for tensor in state["average"]]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            scales = [group["scale"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, scale in zip(optimizer.param_groups, scales, strict=True):
                group["scale"] = scale  # a setting, which may differ from that of the interrupted run
        torch.set_rng_state(state["random"])
        log.info("resumed at step %d", self.step)


def mean_losses(micro: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each loss over the micro-batches that have it; tokens are summed."""
    values: dict[str, list[float]] = {}
    for losses in micro:
        for name, value in losses.items():
            values.setdefault(name, []).append(value)
    return {name: sum(v) if name == "tokens" else sum(v) / len(v) for name, v in values.items()}


class Meter:
    """Means of the losses and the tokens a second between two reads."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.started = time.monotonic()

    def add(self, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        means = {name: total / self.counts[name] for name, total in self.sums.items() if name != "tokens"}
        means["tokens/s"] = self.sums.get("tokens", 0.0) / (time.monotonic() - self.started)
        self._reset()
        return means


def learning_rate(step: int, progress: float, config: LoopConfig) -> float:
    """Linear warm-up over steps, then linear decay to final_lr over the share of the run, 0 to 1, that is left."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    start = 0.0 if config.seconds else config.warmup / max(config.steps, config.warmup + 1)
    left = (1 - min(progress, 1.0)) / (1 - start)
    return config.lr * (config.final_lr + (1 - config.final_lr) * left)


def build_optimizers(stage: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of Linear layers, AdamW for everything else that is trained."""
    matrices: list[Tensor] = []
    for module in stage.modules():
        if isinstance(module, nn.Linear) and module.weight.requires_grad and min(module.weight.shape) > 64:
            matrices.append(module.weight)
    chosen = {id(weight) for weight in matrices}
    rest = [p for p in stage.parameters() if p.requires_grad and id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.dim() > 0], "scale": 1.0},
        {"params": [p for p in rest if p.dim() == 0], "scale": config.gate_lr / config.lr, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0)
    if not matrices:
        return [adamw]
    muon = torch.optim.Muon(
        [{"params": matrices, "scale": config.matrix_lr}],
        lr=config.lr,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, adamw]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Tensors of a batch (a mapping or a sequence, nested) to a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
