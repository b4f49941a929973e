"""Weights from safetensors files into modules: checked when a file is opened, float32 when they are used.

Files hold half precision, which halves them; a processor computes in float32. Modules that are filled need no random
numbers first, and what a command never uses is never converted.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zipper.errors import WeightsError

M = TypeVar("M", bound=nn.Module)


class _WithoutInit(TorchFunctionMode):
    """Functions of torch.nn.init leave their tensor as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else args[0]
        return func(*args, **named)


@contextmanager
def uninitialized() -> Iterator[None]:
    """Modules made inside have parameters of any value, which must be filled; their buffers are as always.

    Random numbers for 24 million parameters take longer than to read them.
    """
    with _WithoutInit():
        yield


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file as stored, on the CPU; read from the disk when they are first looked at.

    Raises WeightsError when the file is missing or corrupt.
    """
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise WeightsError(f"The model's weights cannot be read at {path}.") from error
    except SafetensorError as error:
        raise WeightsError(f"The weights in {path} are corrupt.") from error


def check(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError where tensors have not exactly the names and shapes of a module; reads no values."""
    expected = module.state_dict()
    if expected.keys() != tensors.keys():
        names = sorted(expected.keys() ^ tensors.keys())
        raise WeightsError(f"The weights do not fit the config: {len(names)} names differ, first {names[0]}.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[name].shape)
            raise WeightsError(f"The weights do not fit the config: {name} is {found}, not {wanted}.")
        if not tensor.is_floating_point():
            raise WeightsError(f"The weights are damaged: {name} does not hold finite numbers.")


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module tensors of exactly its names and shapes, as float32. Raises WeightsError."""
    check(module, tensors)
    weights = {name: tensor.float() for name, tensor in tensors.items()}
    for name, weight in weights.items():
        # The extremes tell of every NaN and infinity, in a sixth of the time that isfinite() takes
        if weight.numel() and not all(extreme.isfinite() for extreme in weight.aminmax()):
            raise WeightsError(f"The weights are damaged: {name} does not hold finite numbers.")
    module.load_state_dict(weights, assign=True)


class Stored(Generic[M]):
    """A module whose weights stay in their file until it is first used. Threads may share it."""

    def __init__(
        self, module: M, tensors: Mapping[str, Tensor] | None = None, prepare: Callable[[M], object] | None = None
    ) -> None:
        """Raises WeightsError where tensors do not fit.

        tensors: of the file; None for a module that has its weights. prepare: what is done to the module then, once.
        """
        if tensors is not None:
            check(module, tensors)
        self._module, self._tensors, self._prepare = module, tensors, prepare
        self._lock = threading.Lock()

    @property
    def unfilled(self) -> M:
        """The module, whose parameters may be of any value yet: for its configuration."""
        return self._module

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in the module."""
        return self._tensors is None

    def get(self) -> M:
        """The module with its weights. Raises WeightsError where they are damaged."""
        with self._lock, torch.inference_mode(False):  # training may use them too, whoever asks first
            if self._tensors is not None:
                fill(self._module, self._tensors)
                self._tensors = None
            if self._prepare is not None:
                self._prepare(self._module)
                self._prepare = None
        return self._module
