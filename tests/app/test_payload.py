"""The payload of the attention map: it can be unpacked to what was put in, stays small, and trusts no index."""

import base64
import json
import zlib
from unittest.mock import ANY

import numpy as np
import pytest
from known_maps import RATE, make_passage, make_result

from app.components.attention_map import payload
from app.components.attention_map.mel import BANDS, FRAMES, mel_strip
from app.components.attention_map.payload import (
    PEAKS,
    Selection,
    map_payload,
    packed,
    parse_selection,
    passage_payload,
    quantize,
    selected_matrix,
    waveform_peaks,
)
from app.state import DisplayedResult
from zipper.results import Speech


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def test_weights_come_back_as_they_were() -> None:
    passage = make_passage(12, 60)
    found = map_payload(make_result(passage))
    assert found is not None
    sent = found["passages"][0]
    bytes_ = np.frombuffer(unpacked(sent["weights"]), np.uint8).reshape(sent["shape"])
    maxima = np.array(sent["maxima"]).reshape(2, 3, 1, 1)
    exact = passage.attention.weights.astype(np.float32)
    # half a step of the root at the largest is 1/255 of it; below FAINTEST there is nothing
    assert np.abs(maxima * (bytes_ / 255.0) ** 2 - exact).max() < max(1 / 255, payload.FAINTEST) * exact.max()
    assert np.allclose(maxima.squeeze(), exact.max((2, 3)), atol=1e-6)


def test_faint_weights_keep_their_order_of_size() -> None:
    weights = np.array([1.0, 0.1, 0.01, 0.002, 0.0005, 0.0], np.float16).reshape(1, 1, 1, 6)
    found, _ = quantize(weights)
    assert np.allclose((found.ravel()[:4] / 255) ** 2, weights.ravel()[:4], rtol=0.08)
    assert not found.ravel()[4:].any()


def test_a_head_of_zeros_stays_zero() -> None:
    found, maxima = quantize(np.zeros((1, 1, 2, 3), np.float16))
    assert not found.any() and not maxima.any()


def test_payload_of_thirty_seconds_is_small() -> None:
    found = map_payload(make_result(make_passage(120, 750, 5, 4)))
    assert len(json.dumps(found)) <= 1_500_000


def test_a_long_recording_brings_one_picture_and_all_words() -> None:
    passages = [make_passage(20, 500, 2, 3, start=20.0 * number) for number in range(30)]  # 10 minutes
    short, long = (map_payload(make_result(*some)) for some in (passages[:1], passages))
    assert short is not None and long is not None
    assert long["passages"][0] == short["passages"][0] | {"peaks": ANY, "mel": ANY}  # other sound
    for sent, passage in zip(long["passages"][1:], passages[1:], strict=True):
        assert set(sent) == {"start", "shape", "words"}
        assert sent["start"] == passage.start and sent["shape"] == list(passage.attention.weights.shape)
        assert [word[0] for word in sent["words"]] == [word.text for word in passage.words]


def test_a_turn_brings_the_picture_of_that_passage_alone() -> None:
    first, second = make_passage(5, 25), make_passage(7, 50, start=1.0)
    displayed = make_result(first, second)
    whole, found = map_payload(displayed), passage_payload(displayed, 1)
    assert whole is not None and found is not None
    assert found["result"] == whole["result"] == displayed.id and found["index"] == 1
    exact, maxima = quantize(second.attention.weights)
    assert unpacked(found["picture"]["weights"]) == exact.tobytes()
    assert np.allclose(found["picture"]["maxima"], maxima.ravel(), atol=1e-6)
    assert unpacked(found["picture"]["peaks"]) == waveform_peaks(displayed.samples[RATE:], RATE).tobytes()
    assert passage_payload(displayed, 0)["picture"].items() <= whole["passages"][0].items()
    assert make_result(first).id != make_result(first).id  # what comes late can be told from what is shown


@pytest.mark.parametrize(("index", "meant"), [(99, 1), (-3, 0), (None, 0), ("1", 0), (float("nan"), 0), (True, 0)])
def test_a_turn_to_nowhere_is_one_to_the_nearest(index: object, meant: int) -> None:
    found = passage_payload(make_result(make_passage(2, 5), make_passage(2, 5, start=0.2)), index)
    assert found is not None and found["index"] == meant


