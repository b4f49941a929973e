"""Tracked positions: a query's time is where its token was found in the source."""

import pytest
import torch

from zipper.model.generate import SamplingOptions, collect, generate
from zipper.model.session import Session
from zipper.model.streams import Stream, pack


@pytest.mark.parametrize(("source", "target"), [("speech", "text"), ("text", "speech")])
@torch.no_grad()
def test_tracked_steps_equal_one_forward_with_the_places_that_were_found(
    make_model, make_sequence, source, target
) -> None:
    model = make_model("tracked")
    given, written = make_sequence((source, 9), (target, 7))
    session = Session(model, ("text", "speech"))
    session.feed(source, given.ids)
    places, logits = [0.0], []
    for token in written.ids:
        logits.append(session.feed(target, (token,)).logits[0])
        assert session.place is not None
        places.append(float(session.place))
    streams = dict(zip(("text", "speech"), pack([[given, written]]), strict=True))
    streams[target] = Stream(streams[target].ids, streams[target].order, torch.tensor([places[:-1]]))
    output = model(streams["text"], streams["speech"])
    whole = output.text_logits if target == "text" else output.speech_logits
    torch.testing.assert_close(whole[0], torch.stack(logits), rtol=1e-4, atol=1e-4)
    assert len(set(places)) > 1, "attention moves over the source"


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
def test_places_lie_within_the_source_and_where_attention_points(make_model, make_sequence) -> None:
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
    assert 0 <= float(session.place) <= (len(given.ids) - 1) * 0.04


@torch.no_grad()
def test_beams_track_each_their_own_place(make_model, make_sequence) -> None:
    """One beam is greedy decoding, and every beam's line scores what it scores when it is fed alone."""
    model = make_model("tracked")
    prompt = make_sequence(("speech", 9))
    options = SamplingOptions(max_tokens=6, beams=3)
    line = collect(generate(model, prompt, ["text"], options))
    session = Session(model, ("text", "speech"))
    session.feed("speech", prompt[0].ids)
    prediction = session.feed("text", (0,))
    for token, probability in zip(line.segments[0].ids, line.probabilities[0], strict=True):
        assert float(prediction.logits[0].softmax(-1)[token]) == pytest.approx(probability, abs=1e-4)
        prediction = session.feed("text", (token,))


@torch.no_grad()
def test_without_places_a_forward_keeps_a_steady_pace(make_model, make_sequence) -> None:
    tracked, rotary = make_model("tracked"), make_model("rotary")
    streams = pack([make_sequence(("speech", 9), ("text", 6))])
    torch.testing.assert_close(tracked(*streams).text_logits, rotary(*streams).text_logits)
