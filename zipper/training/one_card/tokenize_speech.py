"""Job on one card: speech tokens of a trained tokenizer, of recordings in several views and of generated speech.

python -m zipper.training.one_card.tokenize_speech --pack PACK --speech TARS --known real.npz \\
    --generated GENERATED --out BUNDLES

PACK holds encoder.safetensors, quantizer.safetensors and quantizer.json. A recording needs a row in the bundle KNOWN,
which says its transcript, phones and word times. Generated speech becomes a bundle for every few shards, as they come.
"""

import argparse
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from zipper.configuration import from_plain
from zipper.data.held_out import TENTHS
from zipper.data.waveforms import FULL_SCALE, DeviceAugmentConfig, DeviceAugmenter, Waveforms
from zipper.rates import FRAMES_PER_TOKEN, SPEECH_RATE
from zipper.speech.quantizer import Quantizer, QuantizerConfig
from zipper.speech.whisper_encoder import WhisperEncoder
from zipper.training.one_card.bundle import UNKNOWN_PHONE, Row, read_bundle, write_bundle
from zipper.training.one_card.generate_speech import GeneratedUtterance, read_shard
from zipper.training.one_card.recordings import read_sources
from zipper.training.one_card.whisper import ENCODE_SECONDS, batches_of, features_of, load_encoder

log = logging.getLogger(__name__)

NOISE_SOURCE = "noise"
LONGEST_SECONDS = 25  # of a generated utterance
AT_ONCE = 20_000  # recordings that lie on the device together
SHARDS_AT_ONCE = 16
COVER = "hibari/cover"  # generated sentences that hold rare words, above all for synthesis


@dataclass
class Material:
    """Everything to train on: recordings of people, then generated ones."""

    clips: dict[str, np.ndarray] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    phones: dict[str, np.ndarray] = field(default_factory=dict)  # at 50 Hz
    words: dict[str, np.ndarray] = field(default_factory=dict)  # (n, 2) frames

    def add_generated(self, rows: Iterable[GeneratedUtterance]) -> None:
        """Utterances of generated speech with their phones; too long ones are left out."""
        for row in rows:
            if len(row.samples) <= LONGEST_SECONDS * SPEECH_RATE:
                name = f"hibari/{row.id}"
                self.clips[name], self.texts[name], self.speakers[name] = row.samples, row.text, "heart"
                self.phones[name], self.words[name] = row.phones, row.words

    def add_known(self, rows: Iterable[Row], clips: Mapping[str, np.ndarray]) -> None:
        """Recordings whose transcript, phones and word times a bundle says."""
        for row in rows:
            if row.id in clips:
                self.clips[row.id], self.texts[row.id], self.speakers[row.id] = clips[row.id], row.text, row.speaker
                self.phones[row.id], self.words[row.id] = row.phones.repeat(FRAMES_PER_TOKEN), row.words


@torch.inference_mode()
def tokenize(
    encoder: WhisperEncoder,
    quantizer: Quantizer,
    material: Material,
    names: Sequence[str],
    augmenter: DeviceAugmenter | None,
    suffix: str,
) -> Iterator[Row]:
    """Rows of one view of the utterances: as they are, or changed by the augmenter."""
    device = quantizer.mean.device
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        waveforms = Waveforms({name: material.clips[name] for name in part}, device)
        for batch in batches_of(waveforms, part, ENCODE_SECONDS):
            samples, lengths = waveforms.gather(batch)
            ratio = torch.ones(len(batch), device=device)
            if augmenter is not None:
                samples, lengths, ratio = augmenter.speed(samples, lengths)
                samples = augmenter(samples, lengths)
            features, frames = features_of(encoder, samples, lengths)
            tokens = frames // FRAMES_PER_TOKEN
            _, ids = quantizer.encode(features.float(), tokens)
            codes = ids.short().cpu().numpy()
            for row, (name, count, speed) in enumerate(zip(batch, tokens.tolist(), ratio.tolist(), strict=True)):
                yield _row(material, name, suffix, codes[row, :count], speed)


def _row(material: Material, name: str, suffix: str, codes: np.ndarray, speed: float) -> Row:
    known = material.phones[name].astype(np.int16)
    frame = (np.arange(len(codes)) * FRAMES_PER_TOKEN * speed).astype(int)
    phones = np.where(frame < len(known), known[frame.clip(max=len(known) - 1)], UNKNOWN_PHONE)
    words = (material.words[name] / speed).round().astype(np.int32)
    source = name.partition("/")[0] + suffix
    return Row(name, source, material.speakers[name], material.texts[name], codes, phones.astype(np.uint8), words)


