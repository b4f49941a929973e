"""A tower alone: causality, cache, initialization."""

import pytest
import torch

from zipper.model.config import RopeScaling, TowerConfig
from zipper.model.kv_cache import TowerCache
from zipper.model.tower import Tower, apply_rotary, rotary_embedding

CONFIG = TowerConfig(vocab_size=19, width=24, depth=3, heads=6, kv_heads=2, ff_width=32, begin_id=0, end_id=1)


@pytest.fixture
def tower() -> Tower:
    torch.manual_seed(0)
    return Tower(CONFIG).eval()


def _ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, CONFIG.vocab_size, (rows, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_later_token_never_changes_an_earlier_logit(tower: Tower) -> None:
    ids = _ids(1, 12)
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % CONFIG.vocab_size
    before, after = tower(ids), tower(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


@torch.no_grad()
@pytest.mark.parametrize("chunks", [[1] * 12, [5, 1, 6], [12], [3, 4, 5]])
def test_cached_logits_equal_uncached_ones(tower: Tower, chunks: list[int]) -> None:
    ids = _ids(2, 12)
    cache = TowerCache(CONFIG.depth)
    parts = [tower(part, cache) for part in ids.split(chunks, dim=1)]
    assert cache.length == 12
    torch.testing.assert_close(torch.cat(parts, dim=1), tower(ids), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_cache_grows_past_its_first_allocation(tower: Tower) -> None:
    ids = _ids(1, 150)
    cache = TowerCache(CONFIG.depth)
    parts = [tower(part, cache) for part in ids.split([60, 1, 60, 29], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), tower(ids), atol=1e-5, rtol=0)


@torch.no_grad()
def test_selected_cache_rows_go_on_as_those_rows(tower: Tower) -> None:
    ids = _ids(3, 6)
    cache = TowerCache(CONFIG.depth)
    tower(ids[:, :5], cache)
    rows = torch.tensor([2, 0, 2])
    last = tower(ids[rows, 5:], cache.select(rows))
    torch.testing.assert_close(last, tower(ids)[rows, 5:], atol=1e-5, rtol=0)
    assert cache.length == 5


@torch.no_grad()
def test_a_padded_batch_equals_single_rows(tower: Tower) -> None:
    ids = _ids(2, 9)
    torch.testing.assert_close(tower(ids)[:1, :4], tower(ids[:1, :4]), atol=1e-5, rtol=0)


def test_training_on_a_cpu_computes_the_same_logits(tower: Tower) -> None:
    """With gradients attention is written out; without, the fused kernel runs."""
    ids = _ids(2, 9)
    with torch.no_grad():
        expected = tower(ids)
    torch.testing.assert_close(tower(ids).detach(), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_bf16_stays_close_to_float32(tower: Tower) -> None:
    ids = _ids(2, 9)
    exact = tower(ids)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = tower(ids)
    assert (rounded.float() - exact).abs().max() < 0.03 * exact.abs().max()


@torch.no_grad()
def test_residual_outputs_start_smaller(tower: Tower) -> None:
    block = tower.blocks[0]
    wide, residual = block.attention.qkv.weight.std(), block.attention.out.weight.std()
    assert float(wide) == pytest.approx(0.02, rel=0.1)
    assert float(residual) == pytest.approx(0.02 / (2 * CONFIG.depth) ** 0.5, rel=0.1)


def test_rotary_embedding_depends_on_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8).unbind()
    frequencies = torch.rand(4)

    def product(a: float, b: float) -> torch.Tensor:
        turned = [apply_rotary(x, rotary_embedding(at * frequencies[None, None])) for x, at in ((q, a), (k, b))]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(3.0, 1.0), product(13.0, 11.0))


def test_rope_scaling_slows_only_the_slow_pairs() -> None:
    scaled = TowerConfig(
        vocab_size=9,
        width=16,
        depth=1,
        heads=1,
        kv_heads=1,
        ff_width=8,
        begin_id=0,
        end_id=1,
        rope_scaling=RopeScaling(factor=4.0, low_factor=1.0, high_factor=4.0, original_positions=64),
    )
    plain = Tower(TowerConfig(**{**scaled.to_dict(), "rope_scaling": None}))
    angles = Tower(scaled).rotary(1, 1)[1].asin().flatten() / plain.rotary(1, 1)[1].asin().flatten()
    assert float(angles[0]) == pytest.approx(1.0)
    assert float(angles[-1]) == pytest.approx(0.25, rel=1e-3)
