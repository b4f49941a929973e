"""Import of Llama-family checkpoints, as Hugging Face writes them, as towers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zipper.errors import ConfigError, WeightsError
from zipper.model.checkpoint import CONFIG_FILE, WEIGHTS_FILE, fill, read_json, read_tensors
from zipper.model.config import TowerConfig
from zipper.model.tower import Tower

INDEX_FILE = "model.safetensors.index.json"

_RENAMED = {
    "self_attn.o_proj.weight": "attention.out.weight",
    "mlp.down_proj.weight": "ff.down.weight",
    "input_layernorm.weight": "attention_norm.weight",
    "post_attention_layernorm.weight": "ff_norm.weight",
}
_FUSED = {
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "ff.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
}


def import_llama(source: str | os.PathLike[str], *, begin_id: int | None = None, end_id: int | None = None) -> Tower:
    """A tower with the weights of a Llama checkpoint, float32 and in evaluation mode.

    source: the checkpoint's folder or its one safetensors file, with config.json beside it. begin_id and
    end_id replace the checkpoint's own. Raises WeightsError or ConfigError for a checkpoint that the
    tower cannot reproduce exactly: untied, with biases, or of another family.
    """
    path = Path(source)
    if not path.exists():  # also where the name itself is impossible
        raise WeightsError(f"There is no checkpoint at {path}: name its folder, or its one safetensors file.")
    folder = path if path.is_dir() else path.parent
    settings = read_json(folder / CONFIG_FILE)
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{folder / CONFIG_FILE} must hold a JSON object.")
    config = _tower_config(settings, begin_id, end_id)
    tensors = _read_shards(folder) if path.is_dir() else read_tensors(path)
    tower = Tower(config)
    if settings.get("tie_word_embeddings"):
        tensors.pop("lm_head.weight", None)  # a copy, which transformers ignores too
    fill(tower, _renamed(tensors, config.depth))
    return tower.eval()


def _tower_config(settings: Mapping[str, Any], begin_id: int | None, end_id: int | None) -> TowerConfig:
    """The tower's sizes from a Hugging Face config."""
    for key in ("attention_bias", "mlp_bias"):
        if settings.get(key):
            raise WeightsError(f"The checkpoint has biases ({key}), which a tower does not.")
    if settings.get("hidden_act", "silu") != "silu":
        raise WeightsError(f"The checkpoint uses {settings['hidden_act']}, a tower only SwiGLU (silu).")
    try:
        width, heads = settings["hidden_size"], settings["num_attention_heads"]
        base, scaling = _rope(settings)
        sizes = {
            "vocab_size": settings["vocab_size"],
            "width": width,
            "depth": settings["num_hidden_layers"],
            "heads": heads,
            "kv_heads": settings.get("num_key_value_heads") or heads,
            "ff_width": settings["intermediate_size"],
            "begin_id": _token_id("bos_token_id", begin_id, settings),
            "end_id": _token_id("eos_token_id", end_id, settings),
            "rope_base": base,
            "norm_eps": settings.get("rms_norm_eps", 1e-6),
            "rope_scaling": scaling,
        }
    except KeyError as error:
        raise ConfigError(f"The checkpoint's config lacks {error.args[0]}.") from error
    config = TowerConfig.from_dict(sizes)
    if (settings.get("head_dim") or config.head_width) != config.head_width:
        raise WeightsError("The checkpoint's heads do not add up to its width, as a tower's do.")
    return config


def _token_id(key: str, given: int | None, settings: Mapping[str, Any]) -> int:
    """The begin or end token; of several ends the first."""
    value = settings.get(key) if given is None else given
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, int):
        raise ConfigError(f"The checkpoint's config has no {key}; name the token to use.")
    return value


def _rope(settings: Mapping[str, Any]) -> tuple[float, dict[str, Any] | None]:
    """Rotary base and scaling, from the older and the newer spelling of the config."""
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    base = rope.get("rope_theta") or settings.get("rope_theta") or 10000.0
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return base, None
    if kind != "llama3":
        raise WeightsError(f"The checkpoint scales its rotary positions by {kind!r}, which a tower cannot.")
    scaling = {
        "factor": rope["factor"],
        "low_factor": rope["low_freq_factor"],
        "high_factor": rope["high_freq_factor"],
        "original_positions": rope["original_max_position_embeddings"],
    }
    return base, scaling


def _read_shards(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder with one safetensors file or an index of several."""
    if not (folder / INDEX_FILE).exists():
        return read_tensors(folder / WEIGHTS_FILE)
    index = read_json(folder / INDEX_FILE)
    try:
        names = sorted({Path(str(name)).name for name in index["weight_map"].values()})
    except (AttributeError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / INDEX_FILE} has no weight_map.") from error
    tensors: dict[str, Tensor] = {}
    for name in names:
        tensors.update(read_tensors(folder / name))
    return tensors


def _renamed(tensors: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Tensors under the tower's names, with q, k, v and gate, up joined."""
    # Old checkpoints store the rotary frequencies, which follow from the config.
    left = {name: tensor for name, tensor in tensors.items() if not name.endswith("rotary_emb.inv_freq")}
    try:
        embedding = left.pop("model.embed_tokens.weight")
        if not torch.equal(left.pop("lm_head.weight", embedding), embedding):
            raise WeightsError("The checkpoint's softmax is not tied to its embedding; a tower's always is.")
        renamed = {"embedding.weight": embedding, "norm.weight": left.pop("model.norm.weight")}
        for layer in range(depth):
            theirs, ours = f"model.layers.{layer}.", f"blocks.{layer}."
            for name, new in _RENAMED.items():
                renamed[ours + new] = left.pop(theirs + name)
            for new, parts in _FUSED.items():
                renamed[ours + new] = torch.cat([left.pop(theirs + part) for part in parts])
    except KeyError as error:
        raise WeightsError(f"The checkpoint is not of the Llama family: it lacks {error.args[0]}.") from error
    if left:
        raise WeightsError(f"The checkpoint is not of the Llama family: it has {sorted(left)[0]} besides.")
    return renamed
