"""Models on disk: the same model comes back, and each broken file gives one clear sentence."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from zipper.errors import ConfigError, StorageError, WeightsError
from zipper.model.checkpoint import load, load_tower, save, save_tower
from zipper.model.streams import pack

TEXT_TOWER = "text_tower.safetensors"
WEIGHTS = ["model.safetensors", TEXT_TOWER]


@torch.no_grad()
def test_a_saved_model_comes_back_the_same(model, make_sequence, tmp_path: Path) -> None:
    save(model, tmp_path / "new" / "folder")
    loaded = load(tmp_path / "new" / "folder")
    assert loaded.config == model.config and not loaded.training
    streams = pack([make_sequence(("speech", 5), ("text", 4))])
    assert torch.equal(loaded(*streams).text_logits, model(*streams).text_logits)


@torch.no_grad()
def test_a_saved_tower_comes_back_the_same(model, tmp_path: Path) -> None:
    save_tower(model.speech, tmp_path)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(load_tower(tmp_path)(ids), model.speech(ids))


def test_weights_of_lower_precision_load_as_float32(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    assert {weight.dtype for weight in load(tmp_path).parameters()} == {torch.float32}


def test_saving_leaves_no_other_files(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    save(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", *WEIGHTS]


@torch.no_grad()
def test_the_text_tower_has_a_file_of_its_own_that_is_written_once(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    assert all(name.startswith("text.") for name in load_file(tmp_path / TEXT_TOWER))
    assert not any(name.startswith("text.") for name in load_file(tmp_path / "model.safetensors"))
    kept = (tmp_path / TEXT_TOWER).stat()
    fused = copy.deepcopy(model)
    fused.speech.embedding.weight += 1.0
    save(fused, tmp_path)
    now = (tmp_path / TEXT_TOWER).stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert torch.equal(load(tmp_path).speech.embedding.weight, fused.speech.embedding.weight)
    fused.text.embedding.weight[0, 0] += 1.0
    save(fused, tmp_path)
    assert torch.equal(load(tmp_path).text.embedding.weight, fused.text.embedding.weight)


@pytest.mark.parametrize("there", [b"", b"half of a file", None])
def test_a_text_tower_that_is_damaged_or_less_precise_is_written_anew(model, tmp_path: Path, there) -> None:
    save(model, tmp_path)
    whole = (tmp_path / TEXT_TOWER).read_bytes()
    if there is None:
        save_file(
            {name: tensor.half() for name, tensor in load_file(tmp_path / TEXT_TOWER).items()}, tmp_path / TEXT_TOWER
        )
    else:
        (tmp_path / TEXT_TOWER).write_bytes(there)
    save(model, tmp_path)
    assert (tmp_path / TEXT_TOWER).read_bytes() == whole


def test_a_model_in_one_file_is_read_whatever_lies_beside_it(model, make_model, tmp_path: Path) -> None:
    """As models were written before; a text tower of another model that was left there is not mixed in."""
    save(make_model(seed=1), tmp_path)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    for _ in range(2):
        assert all(
            torch.equal(tensor, model.state_dict()[name]) for name, tensor in load(tmp_path).state_dict().items()
        )
        (tmp_path / TEXT_TOWER).unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["config.json", *WEIGHTS])
def test_missing_files_are_named(model, tmp_path: Path, name: str) -> None:
    save(model, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=name):
        load(tmp_path)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("keep", [0, 4, 300, -1])
def test_truncated_weights_are_corrupt(model, tmp_path: Path, name: str, keep: int) -> None:
    save(model, tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="corrupt"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\x00"])
def test_a_broken_config_is_refused(model, tmp_path: Path, text: str) -> None:
    save(model, tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((WeightsError, ConfigError)):
        load(tmp_path)


def test_weights_of_another_size_are_refused(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text"]["vocab_size"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="text.embedding.weight"):
        load(tmp_path)


def test_a_tower_is_not_a_model(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    save_file(model.text.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="names differ"):
        load(tmp_path)


def test_weights_that_are_not_finite_are_refused(model, tmp_path: Path) -> None:
    save(model, tmp_path)
    tensors = load_file(tmp_path / TEXT_TOWER)
    tensors["text.norm.weight"][0] = float("nan")
    save_file(tensors, tmp_path / TEXT_TOWER)
    with pytest.raises(WeightsError, match="text.norm.weight"):
        load(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_storage_error(model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save(model, tmp_path / "file" / "folder")
