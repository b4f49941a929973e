"""The quick step of a generation gives what the model itself gives, and follows the model's weights."""

import pytest
import torch
import torch.nn.functional as F

from model.collecting import collect
from zipper import weights
from zipper.inference import decoder_step, session
from zipper.inference.beam_search import Hypothesis, _Beam, _placed
from zipper.inference.generate import SamplingOptions, generate
from zipper.inference.half_weights import Matrix
from zipper.inference.sampling import _nucleus
from zipper.inference.session import Session
from zipper.model.checkpoint import load
from zipper.model.cross_attention import GateScale

SCALED = GateScale((0.5, (0.0, 1.0)), (1.0, (0.7, 0.2)))
OPTIONS = {
    "greedy": SamplingOptions(max_tokens=40, min_tokens=40),
    "sampled": SamplingOptions(temperature=0.9, top_p=0.8, max_tokens=40, min_tokens=20, seed=5),
    "eight beams": SamplingOptions(beams=8, max_tokens=20, repetition_window=4, max_repeats=2),
    "tracked end": SamplingOptions(beams=3, max_tokens=20, min_source_seconds=0.2, end_override=0.9),
}


def _by_model(session: Session) -> Session:
    """The same session, with the model itself for every step."""
    assert session._steps is not None
    session._steps = None
    return session


def _assert_same(quick, slow) -> None:
    torch.testing.assert_close(quick.logits, slow.logits, atol=1e-4, rtol=0)
    for name in ("attention", "source_time"):
        found, expected = getattr(quick, name), getattr(slow, name)
        assert (found is None) == (expected is None), name
        if found is not None:
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("positions", ["none", "rotary", "tracked"])
@pytest.mark.parametrize("scale", [None, SCALED, 0.0])
@pytest.mark.parametrize(("source", "target"), [("speech", "text"), ("text", "speech")])
def test_steps_equal_those_of_the_model(make_model, make_sequence, positions, scale, source, target) -> None:
    """Over more tokens than the first buffer holds, and when the other tower reads them afterwards."""
    model = make_model(positions)
    given, written, later = make_sequence((source, 9), (target, 150), (source, 3))
    quick, slow = Session(model, ("text", "speech"), scale), _by_model(Session(model, ("text", "speech"), scale))
    for one in (quick, slow):
        one.feed(source, given.ids)
    for token in written.ids:
        _assert_same(quick.feed(target, (token,)), slow.feed(target, (token,)))
    for token in later.ids:
        _assert_same(quick.feed(source, (token,)), slow.feed(source, (token,)))
    assert target in quick._steps and source in quick._steps


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_steps_of_one_modality_alone_equal_those_of_its_tower(model, make_sequence, modality) -> None:
    (given,) = make_sequence((modality, 12))
    quick, slow = Session(model, (modality,)), _by_model(Session(model, (modality,)))
    for token in given.ids:
        _assert_same(quick.feed(modality, (token,)), slow.feed(modality, (token,)))


