"""Stage `assemble`: the results of a work folder as the model folder that people load."""

import shutil
from pathlib import Path

import safetensors.torch
import torch

from zipper import files
from zipper.errors import ConfigError

PARTS = ("zipper", "speech_tokenizer", "detokenizer")
HALVED = (Path("zipper") / "model.safetensors",)  # half precision is enough to run from and half to fetch


def assemble(work: Path, out: Path) -> None:
    """Copy each finished part of `work` into `out`; what the work folder does not have stays as it is in `out`."""
    found = [part for part in PARTS if (work / part).is_dir()]
    if not found:
        raise ConfigError(f"{work.name} holds no finished part; train one of {', '.join(PARTS)} first.")
    for part in found:
        (out / part).mkdir(parents=True, exist_ok=True)
        for file in sorted((work / part).iterdir()):
            target = out / part / file.name
            if Path(part) / file.name in HALVED:
                tensors = safetensors.torch.load_file(file)
                halved = {name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}
                files.save(target, safetensors.torch.save(halved))
            else:
                shutil.copyfile(file, target)
