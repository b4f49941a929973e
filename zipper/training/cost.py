"""What a model costs: its parameters, and the floating-point operations of its training, counted as they are run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from zipper.data.pairs import PairBatch, Task
from zipper.training.fusion import PairStage

COST_FILE = "cost.json"
SPEECH_TOKENS = 150  # of the utterance that is counted on: 6 s
TEXT_TOKENS = 30  # of its text, at 5 a second


@dataclass(frozen=True)
class Cost:
    """What a model costs to train.

    parameters: of the model as it is used; trained: of these, those that its stage changes; training_flops: floating-
    point operations of matrix products and attention, forward and backward, for each token of a batch, text and speech
    alike.
    """

    parameters: int
    trained: int
    training_flops: float

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.trained / 1e6:.2f} M of them trained; "
            f"{self.training_flops / 1e6:.1f} MFLOP to train on a token"
        )


def measure_cost(stage: PairStage, mixture: Sequence[int]) -> Cost:
    """The cost of a stage on the CPU that trains on batches of recognition, synthesis and speech alone in these shares.

    Counted on one utterance of six seconds, and on speech alone of the same length. Random numbers and gradients are
    left as they were.
    """
    model = stage.model
    batches: tuple[PairBatch | Tensor, ...] = (
        _batch(stage, "recognize"),
        _batch(stage, "synthesize"),
        torch.zeros(1, SPEECH_TOKENS, dtype=torch.int64),
    )
    flops = tokens = 0
    with torch.random.fork_rng(devices=()):
        for batch, share in zip(batches, mixture, strict=True):
            if share:
                flops += share * _flops(stage, batch)
                tokens += share * (batch.numel() if isinstance(batch, Tensor) else SPEECH_TOKENS + TEXT_TOKENS)
    return Cost(
        sum(p.numel() for p in model.parameters()),
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops / tokens,
    )


def _flops(stage: PairStage, batch: PairBatch | Tensor) -> int:
    """Operations of one batch, forward and backward; fused attention is taken apart, as only its parts are counted."""
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        torch.autograd.backward(stage(batch)["loss"])
    stage.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def _batch(stage: PairStage, task: Task) -> PairBatch:
    """One utterance of the usual length, each segment between its begin and end, all of its times known."""
    text, speech = stage.model.config.text, stage.model.config.speech
    words = torch.full((1, TEXT_TOKENS), text.end_id)
    words[0, 0] = text.begin_id
    codes = torch.zeros(1, SPEECH_TOKENS, dtype=torch.int64)
    codes[0, 0], codes[0, -1] = speech.begin_id, speech.end_id
    starts = torch.arange(TEXT_TOKENS) * SPEECH_TOKENS // TEXT_TOKENS
    spans = torch.stack((starts, starts + 1), dim=1)[None]
    lengths = (torch.tensor([TEXT_TOKENS]), torch.tensor([SPEECH_TOKENS]))
    return PairBatch(task, words, codes, *lengths, spans, torch.zeros_like(codes))
