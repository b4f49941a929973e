"""First job on one card: the tokenizer, then the tokens of everything.

python -m zipper.training.one_card.listen --pack PACK --speech TARS --generated SHARDS --out OUT --seconds 110

PACK holds encoder.safetensors and quantizer.safetensors of the speech tokenizer to go on from, whisper/ (the decoder
with the pieces kept and its tokenizer) and styles.tsv (utterance, transcript in natural case). Writes the new tokenizer
and bundles of tokens, texts and phones for the fusion.
"""

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zipper.rates import FRAMES_PER_TOKEN, SPEECH_RATE, TOKEN_RATE
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.training.hearing import PROMPT, HearingBatches, HearingConfig, HearingStage
from zipper.training.held_out import is_held_out
from zipper.training.loop import LoopConfig, Trainer
from zipper.training.manifest import Utterance
from zipper.training.one_card.bundle import UNKNOWN_PHONE, Row, write_bundle
from zipper.training.one_card.ear import (
    ENCODE_SECONDS,
    Ear,
    autocast,
    batches_of,
    features_of,
    load_ear,
    phone_classifier,
    phone_log_probs,
    transcripts,
)
from zipper.training.one_card.recordings import Timed, align_all, read_sources
from zipper.training.one_card.speak import in_frames, read_shard
from zipper.training.teacher import close, correct
from zipper.training.waveforms import DeviceAugmentConfig, DeviceAugmenter, Waveforms

log = logging.getLogger(__name__)

CLASSIFIER_STEPS = 1500
OFTEN = {"common-voice-v1-valid-dev": 2}  # times an epoch, for sources with many speakers; others once
NOISE_SOURCE = "noise"


@dataclass
class Material:
    """Everything there is to train on: real recordings, then generated ones."""

    clips: dict[str, np.ndarray] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    phones: dict[str, np.ndarray] = field(default_factory=dict)  # at 50 Hz
    words: dict[str, np.ndarray] = field(default_factory=dict)  # (n, 2) frames

    def add_generated(self, shards: Sequence[Path], most_hours: float) -> int:
        """Utterances of generated speech with their phones; how many."""
        seconds, count = 0.0, 0
        for shard in shards:
            for row in read_shard(shard):
                name = f"hibari/{row.id}"
                if name in self.clips or len(row.samples) > 25 * SPEECH_RATE:
                    continue
                self.clips[name], self.texts[name], self.speakers[name] = row.samples, row.text, "heart"
                self.phones[name], self.words[name] = row.phones, row.words
                seconds, count = seconds + len(row.samples) / SPEECH_RATE, count + 1
            if seconds > most_hours * 3600:
                break
        log.info("generated: %d utterances, %.1f h", count, seconds / 3600)
        return count


def prepare_real(
    ear: Ear, utterances: Mapping[str, Utterance], clips: dict[str, np.ndarray], styles: Mapping[str, str],
    material: Material, classifier_names: Sequence[str], pool: Executor, steps: int, teacher_seconds: float,
) -> Tensor:
    """Transcripts, phones and word times of the real recordings into the material; the recorded noises."""
    noise = [clips.pop(name) for name in list(clips) if name.startswith(NOISE_SOURCE + "/")]
    names = list(clips)
    real = Waveforms(clips, ear.device)
    log.info("real: %d recordings, %.1f h", len(names), real.counts.sum() / SPEECH_RATE / 3600)
    spoken = Waveforms({name: material.clips[name] for name in classifier_names}, ear.device)
    classifier = phone_classifier(ear, spoken, {name: material.phones[name] for name in classifier_names}, steps)
    heard = transcripts(ear, real, names, teacher_seconds)
    log.info("the teacher has read %d recordings", len(heard))
    references = {name: styles.get(name) or heard.get(name, "") for name in names}
    timed = align_all(references, phone_log_probs(ear, classifier, real, names), pool)
    dropped = 0
    for name in names:
        found: Timed | None = timed[name]
        utterance = utterances[name]
        if found is None or not references[name].strip():
            dropped += 1
            continue
        marked = any(mark in utterance.text for mark in ",.?!") and not utterance.text.isupper()
        text = utterance.text if marked else correct(heard.get(name, ""), references[name].rstrip(".?!"))
        material.clips[name], material.speakers[name] = clips[name], utterance.speaker
        material.texts[name] = close(text)
        material.phones[name] = found.phones
        same = len(found.words) == len(material.texts[name].split())
        material.words[name] = in_frames(found.words if same else [])
    log.info("aligned: %d recordings, %d left out", len(names) - dropped, dropped)
    joined = np.concatenate(noise) if noise else np.zeros(0, np.int16)
    return torch.from_numpy(joined).to(ear.device).float() / 32767


