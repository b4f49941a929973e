"""Llama-family checkpoints become towers with the same logits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from zipper.errors import ConfigError, WeightsError
from zipper.model.llama import import_llama

transformers = pytest.importorskip("transformers")


def _llama(folder: Path, **changes: Any) -> Any:
    settings = {
        "vocab_size": 37,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "rms_norm_eps": 1e-6,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "max_position_embeddings": 512,
    }
    torch.manual_seed(0)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**settings, **changes})).eval()
    with torch.no_grad():
        for name, weight in llama.named_parameters():
            weight.add_(0.2 * torch.randn_like(weight) if "norm" in name else torch.randn_like(weight) * 0.1)
    llama.save_pretrained(folder)
    return llama


ROPES = {
    "plain": {"rope_type": "default", "rope_theta": 10000.0},
    "other base": {"rope_type": "default", "rope_theta": 500000.0},
    "llama 3": {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


@torch.no_grad()
@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_an_imported_llama_gives_the_same_logits(tmp_path: Path, rope: str, kv_heads: int) -> None:
    llama = _llama(tmp_path, rope_parameters=ROPES[rope], num_key_value_heads=kv_heads)
    tower = import_llama(tmp_path)
    ids = torch.randint(0, 37, (2, 90), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tower(ids), llama(ids).logits, atol=1e-4, rtol=0)
    assert (tower.config.begin_id, tower.config.end_id) == (1, 2)


def test_one_file_and_shards_import_alike(tmp_path: Path) -> None:
    _llama(tmp_path)
    whole = import_llama(tmp_path / "model.safetensors").state_dict()
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    weight_map = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for part in set(weight_map.values()):
        save_file({n: t for n, t in tensors.items() if weight_map[n] == part}, tmp_path / part)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    sharded = import_llama(tmp_path).state_dict()
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def _edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_older_config_spells_its_rotary_base_at_the_top(tmp_path: Path) -> None:
    _llama(tmp_path)
    _edit_config(tmp_path, rope_parameters=None, rope_theta=7000.0, eos_token_id=[3, 4])
    config = import_llama(tmp_path, begin_id=5).config
    assert (config.rope_base, config.begin_id, config.end_id) == (7000.0, 5, 3)


def test_an_untied_softmax_is_refused(tmp_path: Path) -> None:
    _llama(tmp_path, tie_word_embeddings=False)
    with pytest.raises(WeightsError, match="tied"):
        import_llama(tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"attention_bias": True}, WeightsError, "attention_bias"),
        ({"hidden_act": "gelu"}, WeightsError, "gelu"),
        ({"head_dim": 16}, WeightsError, "heads"),
        ({"rope_parameters": {"rope_type": "yarn"}}, WeightsError, "yarn"),
        ({"hidden_size": None}, ConfigError, "width"),
        ({"bos_token_id": None}, ConfigError, "bos_token_id"),
        ({"num_hidden_layers": 4}, WeightsError, "layers.3"),
        ({"num_hidden_layers": 2}, WeightsError, "layers.2"),
    ],
)
def test_what_a_tower_cannot_reproduce_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], word: str
) -> None:
    _llama(tmp_path)
    _edit_config(tmp_path, **changes)
    with pytest.raises(error, match=word):
        import_llama(tmp_path)
