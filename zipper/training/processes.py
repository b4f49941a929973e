"""The processes of one run: alone, or side by side under torchrun."""

import os
from typing import Any

import torch
import torch.distributed as dist


class Processes:
    """This process among those of the run, as torchrun names them in the environment."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))

    @property
    def is_main(self) -> bool:
        """Whether this process writes results; the others only compute."""
        return self.rank == 0

    def device(self) -> torch.device:
        """The GPU of this process, or the CPU where there is none."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.local_rank % torch.cuda.device_count())

    def start(self, device: torch.device) -> bool:
        """Meet the other processes; whether that was necessary."""
        if self.world == 1 or dist.is_initialized():
            return False
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return True

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks; every process must call it."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values