def training_names(material: Material) -> list[str]:
    """Utterances of an epoch of the tokenizer: nobody who is held out, some sources several times."""
    names = [name for name in material.clips if not is_held_out(name)]
    return [name for name in names for _ in range(OFTEN.get(name.partition("/")[0], 1))]


def held_out_groups(material: Material, most: int = 160) -> dict[str, list[str]]:
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
        if kind and is_held_out(name) and len(groups[kind]) < most:
            groups[kind].append(name)
    return {kind: names for kind, names in groups.items() if names}


def train_tokenizer(
    ear: Ear, quantizer: Quantizer, material: Material, noises: Tensor, config: HearingConfig, loop: LoopConfig,
    out: Path,
) -> None:
    """Teach the quantizer, and print what held-out people lose."""
    waveforms = Waveforms(material.clips, ear.device)
    names = training_names(material)
    groups = held_out_groups(material)
    every = sorted(set(names) | {name for group in groups.values() for name in group})
    texts = {name: ear.ids(material.texts[name]) for name in every}
    batches = HearingBatches(waveforms, names, material.phones, texts, config.batch_seconds, loop.seed)
    augmenter = DeviceAugmenter(config.augment, noises)
    stage = HearingStage(quantizer, ear.encoder, ear.decoder, augmenter, config, len(PROMPT))
    stage.to(ear.device)
    hours = sum(waveforms.counts[waveforms.number[name]] for name in names) / SPEECH_RATE / 3600
    log.info("training on %d utterances, %.1f h an epoch", len(names), hours)
    report(stage, batches, groups, ear)
    trainer = Trainer(stage, batches, loop, out)
    trainer.run(resume=False)
    log.info("tokenizer: %d steps", trainer.step)
    found = report(stage, batches, groups, ear)
    (out / "held_out.json").write_text(json.dumps(found, indent=2) + "\n")


@torch.no_grad()
def report(
    stage: HearingStage, batches: HearingBatches, groups: Mapping[str, Sequence[str]], ear: Ear
) -> dict[str, dict[str, float]]:
    """Losses of each held-out group."""
    stage.eval()
    found: dict[str, dict[str, float]] = {}
    for kind, names in groups.items():
        sums: dict[str, float] = {}
        ordered = sorted(names, key=lambda n: batches.waveforms.counts[batches.waveforms.number[n]])
        parts = [ordered[i : i + 20] for i in range(0, len(ordered), 20)]
        for part in parts:
            with autocast(ear.device):
                losses = stage(batches.collate(part))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(ordered)
        found[kind] = {name: round(value, 4) for name, value in sums.items()}
        log.info("held out %s (%d): %s", kind, len(ordered), found[kind])
    stage.train()
    return found


@torch.inference_mode()
def tokenize(
    ear: Ear, quantizer: Quantizer, material: Material, names: Sequence[str], augmenter: DeviceAugmenter | None,
    suffix: str,
) -> Iterator[Row]:
    """Rows of one view of the utterances: as they are, or changed by the augmenter."""
    for start in range(0, len(names), 20_000):  # what lies on the device at once
        part = names[start : start + 20_000]
        waveforms = Waveforms({name: material.clips[name] for name in part}, ear.device)
        for batch in batches_of(waveforms, part, ENCODE_SECONDS):
            samples, lengths = waveforms.gather(batch)
            ratio = torch.ones(len(batch), device=ear.device)
            if augmenter is not None:
                samples, lengths, ratio = augmenter.speed(samples, lengths)
                samples = augmenter(samples, lengths)
            features, frames = features_of(ear, samples, lengths)
            tokens = frames // FRAMES_PER_TOKEN
            _, ids = quantizer.encode(features.float(), tokens)
            codes = ids.short().cpu().numpy()
            for row, (name, count, speed) in enumerate(zip(batch, tokens.tolist(), ratio.tolist(), strict=True)):
                yield _row(material, name, suffix, codes[row, :count], speed)


