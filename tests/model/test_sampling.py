"""How a token is drawn from logits."""

import pytest
import torch

from zipper.errors import OptionError
from zipper.inference.generate import SamplingOptions
from zipper.inference.sampling import choose, looping_tokens


def test_extreme_temperatures_take_the_likeliest_or_any() -> None:
    random = torch.Generator().manual_seed(0)
    for temperature in (1e-5, 1e-40, 5e-324):
        assert choose(torch.tensor([-3.0, 7.0, -torch.inf]), SamplingOptions(temperature=temperature), random) == 1
    hot = SamplingOptions(temperature=1e308)
    assert {choose(torch.tensor([-3.0, 7.0, -torch.inf]), hot, random) for _ in range(99)} == {0, 1}


def test_top_p_keeps_the_likeliest() -> None:
    logits = torch.tensor([0.1, 0.5, 0.3, 0.1]).log()
    random = torch.Generator().manual_seed(0)

    def drawn(**options) -> set[int]:
        chosen = SamplingOptions(temperature=1.0, **options)
        return {choose(logits, chosen, random) for _ in range(300)}

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_p=0.4) == {1} and drawn(top_p=0.7) == {1, 2} and drawn(top_p=1e-9) == {1}


@pytest.mark.parametrize(
    ("history", "banned"), [([], set()), ([5], set()), ([5, 5], {5}), ([7, 5, 6, 5, 6, 5], {6}), ([5, 6, 5, 6], set())]
)
def test_cycles_come_no_more_often_than_allowed(history: list[int], banned: set[int]) -> None:
    assert looping_tokens(history, longest=2, repeats=2) == banned


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"max_tokens": 0},
        {"beams": 0},
        {"min_tokens": 5, "max_tokens": 4},
        {"beams": 2, "temperature": 1},
        {"deadline_seconds": 0},
        {"seed": 2**64},
        {"temperature": float("nan")},
    ],
)
def test_impossible_options_are_refused(options) -> None:
    with pytest.raises(OptionError):
        SamplingOptions(**options)
