"""Towers and whole models on disk.

A lone tower is config.json beside model.safetensors, and so is a single decoder. A Zipper has its text tower, which
fusing does not change, in a file of its own, text_tower.safetensors, so that new weights leave that file as it is.
Older models have everything in model.safetensors; they are still read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from zipper import files
from zipper.errors import ConfigError, StorageError, WeightsError
from zipper.model.config import SingleDecoderConfig, TowerConfig, config_from_dict
from zipper.model.fused import FusedModel
from zipper.model.single_decoder import SingleDecoder
from zipper.model.tower import Tower
from zipper.model.zipper import ZipperModel
from zipper.tensors import fill as fill
from zipper.tensors import read_tensors as read_tensors
from zipper.tensors import uninitialized

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TEXT_TOWER_FILE = "text_tower.safetensors"
TEXT_TOWER = "text."  # what the names of its tensors begin with in a whole model
DECODER = "decoder."  # the same for the tensors of a single decoder


def save(model: FusedModel, folder: str | os.PathLike[str]) -> None:
    """Write a whole model; the file of a text tower that is there already is not touched.

    Raises StorageError when the disk refuses.
    """
    write_tensors(model.state_dict(), folder)
    _save_config(model.config.to_dict(), Path(folder))


def load(folder: str | os.PathLike[str]) -> FusedModel:
    """Read a whole model of the kind that its config.json names, float32 and in evaluation mode.

    Raises WeightsError or ConfigError.
    """
    config = config_from_dict(read_json(Path(folder) / CONFIG_FILE))
    with uninitialized():
        model = SingleDecoder(config) if isinstance(config, SingleDecoderConfig) else ZipperModel(config)
    fill(model, read_model_tensors(folder))
    return model.eval()


def load_zipper(folder: str | os.PathLike[str]) -> ZipperModel:
    """The same where only two towers will do. Raises WeightsError or ConfigError."""
    model = load(folder)
    if not isinstance(model, ZipperModel):
        raise ConfigError(f"The model in {folder} is a single decoder; name the folder of a Zipper, with two towers.")
    return model


def write_tensors(tensors: Mapping[str, Tensor], folder: str | os.PathLike[str]) -> None:
    """Write the tensors of a whole model: the text tower where it is not there yet, and the rest.

    Raises StorageError when the disk refuses.
    """
    place = Path(folder)
    _make(place)
    text = {name: tensor for name, tensor in tensors.items() if name.startswith(TEXT_TOWER)}
    if text and not _holds(place / TEXT_TOWER_FILE, text):
        files.save(place / TEXT_TOWER_FILE, _serialized(text))
    rest = {name: tensor for name, tensor in tensors.items() if name not in text}
    files.save(place / WEIGHTS_FILE, _serialized(rest))


def read_model_tensors(folder: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of a whole model as stored, on the CPU.

    A model.safetensors with a text tower, or with a single decoder, is taken as complete. Raises WeightsError when a
    file is missing or corrupt.
    """
    tensors = read_tensors(Path(folder) / WEIGHTS_FILE)
    if not any(name.startswith((TEXT_TOWER, DECODER)) for name in tensors):
        tensors |= read_tensors(Path(folder) / TEXT_TOWER_FILE)
    return tensors


def save_tower(tower: Tower, folder: str | os.PathLike[str]) -> None:
    """Write a lone tower. Raises StorageError when the disk refuses."""
    _make(Path(folder))
    files.save(Path(folder) / WEIGHTS_FILE, _serialized(tower.state_dict()))
    _save_config(tower.config.to_dict(), Path(folder))


def load_tower(folder: str | os.PathLike[str]) -> Tower:
    """Read a lone tower, float32 and in evaluation mode. Raises WeightsError or ConfigError."""
    config = TowerConfig.from_dict(read_json(Path(folder) / CONFIG_FILE))
    with uninitialized():
        tower = Tower(config)
    fill(tower, read_tensors(Path(folder) / WEIGHTS_FILE))
    return tower.eval()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _serialized(tensors: Mapping[str, Tensor]) -> bytes:
    return bytes(safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))


def _save_config(config: dict[str, Any], folder: Path) -> None:
    files.save(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


def _holds(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file holds exactly these tensors, in their precision."""
    if not path.exists():
        return False
    try:
        there = read_tensors(path)
    except WeightsError:  # damaged: it is written anew
        return False
    return there.keys() == tensors.keys() and all(
        there[name].dtype == tensor.dtype and torch.equal(there[name], tensor.detach().cpu())
        for name, tensor in tensors.items()
    )


def read_json(path: Path) -> Any:
    """Parsed JSON of a file. Raises WeightsError when it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"The model's {path.name} cannot be read at {path}.") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON.") from error
