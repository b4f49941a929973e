"""Job on one card: the speech tokenizer, and what it makes of the recordings.

python -m zipper.training.one_card.train_tokenizer --pack PACK --speech TARS --generated SHARDS --out OUT --seconds 110

PACK holds encoder.safetensors and quantizer.safetensors of the speech tokenizer to go on from, whisper/ (the decoder
with the pieces kept and its tokenizer) and styles.tsv (utterance, transcript in natural case). Writes the new tokenizer
and real.npz: tokens, transcripts, phones and word times of the recordings.
"""

import argparse
import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from zipper.data.held_out import is_held_out
from zipper.data.manifest import Utterance
from zipper.data.transcripts import close, correct
from zipper.data.waveforms import DeviceAugmenter, Waveforms
from zipper.rates import SPEECH_RATE
from zipper.speech.quantizer import Quantizer
from zipper.training.loop import Trainer
from zipper.training.one_card.bundle import write_bundle
from zipper.training.one_card.generate_speech import in_frames, read_shard
from zipper.training.one_card.recordings import Timed, align_all, read_sources
from zipper.training.one_card.tokenize_speech import Material, joined_noises, load_quantizer, tokenize, written_shards
from zipper.training.one_card.whisper import (
    Whisper,
    autocast,
    load_whisper,
    phone_classifier,
    phone_log_probs,
    transcripts,
)
from zipper.training.schedule import LoopConfig
from zipper.training.tokenizer_asr import PROMPT, AsrTokenizerBatches, AsrTokenizerConfig, AsrTokenizerStage

log = logging.getLogger(__name__)

CLASSIFIER_STEPS = 1500
OFTEN = {"common-voice-v1-valid-dev": 2}  # times an epoch, for sources with many speakers; others once


def label_recordings(
    whisper: Whisper,
    utterances: Mapping[str, Utterance],
    clips: dict[str, np.ndarray],
    styles: Mapping[str, str],
    material: Material,
    classifier_names: Sequence[str],
    pool: Executor,
    steps: int,
    teacher_seconds: float,
) -> Tensor:
    """Transcripts, phones and word times of the recordings into the material; the recorded noises."""
    noises = joined_noises(clips, whisper.device)
    names = list(clips)
    recordings = Waveforms(clips, whisper.device)
    log.info("%d recordings, %.1f h", len(names), recordings.counts.sum() / SPEECH_RATE / 3600)
    generated = Waveforms({name: material.clips[name] for name in classifier_names}, whisper.device)
    classifier = phone_classifier(whisper, generated, {name: material.phones[name] for name in classifier_names}, steps)
    teacher_texts = transcripts(whisper, recordings, names, teacher_seconds)
    log.info("the teacher has read %d recordings", len(teacher_texts))
    references = {name: styles.get(name) or teacher_texts.get(name, "") for name in names}
    timed = align_all(references, phone_log_probs(whisper, classifier, recordings, names), pool)
    dropped = 0
    for name in names:
        aligned: Timed | None = timed[name]
        utterance = utterances[name]
        if aligned is None or not references[name].strip():
            dropped += 1
            continue
        marked = any(mark in utterance.text for mark in ",.?!") and not utterance.text.isupper()
        text = utterance.text if marked else correct(teacher_texts.get(name, ""), references[name].rstrip(".?!"))
        material.clips[name], material.speakers[name] = clips[name], utterance.speaker
        material.texts[name] = close(text)
        material.phones[name] = aligned.phones
        same = len(aligned.words) == len(material.texts[name].split())
        material.words[name] = in_frames(aligned.words if same else [])
    log.info("aligned: %d recordings, %d left out", len(names) - dropped, dropped)
    return noises


def training_names(material: Material) -> list[str]:
    """Utterances of an epoch of the tokenizer: nobody who is held out, some sources several times."""
    names = [name for name in material.clips if not is_held_out(name)]
    return [name for name in names for _ in range(OFTEN.get(name.partition("/")[0], 1))]


def held_out_groups(material: Material, limit: int = 160) -> dict[str, list[str]]:
    """Held-out utterances by the kind of people."""
    groups: dict[str, list[str]] = {"readers": [], "strangers": [], "accents": [], "generated": []}
    kinds = {
        "librispeech-dev-clean-20": "readers",
        "librispeech-dev-other-12": "readers",
        "common-voice-v1-valid-dev": "strangers",
        "speechocean762": "accents",
        "hibari": "generated",
    }
    for name in material.clips:
        kind = kinds.get(name.partition("/")[0])
        if kind and is_held_out(name) and len(groups[kind]) < limit:
            groups[kind].append(name)
    return {kind: names for kind, names in groups.items() if names}


