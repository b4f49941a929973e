"""Stages `zip` and `single` put together: aligned speech and text to a model of both.

Both take the same batches in the same order, hold out the same people and run in the same loop.
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch

from zipper.data.fraction import part_of
from zipper.data.held_out import READERS, TENTHS, is_held_out
from zipper.data.labels import Aligned, read_aligned
from zipper.data.pairs import Pairs, Task
from zipper.data.speech_vocabulary import SpeechVocabulary
from zipper.data.store import Store
from zipper.errors import ConfigError
from zipper.model.checkpoint import CONFIG_FILE, load, load_tower, load_zipper, read_json, save
from zipper.model.config import KIND, ZipConfig, ZipperConfig
from zipper.model.fused import FusedModel
from zipper.model.single_decoder import SingleDecoder, extended
from zipper.model.tower import Tower
from zipper.model.zipper import ZipperModel
from zipper.rates import TOKEN_RATE
from zipper.text.lexicon import Lexicon
from zipper.text.tokenizer import TextTokenizer
from zipper.training.config import FusionConfig, PairsConfig, SingleConfig
from zipper.training.cost import COST_FILE, measure_cost
from zipper.training.fusion import Mixture, PairStage, SingleStage, ZipStage
from zipper.training.loop import Trainer
from zipper.training.pretrain import Windows, pack_tokens, speech_segments
from zipper.training.stages import compile_blocks

log = logging.getLogger(__name__)

HELD_OUT_BATCHES = 3  # of each group of held-out people in the log

Rows = list[tuple[str, Aligned]]  # (source, utterance)


def train_fusion(
    config: FusionConfig, work: Path, resume: bool, run: Path | None = None, out: Path | None = None
) -> None:
    """Stage `zip`: writes a Zipper, from two pre-trained towers.

    run: folder of the state and the log, by default work/runs/zip; out: of the model, work/zipper.
    """
    torch.manual_seed(config.loop.seed)
    if config.start:
        model = load_zipper(config.start)
        _check_start(config, model.config.zip)
        if config.new_text_tower:
            model.text.load_state_dict(load_tower(work / "pretrain-text").state_dict())
    else:
        model = fused_model(load_tower(work / "pretrain-text"), load_tower(work / "pretrain-speech"), config)
    stage = ZipStage(model, config.loss, config.speech_tower == "trained")
    _train(stage, config, work, resume, run or work / "runs" / "zip", out or work / "zipper")


def train_single(
    config: SingleConfig, work: Path, resume: bool, run: Path | None = None, out: Path | None = None
) -> None:
    """Stage `single`: writes a single decoder, from a pre-trained text tower.

    run: folder of the state and the log, by default work/runs/single; out: of the model, work/single.
    """
    torch.manual_seed(config.loop.seed)
    stage = SingleStage(single_model(config, work), config.loss)
    _train(stage, config, work, resume, run or work / "runs" / "single", out or work / "single")


def _train(stage: PairStage, config: PairsConfig, work: Path, resume: bool, run: Path, out: Path) -> None:
    """What both stages have in common: everything but the model."""
    tokenizer = TextTokenizer.from_pretrained(work / "text")
    cost = measure_cost(stage, config.mixture)
    log.info("%s", cost)
    mixture = pair_mixture(config, work, tokenizer, SpeechVocabulary.of_tower(stage.model.config.speech))
    held_out = {
        group: [_pairs(config, work, tokenizer, task, rows, stage.codes)(number) for number in range(HELD_OUT_BATCHES)]
        for group, task, rows in _held_out_rows(work, config)
    }
    if config.compile:
        compile_fused(stage.model)
    trainer = Trainer(stage, mixture, config.loop, run, held_out, stage.gates)
    trainer.run(resume)
    if not trainer.processes.is_main:
        return
    (run / COST_FILE).write_text(json.dumps(asdict(cost), indent=2) + "\n", encoding="utf-8")
    save(stage.model.eval(), out)
    tokenizer.save(out)
    if words := Lexicon.from_pretrained(work / "text"):
        words.save(out)


def _check_start(config: FusionConfig, zips: ZipConfig) -> None:
    """No setting of the zips was changed that the model to go on from does not have."""
    wanted, usual = config.zips(), FusionConfig(config.loop, (), ()).zips()
    for name in (field.name for field in fields(ZipConfig)):
        value, found = getattr(wanted, name), getattr(zips, name)
        if value not in (getattr(usual, name), found):
            raise ConfigError(f"The model in start has {name}={found}; {name}={value} needs a fusion of its own.")


def fused_model(text: Tower, speech: Tower, config: FusionConfig) -> ZipperModel:
    """Two pre-trained towers with fresh zips, gates closed; a random speech tower has the sizes of `speech` alone."""
    model = ZipperModel(ZipperConfig(text.config, speech.config, config.zips()))
    model.text.load_state_dict(text.state_dict())
    if config.speech_start == "pretrained":
        model.speech.load_state_dict(speech.state_dict())
    return model


def single_model(config: SingleConfig, work: Path) -> SingleDecoder:
    """The decoder to tune: one that goes on, or a text tower with the speech codes added. Raises ConfigError."""
    place = Path(config.start) if config.start else work / "pretrain-text"
    settings = read_json(place / CONFIG_FILE)
    codes = math.prod(config.loss.levels)
    if KIND in settings:
        model = load(place)
        assert isinstance(model, SingleDecoder), "there is no other kind that is named"
        if config.depth not in (0, model.config.decoder.depth):
            raise ConfigError(f"The single decoder in start has {model.config.decoder.depth} blocks; leave depth out.")
        found = SpeechVocabulary.of_tower(model.config.speech).codes
        if found != codes:
            raise ConfigError(f"loss.levels={list(config.loss.levels)} do not multiply to the {found} codes of start.")
        return model
    text = load_zipper(place).text if "zip" in settings else load_tower(place)
    speech = SpeechVocabulary(codes)
    return extended(text, speech.size, *speech.specials, config.depth)


def compile_fused(model: FusedModel) -> None:
    """Let torch.compile fuse what lies between the matrix products of each block of a model."""
    compile_blocks(model.blocks())


def pair_mixture(config: PairsConfig, work: Path, tokenizer: TextTokenizer, speech: SpeechVocabulary) -> Mixture:
    """The batches of training: recognition, synthesis and speech alone, each with its share."""
    asr, tts = (aligned_rows(work, sources) for sources in (config.asr, config.tts))
    if config.fraction < 1:
        kept = kept_part(work, [*asr, *tts], config.fraction, config.fraction_seed)
        asr, tts = ([pair for pair in rows if pair[1].id in kept] for rows in (asr, tts))
    windows = Windows(
        pack_tokens(speech_segments(work, config.asr), *speech.specials),
        16,
        config.batch_tokens // 16,
        config.loop.seed,
    )
    kinds = (
        _pairs(config, work, tokenizer, "recognize", asr, speech.codes),
        _pairs(config, work, tokenizer, "synthesize", tts, speech.codes, config.dropout),
        windows,
    )
    return Mixture(list(zip(kinds, config.mixture, strict=True)))


def kept_part(work: Path, rows: Rows, fraction: float, seed: int) -> frozenset[str]:
    """Ids of a fraction of the utterances that have tokens, by the length of their unchanged views where there are."""
    stores = {name: Store(work / "tokens" / name) for name in sorted({source for source, _ in rows}, reverse=True)}
    lengths = {row.id: stores[name].length(row.id) for name, row in rows if row.id in stores[name] and "." in name}
    lengths |= {row.id: stores[name].length(row.id) for name, row in rows if row.id in stores[name] and "." not in name}
    kept = part_of(lengths, fraction, seed)
    tokens = sum(lengths[utterance] for utterance in kept)
    log.info(
        "%.1f %% of the transcribed speech: %d of %d utterances, %.2f h",
        100 * tokens / max(1, sum(lengths.values())),
        len(kept),
        len(lengths),
        tokens / TOKEN_RATE / 3600,
    )
    return kept


def _pairs(
    config: PairsConfig, work: Path, tokenizer: TextTokenizer, task: Task, rows: Rows, codes: int, dropout: float = 0.0
) -> Pairs:
    """Batches of one task."""
    specials = SpeechVocabulary(codes).specials
    return Pairs(task, work, rows, tokenizer, specials, config.batch_tokens, config.loop.seed, dropout)


def aligned_rows(work: Path, sources: Sequence[str], held_out: bool = False) -> Rows:
    """(source, row) of every utterance that is not held out, or of those that are."""
    return [
        (name, row)
        for name in sources
        for row in read_aligned(work / "labels" / name)
        if is_held_out(row.id) == held_out
    ]


def _held_out_rows(work: Path, config: PairsConfig) -> list[tuple[str, Task, Rows]]:
    """(group, task, rows) of the held-out people among the sources, without groups that are empty."""
    readers = tuple(name for name in config.asr if name in READERS)
    strangers = tuple(name for name in config.asr if name in TENTHS)
    groups: list[tuple[str, Task, tuple[str, ...]]] = [
        ("readers", "recognize", readers),
        ("strangers", "recognize", strangers),
        ("voice", "synthesize", config.tts),
    ]
    found = [(group, task, aligned_rows(work, sources, held_out=True)) for group, task, sources in groups]
    return [group for group in found if group[2]]
