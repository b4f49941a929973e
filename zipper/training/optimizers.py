"""The optimizers of every stage."""

import torch
from torch import nn

from zipper.training.schedule import LoopConfig


def build_optimizers(stage: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of Linear layers, AdamW, fused on a GPU, for everything else that is trained.

    stage: on the device on which it is trained.
    """
    linear = (module.weight for module in stage.modules() if isinstance(module, nn.Linear))
    matrices = [weight for weight in linear if weight.requires_grad and min(weight.shape) > 64 and config.muon]
    chosen = {id(weight) for weight in matrices}
    rest = [p for p in stage.parameters() if p.requires_grad and id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.dim() > 0], "scale": 1.0},
        {"params": [p for p in rest if p.dim() == 0], "scale": config.gate_lr / config.lr, "weight_decay": 0.0},
    ]
    fused = True if any(p.device.type == "cuda" for p in rest) else None
    adamw = torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=fused
    )
    if not matrices:
        return [adamw]
    muon = torch.optim.Muon(
        [{"params": matrices, "scale": config.matrix_lr}],
        lr=config.lr,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, adamw]