def load_quantizer(pack: Path, device: torch.device) -> Quantizer:
    """Read quantizer.json and quantizer.safetensors, which may be in half precision."""
    values = json.loads((pack / "quantizer.json").read_text())
    quantizer = Quantizer(from_plain(QuantizerConfig, values, "quantizer.json"))
    tensors = load_file(pack / "quantizer.safetensors")
    quantizer.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in tensors.items()})
    return quantizer.to(device)


def write_views(
    encoder: WhisperEncoder, quantizer: Quantizer, material: Material, augmenter: DeviceAugmenter, views: int, out: Path
) -> None:
    """A bundle of the recordings as they are and of each changed view; sources of many speakers get twice as many."""
    many = [name for name in material.clips if name.partition("/")[0] in TENTHS]
    for view in range(2 * views + 1):
        torch.manual_seed(100 + view)
        changed, suffix = (augmenter, f".view-{view}") if view else (None, "")
        names = list(material.clips) if view <= views else many
        rows = list(tokenize(encoder, quantizer, material, names, changed, suffix))
        write_bundle(out / f"real-{view}.npz", rows)
        log.info("view %d: %d rows", view, len(rows))


def written_shards(folder: Path) -> list[Path]:
    """Shards of generated speech that are whole."""
    return sorted(shard for shard in folder.glob("[0-9]*.npz") if ".part" not in shard.name)


def write_generated(
    encoder: WhisperEncoder,
    quantizer: Quantizer,
    folder: Path,
    augmenter: DeviceAugmenter,
    max_seconds: float,
    out: Path,
) -> None:
    """Bundles of generated speech while it is written, for so many seconds at most."""
    done: set[Path] = set()
    deadline = time.monotonic() + max_seconds
    while time.monotonic() < deadline:
        complete = (folder / "finished").exists()
        new = [shard for shard in written_shards(folder) if shard not in done][:SHARDS_AT_ONCE]
        if not new and complete:
            break
        if len(new) < SHARDS_AT_ONCE and not complete:
            time.sleep(0.5)
            continue
        material = Material()
        for shard in new:
            material.add_generated(read_shard(shard))
        number = len(done) // SHARDS_AT_ONCE
        done.update(new)
        names = list(material.clips)
        rows = list(tokenize(encoder, quantizer, material, names, None, ""))
        noisy = [name for name in names if not name.startswith(COVER)]
        if noisy:
            rows += tokenize(encoder, quantizer, material, noisy, augmenter, ".view-1")
        write_bundle(out / f"hibari-{number:03d}.npz", rows)
        log.info("generated: %d shards, %d rows", len(done), len(rows))


def run(a: argparse.Namespace, device: torch.device, pool: Executor) -> None:
    """Recordings first, then generated speech."""
    a.out.mkdir(parents=True, exist_ok=True)
    encoder, quantizer = load_encoder(a.pack, device), load_quantizer(a.pack, device).eval()
    _, clips = read_sources(sorted(a.speech.glob("*.tar")), pool, a.few or None)
    log.info("decoded %d recordings", len(clips))
    augmenter = DeviceAugmenter(DeviceAugmentConfig(), joined_noises(clips, device))
    material = Material()
    material.add_known(read_bundle(a.known), clips)
    write_views(encoder, quantizer, material, augmenter, a.views, a.out)
    (a.out / "real").touch()
    write_generated(encoder, quantizer, a.generated, augmenter, a.seconds, a.out)


def joined_noises(clips: dict[str, np.ndarray], device: torch.device) -> Tensor:
    """Take the recorded noises out of the clips: (n,) float32, one after another."""
    noises = [clips.pop(name) for name in list(clips) if name.startswith(NOISE_SOURCE + "/")]
    joined = np.concatenate([np.zeros(0, np.int16), *noises])
    return torch.from_numpy(joined).to(device).float() / FULL_SCALE


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folders = {"pack": "", "speech": "folder of tars", "known": "bundle", "generated": "folder of shards"}
    for name, what in folders.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3, help="changed views of each recording")
    parser.add_argument("--seconds", type=float, default=600, help="to wait for generated speech, at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--few", type=int, default=0, help="recordings of each source, for a trial")
    a = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans each new shape for a tenth of a second
    with ProcessPoolExecutor(a.workers, multiprocessing.get_context("spawn")) as pool:
        run(a, torch.device("cuda" if torch.cuda.is_available() else "cpu"), pool)


if __name__ == "__main__":
    main()
