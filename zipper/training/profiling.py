"""Where the time of a training step goes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile, schedule

SKIPPED = 3  # steps that are not like the others: memory is allocated, kernels are chosen
WARM_UP = 1  # steps in which the profiler itself starts
ROWS = 25  # of the table


@contextmanager
def step_profiler(steps: int, device: torch.device) -> Iterator[profile | None]:
    """A profiler whose `step` is to be called after each step; prints a table of `steps` steps. None for 0 steps."""
    if not steps:
        yield None
        return
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"

    def report(profiler: profile) -> None:
        table = profiler.key_averages().table(sort_by=order, row_limit=ROWS)
        print(f"Time of {steps} steps on {device}:\n{table}")

    plan = schedule(wait=SKIPPED, warmup=WARM_UP, active=steps, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=report) as profiler:
        yield profiler
