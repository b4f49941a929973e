"""The stages up to the towers put together: read what the stages before wrote, train, write what the next ones read.

`zip` and `single` are in pair_stages.py.

In a work folder: features/SOURCE, labels/SOURCE, tokens/SOURCE (stores), text/ (tokenizer and ids), runs/STAGE
(weights, state and log of each run), speech_tokenizer/, pretrain-text/, pretrain-speech/, zipper/, single/ (results).
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from zipper.data.held_out import is_held_out
from zipper.data.phones import PHONES
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.data.store import Store, StoreWriter
from zipper.errors import ConfigError
from zipper.model.checkpoint import load_zipper, save_tower
from zipper.model.config import TowerConfig
from zipper.model.tower import Tower
from zipper.rates import FRAMES_PER_TOKEN
from zipper.speech.quantizer import ConvBlock, Quantizer, QuantizerConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.speech.whisper_encoder import EncoderConfig, WhisperEncoder, from_hugging_face
from zipper.text.lexicon import MIN_COUNT, Lexicon, count_words
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import PretrainConfig, TokenizerConfig, TowerSize
from zipper.training.loop import Trainer
from zipper.training.pretrain import PretrainStage, Windows, pack_tokens, speech_segments
from zipper.training.tokenizer_phones import FrameBatches, PhoneTokenizerStage, statistics

log = logging.getLogger(__name__)

STATISTICS_BATCHES = 6
TIED_STD = 0.02  # size of the rows of an embedding that is tied to a softmax


def whisper_encoder(folder: Path) -> WhisperEncoder:
    """The frozen encoder out of a Hugging Face Whisper folder."""
    return from_hugging_face(load_file(folder / "model.safetensors"), EncoderConfig())


def train_tokenizer(config: TokenizerConfig, work: Path, encoder: WhisperEncoder, resume: bool) -> None:
    """Stage `tokenizer`: writes work/speech_tokenizer and the validation figures beside its run."""
    labels = {name: Store(work / "labels" / name) for name in config.sources}
    held_out = frozenset(u for store in labels.values() for u in store if is_held_out(u))
    batches = FrameBatches(work, config.sources, config.batch_tokens, config.loop.seed, held_out)
    torch.manual_seed(config.loop.seed)
    if config.start:
        quantizer = keep_codes(SpeechTokenizer.from_pretrained(config.start).quantizer, config.encoder_blocks)
    else:
        quantizer = Quantizer(
            QuantizerConfig(
                phones=len(PHONES),
                feature_width=encoder.config.width,
                width=config.width,
                encoder_blocks=config.encoder_blocks,
                decoder_blocks=config.decoder_blocks,
                levels=config.levels,
            )
        )
        quantizer.set_statistics(*statistics(batches, STATISTICS_BATCHES))
    run = work / "runs" / "tokenizer"
    trainer = Trainer(PhoneTokenizerStage(quantizer, config.loss), batches, config.loop, run)
    trainer.run(resume)
    if not trainer.processes.is_main:
        return
    quantizer.eval()
    figures = {
        name: held_out_figures(quantizer, batches, name, sorted(held_out & set(labels[name])))
        for name in config.sources
    }
    (run / "validation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, values in figures.items():
        log.info("%s: %s", name, values)
    SpeechTokenizer(encoder, quantizer).save_pretrained(work / "speech_tokenizer")


def keep_codes(trained: Quantizer, encoder_blocks: int) -> Quantizer:
    """A quantizer whose encoder half learns on while its decoder half, and with it what each code means, stays.

    What was trained on the codes therefore goes on working. Encoder blocks that `trained` lacks add nothing at first.
    """
    before = trained.config.encoder_blocks
    if encoder_blocks < before:
        raise ConfigError(f"The quantizer to go on from has {before} encoder blocks; encoder_blocks is smaller.")
    quantizer = Quantizer(replace(trained.config, encoder_blocks=encoder_blocks))
    quantizer.load_state_dict(trained.state_dict(), strict=False)
    for block in quantizer.encoder[before:]:
        assert isinstance(block, ConvBlock)
        torch.nn.init.zeros_(block.down.weight)
        torch.nn.init.zeros_(block.down.bias)
    learning = (quantizer.enter, quantizer.encoder, quantizer.squeeze)
    quantizer.requires_grad_(False)
    for half in learning:
        half.requires_grad_(True)
    return quantizer


@torch.inference_mode()
def held_out_figures(
    quantizer: Quantizer, batches: FrameBatches, source: str, names: Sequence[str]
) -> dict[str, float]:
    """Phone accuracy in each 20 ms, squared error of the features and perplexity of the codes on held-out clips."""
    if not names:
        return {}
    batch = batches.collate([(source, name) for name in names[:64]])
    out = quantizer(batch.features, batch.lengths)
    mask = batch.labels >= 0
    ids = out.ids[mask[:, ::FRAMES_PER_TOKEN]]
    share = torch.bincount(ids) / len(ids)
    perplexity = torch.exp(-(share[share > 0] * share[share > 0].log()).sum())
    return {
        "clips": min(64, len(names)),
        "phone accuracy": round(float((out.phones.argmax(-1) == batch.labels)[mask].float().mean()), 4),
        "feature error": round(float((out.features - out.target)[mask].pow(2).mean()), 4),
        "code perplexity": round(float(perplexity), 1),
    }


@torch.inference_mode()
def tokenize(quantizer: Quantizer, work: Path, sources: Iterable[str], suffix: str = "") -> None:
    """Stage `tokens`: features to token ids, one utterance at a time, so that no padding is involved.

    suffix: of the names under which the tokens lie, with the same labels: sources of their own.
    """
    for name in sources:
        features = Store(work / "features" / name)
        labels = work / "labels" / (name + suffix)
        if suffix and not labels.is_symlink():
            labels.symlink_to(name)
        with StoreWriter(work / "tokens" / (name + suffix), "int16") as store:
            for utterance in features:
                if utterance not in store.done:
                    _, ids = quantizer.encode(torch.from_numpy(np.array(features[utterance]))[None])
                    store.add(utterance, ids[0].numpy())
        log.info("%s: %d utterances tokenized", name + suffix, len(features))


def prepare_text(corpus: Path, work: Path, vocab_size: int, lines: int, pieces_of: Path | None = None) -> None:
    """Stage `text`: learn the pieces, write the ids of `lines` lines in a fixed shuffled order, list the words.

    pieces_of: a model folder whose pieces are kept, so that its text tower can learn on.
    """
    rows = corpus.read_text(encoding="utf-8").splitlines()
    order = np.random.default_rng(0).permutation(len(rows))[:lines]
    picked = [rows[i] for i in order]
    if pieces_of is None:
        tokenizer = TextTokenizer.train(picked[:60_000], vocab_size)
    else:
        tokenizer = TextTokenizer.from_pretrained(pieces_of)
    tokenizer.save(work / "text")
    Lexicon(word for word, count in count_words(rows).items() if count >= MIN_COUNT).save(work / "text")
    segments = (tokenizer.encode(row) for row in picked if row)
    np.save(work / "text" / "ids.npy", pack_tokens(segments, tokenizer.begin_id, tokenizer.end_id).astype(np.int16))


def tower_config(size: TowerSize, vocab_size: int, begin: int, end: int) -> TowerConfig:
    """Configuration of a tower of this size over a vocabulary."""
    return TowerConfig(vocab_size, size.width, size.depth, size.heads, size.kv_heads, size.ff_width, begin, end)


def _pretrain(tower: Tower, tokens: np.ndarray, config: PretrainConfig, work: Path, name: str, resume: bool) -> None:
    windows = Windows(tokens, config.rows, config.length, config.loop.seed)
    if config.compile:
        compile_blocks(tower.blocks)
    trainer = Trainer(PretrainStage(tower), windows, config.loop, work / "runs" / name)
    trainer.run(resume)
    if not trainer.processes.is_main:
        return
    # Rounded once, here: the fused model ships in half precision, and its text tower must be this one bit for bit.
    tower.load_state_dict({key: weight.half().float() for key, weight in tower.state_dict().items()})
    save_tower(tower, work / name)


def pretrain_text(config: PretrainConfig, work: Path, resume: bool) -> None:
    """Stage `pretrain-text`."""
    tokenizer = TextTokenizer.from_pretrained(work / "text")
    torch.manual_seed(config.loop.seed)
    if config.start:
        tower = load_zipper(config.start).text
    else:
        tower = Tower(tower_config(config.tower, tokenizer.vocab_size, tokenizer.begin_id, tokenizer.end_id))
    _pretrain(tower, np.load(work / "text" / "ids.npy", mmap_mode="r"), config, work, "pretrain-text", resume)


def pretrain_speech(config: PretrainConfig, work: Path, resume: bool) -> None:
    """Stage `pretrain-speech`: every recording, natural and generated, without its text."""
    quantizer = SpeechTokenizer.from_pretrained(work / "speech_tokenizer").quantizer
    tower = speech_tower(config.tower, quantizer, config.loop.seed)
    tokens = pack_tokens(speech_segments(work, config.sources), *SpeechVocabulary(quantizer.config.codes).specials)
    _pretrain(tower, tokens, config, work, "pretrain-speech", resume)


def speech_tower(size: TowerSize, quantizer: Quantizer, seed: int) -> Tower:
    """A fresh speech tower whose embedding starts where the quantizer puts each code."""
    vocabulary = SpeechVocabulary(quantizer.config.codes)
    torch.manual_seed(seed)
    tower = Tower(tower_config(size, vocabulary.size, *vocabulary.specials))
    with torch.no_grad():
        tower.embedding.weight[: vocabulary.codes] = code_embeddings(quantizer, size.width)
    return tower


@torch.inference_mode()
def code_embeddings(quantizer: Quantizer, width: int) -> Tensor:
    """Starting embeddings (codes, width) in which codes that sound alike lie close.

    A code's row is what the quantizer's decoder makes of it when it is held: its phones and its point on the grid,
    in a random rotation, at the size of a tied embedding.
    """
    latents = quantizer.fsq.latents(torch.arange(quantizer.config.codes))  # (K, D)
    held = quantizer.expand(latents)[:, None].expand(-1, quantizer.config.kernel, -1)  # (K, k, C)
    mask = torch.ones(1, held.shape[1], 1)
    for block in quantizer.decoder:
        held = block(held, mask)
    sound = quantizer.norm(held[:, held.shape[1] // 2])
    joined = torch.cat(
        [torch.nn.functional.normalize(sound - sound.mean(0), dim=1), torch.nn.functional.normalize(latents, dim=1)],
        dim=1,
    )
    rotated = joined @ torch.randn(joined.shape[1], width, generator=torch.Generator().manual_seed(0))
    return rotated / rotated.std() * TIED_STD


def compile_blocks(blocks: Iterable[torch.nn.Module]) -> None:
    """Let torch.compile fuse what lies between the matrix products of each block; the names of weights stay."""
    for block in blocks:
        block.compile(dynamic=True)
