"""The training loop of every stage: precision, schedule, saving, resuming, several processes.

It is our own and not that of `accelerate` because a batch is a function of its number here: data position, resuming and
the division over processes then are one integer, and two optimizers, the clock's schedule and one atomic state file
would have to be written beside `accelerate` anyway.
"""

import gc
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from zipper.errors import ConfigError
from zipper.training.meter import Meter, mean_losses, values_of
from zipper.training.optimizers import build_optimizers
from zipper.training.processes import Processes
from zipper.training.profiling import SKIPPED, WARM_UP, step_profiler
from zipper.training.schedule import LoopConfig, learning_rate
from zipper.training.state import STATE_FILE, Progress, load_state, random_state, save_state, set_random_state
from zipper.training.transfer import Batch, Batches, to_device

log = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"

Losses = Mapping[str, Tensor]  # scalars; must hold "loss", the one that is minimized, and may hold "tokens", a count


class Trainer:
    """Runs `stage`, a module whose forward(batch) returns losses, over batch(0), batch(1), ...

    `batch` must be a pure function of its number: that makes the data position one integer, and a run over two
    processes the same as over one. While it is trained the stage lies on the device of this process; after `run` it is
    on the CPU again, where its results are evaluated and written.
    """

    def __init__(
        self,
        stage: nn.Module,
        batch: Callable[[int], Batch],
        config: LoopConfig,
        folder: Path,
        held_out: Mapping[str, Sequence[Batch]] | None = None,
        watched: Callable[[], Losses] | None = None,
    ) -> None:
        """held_out: batches of people that are not trained on, by group; logged as "held_out.GROUP.LOSS".

        watched: scalars of the stage that are logged beside the losses, under the names that they have.
        """
        self.stage, self.batch, self.config, self.folder = stage, batch, config, folder
        self.held_out, self.watched = held_out or {}, watched
        self.processes = Processes()
        if config.accumulate % self.processes.world:
            raise ConfigError(f"accumulate={config.accumulate} does not divide over {self.processes.world} processes.")
        self.device = self.processes.device()
        stage.to(self.device)
        self.optimizers = build_optimizers(stage, config)
        self.step = 0
        self.spent = 0.0  # seconds of this run, those before an interruption counted, by the clock of the main process
        self.average = [p.detach().clone() for p in self._averaged()] if config.average else []
        torch.manual_seed(config.seed + self.processes.rank)

    def _averaged(self) -> list[Tensor]:
        return [p for p in self.stage.parameters() if p.requires_grad]

    def run(self, resume: bool) -> None:
        """Train to the last step; with `resume` from the last save, if there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and (self.folder / STATE_FILE).exists():
            self._load()
        self._check_profile()
        started_here = self.processes.start(self.device)
        module: nn.Module = self.stage
        if self.processes.world > 1:
            module = DistributedDataParallel(self.stage, find_unused_parameters=True)
        self.stage.train()
        batches = Batches(self.batch, self.device, self.processes.world)
        try:
            self._loop(module, batches)
        finally:
            batches.close()
            # The reducer must not be what holds the process group last: its end keeps Python's lock, which the threads
            # of the group may need to come to theirs, and the process would hang.
            del module
            gc.collect()
            if started_here:
                torch.distributed.destroy_process_group()
        self.stage.cpu()

    def _check_profile(self) -> None:
        needed = SKIPPED + WARM_UP + self.config.profile
        if self.config.profile and not self.config.seconds and self.config.steps - self.step < needed:
            raise ConfigError(f"A profile of {self.config.profile} steps needs a run of at least {needed}.")

    def _loop(self, module: nn.Module, batches: Batches) -> None:
        meter, before = Meter(), time.monotonic()
        saved = validated = self.spent
        main, total = self.processes.is_main, self.config.steps if not self.config.seconds else None
        bar = tqdm(total=total, initial=self.step, disable=not main, mininterval=5)
        with step_profiler(self.config.profile if main else 0, self.device) as profiler:
            while self.progress() < 1:
                losses = self._one_step(module, batches)
                self.step += 1
                if profiler is not None:
                    profiler.step()
                now = time.monotonic()
                meter.add(self._agree(losses, now - before))
                before = now
                bar.update()
                if self.step % self.config.log_steps == 0 and main:
                    means = meter.read()
                    bar.set_postfix({k: f"{v:.4g}" for k, v in means.items()})
                    self._write_log(means | self._watch())
                if self.spent - saved > self.config.save_seconds:
                    self.save()
                    saved = self.spent
                if self.spent - validated > self.config.validate_seconds:
                    self._validate_and_log()
                    validated = self.spent
        bar.close()
        self.save()
        if self.average:
            torch._foreach_copy_([p.data for p in self._averaged()], self.average)
        self._validate_and_log()

    def progress(self) -> float:
        """Share of the run that is behind it, by the clock or by the steps."""
        if self.config.seconds:
            return self.spent / self.config.seconds
        return self.step / self.config.steps

    def _validate_and_log(self) -> None:
        if self.held_out and self.processes.is_main:
            self._write_log(self.validate() | self._watch())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses of the held-out batches of each group."""
        self.stage.eval()
        figures: dict[str, float] = {}
        for group, batches in self.held_out.items():
            meter = Meter()
            for batch in batches:
                losses = values_of(self._forward(self.stage, to_device(batch, self.device)))
                meter.add({name: value for name, value in losses.items() if name != "tokens"})
            figures.update((f"held_out.{group}.{n}", value) for n, value in meter.read().items() if n != "tokens/s")
        self.stage.train()
        log.info("step %d: %s", self.step, {name: round(value, 4) for name, value in figures.items()})
        return figures

    def _forward(self, module: nn.Module, batch: Batch) -> Losses:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.autocast):
            losses: Losses = module(batch)
        return losses

    def _one_step(self, module: nn.Module, batches: Batches) -> list[dict[str, float]]:
        """Train one step; the losses of the micro-batches of this process."""
        world, share = self.processes.world, self.config.accumulate // self.processes.world
        micro: list[dict[str, float]] = []
        for index in range(share):
            with record_function("zipper: batch"):
                batch = batches(self.step * self.config.accumulate + index * world + self.processes.rank)
            with record_function("zipper: forward"):
                losses = self._forward(module, batch)
            with record_function("zipper: backward"):
                torch.autograd.backward(losses["loss"] / share)
            micro.append(values_of(losses))
        with record_function("zipper: optimizer"):
            gradient = self._update()
        micro[0]["grad"] = gradient
        return micro

    def _update(self) -> float:
        """Change the weights by their gradients; returns the norm of these."""
        trained = [p for p in self.stage.parameters() if p.grad is not None]
        norm = float(nn.utils.clip_grad_norm_(trained, self.config.clip))
        rate = learning_rate(self.step, self.progress(), self.config)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average:
            decay = min(self.config.average, (1 + self.step) / (10 + self.step))  # short at first
            torch._foreach_lerp_(self.average, [p.detach() for p in self._averaged()], 1 - decay)
        return norm

    def _agree(self, micro: list[dict[str, float]], seconds: float) -> dict[str, float]:
        """Mean losses of a step over all processes; all take the clock of the main one, so that they end together."""
        everyone = self.processes.gather((micro, self.spent + seconds))
        self.spent = everyone[0][1]
        return mean_losses(losses for losses_of_one, _ in everyone for losses in losses_of_one)

    @torch.no_grad()
    def _watch(self) -> dict[str, float]:
        """What is watched, as numbers."""
        scalars = self.watched() if self.watched else {}
        return values_of(scalars) if scalars else {}

    def _write_log(self, means: Mapping[str, float]) -> None:
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, **{k: round(v, 5) for k, v in means.items()}}) + "\n")

    def save(self) -> None:
        """Everything that the run needs to go on, in one file; every process must call it, the main one writes."""
        random = self.processes.gather(random_state())
        if self.processes.is_main:
            progress = Progress(self.step, self.spent, self.average, random)
            save_state(self.folder, self.stage, self.optimizers, progress)

    def _load(self) -> None:
        self.step, self.spent, average, random = load_state(self.folder, self.stage, self.optimizers)
        if self.config.average:
            start = average or [p.detach() for p in self._averaged()]  # the interrupted run may have kept none
            self.average = [tensor.to(self.device, copy=True) for tensor in start]
        if self.processes.rank < len(random):  # else there are more processes than before: these keep their seed
            set_random_state(random[self.processes.rank])
        log.info("resumed at step %d", self.step)
