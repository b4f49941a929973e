"""Loading the model for the app: on a GPU where there is one."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from app.errors import user_errors, zipper_errors
from zipper import Zipper

BORROWED_SECONDS = 120  # s that one request may hold a ZeroGPU


def load_model(folder: Path | None = None) -> Zipper:
    """The model of a folder, by default the one that is shipped with the repository.

    On a GPU run the towers, which take most of the time; tokenizers and vocoder stay on the processor. On a Space
    with ZeroGPU the GPU is borrowed for each request.
    """
    spaces = _zero_gpu()
    import torch  # after `spaces`, which prepares it

    model = Zipper.from_pretrained(folder)
    if torch.cuda.is_available():
        model.to("cuda")
    if spaces is not None:
        use_zero_gpu(model, functools.partial(spaces.GPU, duration=BORROWED_SECONDS))
    return model


def use_zero_gpu(model: Zipper, gpu: Callable[..., Any]) -> None:
    """Run each method that uses the model inside `gpu`, a decorator for functions and generator functions.

    An error arrives from there as a class name alone, unless it is a gr.Error. So it is turned into one inside, and
    back into the original error outside, because handlers distinguish the classes.
    """
    for name in ("transcribe", "synthesize", "complete"):
        setattr(model, name, _restore_errors(gpu(_convert_errors(getattr(model, name)))))
    for name in ("transcribe_stream", "synthesize_stream", "synthesize_steps", "complete_stream"):
        setattr(model, name, _restore_stream_errors(gpu(_convert_stream_errors(getattr(model, name)))))


def _convert_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with user_errors():
            return method(*args, **kwargs)

    return run


def _convert_stream_errors(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with user_errors():
            yield from method(*args, **kwargs)

    return run


def _restore_errors(borrowed: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(borrowed)
    def run(*args: Any, **kwargs: Any) -> Any:
        with zipper_errors():
            return borrowed(*args, **kwargs)

    return run


def _restore_stream_errors(borrowed: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(borrowed)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with zipper_errors():
            yield from borrowed(*args, **kwargs)

    return run


def _zero_gpu() -> ModuleType | None:
    """The package `spaces` on a Space with ZeroGPU."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    import spaces

    module: ModuleType = spaces
    return module
