"""Towers and whole models on disk: config.json beside model.safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from zipper import files
from zipper.errors import StorageError, WeightsError
from zipper.model.config import TowerConfig, ZipperConfig
from zipper.model.tower import Tower
from zipper.model.zipper import ZipperModel

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def save(model: ZipperModel, folder: str | os.PathLike[str]) -> None:
    """Write a whole model. Raises StorageError when the disk refuses."""
    _save(model, model.config.to_dict(), Path(folder))


def load(folder: str | os.PathLike[str]) -> ZipperModel:
    """Read a whole model, float32 and in evaluation mode. Raises WeightsError or ConfigError."""
    config = ZipperConfig.from_dict(read_json(Path(folder) / CONFIG_FILE))
    model = ZipperModel(config)
    fill(model, read_tensors(Path(folder) / WEIGHTS_FILE))
    return model.eval()


def save_tower(tower: Tower, folder: str | os.PathLike[str]) -> None:
    """Write a lone tower. Raises StorageError when the disk refuses."""
    _save(tower, tower.config.to_dict(), Path(folder))


def load_tower(folder: str | os.PathLike[str]) -> Tower:
    """Read a lone tower, float32 and in evaluation mode. Raises WeightsError or ConfigError."""
    config = TowerConfig.from_dict(read_json(Path(folder) / CONFIG_FILE))
    tower = Tower(config)
    fill(tower, read_tensors(Path(folder) / WEIGHTS_FILE))
    return tower.eval()


def _save(module: nn.Module, config: dict[str, Any], folder: Path) -> None:
    """Write both files, each whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    files.save(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
    files.save(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Parsed JSON of a file. Raises WeightsError when it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"The model's {path.name} cannot be read at {path}.") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON.") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, on the CPU. Raises WeightsError when missing or corrupt."""
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise WeightsError(f"The model's weights cannot be read at {path}.") from error
    except SafetensorError as error:
        raise WeightsError(f"The weights in {path} are corrupt.") from error


def fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a module tensors of exactly its names and shapes, as float32.

    Raises WeightsError.
    """
    expected = module.state_dict()
    if expected.keys() != tensors.keys():
        names = sorted(expected.keys() ^ tensors.keys())
        raise WeightsError(f"The weights do not fit the config: {len(names)} names differ, first {names[0]}.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[name].shape)
            raise WeightsError(f"The weights do not fit the config: {name} is {found}, not {wanted}.")
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise WeightsError(f"The weights are damaged: {name} does not hold finite numbers.")
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
