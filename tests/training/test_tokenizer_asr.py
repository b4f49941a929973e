"""The tokenizer's training: what people and words are held out, augmentation, transcripts, losses, bundles."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from zipper.data import held_out, tts_sentences
from zipper.data.batching import IGNORED
from zipper.data.held_out import READERS, held_out_words, is_held_out
from zipper.data.labels import read_aligned
from zipper.data.store import Store
from zipper.data.transcripts import correct
from zipper.data.tts_sentences import cover_words, numbers, single_words, spelled
from zipper.data.waveforms import DeviceAugmentConfig, DeviceAugmenter, Waveforms, change_speed
from zipper.rates import SPEECH_RATE
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder, log_mel, log_mels
from zipper.text.lexicon import count_words
from zipper.training.loop import Trainer
from zipper.training.one_card.bundle import UNKNOWN_PHONE, Row, read_bundle, unpack, write_bundle
from zipper.training.one_card.generate_speech import finish, read_shard, write_shard
from zipper.training.schedule import LoopConfig
from zipper.training.tokenizer_asr import (
    AsrTokenizerBatches,
    AsrTokenizerConfig,
    AsrTokenizerLoss,
    AsrTokenizerStage,
    stretch,
)
from zipper.training.whisper_decoder import DecoderConfig, WhisperDecoder

CPU = torch.device("cpu")


def tone(seconds: float, hz: float = 440.0) -> np.ndarray:
    time = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    return (8000 * np.sin(2 * np.pi * hz * time)).astype(np.int16)


def test_people_are_held_out_whole() -> None:
    reader = next(iter(READERS["librispeech-dev-clean-20"]))
    assert all(is_held_out(f"librispeech-dev-clean-20/{reader}-{n}-0000") for n in range(20))
    assert not any(is_held_out(f"librispeech-dev-clean-20/3081-{n}-0000") for n in range(20))
    assert is_held_out(f"librispeech-dev-clean-20.view-1/{reader}-1-0000"), "a view of a reader is the same reader"
    for speaker in range(50):
        said = {is_held_out(f"speechocean762/train_{speaker:04d}_{n:09d}") for n in range(5)}
        assert len(said) == 1
    share = np.mean([is_held_out(f"common-voice-v1-valid-dev/mp3_sample-{n:06d}") for n in range(4000)])
    assert 0.08 < share < 0.12


def test_frequent_words_are_never_held_out() -> None:
    counts = Counter({f"word{n}": 10_000 - n for n in range(9000)})
    found = held_out_words(counts, counts)
    assert 100 < len(found) < 300
    assert all(int(word.removeprefix("word")) >= 3000 for word in found)


def test_sentences_cover_the_lexicon_without_the_held_out_words() -> None:
    lines = [f"The {a} met a {b} near the river." for a in ("fox", "hare", "owl") for b in ("badger", "otter", "toad")]
    found = cover_words(lines, ["fox", "hare", "owl", "badger", "otter"], 1, ["toad"], seed=0, limit=100)
    said = " ".join(found).lower()
    assert all(word in said for word in ("fox", "hare", "owl", "badger", "otter"))
    assert "toad" not in said
    assert len(found) <= 4, "sentences with several needed words come first"


def test_single_words_leave_out_what_is_held_out() -> None:
    assert single_words(Counter({"the": 9, "cat": 5, "x": 4, "dog": 3}), 3, ["cat"]) == ["The.", "Dog."]


def test_spelled_names_are_written_as_letters_and_said_by_their_names() -> None:
    lines = list(spelled(["Ada"], 200, seed=1))
    assert any("A D A" in line.written and "eh" in line.spoken for line in lines)
    assert all(line.written.endswith(".") for line in lines)
    assert [line.written for line in lines] == [line.written for line in spelled(["Ada"], 200, seed=1)]


def test_numbers_are_words() -> None:
    found = list(numbers(300, seed=2, names=["Miller"]))
    assert not any(character.isdigit() for line in found for character in line.written)
    assert any("Miller" in line.written for line in found)


def test_lines_of_every_kind_hold_no_held_out_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "FREQUENT", 0)
    words = [f"{a}{b}{c}" for a in "bdfg" for b in ("an", "el", "or", "in") for c in ("der", "ton", "mas", "ly", "ish")]
    corpus = [f"The {word} was near {name} today." for word in words for name in ("Anna", "Boston")]
    corpus += [f"{word.capitalize()}." for word in words]
    refused = held_out_words(count_words(corpus), words)
    assert refused and len(refused) < len(words)
    (tmp_path / "corpus.txt").write_text("\n".join(corpus), encoding="utf-8")
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    files = ["--lexicon", str(tmp_path / "words.txt"), "--out", str(tmp_path / "sentences.tsv")]
    tts_sentences.main([str(tmp_path / "corpus.txt"), *files, "--cover", "500"])
    rows = [line.split("\t") for line in (tmp_path / "sentences.tsv").read_text(encoding="utf-8").splitlines()]
    assert {name.rstrip("0123456789") for name, _, _ in rows} == set(tts_sentences.KINDS)
    said = count_words(f"{written} {spoken}" for _, written, spoken in rows)
    assert not refused & said.keys()
    assert set(words) - refused <= said.keys()


@pytest.mark.parametrize(
    ("heard", "reference", "text"),
    [
        ("Hello, world!", "hello world", "Hello, world!"),
        ("Hello, word.", "hello world", "Hello, world."),
        ("Mr. Quilter is here", "mister Quilter is here", "Mister Quilter is here."),
        ("In 1665, it began.", "in sixteen sixty five it began", "In sixteen sixty five, it began."),
        ("Come in. sit down", "come in sit down", "Come in. Sit down."),
        ("Nothing like it at all.", "the cat sat down", "The cat sat down."),
        ("I saw The door", "I saw the door", "I saw the door."),
    ],
)
def test_a_teacher_gives_case_and_marks_and_the_reference_the_words(heard: str, reference: str, text: str) -> None:
    assert correct(heard, reference) == text


def test_mels_of_a_batch_are_those_of_each_clip() -> None:
    clips = [torch.randn(SPEECH_RATE), torch.randn(SPEECH_RATE // 2)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    mels, frames = log_mels(batch, torch.tensor([len(clip) for clip in clips]))
    for row, clip in enumerate(clips):
        alone = log_mel(clip)
        assert int(frames[row]) == len(alone)
        torch.testing.assert_close(mels[row, : len(alone) - 2], alone[:-2], atol=1e-4, rtol=0)
        assert not mels[row, len(alone) :].any()


def test_waveforms_come_back_with_silence_behind() -> None:
    waveforms = Waveforms({"a": tone(1.0), "b": tone(0.5)}, CPU)
    samples, lengths = waveforms.gather(["b", "a"])
    assert lengths.tolist() == [SPEECH_RATE // 2, SPEECH_RATE]
    np.testing.assert_allclose(samples[0, : SPEECH_RATE // 2].numpy(), tone(0.5) / 32767, atol=1e-6)
    assert not samples[0, SPEECH_RATE // 2 :].any()


def test_speed_moves_the_pitch_and_the_end() -> None:
    samples, lengths = Waveforms({"a": tone(2.0, 200.0)}, CPU).gather(["a"])
    faster, count = change_speed(samples, lengths, torch.tensor([1.25]))
    assert int(count) == int(2 * SPEECH_RATE / 1.25)
    spectrum = torch.fft.rfft(faster[0, : int(count)]).abs()
    assert float(spectrum.argmax()) * SPEECH_RATE / int(count) == pytest.approx(250, abs=2)


def test_noise_has_the_level_that_was_asked_for() -> None:
    torch.manual_seed(0)
    loud = DeviceAugmentConfig(noise=1.0, recorded_noise=0.0, babble=0.0, snr=(10, 10), room=0.0, band=0.0, tilt=0.0)
    samples, lengths = Waveforms({"a": tone(3.0)}, CPU).gather(["a"])
    changed = DeviceAugmenter(loud, torch.zeros(0))(samples, lengths)
    noise = (changed - samples)[0, : int(lengths)]
    ratio = 10 * torch.log10(samples[0].square().sum() / noise.square().sum())
    assert float(ratio) == pytest.approx(10, abs=0.7)
    assert not changed[0, int(lengths) :].any()


def test_labels_follow_the_speed() -> None:
    labels = torch.tensor([[1, 1, 2, 2, 3, 3]])
    assert stretch(labels, torch.tensor([2.0]), 4).tolist() == [[1, 2, 3, IGNORED]]


def stage_and_batches(device: torch.device = CPU) -> tuple[AsrTokenizerStage, AsrTokenizerBatches]:
    torch.manual_seed(0)
    encoder = WhisperEncoder(EncoderConfig(width=64, depth=1, heads=2)).eval().requires_grad_(False).to(device)
    decoder = (
        WhisperDecoder(DecoderConfig(vocab_size=24, width=64, depth=1, heads=2)).eval().requires_grad_(False).to(device)
    )
    quantizer = Quantizer(QuantizerConfig(phones=5, feature_width=64, width=96, encoder_blocks=1, decoder_blocks=1))
    config = AsrTokenizerConfig(
        bridge_blocks=1, batch_seconds=8, loss=AsrTokenizerLoss(dropout=0.0, masked=0.0, plain=1.0)
    )
    still = DeviceAugmentConfig(speed=(1.0, 1.0))
    stage = AsrTokenizerStage(
        quantizer, encoder, decoder, DeviceAugmenter(still, torch.zeros(0, device=device)), config, prompt=2
    )
    clips = {f"set/{n}": tone(1.0, 200.0 + 300 * n) for n in range(4)}
    labels = {name: np.full(50, n, np.int8) for n, name in enumerate(clips)}
    texts = {name: [0, 1, 4 + n, 8 + n, 12 + n, 2] for n, name in enumerate(clips)}
    return stage, AsrTokenizerBatches(Waveforms(clips, device), list(clips), labels, texts, 8, 0)


def test_a_few_clips_are_learnt_by_heart_through_the_codes(tmp_path: Path) -> None:
    stage, batches = stage_and_batches()
    batch = batches.collate(batches.names)
    before = stage.eval()(batch)
    Trainer(stage, lambda number: batch, LoopConfig(steps=60, lr=1e-2, warmup=3, autocast=False), tmp_path).run(False)
    after = stage.eval()(batch)
    assert float(after["phones_right"]) > 0.9 > float(before["phones_right"])
    assert float(after["text"]) < 0.7 * float(before["text"])
    assert not any(name.startswith("_frozen") or "decoder.embedding" in name for name in stage.state_dict())


def test_the_frozen_decoder_reads_one_token_at_a_time_as_all_at_once() -> None:
    torch.manual_seed(1)
    decoder = WhisperDecoder(DecoderConfig(vocab_size=40, width=64, depth=2, heads=2)).eval()
    features, lengths = torch.randn(2, 30, 64), torch.tensor([30, 18])
    prompt = torch.tensor([3, 5])
    found = decoder.greedy(prompt, features, lengths, end=0, limit=8)
    whole = torch.cat((prompt.expand(2, -1), found), 1)
    with torch.no_grad():
        likeliest = decoder(whole, features, lengths)[:, 1:-1].argmax(-1)
    for row in range(2):
        count = found[row].tolist().index(0) + 1 if 0 in found[row] else 8
        assert likeliest[row, :count].tolist() == found[row, :count].tolist()


def test_a_bundle_keeps_everything_and_unpacks_into_stores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(
            f"set/{n}",
            "set.view-1",
            "me",
            f"Word {n}.",
            rng.integers(0, 4096, 30).astype(np.int16),
            np.append(rng.integers(0, 45, 29), UNKNOWN_PHONE).astype(np.uint8),
            np.array([[3, 20], [20, 51]], np.int32) if n else np.zeros((0, 2), np.int32),
        )
        for n in range(3)
    ]
    write_bundle(tmp_path / "b.npz", rows)
    for row, found in zip(rows, read_bundle(tmp_path / "b.npz"), strict=True):
        assert (row.id, row.source, row.speaker, row.text) == (found.id, found.source, found.speaker, found.text)
        for name in ("tokens", "phones", "words"):
            np.testing.assert_array_equal(getattr(row, name), getattr(found, name))
    unpack(rows, tmp_path / "work")
    unpack(rows, tmp_path / "work")
    tokens, labels = (Store(tmp_path / "work" / kind / "set.view-1") for kind in ("tokens", "labels"))
    np.testing.assert_array_equal(tokens["set/1"], rows[1].tokens)
    assert len(labels["set/1"]) == 60
    aligned = read_aligned(tmp_path / "work" / "labels" / "set.view-1")
    assert len(aligned) == 3
    assert aligned[1].words == [("Word", 0.06, 0.4), ("1.", 0.4, 1.02)]


def test_a_shard_of_generated_speech_comes_back(tmp_path: Path) -> None:
    phones = [("_", 0.1), ("h", 0.1), ("ˈI", 0.0), ("I", 0.3), ("_", 0.1)]
    row = finish("call1", "Hi.", np.zeros(int(0.6 * 24_000), np.float32), phones)
    assert row.words.tolist() == [[5, 25]]
    write_shard(tmp_path / "0.npz", [row])
    (found,) = read_shard(tmp_path / "0.npz")
    assert found.text == "Hi."
    np.testing.assert_array_equal(found.phones, row.phones)
    assert len(found.samples) == int(0.6 * SPEECH_RATE)


def test_a_run_by_the_clock_ends_and_says_what_held_out_people_lose(tmp_path: Path) -> None:
    stage, batches = stage_and_batches()
    held_out = {"readers": [batches.collate(batches.names[:2])]}
    loop = LoopConfig(steps=0, seconds=1.0, lr=1e-3, warmup=2, autocast=False, average=0.9)
    trainer = Trainer(stage, batches, loop, tmp_path, held_out)
    trainer.run(False)
    assert trainer.progress() >= 1
    assert "held_out.readers.text" in (tmp_path / "log.jsonl").read_text()
    before = {name: weight.clone() for name, weight in stage.state_dict().items()}
    again = Trainer(stage, batches, loop, tmp_path)
    again._load()
    assert again.progress() >= 1
    assert len(again.average) == len(trainer.average)
    assert before.keys() == stage.state_dict().keys()


def test_quantizer_files_of_a_pack_may_be_half_precision(tmp_path: Path) -> None:
    from zipper.training.one_card.tokenize_speech import load_quantizer

    quantizer = Quantizer(QuantizerConfig(phones=5, feature_width=8, width=16))
    save_file({n: w.half() for n, w in quantizer.state_dict().items()}, tmp_path / "quantizer.safetensors")
    import json

    (tmp_path / "quantizer.json").write_text(json.dumps(quantizer.config.to_dict()))
    found = load_quantizer(tmp_path, CPU)
    assert found.state_dict()["mean"].dtype == torch.float32
