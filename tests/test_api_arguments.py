"""What callers pass: numbers of any type, and one sentence for everything that is none."""

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from support import MakeSpeech

from zipper import limits
from zipper.api import Zipper
from zipper.errors import AudioError, LimitError, OptionError, TextError
from zipper.inference import presets
from zipper.model.cross_attention import GateScale
from zipper.rates import SPEECH_RATE


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_seed_of_any_integer_type(zipper: Zipper, seed: Any) -> None:
    speech = zipper.synthesize("Hello.", seed=seed)
    np.testing.assert_array_equal(speech.samples, zipper.synthesize("Hello.", seed=3).samples)
    assert type(speech.seed) is int
    assert zipper.complete("Hello", seed=seed) == zipper.complete("Hello", seed=3)


def test_the_largest_seed_has_successors(zipper: Zipper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRA_SPEECH_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_SPEECH_SECONDS_PER_CHARACTER", presets.MIN_SPEECH_SECONDS_PER_CHARACTER)
    with contextlib.suppress(LimitError):  # three tries may come to no end either
        zipper.synthesize("Hello there, how are you", seed=2**63 - 1)


@pytest.mark.parametrize("seed", [None, "3", 3.0, True, 2**63, -(2**63) - 1, np.float32(3), [3], b"3", object()])
def test_what_is_no_seed_is_told(zipper: Zipper, make_speech: MakeSpeech, seed: Any) -> None:
    sound = (make_speech(1.0), SPEECH_RATE)
    for call in (
        lambda: zipper.synthesize("Hello.", seed=seed),
        lambda: zipper.synthesize_stream("Hello.", seed=seed),
        lambda: zipper.complete("Hello", seed=seed),
        lambda: zipper.complete(sound, "speech", seed=seed),
    ):
        with pytest.raises(OptionError, match=r"^The seed must be a whole number .*\.$"):
            call()


@pytest.mark.parametrize("beams", ["8", None, 0, -1, 1.5, 10**9, True, [1]])
def test_what_is_no_number_of_beams_is_told(zipper: Zipper, make_speech: MakeSpeech, beams: Any) -> None:
    with pytest.raises(OptionError, match=r"^The number of beams must be a whole number from 1 to 16, .*\.$"):
        zipper.transcribe((make_speech(1.0), SPEECH_RATE), beams=beams)


@pytest.mark.parametrize("heat", ["hot", None, -1, float("nan"), float("inf"), [0.5], 10**400, True])
def test_what_is_no_temperature_is_told(zipper: Zipper, heat: Any) -> None:
    for call in (zipper.synthesize, zipper.complete):
        with pytest.raises(OptionError, match=r"^The temperature must be a number .*\.$"):
            call("Hello.", temperature=heat)


@pytest.mark.parametrize("tokens", ["8", None, 0, -1, 1.5, 10**9, [1]])
def test_what_is_no_number_of_tokens_is_told(zipper: Zipper, tokens: Any) -> None:
    with pytest.raises(LimitError, match=r"^The number of tokens must be a whole number .*\.$"):
        zipper.complete("Hello.", max_tokens=tokens)


@pytest.mark.parametrize(
    "scale",
    [
        "1",
        float("nan"),
        float("inf"),
        [1, 0],
        object(),
        torch.ones(2),
        b"1",
        GateScale((1.0,) * 9, (1.0,)),
        GateScale(("a",), ("b",)),
    ],
)
def test_what_is_no_gate_scale_is_told(zipper: Zipper, make_speech: MakeSpeech, scale: Any) -> None:
    for call in (
        lambda: zipper.transcribe((make_speech(1.0), SPEECH_RATE), gate_scale=scale),
        lambda: zipper.synthesize("Hello.", gate_scale=scale),
    ):
        with pytest.raises(OptionError, match=r"^A gate scale needs .*\.$"):
            call()


@pytest.mark.parametrize("text", [5, None, b"Hello.", ["Hello."], "Hello \udce9 there", "\ud83d"])
def test_what_is_no_text_is_told(zipper: Zipper, text: Any) -> None:
    for call in (zipper.synthesize, zipper.synthesize_stream, zipper.complete, zipper.complete_stream):
        with pytest.raises(TextError, match=r"^The text .*\.$"):
            call(text)


@pytest.mark.parametrize("voice", [5, "", "Alto", ["alto"], np.array(["alto", "bass"])])
def test_what_is_no_voice_is_told(zipper: Zipper, make_speech: MakeSpeech, voice: Any) -> None:
    with pytest.raises(OptionError, match="choose one of alto, bass"):
        zipper.synthesize("Hello.", voice=voice)
    with pytest.raises(OptionError, match="choose one of alto, bass"):
        zipper.complete((make_speech(1.0), SPEECH_RATE), "speech", voice=voice)


def test_samples_of_any_kind_are_right_or_told(zipper: Zipper, make_speech: MakeSpeech) -> None:
    sound = make_speech(1.0)
    expected = zipper.transcribe((sound, SPEECH_RATE), beams=1).text
    for same in (torch.from_numpy(sound.copy()).requires_grad_(), sound.tolist(), sound.astype(np.float64)):
        assert zipper.transcribe((same, SPEECH_RATE), beams=1).text == expected
    whole = (sound * 32767).astype(np.int16)
    for unknown in (whole.tolist(), whole.astype(np.int64), torch.from_numpy(whole.astype(np.int64))):
        with pytest.raises(AudioError, match=r"^Samples of type int64 have no known full scale.*\.$"):
            zipper.transcribe((unknown, SPEECH_RATE))


def test_wrong_options(zipper: Zipper) -> None:
    with pytest.raises(OptionError, match="alto, bass"):
        zipper.synthesize("Hello.", voice="nobody")
    with pytest.raises(OptionError):
        zipper.complete("Hello", "smell")  # type: ignore[call-overload]
    with pytest.raises(LimitError):
        zipper.complete("Hello", max_tokens=100_000)
    with pytest.raises(LimitError):
        zipper.synthesize("a" * 5000)
