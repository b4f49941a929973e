"""Loading the model for the app: on a GPU where there is one."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from app.errors import restored, told
from zipper import Zipper

BORROWED_SECONDS = 120  # s that one request may hold a ZeroGPU


def load(folder: Path | None = None) -> Zipper:
    """The model of a folder, by default the one that comes along.

    On a GPU run the towers, which take most of the time; tokenizers and vocoder stay on the processor. On a Space
    with ZeroGPU the GPU is borrowed for each request.
    """
    zero = _zero_gpu()
    import torch  # after `spaces`, which prepares it

    model = Zipper.from_pretrained(folder)
    if torch.cuda.is_available():
        model.model.to("cuda")
    if zero is not None:
        borrow(model, functools.partial(zero.GPU, duration=BORROWED_SECONDS))
    return model


def borrow(model: Zipper, gpu: Callable[..., Any]) -> None:
    """Run each method that uses the model inside `gpu`, a decorator for functions and generator functions.

    What is raised crosses a process there as a class name alone, unless it is a gr.Error; so it becomes one inside,
    and outside what it was, which handlers tell apart.
    """
    for name in ("transcribe", "synthesize", "complete"):
        setattr(model, name, _outside(gpu(_inside(getattr(model, name)))))
    for name in ("transcribe_stream", "synthesize_stream", "synthesize_steps", "complete_stream"):
        setattr(model, name, _stream_outside(gpu(_stream_inside(getattr(model, name)))))


def _inside(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with told():
            return method(*args, **kwargs)

    return run


def _stream_inside(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with told():
            yield from method(*args, **kwargs)

    return run


def _outside(borrowed: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(borrowed)
    def run(*args: Any, **kwargs: Any) -> Any:
        with restored():
            return borrowed(*args, **kwargs)

    return run


def _stream_outside(borrowed: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(borrowed)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with restored():
            yield from borrowed(*args, **kwargs)

    return run


def _zero_gpu() -> ModuleType | None:
    """The package `spaces` on a Space with ZeroGPU."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    import spaces

    return spaces