def _row(material: Material, name: str, suffix: str, codes: np.ndarray, speed: float) -> Row:
    known = material.phones[name].astype(np.int16)
    place = (np.arange(len(codes)) * FRAMES_PER_TOKEN * speed).astype(int)
    phones = np.where(place < len(known), known[place.clip(max=len(known) - 1)], UNKNOWN_PHONE)
    words = (material.words[name] / speed).round().astype(np.int32)
    source = name.partition("/")[0] + suffix
    return Row(name, source, material.speakers[name], material.texts[name], codes, phones.astype(np.uint8), words)


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
    parser.add_argument("--views", type=int, default=3, help="augmented views of real speech")
    parser.add_argument("--train-hours", type=float, default=8, help="of generated speech in the tokenizer's training")
    parser.add_argument("--hours", type=float, default=105, help="of generated speech that becomes tokens")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for generated speech, at most")
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
    ear = load_ear(a.pack, device)
    utterances, clips = read_sources(sorted(a.speech.glob("*.tar")), pool, a.few or None)
    log.info("decoded %d recordings", len(clips))
    material = Material()
    shards = sorted(a.generated.glob("[0-9]*.npz"))
    shards = [shard for shard in shards if ".part" not in shard.name]
    material.add_generated(shards, a.train_hours)
    spoken = list(material.clips)
    styles = dict(line.split("\t", 1) for line in (a.pack / "styles.tsv").read_text(encoding="utf-8").splitlines())
    noises = prepare_real(ear, utterances, clips, styles, material, spoken[:1200], pool, steps, a.teacher_seconds)
    quantizer = load_quantizer(a.pack, device)
    loop = LoopConfig(steps=0, lr=2e-3, warmup=60, seconds=a.seconds, average=0.995, save_seconds=60)
    config = HearingConfig(batch_seconds=a.batch_seconds)
    train_tokenizer(ear, quantizer, material, noises, config, loop, a.run)
    quantizer.cpu().eval()
    half = {name: w.half() if w.is_floating_point() else w for name, w in quantizer.state_dict().items()}
    save_file(half, a.out / "quantizer.safetensors")
    (a.out / "quantizer.json").write_text(json.dumps(quantizer.config.to_dict()))
    quantizer.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in half.items()})
    for name in ("log.jsonl", "held_out.json"):
        if (a.run / name).exists():
            shutil.copy(a.run / name, a.out / name)
    write_tokens(a, ear, quantizer.to(device), material, noises)


def load_quantizer(pack: Path, device: torch.device) -> Quantizer:
    values = json.loads((pack / "quantizer.json").read_text())
    quantizer = Quantizer(QuantizerConfig(**{**values, "levels": tuple(values["levels"])}))
    tensors = load_file(pack / "quantizer.safetensors")
    quantizer.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in tensors.items()})
    return quantizer.to(device)


def write_tokens(a: argparse.Namespace, ear: Ear, quantizer: Quantizer, material: Material, noises: Tensor) -> None:
    """Bundles of every view, real ones first."""
    real = [name for name in material.clips if not name.startswith("hibari/")]
    augmenter = DeviceAugmenter(DeviceAugmentConfig(), noises)
    for view in range(a.views + 1):
        torch.manual_seed(100 + view)
        changed, suffix = (augmenter, f".view-{view}") if view else (None, "")
        rows = list(tokenize(ear, quantizer, material, real, changed, suffix))
        write_bundle(a.out / f"real-{view}.npz", rows)
        log.info("view %d: %d rows", view, len(rows))
    deadline = time.monotonic() + a.wait
    while not (a.generated / "finished").exists() and time.monotonic() < deadline:
        time.sleep(1)
    shards = [shard for shard in sorted(a.generated.glob("[0-9]*.npz")) if ".part" not in shard.name]
    material.add_generated(shards, a.hours)
    spoken = [name for name in material.clips if name.startswith("hibari/")]
    rows = list(tokenize(ear, quantizer, material, spoken, None, ""))
    write_bundle(a.out / "hibari-0.npz", rows)
    noisy = [name for name in spoken if not name.startswith("hibari/cover")]
    write_bundle(a.out / "hibari-1.npz", list(tokenize(ear, quantizer, material, noisy, augmenter, ".view-1")))
    log.info("generated: %d rows, %.1f h", len(rows), sum(len(row.tokens) for row in rows) / TOKEN_RATE / 3600)


if __name__ == "__main__":
    main()
