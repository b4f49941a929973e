"""The vocoders, HiFi-GAN and the inverse STFT, behind one interface; their kind stands in the configuration.

A folder with a vocoder has config.json, whose entry "vocoder" holds the kind and the sizes (without a kind it is a
HiFi-GAN), and the weights in hifigan.safetensors or istft.safetensors. The folder of a detokenizer is one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from zipper import files
from zipper.configuration import from_plain
from zipper.errors import ConfigError, StorageError, WeightsError
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.istft import IstftConfig, IstftVocoder
from zipper.tensors import Stored, read_tensors, uninitialized

CONFIG_FILE, ENTRY = "config.json", "vocoder"
BLOCK = 256  # frames that `sound_of` speaks at once
UNFIT = (OSError, ValueError, KeyError, TypeError)

# Both have look_ahead, the frames behind a frame that its samples depend on, and start(), which gives what speaks a mel
# stretch after stretch: (mel (T, 80), first, last) -> samples of frames first..last.
Vocoder: TypeAlias = HifiGan | IstftVocoder


class Kind(NamedTuple):
    """One kind of vocoder."""

    config: type[HifiGanConfig] | type[IstftConfig]
    network: type[HifiGan] | type[IstftVocoder]


KINDS = {"hifigan": Kind(HifiGanConfig, HifiGan), "istft": Kind(IstftConfig, IstftVocoder)}


def weights_file(kind: str) -> str:
    """Name of the file with the weights of a kind of vocoder."""
    return f"{kind}.safetensors"


def kind_of(vocoder: Vocoder) -> str:
    """The name of its kind, as configurations have it."""
    return next(name for name, kind in KINDS.items() if isinstance(vocoder, kind.network))


def new_vocoder(settings: Mapping[str, Any]) -> Vocoder:
    """A vocoder with fresh weights from the entry of a configuration; ConfigError for unknown kinds or sizes."""
    sizes = dict(settings)
    name = sizes.pop("kind", "hifigan")
    if name not in KINDS:
        raise ConfigError(f"There is no vocoder of the kind {name!r}; the kinds are {' and '.join(KINDS)}.")
    kind = KINDS[name]
    return kind.network(from_plain(kind.config, sizes, ENTRY))  # type: ignore[arg-type]


def load_vocoder(folder: Path) -> Vocoder:
    """The vocoder in a folder; WeightsError if a file is missing, corrupt or does not fit."""
    vocoder = open_vocoder(folder).get()
    return vocoder.eval().requires_grad_(False)


def open_vocoder(folder: Path) -> Stored[Vocoder]:
    """The same, its weights left in their file until it first speaks."""
    try:
        settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))[ENTRY]
        with uninitialized():
            vocoder = new_vocoder(settings)
    except ConfigError as error:
        raise WeightsError(f"The vocoder in {folder} cannot be loaded: {error}") from error
    except UNFIT as error:
        raise WeightsError(f"{folder} holds no vocoder: its {CONFIG_FILE} is missing or corrupt.") from error
    path = folder / weights_file(kind_of(vocoder))
    if not path.is_file():
        raise WeightsError(f"The vocoder in {folder} lacks {path.name}.")
    try:
        return Stored(vocoder, read_tensors(path), arrange)
    except WeightsError as error:
        raise WeightsError(f"The vocoder in {folder} is corrupt or its weights do not fit it.") from error


def arrange(vocoder: Vocoder) -> None:
    """Lay its weights out in memory as it reads them."""
    if isinstance(vocoder, HifiGan):
        vocoder.arrange()


def save_vocoder(vocoder: Vocoder, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write what load_vocoder reads, in half precision, which cannot be heard.

    more: further entries of config.json. Raises StorageError.
    """
    kind = kind_of(vocoder)
    config = {**(more or {}), ENTRY: {"kind": kind, **asdict(vocoder.config)}}
    halved = {name: weight.half().contiguous() for name, weight in vocoder.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made.") from error
    files.save(folder / weights_file(kind), to_bytes(halved))
    files.save(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


@torch.inference_mode()
def sound_of(vocoder: Vocoder, mel: Tensor) -> np.ndarray:
    """All of a mel (T, 80) -> samples (256 T,) float32 in -1..1."""
    speak = vocoder.start()
    edges = [*range(0, len(mel), BLOCK), len(mel)]
    return torch.cat([speak(mel, first, last) for first, last in pairwise(edges)]).numpy()