def test_times_words_and_path_are_those_of_the_result() -> None:
    first, second = make_passage(5, 25), make_passage(7, 50, start=1.0)
    displayed = make_result(first, second)
    found, turned = map_payload(displayed, "/file=sound.wav"), passage_payload(displayed, 1)
    assert found is not None and turned is not None
    assert found["audio"] == "/file=sound.wav" and found["seconds"] == 3.0 and not found["synthesized"]
    assert found["heads"] == [[1, 2, 0.9], [0, 1, 0.8]]  # of this direction, best first
    sent = found["passages"][1] | turned["picture"]
    assert sent["start"] == 1.0 and sent["shape"] == [2, 3, 7, 50]
    assert [word[0] for word in sent["words"]] == [f"w{row}" for row in range(7)]
    assert sent["tokens"][0] == ["w0", 1.0, round(1 + 2 / 7, 3), True]
    path = np.frombuffer(unpacked(sent["path"]), "<u2").reshape(-1, 2)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [6, 49]
    assert (np.diff(path.astype(int), axis=0) >= 0).all()


def test_text_of_people_is_sent_as_text() -> None:
    nasty = "<img src=x onerror=alert(1)>"
    found = map_payload(make_result(make_passage(1, 10, words=(nasty,))))
    assert found is not None
    assert found["passages"][0]["words"][0][0] == nasty
    assert found["passages"][0]["tokens"][0][0] == nasty


def test_nothing_to_draw_is_none() -> None:
    speech = Speech((), np.zeros(100, np.float32), 22_050, "voice", 0)
    displayed = DisplayedResult(speech, speech.samples, 22_050, 0.1, "Speech")
    assert map_payload(displayed) is None and passage_payload(displayed, 0) is None


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ("alignment", "mean of 2 alignment heads, softmax weights"),
        ("mean", "mean of all 6 heads, softmax weights"),
        ("point", "zip point 2, mean of 3 heads, softmax weights"),
        ("head", "zip point 2, head 1, softmax weights"),
    ],
)
def test_shown_matrix_is_the_selected_mean(view: str, name: str) -> None:
    passage = make_passage(4, 20)
    weights = passage.attention.weights.astype(np.float32)
    expected = {
        "alignment": (weights[0, 1] + weights[1, 2]) / 2,
        "mean": weights.mean((0, 1)),
        "point": weights[1].mean(0),
        "head": weights[1, 0],
    }[view]
    chosen = parse_selection({"view": view, "point": 1, "head": 0}, [passage])
    matrix, called = selected_matrix(passage.attention, chosen)
    assert called == name
    assert np.allclose(matrix, expected, atol=1e-6)
    scaled, called = selected_matrix(passage.attention, chosen._replace(normalize="row maximum"))
    assert np.allclose(scaled.max(1), 1) and called.endswith("each row by its maximum")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"passage": None, "view": "grid", "point": "1", "head": True, "normalize": 3},
        {"passage": float("nan"), "view": ["head"], "point": [], "head": {}, "normalize": "<b>"},
    ],
)
def test_a_selection_that_means_nothing_is_the_default(data: dict[str, object]) -> None:
    assert parse_selection(data, [make_passage(2, 5)]) == Selection()


def test_indices_from_a_page_are_clamped() -> None:
    passages = [make_passage(2, 5), make_passage(2, 5)]
    found = parse_selection(
        {"passage": 99, "view": "head", "point": -3, "head": 1e300, "normalize": "row maximum"}, passages
    )
    assert found == Selection(1, "head", 0, 2, "row maximum")
    assert parse_selection({"passage": float("inf")}, passages).passage == 1


def test_peaks_follow_the_sound() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[RATE // 2 :] = 0.5 * np.sin(np.arange(RATE // 2))
    peaks = waveform_peaks(samples, RATE)
    assert peaks.shape == (PEAKS, 2)
    assert not peaks[: PEAKS // 2].any()
    assert (peaks[PEAKS // 2 :, 1] > 120).all() and (peaks[PEAKS // 2 :, 0] < -120).all()
    assert waveform_peaks(np.zeros(0, np.float32), RATE).shape == (0, 2)
    assert np.abs(waveform_peaks(np.full(RATE, 1e-4, np.float32), RATE)).max() <= 1  # silence stays flat


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_mel_strip_shows_a_rising_tone(rate: int) -> None:
    t = np.arange(2 * rate) / rate
    strip = mel_strip(np.sin(2 * np.pi * (300 * t + 800 * t**2)).astype(np.float32), rate)  # 300 to 3500 Hz
    assert strip.shape == (BANDS, 2 * FRAMES) and strip.max() == 255
    loudest = strip[:, 5:-5].argmax(0)
    assert (np.diff(loudest.astype(int)) >= -1).all() and loudest[-1] > loudest[0] + BANDS // 2
    assert not mel_strip(np.zeros(rate, np.float32), rate).any()


def test_packed_is_compact_and_exact() -> None:
    array = np.arange(1000, dtype="<u2")
    assert np.array_equal(np.frombuffer(unpacked(packed(array)), "<u2"), array)
    assert len(packed(np.zeros(10_000, np.uint8))) < 100
