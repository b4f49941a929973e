"""The precedence mask: what precedes in the interleaved sequence is seen, nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zipper.errors import ConfigError
from zipper.model.streams import PAD_ORDER, Segment, index_in_segment, pack, visibility_mask

_segment = st.tuples(st.sampled_from(["text", "speech"]), st.integers(1, 5))
_sequence = st.lists(_segment, min_size=1, max_size=5)


def _segments(parts: list[tuple[str, int]]) -> list[Segment]:
    return [Segment(modality, (0, *range(2, length + 1))) for modality, length in parts]


def test_pack_pads_on_the_right_and_keeps_the_order() -> None:
    text, speech = pack([_segments([("speech", 2), ("text", 3)]), _segments([("text", 1), ("speech", 3)])])
    assert text.order.tolist() == [[2, 3, 4], [0, PAD_ORDER, PAD_ORDER]]
    assert speech.order.tolist() == [[0, 1, PAD_ORDER], [1, 2, 3]]
    assert text.ids.tolist() == [[0, 2, 3], [0, 0, 0]]


def test_pack_leaves_out_a_missing_modality_and_refuses_an_unknown_one() -> None:
    assert pack([_segments([("text", 2)])])[1] is None
    with pytest.raises(ConfigError, match="video"):
        pack([[Segment("video", (1,))]])


@given(st.lists(_sequence, min_size=1, max_size=3))
def test_visible_is_exactly_what_precedes(batch: list[list[tuple[str, int]]]) -> None:
    text, speech = pack([_segments(parts) for parts in batch])
    if text is None or speech is None:
        return
    flat = [[m for m, length in parts for _ in range(length)] for parts in batch]
    for target, source, names in ((text, speech, ("text", "speech")), (speech, text, ("speech", "text"))):
        seen = visibility_mask(target, source)
        for row, line in enumerate(flat):
            places = {m: [i for i, kind in enumerate(line) if kind == m] for m in names}
            for t in range(target.ids.shape[1]):
                for s in range(source.ids.shape[1]):
                    real = t < len(places[names[0]]) and s < len(places[names[1]])
                    expected = real and places[names[1]][s] < places[names[0]][t]
                    assert bool(seen[row, t, s]) == expected


@given(_sequence)
def test_indices_count_within_each_segment(parts: list[tuple[str, int]]) -> None:
    for modality, stream in zip(("text", "speech"), pack([_segments(parts)]), strict=True):
        expected = [i for m, length in parts if m == modality for i in range(length)]
        if stream is not None:
            assert index_in_segment(stream, begin_id=0)[0].tolist() == expected


@settings(max_examples=40, deadline=None)
@given(parts=_sequence, where=st.integers(0, 10**6), positions=st.sampled_from(["none", "rotary"]))
def test_changing_a_token_changes_only_what_follows(make_model, make_sequence, parts, where, positions) -> None:
    """Nothing at or before an earlier place in the interleaved sequence depends on a later token."""
    model = make_model(positions)
    sequence = make_sequence(*parts)
    total = sum(len(segment.ids) for segment in sequence)
    place = where % total
    changed, start = [], 0
    for segment in sequence:
        ids = list(segment.ids)
        if start <= place < start + len(ids):
            ids[place - start] = 5 if ids[place - start] != 5 else 6
        changed.append(Segment(segment.modality, tuple(ids)))
        start += len(ids)
    # Both versions beside a fused row, so that a sequence of one modality goes through the zips as well.
    beside = make_sequence(("text", 2), ("speech", 2), ("text", 2), seed=9)
    text, speech = pack([sequence, changed, beside])
    with torch.no_grad():
        output = model(text, speech)
    for stream, logits in ((text, output.text_logits), (speech, output.speech_logits)):
        earlier = stream.order[0] < place
        torch.testing.assert_close(logits[0][earlier], logits[1][earlier], atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_unseen_segment_changes_nothing(model, make_sequence) -> None:
    """The speech after the text is invisible to it: the text's logits do not depend on it at all."""
    first = make_sequence(("speech", 4), ("text", 5))
    outputs = [model(*pack([[*first, *make_sequence(("speech", 6), seed=seed)]])).text_logits for seed in (1, 2)]
    assert torch.equal(*outputs)
    assert not torch.allclose(outputs[0], model(*pack([[*make_sequence(("speech", 4), seed=5), first[1]]])).text_logits)
