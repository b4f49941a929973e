"""The fused network over whole sequences: bypass, gates, attention, batches, precision."""

import pytest
import torch
from torch import Tensor

from zipper.errors import ConfigError, OptionError
from zipper.model.cross_attention import GateScale, InputProjection
from zipper.model.streams import Stream, pack
from zipper.model.zipper import ZipperModel, ZipperOutput


def _run(model: ZipperModel, *sequences, **options) -> ZipperOutput:
    with torch.no_grad():
        return model(*pack(sequences), **options)


def _gates(model: ZipperModel, sequence, **options) -> Tensor:
    return torch.stack([zipped.gates for zipped in _run(model, sequence, capture=True, **options).attention])


def test_text_alone_is_the_tower_bit_for_bit(model, make_sequence) -> None:
    text, speech = pack([make_sequence(("text", 7)), make_sequence(("text", 4), seed=1)])
    assert speech is None and text is not None
    with torch.no_grad():
        assert torch.equal(model(text, None).text_logits, model.text(text.ids))


def test_speech_alone_is_the_tower_bit_for_bit(model, make_sequence) -> None:
    _, speech = pack([make_sequence(("speech", 9))])
    assert speech is not None
    with torch.no_grad():
        assert torch.equal(model(None, speech).speech_logits, model.speech(speech.ids))


def test_training_the_zips_leaves_text_alone_untouched(make_model, make_sequence) -> None:
    model = make_model(seed=3)
    model.text.requires_grad_(False)
    text, _ = pack([make_sequence(("text", 7))])
    before = model(text, None).text_logits
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    output = model(*pack([make_sequence(("speech", 6), ("text", 7))]))
    output.text_logits.square().mean().backward()
    optimizer.step()
    assert torch.equal(model(text, None).text_logits, before)


def test_nothing_to_run_is_an_error(model) -> None:
    with pytest.raises(ConfigError):
        model(None, None)


def test_closed_gates_are_the_towers_on_projected_inputs(make_model, make_sequence) -> None:
    model = make_model(gates=False)
    text, speech = pack([make_sequence(("speech", 8), ("text", 5))])
    assert text is not None and speech is not None
    with torch.no_grad():
        output = model(text, speech)
        for modality, stream, logits in (("text", text, output.text_logits), ("speech", speech, output.speech_logits)):
            tower = model.tower(modality)
            h = model.zips.input(modality, tower.embed(stream.ids))
            rotary = tower.rotary(0, stream.ids.shape[1])
            assert torch.equal(tower.logits(tower.run(h, 0, tower.config.depth, rotary)), logits)


def test_gate_scale_0_equals_closed_gates(make_model, make_sequence) -> None:
    sequence = make_sequence(("speech", 8), ("text", 5), ("speech", 3))
    closed, unzipped = _run(make_model(gates=False), sequence), _run(make_model(), sequence, gate_scale=0.0)
    assert torch.equal(closed.text_logits, unzipped.text_logits)
    assert torch.equal(closed.speech_logits, unzipped.speech_logits)


def test_gate_scale_1_is_the_trained_model_and_each_gate_counts(model, make_sequence) -> None:
    sequence = make_sequence(("speech", 8), ("text", 5))
    trained = _run(model, sequence).text_logits
    assert torch.equal(_run(model, sequence, gate_scale=1.0).text_logits, trained)
    for text in ((0.0, 1.0), (1.0, 0.0), ((0.0, 1.0), 1.0), ((1.0, 0.0), 1.0)):
        scale = GateScale(text, (1.0, 1.0))
        assert not torch.allclose(_run(model, sequence, gate_scale=scale).text_logits, trained)
    halves = GateScale((1.0, (0.5, 0.0)), (1.0, 1.0))
    expected = _gates(model, sequence) * torch.tensor([[[1.0, 1], [1, 1]], [[0.5, 0], [1, 1]]])
    torch.testing.assert_close(_gates(model, sequence, gate_scale=halves), expected)
    into_speech = GateScale((1.0, 1.0), (0.0, 0.0))
    assert torch.equal(_run(model, sequence, gate_scale=into_speech).text_logits, trained)


@pytest.mark.parametrize("scale", [GateScale((1.0,), (1.0, 1.0)), GateScale(((1.0,), 1.0), (1.0, 1.0)), float("nan")])
def test_a_wrong_gate_scale_is_an_error(model, make_sequence, scale) -> None:
    with pytest.raises(OptionError):
        _run(model, make_sequence(("speech", 2), ("text", 2)), gate_scale=scale)