def test_rows_go_on_from_the_rows_they_are_copied_from(make_model, make_sequence) -> None:
    model = make_model("tracked")
    given, *written = make_sequence(("speech", 9), *[("text", 5)] * 3)
    begun = Session(model, ("text", "speech"))
    begun.feed("speech", given.ids)
    begun.feed("text", (0,))
    rows = begun.fork("text", torch.tensor([0, 0, 0]))
    for tokens in torch.tensor([segment.ids[1:4] for segment in written]).T:
        rows.feed("text", tokens[:, None])
    rows.copy_rows("text", [(2, 0)])
    found = rows.feed("text", torch.tensor([[7], [8], [9]]))
    for row, (segment, last) in enumerate([(written[2], 7), (written[1], 8), (written[2], 9)]):
        alone = _by_model(Session(model, ("text", "speech")))
        alone.feed("speech", given.ids)
        expected = alone.feed("text", (*segment.ids[:4], last))
        torch.testing.assert_close(found.logits[row], expected.logits[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(found.attention[:, row], expected.attention[:, 0], atol=1e-4, rtol=0)


def test_rows_with_sources_of_their_own_are_read_by_the_model(model) -> None:
    """What rows share is one memory; where each has another, a step gives what each gives alone."""
    tokens = torch.tensor([[32, 4, 5, 6, 33], [32, 9, 8, 7, 33]])
    both = Session(model, ("text", "speech"))
    both.feed("speech", tokens)
    found = both.feed("text", torch.tensor([[0], [0]]))
    for row in range(2):
        alone = Session(model, ("text", "speech"))
        alone.feed("speech", tokens[row].tolist())
        torch.testing.assert_close(found.logits[row], alone.feed("text", (0,)).logits[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("scale", [None, SCALED])
def test_generations_are_those_of_the_model(make_model, make_sequence, monkeypatch, kind, scale) -> None:
    model, prompt = make_model("tracked"), make_sequence(("speech", 30))
    options = {"text": OPTIONS[kind], "speech": OPTIONS["sampled"]}
    quick = collect(generate(model, prompt, ["text", "speech"], options, gate_scale=scale))
    monkeypatch.setattr(session, "prepared_steps", lambda model: None)
    slow = collect(generate(model, prompt, ["text", "speech"], options, gate_scale=scale))
    assert quick.segments == slow.segments and quick.stop_reasons == slow.stop_reasons
    for found, expected in zip(quick.attention, slow.attention, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_shipped_weights_are_read_in_half_precision_and_give_the_same() -> None:
    model = load(weights.find() / weights.MODEL_FOLDER)
    quick, slow = Session(model, ("text", "speech")), _by_model(Session(model, ("text", "speech")))
    for one in (quick, slow):
        one.feed("text", (0, 17, 300, 45, 902, 1))
    token = model.config.speech.begin_id
    for _ in range(30):
        found, expected = (one.feed("speech", (token,)) for one in (quick, slow))
        _assert_same(found, expected)
        token = int(expected.logits[0].argmax())
    step = quick._steps["speech"]
    matrices = [step._logits, step._projection[0], step._blocks[0].qkv, step._blocks[-1].down, step._zips[0].up]
    assert all(matrix.packed for matrix in matrices) == ("fbgemm" in torch.backends.quantized.supported_engines)


@torch.no_grad()
def test_weights_that_change_are_noticed(make_model, make_sequence) -> None:
    model = make_model("tracked")
    (given,) = make_sequence(("speech", 6))

    def predict(one: Session) -> torch.Tensor:
        one.feed("speech", given.ids)
        return one.feed("text", (0,)).logits

    before = predict(Session(model, ("text", "speech")))
    model.text.blocks[0].ff.down.weight *= 3
    after = predict(Session(model, ("text", "speech")))
    assert not torch.allclose(before, after, atol=1e-2)
    torch.testing.assert_close(after, predict(_by_model(Session(model, ("text", "speech")))), atol=1e-4, rtol=0)
    model.load_state_dict(make_model("tracked").state_dict(), assign=True)
    torch.testing.assert_close(predict(Session(model, ("text", "speech"))), before)


def test_a_model_in_another_precision_runs_itself(make_model) -> None:
    model = make_model("rotary")
    assert decoder_step.prepared_steps(model) is not None
    assert decoder_step.prepared_steps(model.double()) is None
    session = Session(model, ("text",))
    assert session.feed("text", (0,)).logits.shape == (1, 23)


@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("exact", [True, False])
def test_weights_are_packed_only_where_the_products_stay(rows, exact) -> None:
    random = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(shape, generator=random) for shape in [(40, 24), (40,), (rows, 1, 24)])
    weight = weight.bfloat16().float() if exact else weight
    matrix = Matrix(weight, bias)
    assert matrix.packed == (exact and "fbgemm" in torch.backends.quantized.supported_engines)
    torch.testing.assert_close(matrix.times(x), F.linear(x, weight, bias), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("top_p", [0.05, 0.9, 0.999])
def test_the_likeliest_tokens_are_those_of_a_full_ranking(sharpness, top_p) -> None:
    logits = sharpness * torch.randn(4000, generator=torch.Generator().manual_seed(1))
    probabilities = (logits + 1e-4 * torch.arange(4000) / 4000).softmax(dim=-1)
    ranked, order = probabilities.sort(descending=True, stable=True)
    beyond = ranked.cumsum(0) - ranked >= top_p * ranked.sum()
    expected = probabilities.index_fill(0, order[beyond], 0.0)
    assert torch.equal(_nucleus(probabilities, top_p), expected)


def test_beams_stay_in_their_rows_and_those_that_branch_off_take_free_ones() -> None:
    live = [_Beam(Hypothesis((number,)), row) for number, row in enumerate([2, 0, 2, 2, 4])]
    placed, moves = _placed(live)
    assert [beam.hypothesis.ids for beam in placed] == [(number,) for number in range(5)]
    assert [beam.row for beam in placed[:2]] == [2, 0] and placed[4].row == 4
    assert sorted(beam.row for beam in placed) == [0, 1, 2, 3, 4]
    assert sorted(target for _, target in moves) == [1, 3] and {source for source, _ in moves} == {2}
