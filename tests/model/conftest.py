"""Tiny models with open gates, and random interleaved sequences for them."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch

from zipper.model.config import Modality, TowerConfig, ZipConfig, ZipperConfig
from zipper.model.streams import Segment
from zipper.model.zipper import ZipperModel

TEXT = TowerConfig(vocab_size=23, width=16, depth=5, heads=4, kv_heads=2, ff_width=24, begin_id=0, end_id=1)
SPEECH = TowerConfig(vocab_size=34, width=24, depth=3, heads=2, kv_heads=1, ff_width=40, begin_id=32, end_id=33)

MakeModel = Callable[..., ZipperModel]
MakeSequence = Callable[..., list[Segment]]


def _config(positions: Literal["none", "rotary", "tracked"]) -> ZipperConfig:
    return ZipperConfig(TEXT, SPEECH, ZipConfig(2, 1, 2, positions, 0.2, 0.04))


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """A model with weights large enough that every part shows in the output, and open gates."""

    def make(
        positions: Literal["none", "rotary", "tracked"] = "rotary", gates: bool = True, seed: int = 0
    ) -> ZipperModel:
        random = torch.Generator().manual_seed(seed)
        model = ZipperModel(_config(positions))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.dim() == 2:
                    weight.copy_(torch.randn(weight.shape, generator=random) / weight.shape[1] ** 0.5)
                elif gates and name.endswith("gate"):
                    weight.copy_(torch.rand((), generator=random) + 0.3)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model: MakeModel) -> ZipperModel:
    return make_model()


@pytest.fixture(scope="session")
def make_sequence() -> MakeSequence:
    """Segments such as make_sequence(("speech", 5), ("text", 3)): so many tokens between begin and end."""

    def make(*parts: tuple[Modality, int], seed: int = 0) -> list[Segment]:
        random = torch.Generator().manual_seed(seed)
        segments = []
        for modality, length in parts:
            tower, low = (TEXT, 2) if modality == "text" else (SPEECH, 0)
            high = tower.vocab_size if modality == "text" else tower.begin_id
            inner = torch.randint(low, high, (length,), generator=random).tolist()
            segments.append(Segment(modality, (tower.begin_id, *inner, tower.end_id)))
        return segments

    return make
