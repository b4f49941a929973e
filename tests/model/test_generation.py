"""Generation: cached equals uncached, seeds, limits, order of outputs, concurrency."""

import itertools
import math
import threading

import pytest
import torch

from model.collecting import Generated, collect
from zipper.errors import OptionError
from zipper.inference.beam_search import beam_search
from zipper.inference.generate import SamplingOptions, generate
from zipper.inference.session import Prediction, Session
from zipper.model.cross_attention import GateScale
from zipper.model.streams import Segment, pack

GREEDY = SamplingOptions(max_tokens=12)
SAMPLED = SamplingOptions(temperature=1.5, max_tokens=12)


def _run(model, prompt, outputs, options=GREEDY, **more) -> Generated:
    return collect(generate(model, prompt, outputs, options, **more))


@torch.no_grad()
@pytest.mark.parametrize("positions", ["none", "rotary"])
@pytest.mark.parametrize("gate_scale", [None, GateScale((0.5, 1.0), (1.0, 0.0))])
def test_cached_predictions_equal_whole_forwards(make_model, make_sequence, positions, gate_scale) -> None:
    """Segments fed whole, piecewise or token by token predict what one forward over all of it does."""
    model = make_model(positions)
    sequence = make_sequence(("speech", 7), ("text", 5), ("speech", 4), ("text", 3), ("text", 2))
    whole = model(*pack([sequence]), capture=True, gate_scale=gate_scale)
    for size in (1, 3, 100):
        session = Session(model, ("text", "speech"), gate_scale)
        done = {"text": 0, "speech": 0}
        for segment in sequence:
            for start in range(0, len(segment.ids), size):
                ids = segment.ids[start : start + size]
                prediction = session.feed(segment.modality, ids)
                done[segment.modality] += len(ids)
                last = done[segment.modality] - 1
                logits = whole.text_logits if segment.modality == "text" else whole.speech_logits
                torch.testing.assert_close(prediction.logits[0], logits[0, last], atol=1e-4, rtol=0)
                if prediction.attention is None:
                    continue
                for zipped, rows in zip(whole.attention, prediction.attention, strict=True):
                    side = "text_from_speech" if segment.modality == "text" else "speech_from_text"
                    expected = getattr(zipped, side)[0, :, last]
                    seen = rows.shape[-1]
                    torch.testing.assert_close(rows[0], expected[:, :seen], atol=1e-5, rtol=0)
                    assert expected[:, seen:].count_nonzero() == 0


@torch.no_grad()
def test_greedy_generation_equals_repeated_whole_forwards(model, make_sequence) -> None:
    prompt = make_sequence(("speech", 9))
    generated = _run(model, prompt, ["text"])
    ids = [model.config.text.begin_id]
    for found, probability in zip(generated.segments[0].ids, generated.probabilities[0], strict=True):
        logits = model(*pack([[*prompt, Segment("text", tuple(ids))]])).text_logits[0, -1]
        allowed = logits.clone()
        allowed[model.config.text.begin_id] = -torch.inf
        assert int(allowed.argmax()) == found
        assert probability == pytest.approx(float(logits.softmax(-1)[found]), abs=1e-5)
        ids.append(found)


def test_attention_of_each_step_is_a_distribution_over_the_prompt(model, make_sequence) -> None:
    generated = _run(model, make_sequence(("speech", 9)), ["text"])
    attention, count = generated.attention[0], len(generated.segments[0].ids)
    assert attention.shape == (2, 2, count, 11) and attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2, count))


def test_one_modality_is_its_tower_alone(model, make_sequence) -> None:
    text = make_sequence(("text", 4))[0]
    opened = Segment("text", text.ids[:-1])
    generated = _run(model, [opened], ["text"])
    assert generated.attention == (None,)
    ids = list(opened.ids)
    with torch.no_grad():
        for found in generated.segments[0].ids:
            logits = model.text(torch.tensor([ids]))[0, -1]
            logits[model.config.text.begin_id] = -torch.inf
            assert int(logits.argmax()) == found
            ids.append(found)


def test_an_open_prompt_is_continued_and_a_closed_one_is_followed(model, make_sequence) -> None:
    speech, text = make_sequence(("speech", 5), ("text", 4))
    begun = Segment("text", text.ids[:1])
    assert _run(model, [speech, begun], ["text"]).segments == _run(model, [speech], ["text"]).segments
    longer = _run(model, [speech, Segment("text", text.ids[:-1])], ["text"]).probabilities
    assert longer != _run(model, [speech, text], ["text"]).probabilities


def test_outputs_come_in_the_order_asked_and_follow_from_each_other(model, make_sequence) -> None:
    prompt = make_sequence(("speech", 6))
    both = _run(model, prompt, ["text", "speech", "text"])
    assert [segment.modality for segment in both.segments] == ["text", "speech", "text"]
    text = model.config.text
    ids = (text.begin_id, *both.segments[0].ids)
    first = Segment("text", ids if ids[-1] == text.end_id else (*ids, text.end_id))
    step_by_step = _run(model, [*prompt, first], ["speech"])
    assert step_by_step.segments[0] == both.segments[1]
    torch.testing.assert_close(step_by_step.attention[0], both.attention[1], atol=1e-5, rtol=0)


