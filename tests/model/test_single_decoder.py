"""The single decoder: cached equals uncached, one softmax of both vocabularies, its start as a text tower, files."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from model.collecting import collect
from model.conftest import SPEECH, TEXT
from zipper.errors import ConfigError, OptionError
from zipper.inference.generate import SamplingOptions, generate
from zipper.inference.reading import open_session
from zipper.inference.single_session import SingleSession
from zipper.model.checkpoint import load, load_zipper, save
from zipper.model.config import SingleDecoderConfig
from zipper.model.cross_attention import GateScale
from zipper.model.single_decoder import SingleDecoder, extended
from zipper.model.streams import Segment, pack
from zipper.model.tower import Tower

SPECIALS = (SPEECH.vocab_size, SPEECH.begin_id, SPEECH.end_id)
GREEDY = SamplingOptions(max_tokens=12)


@pytest.fixture(scope="module")
def single() -> SingleDecoder:
    """Weights large enough that every part shows in the output."""
    config = dataclasses.replace(TEXT, vocab_size=TEXT.vocab_size + SPEECH.vocab_size)
    model = SingleDecoder(SingleDecoderConfig(config, TEXT.vocab_size, SPEECH.begin_id, SPEECH.end_id, (1, 2, 4)))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.copy_(torch.randn(weight.shape, generator=random) / weight.shape[1] ** 0.5)
    return model.eval()


@torch.no_grad()
def test_cached_predictions_equal_whole_forwards(single, make_sequence) -> None:
    """Segments fed whole, piecewise or token by token predict what one forward over all of it does."""
    sequence = make_sequence(("speech", 7), ("text", 5), ("speech", 4), ("text", 3), ("text", 2))
    whole = single(*pack([sequence]), capture=True)
    for size in (1, 3, 100):
        session = open_session(single, ("text", "speech"))
        assert isinstance(session, SingleSession) and session.source_time is None
        done = {"text": 0, "speech": 0}
        for segment in sequence:
            for start in range(0, len(segment.ids), size):
                ids = segment.ids[start : start + size]
                prediction = session.feed(segment.modality, ids)
                done[segment.modality] += len(ids)
                last = done[segment.modality] - 1
                logits = whole.text_logits if segment.modality == "text" else whole.speech_logits
                torch.testing.assert_close(prediction.logits[0], logits[0, last], atol=1e-4, rtol=1e-4)
                if prediction.attention is None:
                    assert done == {"text": 0, "speech": last + 1}
                    continue
                side = "text_from_speech" if segment.modality == "text" else "speech_from_text"
                for block, rows in zip(whole.attention, prediction.attention, strict=True):
                    expected = getattr(block, side)[0, :, last]
                    seen = rows.shape[-1]
                    torch.testing.assert_close(rows[0], expected[:, :seen], atol=1e-5, rtol=0)
                    assert expected[:, seen:].count_nonzero() == 0


@torch.no_grad()
def test_the_weights_that_are_shown_are_those_that_are_used(single, make_sequence) -> None:
    streams = pack([make_sequence(("speech", 6), ("text", 4)), make_sequence(("text", 9), ("speech", 2), seed=1)])
    shown, plain = single(*streams, capture=True), single(*streams)
    torch.testing.assert_close(shown.text_logits, plain.text_logits, atol=1e-4, rtol=1e-4)
    assert len(shown.attention) == 3 and plain.attention == ()
    assert shown.attention[0].text_from_speech.shape == (2, TEXT.heads, 11, 8)
    assert shown.attention[0].speech_from_text.shape == (2, TEXT.heads, 8, 11)
    sums = shown.attention[0].text_from_speech.sum(-1)
    assert bool((sums[0, :, :6] > 0).all()) and bool((sums < 1).all())  # the rest goes to the text before
    assert sums[1].count_nonzero() == 0  # there the text comes first


@torch.no_grad()
def test_sequences_of_a_batch_do_not_see_each_other_or_padding(single, make_sequence) -> None:
    sequences = [make_sequence(("speech", 6), ("text", 4)), make_sequence(("speech", 2), ("text", 9), seed=1)]
    together = single(*pack(sequences))
    for row, sequence in enumerate(sequences):
        alone = single(*pack([sequence]))
        for found, wanted in ((together.text_logits, alone.text_logits), (together.speech_logits, alone.speech_logits)):
            torch.testing.assert_close(found[row, : wanted.shape[1]], wanted[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_loss_is_that_of_one_softmax_over_both_vocabularies(single, make_sequence) -> None:
    """The logits of a modality and what has strayed from it make the cross-entropy of the joint vocabulary."""
    speech, text = make_sequence(("speech", 5), ("text", 4))
    out = single(*pack([[speech, text]]), targets=("text",))
    assert out.speech_logits is None
    joint = torch.tensor([[*(i + TEXT.vocab_size for i in speech.ids), *text.ids]])
    target = torch.tensor(text.ids[1:])
    wanted = F.cross_entropy(single.decoder(joint)[0, len(speech.ids) : -1], target)
    found = F.cross_entropy(out.text_logits[0, :-1], target) + out.strayed["text"][0, :-1].mean()
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_generated_steps_are_those_of_one_forward(single, make_sequence, beams) -> None:
    prompt = make_sequence(("speech", 6))
    options = SamplingOptions(max_tokens=8, beams=beams)
    generated = collect(generate(single, prompt, ["text", "speech"], {"text": options, "speech": GREEDY}))
    text = generated.segments[0]
    whole = Segment("text", (TEXT.begin_id, *text.ids))
    forward = single(*pack([[*prompt, whole]]), capture=True)
    expected = torch.stack([block.text_from_speech[0, :, :-1] for block in forward.attention])
    torch.testing.assert_close(generated.attention[0], expected, atol=1e-5, rtol=0)
    probabilities = forward.text_logits[0, :-1].softmax(-1).gather(1, torch.tensor(text.ids)[:, None])
    assert generated.probabilities[0] == pytest.approx(probabilities.flatten().tolist(), abs=1e-5)
    end = () if text.ids[-1] == TEXT.end_id else (TEXT.end_id,)
    followed = collect(generate(single, [*prompt, Segment("text", whole.ids + end)], ["speech"], GREEDY))
    assert followed.segments[0] == generated.segments[1]


@torch.no_grad()
def test_forks_read_on_each_for_itself(single, make_sequence) -> None:
    speech, text = make_sequence(("speech", 6), ("text", 5))
    session = SingleSession(single, ("text", "speech"))
    session.feed("speech", speech.ids)
    session.feed("text", text.ids[:1])
    ids = torch.tensor([[3, 4], [5, 6], [7, 8]])
    forked = session.fork("text", torch.tensor([0, 0, 0]))
    forked.feed("text", ids[:, :1])
    swapped = forked.fork("text", torch.tensor([2, 0]))
    found = swapped.feed("text", ids[[2, 0], 1:])
    for row, chosen in enumerate((2, 0)):
        alone = SingleSession(single, ("text", "speech"))
        alone.feed("speech", speech.ids)
        wanted = alone.feed("text", (TEXT.begin_id, *ids[chosen].tolist()))
        torch.testing.assert_close(found.logits[row], wanted.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.attention[:, row], wanted.attention[:, 0], atol=1e-5, rtol=0)
    both = [swapped.feed("text", torch.tensor([[9], [10]])).logits]
    swapped.copy_rows("text", [(0, 1)])
    both.append(swapped.feed("text", torch.tensor([[11], [11]])).logits)
    assert not torch.allclose(both[0][0], both[0][1]) and torch.allclose(both[1][0], both[1][1], atol=1e-5)
    unread = session.feed("text", text.ids[1:3])  # the session they came from goes on undisturbed
    fresh = SingleSession(single, ("text", "speech"))
    fresh.feed("speech", speech.ids)
    torch.testing.assert_close(unread.logits, fresh.feed("text", text.ids[:3]).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_text_alone_is_continued_without_attention(single, make_sequence) -> None:
    opened = Segment("text", make_sequence(("text", 4))[0].ids[:-1])
    generated = collect(generate(single, [opened], ["text"], GREEDY))
    assert generated.attention == (None,)
    ids = list(opened.ids)
    for found in generated.segments[0].ids:
        logits = single.text_alone(torch.tensor([ids]))[0, -1]
        logits[TEXT.begin_id] = -torch.inf
        assert int(logits.argmax()) == found
        ids.append(found)


def test_there_are_no_gates_to_set(single, make_sequence) -> None:
    assert single.gates("text", single.gate_scale(1.0)).tolist() == [[1.0, 1.0]] * 3
    for scale in (0.0, GateScale((1.0, 1.0, 0.5), (1.0,) * 3)):
        with pytest.raises(OptionError, match="no gates"):
            generate(single, make_sequence(("speech", 3)), ["text"], GREEDY, gate_scale=scale)


@torch.no_grad()
@pytest.mark.parametrize("depth", [0, 7, 12])
def test_it_starts_as_the_text_tower_whatever_its_depth(depth) -> None:
    torch.manual_seed(0)
    tower = Tower(TEXT).eval()
    model = extended(tower, *SPECIALS, depth).eval()
    assert model.config.decoder.depth == (depth or TEXT.depth) == len(model.decoder.blocks)
    ids = torch.randint(0, TEXT.vocab_size, (2, 9))
    torch.testing.assert_close(model.text_alone(ids), tower(ids))
    assert torch.equal(
        model(pack([[Segment("text", tuple(ids[0].tolist()))]])[0], None).text_logits, model.text_alone(ids[:1])
    )
    assert model.config.shown[-1] == model.config.decoder.depth - 1 and len(model.config.shown) == 4
    model.decoder.blocks[0].ff.down.weight.zero_()
    assert tower.blocks[0].ff.down.weight.any()  # the tower is copied


def test_every_weight_of_a_grown_decoder_can_learn(make_sequence) -> None:
    torch.manual_seed(0)
    model = extended(Tower(TEXT), *SPECIALS, 12)
    for _ in range(2):  # blocks that add nothing pass on no gradient before their first step
        model.zero_grad()
        out = model(*pack([make_sequence(("speech", 6), ("text", 4))]))
        torch.autograd.backward(out.text_logits.sin().sum() + out.speech_logits.sin().sum())
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.1 * weight.grad
    assert all(bool(weight.grad.any()) for weight in model.parameters())


def test_blocks_of_the_text_tower_are_not_left_out() -> None:
    with pytest.raises(ConfigError, match="too few"):
        extended(Tower(TEXT), *SPECIALS, TEXT.depth - 1)


@torch.no_grad()
def test_it_comes_back_from_its_folder_as_what_it_is(single, make_sequence, tmp_path: Path) -> None:
    save(single, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["kind"] == "single_decoder"
    loaded = load(tmp_path)
    assert isinstance(loaded, SingleDecoder) and loaded.config == single.config
    streams = pack([make_sequence(("speech", 5), ("text", 4))])
    assert torch.equal(loaded(*streams).text_logits, single(*streams).text_logits)
    with pytest.raises(ConfigError, match="single decoder; name the folder of a Zipper"):
        load_zipper(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**settings, "kind": "triple"}))
    with pytest.raises(ConfigError, match="no kind of model 'triple'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"text_vocab": 57}, "text_vocab"),
        ({"text_vocab": 0}, "text_vocab"),
        ({"shown": []}, "shown"),
        ({"shown": [5]}, "shown"),
        ({"shown": [2, 1]}, "shown"),
        ({"speech_end": 34}, "end_id"),
        ({"speech_end": 32}, "differ"),
        ({"speech": 1}, "speech"),
    ],
)
def test_impossible_configurations_are_refused_in_one_sentence(single, change, word) -> None:
    data = {**single.config.to_dict(), **change}
    with pytest.raises(ConfigError, match=word) as found:
        SingleDecoderConfig.from_dict(data)
    assert str(found.value).count(". ") == 0
