"""A second device for machines that have none: tensors that say they lie on a GPU and are computed on the CPU.

In PyTorch's FakeTensorMode tensors have no values, and training stages read values (lengths, masks, losses). Here every
value is real, and only the device is pretended: a tensor of the pretended device that meets one of the CPU in one
operation is an error with PyTorch's words, as on a GPU; numbers (tensors without dimensions) and indices may be mixed,
as PyTorch allows.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from zipper.training import transfer
from zipper.training.processes import Processes

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
INSIDE = torch.device("meta")  # what PyTorch's C++ takes the tensors for: it would ask a driver about a GPU's streams
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
    torch.ops.aten._unsafe_index.Tensor,
    torch.ops.aten._unsafe_index_put.default,
}


class OnGpu(Tensor):
    """A tensor of the pretended device; `values` holds it on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "OnGpu":
        made = Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=INSIDE,
            requires_grad=False,
        )
        made.values = values
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def tolist(self) -> Any:
        return self.values.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.values!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Makes new tensors on the pretended device where one is asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class _FromData(TorchFunctionMode):
    """torch.tensor copies its data to a device before anything else may have a word."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation on the values; its result lies where its tensors lie, or where it is asked for."""
    given = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    on_gpu = any(isinstance(tensor, OnGpu) for tensor in given)
    if on_gpu and func not in COPIES and not meets(func, args, given):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices in {func}.")
    real_args, real_kwargs = tree_map_only(OnGpu, lambda tensor: tensor.values, (args, kwargs))
    if (asked := kwargs.get("device")) is not None:
        on_gpu = torch.device(asked).type in (GPU.type, INSIDE.type)
        real_kwargs["device"] = CPU
    result = func(*real_args, **real_kwargs)
    known = {id(t.values) if isinstance(t, OnGpu) else id(t): t for t in given}  # results of operations in place

    def wrap(tensor: Tensor) -> Tensor:
        return known.get(id(tensor)) if id(tensor) in known else OnGpu(tensor) if on_gpu else tensor

    return tree_map_only(Tensor, wrap, result)


def meets(func: Any, args: Any, given: list[Tensor]) -> bool:
    """Whether the tensors of an operation may meet, one of which lies on the pretended device."""
    if func in INDEXED:  # indices may lie on the CPU, what is indexed may not
        return isinstance(args[0], OnGpu)
    return all(isinstance(tensor, OnGpu) or tensor.dim() == 0 for tensor in given)


class _Threads(ThreadPoolExecutor):
    """Threads in which the device is pretended too."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def run() -> Any:
            with _FromData(), _Factories():
                return fn(*args, **kwargs)

        return super().submit(run)


@contextmanager
def second_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stages are trained on the pretended device inside."""
    monkeypatch.setattr(Processes, "device", lambda self: GPU)
    monkeypatch.setattr(transfer, "ThreadPoolExecutor", _Threads)
    if not torch.cuda.is_available():  # nothing is there that could be initialized
        monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    with torch.autograd.set_multithreading_enabled(False), _FromData(), _Factories():
        yield