def test_attention_rows_sum_to_1_or_to_0_when_blind(model, make_sequence) -> None:
    output = _run(model, make_sequence(("text", 3), ("speech", 6), ("text", 4)), capture=True)
    assert len(output.attention) == model.config.zip_points
    for zipped in output.attention:
        assert zipped.text_from_speech.shape == (1, 2, 11, 8)
        assert zipped.speech_from_text.shape == (1, 2, 8, 11)
        rows = zipped.text_from_speech.sum(-1)
        assert torch.equal(rows[:, :, :5], torch.zeros(1, 2, 5))
        torch.testing.assert_close(rows[:, :, 5:], torch.ones(1, 2, 6))
        torch.testing.assert_close(zipped.speech_from_text.sum(-1), torch.ones(1, 2, 8))
        assert zipped.speech_from_text[..., 5:].count_nonzero() == 0
        assert zipped.gates.shape == (2, 2)


def test_capture_changes_nothing_and_reports_scaled_gates(model, make_sequence) -> None:
    sequence = make_sequence(("speech", 6), ("text", 4))
    plain, captured = _run(model, sequence), _run(model, sequence, capture=True, gate_scale=0.5)
    assert plain.attention == ()
    assert torch.equal(plain.text_logits, _run(model, sequence, capture=True).text_logits)
    gates = torch.stack([zipped.gates for zipped in captured.attention])
    torch.testing.assert_close(gates, 0.5 * _gates(model, sequence))


def test_recognition_computes_no_text_to_speech(model, make_sequence) -> None:
    output = _run(model, make_sequence(("speech", 6), ("text", 4)), capture=True)
    assert all(zipped.speech_from_text is None for zipped in output.attention)
    output = _run(model, make_sequence(("text", 4), ("speech", 6)), capture=True)
    assert all(zipped.text_from_speech is None for zipped in output.attention)


def test_blind_rows_pass_the_zips_unchanged(model, make_sequence) -> None:
    """The speech of [speech][text][speech] that precedes the text is as if the gates were closed."""
    sequence = make_sequence(("speech", 6), ("text", 4), ("speech", 3))
    opened, closed = _run(model, sequence), _run(model, sequence, gate_scale=0.0)
    assert torch.equal(opened.speech_logits[:, :8], closed.speech_logits[:, :8])
    assert not torch.allclose(opened.speech_logits[:, 8:], closed.speech_logits[:, 8:])


@pytest.mark.parametrize("target", ["text", "speech"])
def test_asking_for_one_target_leaves_its_logits_the_same(model, make_sequence, target) -> None:
    sequence = make_sequence(("text", 2), ("speech", 6), ("text", 4))
    both, one = _run(model, sequence), _run(model, sequence, targets=(target,))
    name, missing = f"{target}_logits", "speech_logits" if target == "text" else "text_logits"
    assert torch.equal(getattr(both, name), getattr(one, name))
    assert getattr(one, missing) is None


@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_a_batch_equals_its_rows_alone(make_model, make_sequence, positions) -> None:
    model = make_model(positions)
    rows = [
        make_sequence(("speech", 9), ("text", 2), seed=1),
        make_sequence(("text", 6), ("speech", 3), seed=2),
        make_sequence(("text", 1), ("speech", 4), ("text", 3), seed=3),
    ]
    batch = _run(model, *rows)
    for number, row in enumerate(rows):
        alone = _run(model, row)
        for name in ("text_logits", "speech_logits"):
            expected = getattr(alone, name)[0]
            found = getattr(batch, name)[number, : len(expected)]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_bf16_stays_close_to_float32(model, make_sequence) -> None:
    sequence = make_sequence(("speech", 9), ("text", 6))
    exact = _run(model, sequence).text_logits
    with torch.autocast("cpu", torch.bfloat16):
        rounded = _run(model, sequence).text_logits
    assert (rounded.float() - exact).abs().max() < 0.05 * exact.abs().max()
    assert torch.nn.functional.cosine_similarity(rounded.float(), exact, dim=-1).min() > 0.995


def test_captured_attention_carries_gradients(make_model, make_sequence) -> None:
    model = make_model()
    output = model(*pack([make_sequence(("speech", 4), ("text", 3))]), capture=True, targets=("text",))
    output.attention[0].text_from_speech[..., 2].sum().backward()
    query = model.zips.block(0, "text").attention.query.weight
    assert query.grad is not None and query.grad.abs().sum() > 0


def test_rotary_positions_tell_time_from_order(make_model, make_sequence) -> None:
    """With positions, attention to identical tokens differs by their time; without, it cannot in a zip."""
    sequence = make_sequence(("speech", 6), ("text", 3))
    without, rotary = (_run(make_model(p), sequence).text_logits for p in ("none", "rotary"))
    assert not torch.allclose(without, rotary)


def test_an_input_projection_starts_as_relu() -> None:
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(InputProjection(8)(x), x.relu())


def test_a_stream_moves_between_devices() -> None:
    stream = Stream(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64)).to("cpu")
    assert stream.ids.device.type == stream.order.device.type == "cpu"
