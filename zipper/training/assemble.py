"""Stage `assemble`: the results of a work folder as the model folder that people load."""

import shutil
from pathlib import Path

import torch
from torch import Tensor

from zipper.errors import ConfigError
from zipper.model.checkpoint import TEXT_TOWER_FILE, WEIGHTS_FILE, read_model_tensors, write_tensors

MODEL = "zipper"
PARTS = (MODEL, "speech_tokenizer", "detokenizer")


def assemble(work: Path, out: Path, share: float = 1.0, model: str = MODEL) -> None:
    """Copy each finished part of `work` into `out`; what the work folder does not have stays as it is in `out`.

    share: of the new fused model in the mean of its weights and those that lie in `out`. Where the one went on from the
    other, their mean is often better than both (Wortsman et al. 2022, arXiv 2203.05482). model: the folder of `work`
    that holds the model.
    """
    if not 0 < share <= 1:
        raise ConfigError("The share of the new weights must lie above 0 and be at most 1.")
    places = {part: work / (model if part == MODEL else part) for part in PARTS}
    finished = [part for part in PARTS if places[part].is_dir()]
    if model != MODEL and MODEL not in finished:
        raise ConfigError(f"{work.name} holds no model {model}; train it first.")
    if not finished:
        raise ConfigError(f"{work.name} holds no finished part; train one of {', '.join(PARTS)} first.")
    for part in finished:
        (out / part).mkdir(parents=True, exist_ok=True)
        weights = (WEIGHTS_FILE, TEXT_TOWER_FILE) if part == MODEL else ()
        for file in sorted(places[part].iterdir()):
            if file.name not in weights:
                shutil.copyfile(file, out / part / file.name)
    if MODEL in finished:
        assemble_model(places[MODEL], out / MODEL, share)


def assemble_model(work: Path, out: Path, share: float) -> None:
    """Write the fused weights in half precision, which is enough to run from and half to fetch.

    The file of the text tower stays untouched where the new one is the same. Raises WeightsError, StorageError and, for
    a share without weights to average with, ConfigError.
    """
    tensors = read_model_tensors(work)
    if share < 1:
        tensors = between(weights_before(out), tensors, share)
    write_tensors({name: tensor.to(torch.float16) for name, tensor in tensors.items()}, out)


def weights_before(folder: Path) -> dict[str, Tensor]:
    """The weights that the new ones are averaged with."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise ConfigError(f"A share below 1 needs weights to average with; there is no {WEIGHTS_FILE} where they go.")
    return read_model_tensors(folder)


def between(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Mean of two states of one model, float32, `share` of it the second; what is the same in both stays exactly."""
    if {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in after.items()}:
        raise ConfigError("Only weights of the same model can be averaged; these differ in their sizes.")
    return {name: torch.lerp(weight.float(), after[name].float(), share) for name, weight in before.items()}
