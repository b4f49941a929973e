"""Weights that stay in their file until they are needed, and modules that are made without random numbers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import MakeSpeech
from torch import nn

from zipper import Zipper
from zipper.errors import WeightsError
from zipper.rates import SPEECH_RATE
from zipper.tensors import Stored, fill, read_tensors, uninitialized


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def test_no_random_number_is_drawn_for_what_is_filled_anyway() -> None:
    before = torch.get_rng_state()
    with uninitialized():
        layers = nn.Sequential(nn.Linear(3, 2), nn.Embedding(4, 3), nn.Conv1d(2, 2, 3), nn.LayerNorm(2))
        buffer = nn.BatchNorm1d(2).running_var
    assert torch.equal(torch.get_rng_state(), before)
    assert sum(weight.numel() for weight in layers.parameters()) == 6 + 2 + 12 + 12 + 2 + 4
    assert buffer is not None and torch.equal(buffer, torch.ones(2))
    assert not torch.equal(nn.Linear(3, 2).weight, nn.Linear(3, 2).weight)  # and only there


def test_stored_weights_are_read_when_they_are_needed(tmp_path: Path) -> None:
    path, saved = tmp_path / "a.safetensors", linear()
    save_file({name: weight.half() for name, weight in saved.state_dict().items()}, path)
    prepared: list[nn.Module] = []
    with uninitialized():
        stored = Stored(nn.Linear(3, 2), read_tensors(path), prepared.append)
    assert not stored.is_loaded and not prepared and stored.unfilled.in_features == 3
    with torch.inference_mode():
        weight = stored.get().weight
    assert stored.is_loaded and stored.get() is stored.unfilled and prepared == [stored.unfilled]
    assert weight.dtype == torch.float32 and torch.equal(weight, saved.weight.half().float())
    weight.sum().backward()  # as training does, though inference asked first


def test_a_module_that_has_its_weights_is_taken_as_it_is() -> None:
    module = linear()
    stored = Stored(module)
    assert stored.is_loaded and stored.get() is module and module.training and module.weight.requires_grad


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"weight": torch.zeros(2, 3)}, "1 names differ, first bias"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"weight is \(2, 4\), not \(2, 3\)"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2, dtype=torch.int64)}, "bias does not hold finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_they_are_needed(
    tensors: dict[str, torch.Tensor], sentence: str
) -> None:
    with pytest.raises(WeightsError, match=sentence):
        Stored(linear(), tensors)
    with pytest.raises(WeightsError, match=sentence):
        fill(linear(), tensors)


def test_weights_that_are_not_finite_are_refused_when_they_are_needed() -> None:
    stored = Stored(linear(), {"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)})
    for _ in range(2):
        with pytest.raises(WeightsError, match="weight does not hold finite"):
            stored.get()


def test_requests_load_the_parts_that_they_need_alone(model_folder: Path, make_speech: MakeSpeech) -> None:
    reading, speaking = (Zipper.from_pretrained(model_folder) for _ in range(2))
    reading.transcribe((make_speech(1.0), SPEECH_RATE))
    assert reading.speech_tokenizer.is_loaded and not reading.detokenizer.is_loaded
    speaking.synthesize("Hello.", keep_unended=True)
    assert speaking.detokenizer.is_loaded and not speaking.speech_tokenizer.is_loaded
    speaking.complete("Hello", max_tokens=2)
    assert not speaking.speech_tokenizer.is_loaded