def test_a_seed_gives_the_same_result_again_and_another_seed_another(model, make_sequence) -> None:
    prompt = make_sequence(("text", 5))
    runs = {}
    for seed in range(6):
        options = SamplingOptions(temperature=1.5, max_tokens=12, seed=seed)
        runs[seed] = _run(model, prompt, ["speech"], options).segments
        torch.manual_seed(99)  # the global generator has no say
        assert _run(model, prompt, ["speech"], options).segments == runs[seed]
    assert len(set(runs.values())) > 1


def test_generation_leaves_the_global_random_state_alone(model, make_sequence) -> None:
    before = torch.get_rng_state()
    _run(model, make_sequence(("text", 3)), ["speech"], SAMPLED)
    assert torch.equal(before, torch.get_rng_state())


def test_a_limit_cuts_and_says_so(model, make_sequence) -> None:
    options = SamplingOptions(max_tokens=5, min_tokens=5)
    generated = _run(model, make_sequence(("text", 3)), ["speech"], options)
    assert len(generated.segments[0].ids) == 5
    end = model.config.speech.end_id
    assert generated.stop_reasons[0] == ("end" if generated.segments[0].ids[-1] == end else "limit")
    assert end not in generated.segments[0].ids[:4]


def test_the_end_token_ends_a_segment(model, make_sequence) -> None:
    end = model.config.speech.end_id
    for seed in range(40):
        options = SamplingOptions(temperature=3.0, max_tokens=100, seed=seed)
        generated = _run(model, make_sequence(("text", 3)), ["speech"], options)
        if generated.stop_reasons == ("end",):
            assert generated.segments[0].ids.index(end) == len(generated.segments[0].ids) - 1
            return
    pytest.fail("No sample ever ended.")


def test_the_begin_token_is_never_generated(model, make_sequence) -> None:
    options = SamplingOptions(temperature=50.0, max_tokens=300, min_tokens=300)
    assert (
        model.config.text.begin_id not in _run(model, make_sequence(("speech", 3)), ["text"], options).segments[0].ids
    )


@pytest.mark.parametrize("beams", [1, 3])
def test_a_deadline_stops_everything(model, make_sequence, beams) -> None:
    options = SamplingOptions(max_tokens=100_000, min_tokens=100_000, beams=beams, deadline_seconds=0.2)
    generated = _run(model, make_sequence(("speech", 3)), ["text", "speech"], options)
    assert generated.stop_reasons == ("deadline",)
    assert len(generated.segments[0].ids) < 100_000


