"""Tracked positions: a query's time is where its token was found in the source."""

import math

import pytest
import torch

from model.collecting import collect
from zipper.errors import OptionError
from zipper.inference.generate import SamplingOptions, generate
from zipper.inference.sampling import constrain
from zipper.inference.session import Session
from zipper.model.streams import Stream, pack


@pytest.mark.parametrize(("source", "target"), [("speech", "text"), ("text", "speech")])
@torch.no_grad()
def test_tracked_steps_equal_one_forward_with_the_source_times_that_were_found(
    make_model, make_sequence, source, target
) -> None:
    model = make_model("tracked")
    given, written = make_sequence((source, 9), (target, 7))
    session = Session(model, ("text", "speech"))
    session.feed(source, given.ids)
    source_times, logits = [0.0], []
    for token in written.ids:
        logits.append(session.feed(target, (token,)).logits[0])
        assert session.source_time is not None
        source_times.append(float(session.source_time))
    streams = dict(zip(("text", "speech"), pack([[given, written]]), strict=True))
    streams[target] = Stream(streams[target].ids, streams[target].order, torch.tensor([source_times[:-1]]))
    output = model(streams["text"], streams["speech"])
    whole = output.text_logits if target == "text" else output.speech_logits
    torch.testing.assert_close(whole[0], torch.stack(logits), rtol=1e-4, atol=1e-4)
    assert len(set(source_times)) > 1, "attention moves over the source"


@torch.no_grad()
def test_a_prompt_fed_at_once_is_tracked_like_one_fed_token_by_token(make_model, make_sequence) -> None:
    model = make_model("tracked")
    given, written = make_sequence(("speech", 9), ("text", 6))
    whole, single = (Session(model, ("text", "speech")) for _ in range(2))
    for session in (whole, single):
        session.feed("speech", given.ids)
    at_once = whole.feed("text", written.ids)
    for token in written.ids:
        last = single.feed("text", (token,))
    torch.testing.assert_close(at_once.logits, last.logits)


@torch.no_grad()
def test_source_times_lie_within_the_source_and_where_attention_points(make_model, make_sequence) -> None:
    model = make_model("tracked")
    (given,) = make_sequence(("speech", 12))
    session = Session(model, ("text", "speech"))
    session.feed("speech", given.ids)
    attention = torch.zeros(model.config.zip_points, 1, model.config.zip.heads, len(given.ids))
    attention[..., 5] = 0.7
    attention[..., 11] = 0.3
    session.feed("text", (0,))
    found = session._found(attention, session._times["text"])
    assert float(found) == pytest.approx(5 * 0.04)
    assert 0 <= float(session.source_time) <= (len(given.ids) - 1) * 0.04


@torch.no_grad()
def test_beams_track_each_their_own_source_time(make_model, make_sequence) -> None:
    """One beam is greedy decoding, and every beam's generated scores what it scores when it is fed alone."""
    model = make_model("tracked")
    prompt = make_sequence(("speech", 9))
    options = SamplingOptions(max_tokens=6, beams=3)
    generated = collect(generate(model, prompt, ["text"], options))
    session = Session(model, ("text", "speech"))
    session.feed("speech", prompt[0].ids)
    prediction = session.feed("text", (0,))
    for token, probability in zip(generated.segments[0].ids, generated.probabilities[0], strict=True):
        assert float(prediction.logits[0].softmax(-1)[token]) == pytest.approx(probability, abs=1e-4)
        prediction = session.feed("text", (token,))


@torch.no_grad()
def test_without_source_times_a_forward_keeps_a_steady_pace(make_model, make_sequence) -> None:
    tracked, rotary = make_model("tracked"), make_model("rotary")
    streams = pack([make_sequence(("speech", 9), ("text", 6))])
    torch.testing.assert_close(tracked(*streams).text_logits, rotary(*streams).text_logits)


def test_a_segment_ends_only_after_its_source_time() -> None:
    options, logits = SamplingOptions(min_source_seconds=1.0), torch.zeros(5)
    assert constrain(logits, [], options, 3, 4, source_time=0.9)[4] == -torch.inf
    assert constrain(logits, [], options, 3, 4, source_time=1.0)[4] == 0
    assert constrain(logits, [], options, 3, 4, source_time=None)[4] == 0  # not tracked


def test_a_segment_whose_end_is_sure_ends_before_its_source_time() -> None:
    logits = torch.zeros(5)
    logits[4] = 3.0  # probability 0.83
    for sure, allowed in ((math.inf, False), (0.84, False), (0.82, True)):
        options = SamplingOptions(min_source_seconds=1.0, end_override=sure)
        assert bool(constrain(logits, [], options, 3, 4, source_time=0.5)[4] == 3.0) == allowed, sure
    logits[4] = 1e4  # a probability of exactly 1 is not enough where nothing is
    assert constrain(logits, [], SamplingOptions(min_source_seconds=1.0), 3, 4, source_time=0.5)[4] == -torch.inf
    with pytest.raises(OptionError, match="end_override"):
        SamplingOptions(end_override=0.0)


@pytest.mark.parametrize("beams", [1, 3])
def test_what_was_not_looked_at_is_not_left_out(make_model, make_sequence, beams) -> None:
    model = make_model("tracked")
    with torch.no_grad():
        model.text.embedding.weight[model.config.text.end_id] *= 20  # a model in a hurry to end, or never to
    (given,) = make_sequence(("speech", 12))
    early = [
        collect(
            generate(model, [given], ["text"], SamplingOptions(max_tokens=9, beams=beams, min_source_seconds=after))
        )
        for after in (0.0, 60.0)
    ]
    lengths = [len(generated.segments[0].ids) for generated in early]
    assert lengths[1] == 9 and early[1].stop_reasons == ("limit",)
    assert model.config.text.end_id not in early[1].segments[0].ids
    assert lengths[0] < 9 and early[0].stop_reasons == ("end",)
    hasty = SamplingOptions(max_tokens=9, beams=beams, min_source_seconds=60.0, end_override=1e-6)  # any end will do
    sure = collect(generate(model, [given], ["text"], hasty))
    assert sure.segments == early[0].segments and sure.stop_reasons == ("end",)
