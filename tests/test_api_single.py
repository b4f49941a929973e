"""A single decoder behind the same API: recognition, synthesis, completion, attention, evaluation, the app's map."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz.tiny import CODES
from support import MakeSpeech

from app.components.attention_map.payload import map_payload, parse_selection, selected_matrix
from app.state import DisplayedResult
from zipper.api import Zipper
from zipper.errors import OptionError, WeightsError
from zipper.evaluation.language import evaluate_language
from zipper.inference.components import HEADS_FILE
from zipper.inference.forced import forced_attention
from zipper.model import checkpoint
from zipper.model.single_decoder import SingleDecoder, extended
from zipper.model.tower import Tower
from zipper.rates import SPEECH_RATE, TOKEN_RATE

TEXT = "Hello there."


@pytest.fixture(scope="module")
def text_tower(model_folder: Path) -> Tower:
    return checkpoint.load_zipper(model_folder / "zipper").text


@pytest.fixture(scope="module")
def folder(model_folder: Path, text_tower: Tower, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder with a single decoder in it, made from its text tower."""
    place = shutil.copytree(model_folder, tmp_path_factory.mktemp("single") / "assets")
    for file in (*place.glob("zipper/*.safetensors"), place / "zipper" / "config.json"):
        file.unlink()
    torch.manual_seed(3)
    checkpoint.save(extended(text_tower, CODES + 2, CODES, CODES + 1, 5), place / "zipper")
    return place


@pytest.fixture(scope="module")
def single(folder: Path) -> Zipper:
    made = Zipper.from_pretrained(folder)
    assert isinstance(made.model, SingleDecoder)
    return made


@pytest.mark.parametrize("beams", [1, 3])
def test_it_transcribes(single: Zipper, make_speech: MakeSpeech, beams: int) -> None:
    sound = (make_speech(2.0), SPEECH_RATE)
    transcript = single.transcribe(sound, beams=beams)
    assert transcript.text == " ".join(word.text for word in transcript.words)
    attention = transcript.attention
    points, heads, texts, tokens = attention.weights.shape
    assert (points, heads) == (4, 2) and texts == len(attention.text_tokens) and tokens <= 2 * TOKEN_RATE
    sums = attention.weights.astype(np.float32).sum(axis=3)
    assert (sums > 0).all() and (sums < 1).all()
    assert attention.gates.tolist() == [[1.0, 1.0]] * points
    assert [part.text for part in single.transcribe_stream(sound, beams=beams)][-1] == transcript.text


def test_it_speaks(single: Zipper) -> None:
    speech = single.synthesize(TEXT, seed=1, keep_unended=True)
    assert len(speech.samples) and speech.attention.direction == "speech_from_text"
    assert speech.attention.weights.shape[:2] == (4, 2)
    streamed = [part.samples for part in single.synthesize_stream(TEXT, seed=1, keep_unended=True)]
    assert len(np.concatenate(streamed)) == len(speech.samples)


def test_it_continues_text_and_speech(single: Zipper, make_speech: MakeSpeech) -> None:
    texts = [single.complete("It was a dark", max_tokens=8, seed=seed) for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    sound = (make_speech(1.0), SPEECH_RATE)
    lengths = [len(single.complete(sound, "speech", max_tokens=12, seed=seed).samples) for seed in range(4)]
    assert 0 < max(lengths) <= 13 * single.sample_rate / TOKEN_RATE


def test_gates_that_it_does_not_have_are_refused_at_once(single: Zipper, make_speech: MakeSpeech) -> None:
    assert single.gates("text_from_speech").tolist() == [[1.0, 1.0]] * 4
    with pytest.raises(OptionError, match="no gates"):
        single.transcribe_stream((make_speech(1.0), SPEECH_RATE), gate_scale=0.5)
    with pytest.raises(OptionError, match="no gates"):
        single.synthesize_stream(TEXT, gate_scale=0.0)
    assert single.synthesize(TEXT, seed=1, gate_scale=1.0, keep_unended=True).samples.size


@pytest.mark.parametrize("direction", ["text_from_speech", "speech_from_text"])
def test_its_attention_of_given_pairs_is_laid_out_as_that_of_two_towers(
    single: Zipper, zipper: Zipper, direction: str
) -> None:
    text, speech = single.text_tokenizer.encode(TEXT), [1, 2, 3, 4, 5]
    found = forced_attention(single.model, text, speech, direction)
    assert found.shape == (4, 2, len(text), 5)
    assert found.shape[1:] == forced_attention(zipper.model, text, speech, direction).shape[1:]


def test_the_heatmap_shows_it(single: Zipper, make_speech: MakeSpeech) -> None:
    sound = make_speech(1.0)
    transcript = single.transcribe((sound, SPEECH_RATE), beams=1)
    attention = transcript.attention
    chosen = parse_selection({"view": "point", "point": 3}, transcript.passages)
    matrix, name = selected_matrix(attention, chosen)
    np.testing.assert_allclose(matrix, attention.weights[3].mean(0, dtype=np.float32), atol=1e-3)
    assert name.startswith("zip point 4")
    payload = map_payload(DisplayedResult(transcript, sound, SPEECH_RATE, 0.1, "Transcription"))
    assert payload is not None and payload["passages"][0]["shape"] == list(attention.weights.shape)


def test_what_it_lost_of_its_text_is_measured(single: Zipper, text_tower: Tower) -> None:
    lines = ["Hello there, how are you today?", "It was a dark and stormy night."]
    same = evaluate_language(single.model, single.text_tokenizer, lines, text_tower)
    assert same.perplexity_token == same.fused_perplexity_token and not single.model.keeps_text
    torch.manual_seed(0)
    changed = extended(text_tower, CODES + 2, CODES, CODES + 1).eval()
    with torch.no_grad():
        changed.decoder.blocks[0].ff.down.weight += torch.randn_like(changed.decoder.blocks[0].ff.down.weight)
    lost = evaluate_language(changed, single.text_tokenizer, lines, text_tower)
    assert not lost.identical and lost.perplexity_token == same.perplexity_token != lost.fused_perplexity_token
    alone = evaluate_language(changed, single.text_tokenizer, lines)
    assert alone.identical and alone.perplexity_token == lost.fused_perplexity_token


def test_heads_of_a_model_with_more_blocks_are_refused(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "zipper" / HEADS_FILE).write_text(
        '[{"direction": "text_from_speech", "zip_point": 4, "head": 0, "score": 1}]'
    )
    with pytest.raises(WeightsError, match="heads that the model does not have"):
        Zipper.from_pretrained(other)
