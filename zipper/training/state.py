"""The state of a run in one file, so that weights, optimizers, step and random numbers always belong together."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zipper import files
from zipper.errors import ConfigError
from zipper.training.transfer import map_tensors

STATE_FILE = "state.pt"


class Progress(NamedTuple):
    """What a run has besides its weights and optimizers.

    step: the next one, which is the data position too; spent: seconds; average: of the weights that are trained, may be
    empty; random: state of the random numbers of each process.
    """

    step: int
    spent: float
    average: list[Tensor]
    random: list[dict[str, Tensor]]


def random_state() -> dict[str, Tensor]:
    """State of the random numbers of this process, on the CPU and on its GPU."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Go on with the random numbers where `random_state` was asked."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def save_state(folder: Path, stage: nn.Module, optimizers: Sequence[torch.optim.Optimizer], progress: Progress) -> None:
    """Write FOLDER/state.pt; it is the old one or the new one, whole, whatever happens. Raises StorageError."""
    state = {"stage": stage.state_dict(), "optimizers": [o.state_dict() for o in optimizers], **progress._asdict()}
    buffer = io.BytesIO()
    torch.save(map_tensors(state, lambda tensor: tensor.detach().cpu()), buffer)
    files.save(folder / STATE_FILE, buffer.getvalue())


def load_state(folder: Path, stage: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Progress:
    """Put a state into the stage and its optimizers, on the devices on which they are; ConfigError if it does not fit.

    Settings of the optimizers are those of now: they may differ from those of the interrupted run.
    """
    state: dict[str, Any] = torch.load(folder / STATE_FILE, weights_only=True, map_location="cpu")
    try:
        stage.load_state_dict(state["stage"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            for group, old in zip(optimizer.param_groups, saved["param_groups"], strict=True):
                old.update({name: value for name, value in group.items() if name != "params"})
            optimizer.load_state_dict(saved)
        return Progress(*(state[name] for name in Progress._fields))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The state in {folder} is that of another network or version; start the stage without --resume."
        ) from error
