"""Gate scales: closed gates, and gates as trained however they are given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import MakeSpeech

from zipper.api import Zipper
from zipper.model.cross_attention import GateScale
from zipper.model.zipper import ZipperModel
from zipper.rates import SPEECH_RATE

MANY_PIECES = "Zebras jump quickly over big foxes."  # of which the tiny tokenizer knows none
ONES = GateScale((1.0,) * 2, (1.0,) * 2)


def test_closed_gates_cut_the_towers_apart(zipper: Zipper, make_speech: MakeSpeech) -> None:
    short, long = (make_speech(1.0), SPEECH_RATE), (make_speech(1.5)[-SPEECH_RATE:], SPEECH_RATE)
    unzipped = [zipper.transcribe(sound, gate_scale=0.0) for sound in (short, long)]
    assert unzipped[0].text == unzipped[1].text  # nothing of the sound reaches the text
    assert not unzipped[0].attention.gates.any()


@pytest.fixture(scope="module")
def hasty(model_folder: Path, make_speech: MakeSpeech) -> Zipper:
    """A tiny model that follows what it reads and says (tracked positions), and would end early if it could."""
    made = Zipper.from_pretrained(model_folder)
    config = replace(made.model.config, zip=replace(made.model.config.zip, positions="tracked"))
    tracked = ZipperModel(config)
    tracked.load_state_dict(made.model.state_dict())
    made.model = tracked.eval()
    read = made.transcribe((make_speech(4.0), SPEECH_RATE), beams=1)
    pieces = [made.text_tokenizer.encode(token.text)[-1] for token in read.attention.text_tokens]
    later = next(piece for piece in pieces if piece != pieces[0])
    spoken = made.synthesize(MANY_PIECES, seed=1, keep_unended=True).attention.speech_tokens
    with torch.no_grad():  # the end is likelier than something that comes soon, but not first
        for tower, like, factor in ((tracked.text, later, 3.0), (tracked.speech, int(spoken[8].text), 9.0)):
            tower.embedding.weight[tower.config.end_id] = factor * tower.embedding.weight[like]
    return made


@pytest.mark.parametrize("scale", [1, 1.0, np.float32(1), ONES, GateScale(((1.0, 1.0),) * 2, (1.0,) * 2)])
@pytest.mark.parametrize("beams", [1, 3])
def test_gates_as_trained_are_the_same_however_they_are_said(
    hasty: Zipper, make_speech: MakeSpeech, scale: Any, beams: int
) -> None:
    """None, 1 and a scale of ones: each holds a passage to its end; any other scale leaves it to the model."""
    sound = (make_speech(4.0), SPEECH_RATE)
    usual, said, other = (hasty.transcribe(sound, beams=beams, gate_scale=gates) for gates in (None, scale, 1.0 + 1e-9))
    assert said.text == usual.text != other.text
    np.testing.assert_array_equal(said.attention.weights, usual.attention.weights)
    spoken, same, free = (
        hasty.synthesize(MANY_PIECES, seed=1, gate_scale=gates, keep_unended=True)
        for gates in (None, scale, 1.0 + 1e-9)
    )
    assert len(same.samples) == len(spoken.samples) != len(free.samples)
    np.testing.assert_array_equal(same.samples, spoken.samples)


def test_gates_into_the_other_tower_change_no_rule(hasty: Zipper, make_speech: MakeSpeech) -> None:
    """What reads does not look back: only the gates into the tower that writes matter."""
    sound = (make_speech(4.0), SPEECH_RATE)
    closed = hasty.transcribe(sound, beams=1, gate_scale=GateScale((1.0,) * 2, (0.0,) * 2))
    assert closed.text == hasty.transcribe(sound, beams=1).text
