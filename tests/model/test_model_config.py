"""Configurations: round trips and one clear sentence for each impossible one."""

import dataclasses
import json
from typing import Any

import pytest

from zipper.errors import ConfigError
from zipper.model.config import RopeScaling, TowerConfig, ZipConfig, ZipperConfig

TOWER = TowerConfig(vocab_size=10, width=16, depth=4, heads=4, kv_heads=2, ff_width=8, begin_id=0, end_id=1)


def test_a_config_survives_json() -> None:
    scaled = dataclasses.replace(TOWER, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 8192))
    config = ZipperConfig(TOWER, scaled, ZipConfig(1, 1, 4, "rotary"))
    assert ZipperConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("text_depth", "text_interval", "speech_depth", "speech_interval", "points"),
    [(4, 1, 4, 1, 3), (12, 3, 8, 2, 3), (5, 2, 3, 1, 2), (6, 5, 2, 1, 1)],
)
def test_zip_points_lie_between_blocks_and_never_after_the_last(
    text_depth: int, text_interval: int, speech_depth: int, speech_interval: int, points: int
) -> None:
    text = dataclasses.replace(TOWER, depth=text_depth)
    speech = dataclasses.replace(TOWER, depth=speech_depth)
    config = ZipperConfig(text, speech, ZipConfig(text_interval, speech_interval, 2))
    assert config.zip_points == points


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"width": 15}, "heads"),
        ({"heads": 3, "width": 15}, "odd|share"),
        ({"kv_heads": 3}, "share"),
        ({"begin_id": 10}, "begin_id"),
        ({"end_id": 0}, "differ"),
        ({"depth": 0}, "depth"),
        ({"depth": "4"}, "depth"),
        ({"depth": True}, "depth"),
        ({"norm_eps": float("nan")}, "norm_eps"),
        ({"rope_scaling": 8}, "rope_scaling|JSON"),
        ({"color": 1}, "color"),
    ],
)
def test_an_impossible_tower_names_its_fault(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        TowerConfig.from_dict({**TOWER.to_dict(), **change})


@pytest.mark.parametrize("data", [None, [], "x", {}, {"text": {}, "speech": {}, "zip": {}}])
def test_json_of_another_shape_is_refused(data: object) -> None:
    with pytest.raises(ConfigError):
        ZipperConfig.from_dict(data)


def test_towers_must_agree_on_the_number_of_zip_points() -> None:
    with pytest.raises(ConfigError, match="3 zip points in the text tower and 1"):
        ZipperConfig(TOWER, TOWER, ZipConfig(1, 2, 2))


def test_intervals_must_leave_a_zip_point() -> None:
    with pytest.raises(ConfigError, match="no zip point"):
        ZipperConfig(TOWER, TOWER, ZipConfig(4, 4, 2))
