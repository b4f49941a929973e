"""How a stage is optimized: the settings of the loop, and the learning rate over a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is optimized.

    Matrices inside the network take Muon steps (Jordan et al. 2024), scaled to the size of AdamW's so that one
    learning rate serves both; embeddings, norms, gates and biases take AdamW steps.
    """

    steps: int
    lr: float = 2e-3
    muon: bool = (
        True  # without, matrices take AdamW steps: Muon's cost much where batches are small and there is no GPU
    )
    matrix_lr: float = 1.0  # factor on lr for the matrices that Muon trains
    gate_lr: float = 1e-2  # scalars (gates) move a distance of 1, weights one of 0.02: they need their own pace
    warmup: int = 100  # steps
    final_lr: float = 0.0  # share of lr at the last step; the decay is linear
    weight_decay: float = 0.05
    clip: float = 1.0  # gradient norm
    accumulate: int = 1  # micro-batches a step, over all processes
    autocast: bool = True  # bfloat16
    save_seconds: float = 180.0
    seconds: float = 0.0  # if above 0, the run ends after so long, and the schedule follows the clock, not the steps
    average: float = 0.0  # decay, a step, of an exponential average of the weights, which is the result; 0 is none
    validate_seconds: float = 300.0  # between two evaluations on the held-out people
    log_steps: int = 20
    profile: int = 0  # steps to profile, a few steps after the start; a table of them is printed
    seed: int = 0


def learning_rate(step: int, progress: float, config: LoopConfig) -> float:
    """Linear warm-up over steps, then linear decay to final_lr over the share of the run, 0 to 1, that is left."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    start = 0.0 if config.seconds else config.warmup / max(config.steps, config.warmup + 1)
    left = (1 - min(progress, 1.0)) / (1 - start)
    return config.lr * (config.final_lr + (1 - config.final_lr) * left)
