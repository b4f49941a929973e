"""Stores, phones in time, text style, pairs and the mixture of tasks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from zipper.data.augment import AugmentConfig, Augmenter
from zipper.data.batching import IGNORED
from zipper.data.held_out import is_held_out
from zipper.data.labels import FEWEST_STEPS, Aligned, label_view, read_aligned, train_classifier
from zipper.data.manifest import Utterance
from zipper.data.pairs import Pairs, orders, piece_spans
from zipper.data.phones import PHONE_IDS, PHONES, align, frame_labels, timed_phones, transcript_phones, word_times
from zipper.data.store import Store, StoreWriter
from zipper.data.truecase import Truecaser
from zipper.errors import ConfigError
from zipper.model.config import TowerConfig, ZipConfig, ZipperConfig
from zipper.model.zipper import PAD_ORDER
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import CONFIGS, FusionConfig, PretrainConfig, TokenizerConfig, load_config
from zipper.training.fusion import Mixture, completed_pieces, source_times
from zipper.training.pretrain import speech_segments

TOWER = TowerConfig(9, 4, 2, 1, 1, 4, begin_id=7, end_id=8)
CORPUS = ["The quick brown fox jumps over the lazy dog in London.", "We met Tom in London, and he said hello."] * 20


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train(CORPUS, 320)


def test_store_gives_back_what_went_in_and_drops_a_torn_tail(tmp_path: Path) -> None:
    first, second = np.arange(6, dtype=np.float16).reshape(3, 2), np.ones((2, 2), np.float16)
    with StoreWriter(tmp_path, "float16", (2,)) as store:
        store.add("a", first)
    with (tmp_path / "data.bin").open("ab") as file:
        file.write(b"torn")  # an interrupted run wrote data that never reached the index
    with StoreWriter(tmp_path, "float16", (2,)) as store:
        assert "a" in store.done
        store.add("b", second)
    read = Store(tmp_path)
    np.testing.assert_array_equal(read["a"], first)
    np.testing.assert_array_equal(read["b"], second)


def test_missing_store_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run the stages `features`"):
        Store(tmp_path / "nothing")


def test_stress_and_short_spaces_give_their_time_to_neighbors() -> None:
    phones = timed_phones([("_", 0.2), ("h", 0.05), ("ˈ", 0.05), ("I", 0.2), (" ", 0.05), ("m", 0.1), (".", 0.1)])
    assert [PHONES[p.id] for p in phones] == ["sil", "h", "I", "m", "sil"]
    assert [round(p.end, 3) for p in phones] == [0.2, 0.25, 0.525, 0.65, 0.75]
    np.testing.assert_allclose(word_times(phones), [(0.2, 0.525), (0.525, 0.65)])
    labels = frame_labels(phones, 40)
    assert labels[:10].tolist() == [0] * 10 and labels[11] == PHONE_IDS["h"] and labels[39] == 0


def test_forced_alignment_finds_a_planted_path() -> None:
    ids, words = transcript_phones(["hˈI mˈ"])
    assert [PHONES[i] for i in ids] == ["h", "I", "m"] and words == [0, 0, 1]
    truth = [0] * 5 + [ids[0]] * 3 + [ids[1]] * 6 + [ids[2]] * 4 + [0] * 2
    scores = torch.randn(20, len(PHONES), generator=torch.Generator().manual_seed(1))
    scores[torch.arange(20), truth] += 8
    found = align(scores.log_softmax(-1), ids, words)
    assert found is not None
    assert frame_labels(found[0], 20).tolist() == truth
    np.testing.assert_allclose(word_times(found[0]), [(0.1, 0.28), (0.28, 0.36)])


def test_a_recording_shorter_than_its_transcript_is_not_aligned() -> None:
    assert align(torch.zeros(2, len(PHONES)).log_softmax(-1), [1, 2, 3], [0, 0, 0]) is None


def test_truecaser_restores_names_and_leaves_natural_text_alone() -> None:
    style = Truecaser.learn(CORPUS)
    assert style("WE MET TOM IN LONDON") == "We met Tom in London."
    assert style("where is the dog") == "Where is the dog?"
    assert style("Already Natural, it is.") == "Already Natural, it is."


@pytest.mark.parametrize("text", ["hello", "  two  spaces ", "naïve café 日本 🎧", "a\tb\nc", "<b>&amp;</b>"])
def test_any_text_survives_the_tokenizer(tokenizer: TextTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text.removeprefix(" ")
    assert tokenizer.begin_id not in ids and tokenizer.end_id not in ids


def test_dropout_changes_the_pieces_and_not_the_text(tokenizer: TextTokenizer) -> None:
    dropped = tokenizer.with_dropout(0.5)
    text = CORPUS[0]
    cuts = {tuple(dropped.encode(text)) for _ in range(20)}
    assert len(cuts) > 5
    assert {dropped.decode(list(ids)) for ids in cuts} == {text}


def test_piece_spans_share_a_words_time_by_letters(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("The quick")
    spans = piece_spans(ids, tokenizer, [("The", 0.0, 0.4), ("quick", 0.4, 0.8)])
    assert spans[0] == (0, 9)
    assert spans[-1][1] == 19 and all(a <= b for a, b in spans)
    assert piece_spans(ids, tokenizer, []) == [(-1, -1)] * len(ids)


def test_pairs_put_the_source_before_the_target(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    with StoreWriter(tmp_path / "tokens" / "set", "int16") as store:
        store.add("set/1", np.arange(20))
        store.add("set/2", np.arange(12))
    with StoreWriter(tmp_path / "labels" / "set", "int8") as store:  # two frames of 20 ms a token
        store.add("set/1", np.repeat(np.arange(20), 2) % 7)
        store.add("set/2", np.full(24, -1))
    rows = [
        ("set", Aligned("set/1", "x", "The quick", [("The", 0.0, 0.4), ("quick", 0.4, 0.8)])),
        ("set", Aligned("set/2", "x", "Tom", [])),
    ]
    for task in ("recognize", "synthesize"):
        batch = Pairs(task, tmp_path, rows, tokenizer, (64, 65), 1000, 0, 0.0)(0)  # type: ignore[arg-type]
        text, speech = orders(batch)
        long = int(batch.speech_length.argmax())
        assert batch.speech[long, 0] == 64 and batch.speech[long, 21] == 65
        assert batch.spans[long, 1].tolist() == [1, 10] and batch.spans[long, 0].tolist() == [-1, -1]
        assert batch.spans[1 - long].max() == -1
        first, second = (speech, text) if task == "recognize" else (text, speech)
        for row in range(2):
            a, b = first[row][first[row] != PAD_ORDER], second[row][second[row] != PAD_ORDER]
            assert a.tolist() == list(range(len(a))) and b[0] == len(a)
        times = source_times(batch, ZipperConfig(TOWER, TOWER, ZipConfig(1, 1, 1, "tracked", 0.2, 0.04)))
        if task == "recognize":
            assert float(times[long, 1]) == pytest.approx(5.5 * 0.04)  # middle of positions 1 to 10
            steady = times[1 - long] / 0.04
            assert bool((steady[1:] > steady[:-1]).all())
        else:
            assert float(times[long, 0]) == 0  # before the first piece
            assert float(times[long, 3]) == pytest.approx(0.2)
            assert float(times[long, 20]) == pytest.approx(0.2 * (int(batch.text_length[long]) - 2))
        targets = completed_pieces(batch)
        spans, ids = batch.spans[long].tolist(), batch.text[long].tolist()
        for at in range(int(batch.speech_length[long])):
            done = [piece for piece, (_, last) in zip(ids, spans, strict=True) if 0 <= last < at]
            assert int(targets[long, at]) == (done[-1] if done else IGNORED)
        assert bool((targets[1 - long] == IGNORED).all())  # its times are unknown
        # Phones lie where the speech tokens lie, behind the begin token
        assert batch.phones[long, 1:21].tolist() == [i % 7 for i in range(20)]
        assert batch.phones[long, [0, 21]].tolist() == [-1, -1] and int(batch.phones[1 - long].max()) == -1


def test_the_label_of_a_view_follows_its_speed(tmp_path: Path) -> None:
    """A recording that becomes a quarter faster has the same phones and words, each a fifth shorter."""
    plain = tmp_path / "labels"
    with StoreWriter(plain, "int8") as store:
        store.add("a/1", np.repeat(np.arange(10), 10))  # 2 s of 20 ms
    row = {"id": "a/1", "speaker": "x", "text": "Well done", "words": [["Well", 0.5, 1.0], ["done", 1.0, 2.0]]}
    (plain / "aligned.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    with StoreWriter(tmp_path / "features", "float16", (1,)) as store:
        store.add("a/1", np.zeros((80, 1)))
    label_view(plain, Store(tmp_path / "features"), tmp_path / "view", lambda _: 1.25)
    (found,) = read_aligned(tmp_path / "view")
    assert found.words == [("Well", 0.4, 0.8), ("done", 0.8, 1.6)] and found.text == "Well done"
    assert np.array_equal(Store(tmp_path / "view")["a/1"], np.repeat(np.arange(10), 8))


def test_the_told_speed_is_the_one_of_the_sound() -> None:
    augmenter = Augmenter(AugmentConfig(noise=0, room=0, band=0, codec=0), seed=3)
    sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    speeds = {augmenter.speed(name) for name in "abc"}
    assert len(speeds) == 3
    for name in "abc":
        assert len(augmenter(name, sound)) == pytest.approx(16_000 / augmenter.speed(name), abs=2)


def test_pretraining_leaves_out_what_is_held_out(tmp_path: Path) -> None:
    names = [f"set/{i}" for i in range(300)]
    held_out = {name for name in names if is_held_out(name)}
    with StoreWriter(tmp_path / "tokens" / "set", "int16") as store:
        for number, name in enumerate(names):
            store.add(name, np.array([number]))
    seen = {names[int(segment[0])] for segment in speech_segments(tmp_path, ["set"])}
    assert held_out and seen == set(names) - held_out


def test_mixture_gives_each_kind_its_share_and_every_batch_once() -> None:
    mixture = Mixture([(lambda n: ("a", n), 3), (lambda n: ("b", n), 2), (lambda n: ("c", n), 1)])
    drawn = [mixture(i) for i in range(12)]
    assert [n for kind, n in drawn if kind == "a"] == list(range(6))
    assert [n for kind, n in drawn if kind == "b"] == list(range(4))
    assert [n for kind, n in drawn if kind == "c"] == list(range(2))


def test_every_configured_source_is_one_that_the_commands_of_the_record_make() -> None:
    record = (CONFIGS.parent / "README.md").read_text(encoding="utf-8")
    commands = record.split("```")[1]
    fusion = load_config(FusionConfig, CONFIGS / "zip.yaml")
    tokenizer = load_config(TokenizerConfig, CONFIGS / "tokenizer.yaml")
    alone = load_config(PretrainConfig, CONFIGS / "pretrain-speech.yaml")
    for source in {*fusion.asr, *fusion.tts, *tokenizer.sources, *alone.sources}:
        name, _, view = source.partition(".")
        assert view in ("", "augmented-3"), source  # anything else would be missing on a first run
        assert name in commands or "SPEECH/*.tar" in commands and not name.startswith("hibari"), source
        assert not view or f"--augment 3 SPEECH/{name}.tar" in commands or f" SPEECH/{name}.tar" in commands, source


@pytest.mark.parametrize("steps", [FEWEST_STEPS - 1, FEWEST_STEPS])
def test_the_fewest_steps_of_the_phone_classifier_are_enough_to_run(tmp_path: Path, steps: int) -> None:
    spoken = [Utterance(f"set/{i}", "set", "someone", 0.4, "a", [("s", 0.2), ("i", 0.2)]) for i in range(3)]
    with StoreWriter(tmp_path, "float16", (4,)) as store:
        for utterance in spoken:
            store.add(utterance.id, np.repeat(np.eye(4)[:2], 10, axis=0))
    if steps < FEWEST_STEPS:
        with pytest.raises(ConfigError, match="at least"):
            train_classifier(Store(tmp_path), spoken, steps, seed=0)
    else:
        train_classifier(Store(tmp_path), spoken, steps, seed=0)


def test_shipped_configurations_load_and_typos_are_named() -> None:
    assert load_config(TokenizerConfig, CONFIGS / "tokenizer.yaml").loop.steps > 0
    assert load_config(PretrainConfig, CONFIGS / "pretrain-text.yaml", ["loop.steps=7"]).loop.steps == 7
    assert load_config(PretrainConfig, CONFIGS / "pretrain-speech.yaml").sources
    assert load_config(FusionConfig, CONFIGS / "zip.yaml").asr
    assert load_config(PretrainConfig, CONFIGS / "pretrain-text.yaml", ["loop.lr=2e-3"]).loop.lr == 0.002
    with pytest.raises(ConfigError, match='"loop.lr" .*"fast"'):
        load_config(PretrainConfig, CONFIGS / "pretrain-text.yaml", ["loop.lr=fast"])
    with pytest.raises(ConfigError, match="stpes"):
        load_config(PretrainConfig, CONFIGS / "pretrain-text.yaml", ["loop.stpes=7"])
