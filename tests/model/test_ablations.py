"""Each switch of the zips changes what it says and nothing else, and cached generation equals uncached with each."""

import dataclasses
from pathlib import Path

import pytest
import torch

from model.conftest import SPEECH, TEXT
from zipper.errors import ConfigError
from zipper.inference.session import Session
from zipper.model.checkpoint import load, load_zipper, save
from zipper.model.config import ZipConfig, ZipperConfig
from zipper.model.cross_attention import InputProjection, Projection
from zipper.model.streams import pack
from zipper.model.zipper import ZipperModel
from zipper.weights import ASSETS

SWITCHES = [
    {},
    {"input_projection": "text"},
    {"input_projection": "speech"},
    {"input_projection": "none"},
    {"projection": "linear"},
    {"gates": False},
    {"positions": "none"},
    {"positions": "rotary"},
    {"positions": "tracked"},
    {"text_interval": 4, "speech_interval": 2},
    {"gates": False, "projection": "linear", "input_projection": "none", "positions": "tracked"},
]


def make(**switches) -> ZipperModel:
    """A model with weights large enough that every part shows, and open gates."""
    random = torch.Generator().manual_seed(0)
    model = ZipperModel(
        ZipperConfig(TEXT, SPEECH, ZipConfig(**{"text_interval": 2, "speech_interval": 1, "heads": 2} | switches))
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                weight.copy_(torch.randn(weight.shape, generator=random) / weight.shape[1] ** 0.5)
            elif name.endswith("gate"):
                weight.copy_(torch.rand((), generator=random) + 0.3)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_cached_predictions_equal_whole_forwards(switches, make_sequence) -> None:
    model = make(**switches)
    for order in (("speech", 7), ("text", 5)), (("text", 5), ("speech", 7)):
        given, written = make_sequence(*order)
        session = Session(model, ("text", "speech"))
        session.feed(given.modality, given.ids)
        times, logits, rows = [0.0], [], []
        for token in written.ids:
            prediction = session.feed(written.modality, (token,))
            logits.append(prediction.logits[0])
            rows.append(prediction.attention[:, 0])
            times.append(0.0 if session.source_time is None else float(session.source_time))
        streams = dict(zip(("text", "speech"), pack([[given, written]]), strict=True))
        found = torch.tensor([times[:-1]])
        streams[written.modality] = dataclasses.replace(streams[written.modality], source_time=found)
        whole = model(streams["text"], streams["speech"], capture=True)
        text = written.modality == "text"
        torch.testing.assert_close(
            torch.stack(logits), (whole.text_logits if text else whole.speech_logits)[0], atol=1e-4, rtol=1e-4
        )
        side = [block.text_from_speech if text else block.speech_from_text for block in whole.attention]
        torch.testing.assert_close(
            torch.stack(rows, 2), torch.stack([weights[0] for weights in side]), atol=1e-5, rtol=0
        )
        gates = model.gates(written.modality, model.gate_scale(None))
        assert len(side) == len(gates) == model.config.zip_points == (1 if "text_interval" in switches else 2)


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_every_weight_that_is_there_learns(switches, make_sequence) -> None:
    model = make(**switches)
    for sequence in (("speech", 7), ("text", 5)), (("text", 5), ("speech", 7)):
        out = model(*pack([make_sequence(*sequence)]))
        torch.autograd.backward(out.text_logits.sin().sum() + out.speech_logits.sin().sum())
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(("where", "projected"), [("both", ["text", "speech"]), ("text", ["text"]), ("none", [])])
def test_input_projections_are_where_they_are_said_to_be(where, projected) -> None:
    model = make(input_projection=where)
    assert [m for m, module in model.zips.inputs.items() if isinstance(module, InputProjection)] == projected
    embedded = torch.randn(1, 3, 16)
    changed = not torch.equal(model.zips.input("text", embedded), embedded)
    assert changed == ("text" in projected)


def test_a_linear_projection_is_one_layer_and_an_mlp_three() -> None:
    linear, mlp = (make(projection=kind).zips.block(0, "text").project for kind in ("linear", "mlp"))
    states = torch.randn(2, 5, SPEECH.width)
    assert isinstance(mlp, Projection) and len(mlp.layers) == 3 and bool((mlp(states) >= 0).all())
    double, offset = linear(2 * states), linear(torch.zeros_like(states))
    torch.testing.assert_close(double - offset, 2 * (linear(states) - offset))


def test_without_gates_what_is_added_is_added_as_it_is(make_sequence) -> None:
    free, gated = make(gates=False), make()
    missing = [name for name in gated.state_dict() if name not in free.state_dict()]
    assert len(missing) == 8 and all(name.endswith(("attention_gate", "ff_gate")) for name in missing)
    assert free.gates("text", free.gate_scale(None)).tolist() == [[1.0, 1.0]] * 2
    with torch.no_grad():
        for name, weight in gated.named_parameters():
            if name.endswith("_gate"):
                weight.fill_(20.0)  # tanh is 1
    free.load_state_dict({n: w for n, w in gated.state_dict().items() if not n.endswith("_gate")})
    streams = pack([make_sequence(("speech", 7), ("text", 5))])
    torch.testing.assert_close(free(*streams).text_logits, gated(*streams).text_logits)
    unzipped = free(*streams, gate_scale=0.0).text_logits
    torch.testing.assert_close(unzipped, gated(*streams, gate_scale=0.0).text_logits)
    fresh = ZipperModel(free.config)(*streams).text_logits
    assert not torch.equal(fresh, ZipperModel(free.config)(*streams, gate_scale=0.0).text_logits)  # open from the start


@pytest.mark.parametrize(
    ("depth", "interval", "points"), [(10, 5, 1), (10, 4, 2), (10, 2, 4), (10, 1, 9), (9, 1, 8), (18, 2, 8)]
)
def test_intervals_give_the_numbers_of_zip_points_that_are_compared(depth: int, interval: int, points: int) -> None:
    towers = (dataclasses.replace(TEXT, depth=depth), dataclasses.replace(SPEECH, depth=depth))
    model = ZipperModel(ZipperConfig(*towers, ZipConfig(interval, interval, 2)))
    assert model.config.zip_points == len(model.zips.points) == points


def test_the_default_is_what_is_shipped() -> None:
    """The weights that are shipped load, under the names that they had before there were switches."""
    model = load_zipper(ASSETS / "zipper")
    zips = model.config.zip
    assert (zips.input_projection, zips.projection, zips.gates, zips.positions) == ("both", "mlp", True, "tracked")
    names = [n.removeprefix("zips.points.0.text.") for n in model.state_dict() if n.startswith("zips.points.0.text.")]
    assert names[:2] == ["attention_gate", "ff_gate"] and "project.layers.2.bias" in names
    assert "zips.inputs.text.up.weight" in model.state_dict()


@torch.no_grad()
def test_switches_travel_with_the_weights(make_sequence, tmp_path: Path) -> None:
    model = make(**SWITCHES[-1])
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert loaded.config == model.config
    streams = pack([make_sequence(("speech", 5), ("text", 4))])
    assert torch.equal(loaded(*streams).text_logits, model(*streams).text_logits)


@pytest.mark.parametrize(
    "switch", [{"input_projection": "left"}, {"projection": "cubic"}, {"positions": "steady"}, {"gates": 1}]
)
def test_what_no_switch_knows_is_refused(switch) -> None:
    data = {"text_interval": 1, "speech_interval": 1, "heads": 2, **switch}
    with pytest.raises(ConfigError, match=next(iter(switch))):
        ZipConfig.from_dict(data)