def train_tokenizer(
    whisper: Whisper,
    quantizer: Quantizer,
    material: Material,
    noises: Tensor,
    config: AsrTokenizerConfig,
    loop: LoopConfig,
    out: Path,
) -> None:
    """Teach the quantizer, and print what held-out people lose."""
    waveforms = Waveforms(material.clips, whisper.device)
    names = training_names(material)
    groups = held_out_groups(material)
    every = sorted(set(names) | {name for group in groups.values() for name in group})
    texts = {name: whisper.ids(material.texts[name]) for name in every}
    batches = AsrTokenizerBatches(waveforms, names, material.phones, texts, config.batch_seconds, loop.seed)
    augmenter = DeviceAugmenter(config.augment, noises)
    stage = AsrTokenizerStage(quantizer, whisper.encoder, whisper.decoder, augmenter, config, len(PROMPT))
    stage.to(whisper.device)
    hours = sum(waveforms.counts[waveforms.index[name]] for name in names) / SPEECH_RATE / 3600
    log.info("training on %d utterances, %.1f h an epoch", len(names), hours)
    report(stage, batches, groups, whisper)
    trainer = Trainer(stage, batches, loop, out)
    trainer.run(resume=False)
    log.info("tokenizer: %d steps", trainer.step)
    stage.to(whisper.device)
    figures = report(stage, batches, groups, whisper)
    (out / "held_out.json").write_text(json.dumps(figures, indent=2) + "\n")


@torch.no_grad()
def report(
    stage: AsrTokenizerStage, batches: AsrTokenizerBatches, groups: Mapping[str, Sequence[str]], whisper: Whisper
) -> dict[str, dict[str, float]]:
    """Losses of each held-out group."""
    stage.eval()
    figures: dict[str, dict[str, float]] = {}
    for kind, names in groups.items():
        sums: dict[str, float] = {}
        ordered = sorted(names, key=lambda n: batches.waveforms.counts[batches.waveforms.index[n]])
        parts = [ordered[i : i + 20] for i in range(0, len(ordered), 20)]
        for part in parts:
            with autocast(whisper.device):
                losses = stage(batches.collate(part))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(ordered)
        figures[kind] = {name: round(value, 4) for name, value in sums.items()}
        log.info("held out %s (%d): %s", kind, len(ordered), figures[kind])
    stage.train()
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True, help="folder of tars")
    parser.add_argument("--generated", type=Path, required=True, help="folder of shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=110, help="of training the tokenizer")
    parser.add_argument("--teacher-seconds", type=float, default=40, help="of the teacher's transcripts, at most")
    parser.add_argument("--batch-seconds", type=float, default=400)
    parser.add_argument("--shards", type=int, default=24, help="of generated speech (each a third of an hour), at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training's states, which stays behind")
    parser.add_argument("--few", type=int, default=0, help="recordings of each source, for a trial")
    a = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans each new shape for a tenth of a second
    a.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
        run(a, device, pool)


def run(a: argparse.Namespace, device: torch.device, pool: Executor) -> None:
    """All steps in their order."""
    steps = CLASSIFIER_STEPS if not a.few else 60
    whisper = load_whisper(a.pack, device)
    utterances, clips = read_sources(sorted(a.speech.glob("*.tar")), pool, a.few or None)
    log.info("decoded %d recordings", len(clips))
    material = Material()
    for shard in written_shards(a.generated)[: a.shards]:
        material.add_generated(read_shard(shard))
    generated = list(material.clips)
    styles = dict(line.split("\t", 1) for line in (a.pack / "styles.tsv").read_text(encoding="utf-8").splitlines())
    noises = label_recordings(
        whisper, utterances, clips, styles, material, generated[:1200], pool, steps, a.teacher_seconds
    )
    quantizer = load_quantizer(a.pack, device)
    loop = LoopConfig(steps=0, lr=2e-3, warmup=60, seconds=a.seconds, average=0.995, save_seconds=60)
    config = AsrTokenizerConfig(batch_seconds=a.batch_seconds)
    train_tokenizer(whisper, quantizer, material, noises, config, loop, a.run)
    quantizer.cpu().eval()
    half = {name: w.half() if w.is_floating_point() else w for name, w in quantizer.state_dict().items()}
    save_file(half, a.out / "quantizer.safetensors")
    (a.out / "quantizer.json").write_text(json.dumps(quantizer.config.to_dict()))
    quantizer.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in half.items()})
    for name in ("log.jsonl", "held_out.json"):
        if (a.run / name).exists():
            shutil.copy(a.run / name, a.out / name)
    recorded = [name for name in material.clips if name not in set(generated)]
    write_bundle(
        a.out / "real.npz", list(tokenize(whisper.encoder, quantizer.to(device), material, recorded, None, ""))
    )


if __name__ == "__main__":
    main()