def test_a_consumer_can_walk_away(model, make_sequence) -> None:
    steps = generate(model, make_sequence(("text", 3)), ["speech"], SamplingOptions(min_tokens=1000))
    first = list(itertools.islice(steps, 3))
    steps.close()
    assert [step.finished for step in first] == [False] * 3
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_threads_with_other_gate_scales_do_not_disturb_each_other(model, make_sequence) -> None:
    prompt = make_sequence(("speech", 9))
    scales = [1.0, 0.0, 0.5, GateScale((0.0, 1.0), (1.0, 1.0))]
    alone = [_run(model, prompt, ["text"], SAMPLED, gate_scale=scale) for scale in scales]
    together: dict[int, list[Generated]] = {number: [] for number in range(len(scales))}

    def work(number: int) -> None:
        for _ in range(5):
            together[number].append(_run(model, prompt, ["text"], SAMPLED, gate_scale=scales[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(alone):
        assert len(together[number]) == 5
        for found in together[number]:
            assert found.segments == expected.segments
            assert torch.equal(found.attention[0], expected.attention[0])


def _score(model, prompt, ids) -> float:
    """Log-probability per token of a text, with the begin token ruled out as generation does."""
    text = Segment("text", (model.config.text.begin_id, *ids))
    with torch.no_grad():
        logits = model(*pack([[*prompt, text]])).text_logits[0, :-1]
    logits[:, model.config.text.begin_id] = -torch.inf
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])
    return float(chosen.mean())


def test_wide_enough_beams_find_the_best_hypothesis_there_is(model, make_sequence) -> None:
    """The best per token, whether it ends by itself or at the limit."""
    prompt, beams, end = make_sequence(("speech", 6)), 23, model.config.text.end_id
    hypotheses = [(end,), *((a, b) for a in range(2, 23) for b in range(1, 23))]
    options = SamplingOptions(max_tokens=2, beams=beams)
    found = _run(model, prompt, ["text"], options).segments[0].ids
    assert found == max(hypotheses, key=lambda ids: _score(model, prompt, ids))


def test_what_is_known_from_elsewhere_counts_in_the_search(model, make_sequence) -> None:
    """A hypothesis that is not wanted makes way for the next best one."""
    prompt, end = make_sequence(("speech", 6)), model.config.text.end_id
    options = SamplingOptions(max_tokens=2, beams=23)
    plain = _run(model, prompt, ["text"], options).segments[0].ids
    found = (
        _run(model, prompt, ["text"], options, score_function=lambda ids: -50.0 if tuple(ids) == plain else 0.0)
        .segments[0]
        .ids
    )
    hypotheses = {(end,), *((a, b) for a in range(2, 23) for b in range(1, 23))} - {plain}
    assert plain != found == max(hypotheses, key=lambda ids: _score(model, prompt, ids))


class Scripted:
    """Stands in for a session whose model ends a hypothesis early at a price, or goes on for ever quite surely.

    Token 0 begins, 1 ends, 2 is a word: the end has `ending` as its probability, the word the rest.
    """

    def __init__(self, model, ending: float) -> None:
        self.model = model
        self.logits = torch.full((1, model.config.text.vocab_size), -30.0)
        self.logits[0, 1], self.logits[0, 2] = math.log(ending), math.log(1 - ending)

    def predict(self, count: int) -> Prediction:
        return Prediction(self.logits.expand(count, -1), None)

    def fork(self, modality, rows) -> "Scripted":
        return self

    def copy_rows(self, modality, moves) -> None:
        pass

    def feed(self, modality, ids) -> Prediction:
        return self.predict(len(ids))


@pytest.mark.parametrize("cut", ["limit", "stop"])
@pytest.mark.parametrize(("ending", "ends"), [(0.05, False), (0.9, True)])
def test_a_search_that_is_cut_short_prefers_no_hypothesis_because_it_ended(model, cut, ending, ends) -> None:
    """An unlikely end of a few tokens loses to a likely one that was going on; a likely one still wins."""
    session = Scripted(model, ending)
    steps = itertools.count(1)
    options = SamplingOptions(max_tokens=12 if cut == "limit" else 1000, beams=20)
    *_, (best, _) = beam_search(
        session, "text", session.predict(1), options, lambda: cut == "stop" and next(steps) >= 12
    )
    assert (best.ids[-1] == 1) == ends
    assert best.ids == ((1,) if ends else (2,) * 12)


def test_beam_steps_look_like_greedy_steps(model, make_sequence) -> None:
    prompt = make_sequence(("speech", 6))
    options = SamplingOptions(max_tokens=8, beams=3)
    steps = list(generate(model, prompt, ["text", "speech"], {"text": options, "speech": GREEDY}))
    generated = collect(steps)
    text = generated.segments[0]
    whole = Segment("text", (model.config.text.begin_id, *text.ids))
    with torch.no_grad():
        forward = model(*pack([[*prompt, whole]]), capture=True)
    expected = torch.stack([zipped.text_from_speech[0, :, :-1] for zipped in forward.attention])
    torch.testing.assert_close(generated.attention[0], expected, atol=1e-5, rtol=0)
    probabilities = forward.text_logits[0, :-1].softmax(-1).gather(1, torch.tensor(text.ids)[:, None])
    assert generated.probabilities[0] == pytest.approx(probabilities.flatten().tolist(), abs=1e-5)
    end = () if text.ids[-1] == model.config.text.end_id else (model.config.text.end_id,)
    followed = _run(model, [*prompt, Segment("text", whole.ids + end)], ["speech"])
    assert followed.segments[0] == generated.segments[1]


def test_beam_steps_come_as_they_settle(model, make_sequence) -> None:
    with torch.no_grad():
        model.text.embedding.weight *= 40  # sure of itself, so that hypotheses share their beginnings
    session, searched = Session(model, ("text", "speech")), itertools.count()
    session.feed("speech", make_sequence(("speech", 6))[0].ids)
    prediction = session.feed("text", (model.config.text.begin_id,))
    options = SamplingOptions(max_tokens=20, min_tokens=20, beams=2)
    settled = [
        (count, next(searched))
        for _, count in beam_search(session, "text", prediction, options, lambda: next(searched) < 0)
    ]
    assert settled[-1][0] == 20
    assert settled[0][1] < settled[-1][1] / 2


def test_max_repeats_breaks_loops(model, make_sequence) -> None:
    options = SamplingOptions(max_tokens=60, min_tokens=60, repetition_window=4, max_repeats=2)
    ids = _run(model, make_sequence(("speech", 3)), ["text"], options).segments[0].ids
    for period in range(1, 5):
        for start in range(len(ids) - 3 * period + 1):
            cycle = ids[start : start + period]
            assert ids[start : start + 3 * period] != cycle * 3


@pytest.mark.parametrize(
    ("prompt", "outputs", "options"),
    [
        ([], [], GREEDY),
        ([], ["video"], GREEDY),
        ([], ["speech"], {"text": GREEDY}),
        ([Segment("text", ())], ["text"], GREEDY),
        ([Segment("text", (23,))], ["text"], GREEDY),
        ([Segment("speech", (-1,))], ["text"], GREEDY),
    ],
)
def test_impossible_requests_are_refused_at_once(model, prompt, outputs, options) -> None:
    with pytest.raises(OptionError):
        generate(model, prompt, outputs, options)


def test_generation_can_start_from_nothing(model) -> None:
    assert _run(model, [], ["text"]).segments[0].modality == "text"
