"""Generated speech on many CPU cores, kept as 16-bit samples at 16 kHz in shards, with the phones in time.

python -m zipper.training.one_card.generate_speech SENTENCES.tsv OUT --workers 15

SENTENCES.tsv: id, text as written, text as spoken. Each shard is an .npz of samples, lengths, and a JSON of the rest.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from zipper.data.phones import frame_labels, timed_phones, word_times
from zipper.data.waveforms import to_int16
from zipper.rates import FRAME_RATE, FRAMES_PER_TOKEN, SPEECH_RATE, TOKEN_RATE

SHARD_SENTENCES = 250
GENERATED_RATE = 24_000  # Hz
DURATION_UNIT = 0.025  # seconds of one count of the generator's durations
DURATION_TENSOR = "/Clip_output_0"  # in hibari.onnx 0.2.1
PAD = "_"  # silence at both ends of a sentence
PEAK = 0.95


@dataclass(frozen=True)
class GeneratedUtterance:
    """One generated utterance.

    samples: int16 at 16 kHz; phones: int8 at 50 Hz; words: (n, 2) int32 first and last frame (50 Hz) of each word of
    the text, empty where something else was said than is written.
    """

    id: str
    text: str
    samples: np.ndarray
    phones: np.ndarray
    words: np.ndarray


class DurationTts:
    """hibari, with the durations of its phones."""

    def __init__(self) -> None:
        import onnx
        import onnxruntime
        from hibari import Hibari

        self.tts = Hibari(threads=1)
        model = onnx.load(self.tts.model_path)
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATION_TENSOR))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, text: str, seed: int) -> tuple[np.ndarray, list[tuple[str, float]]]:
        """Float32 samples at 24 kHz, and the phones of all sentences of the text."""
        from hibari import dsp

        rng, sound, phones = np.random.default_rng(seed), [], []
        for sentence in self.tts.phonemize(text):
            symbols = [symbol for symbol in sentence if symbol in self.tts.vocab]
            feed = {"ids": np.asarray([self.tts.ids(sentence)], np.int64), "speed": np.ones(1, np.float32)}
            *parts, units = self.session.run(None, feed)
            sound.append(dsp.synth(*(part[0] for part in parts), rng))
            phones += [
                (s, float(u) * DURATION_UNIT)
                for s, u in zip([PAD, *symbols, PAD], np.asarray(units).reshape(-1), strict=True)
            ]
        samples = np.concatenate([np.zeros(1, np.float32), *sound])
        return samples / max(1.0, float(np.abs(samples).max()) / PEAK), phones


_tts: DurationTts | None = None  # one in each worker process, made at its first shard


def generate_shard(job: tuple[int, Sequence[tuple[str, str, str]], Path]) -> float:
    """Generate the sentences of a shard and write it; seconds of speech."""
    global _tts
    _tts = _tts or DurationTts()
    number, sentences, out = job
    rows: list[GeneratedUtterance] = []
    for index, (name, written, spoken) in enumerate(sentences):
        try:
            samples, phones = _tts(spoken, number * SHARD_SENTENCES + index)
        except Exception as error:  # one sentence that fails must not end a run of hours
            print(f"{name}: {error!r}", flush=True)
            continue
        if phones:
            rows.append(finish(name, written, samples, phones))
    write_shard(out / f"{number:05d}.npz", rows)
    return sum(len(row.samples) for row in rows) / SPEECH_RATE


def finish(name: str, written: str, samples: np.ndarray, phones: Sequence[tuple[str, float]]) -> GeneratedUtterance:
    """Samples at 24 kHz and phones with their seconds, as they are kept."""
    resampled = soxr.resample(samples, GENERATED_RATE, SPEECH_RATE)
    timed = timed_phones(phones)
    frames = -(-len(resampled) * TOKEN_RATE // SPEECH_RATE) * FRAMES_PER_TOKEN
    times = word_times(timed)
    words = in_frames(times if len(times) == len(written.split()) else [])
    labels = frame_labels(timed, frames).astype(np.int8)
    return GeneratedUtterance(name, written, to_int16(resampled), labels, words)


def in_frames(times: Sequence[tuple[float, float]]) -> np.ndarray:
    """(start, end) in seconds -> (n, 2) int32 frames at 50 Hz."""
    return (np.array(times, np.float64).reshape(-1, 2) * FRAME_RATE).round().astype(np.int32)


def write_shard(path: Path, rows: Sequence[GeneratedUtterance]) -> None:
    """One file; it appears under its name when it is whole."""
    head = [[row.id, row.text, len(row.samples), len(row.phones), len(row.words)] for row in rows]
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        samples=np.concatenate([np.zeros(0, np.int16), *(row.samples for row in rows)]),
        phones=np.concatenate([np.zeros(0, np.int8), *(row.phones for row in rows)]),
        words=np.concatenate([np.zeros((0, 2), np.int32), *(row.words for row in rows)]),
        head=np.frombuffer(json.dumps(head).encode(), np.uint8),
    )
    partial.rename(path)


def read_shard(path: Path) -> Iterator[GeneratedUtterance]:
    """The utterances of a shard."""
    with np.load(path) as shard:
        samples, phones, words = shard["samples"], shard["phones"], shard["words"]
        head = json.loads(shard["head"].tobytes())
    a, b, c = 0, 0, 0
    for name, text, n, frames, count in head:
        yield GeneratedUtterance(name, text, samples[a : a + n], phones[b : b + frames], words[c : c + count])
        a, b, c = a + n, b + frames, c + count


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = [tuple(line.split("\t")) for line in arguments.sentences.read_text(encoding="utf-8").splitlines()]
    jobs = [
        (number, rows[start : start + SHARD_SENTENCES], arguments.out)
        for number, start in enumerate(range(0, len(rows), SHARD_SENTENCES))
    ]
    started, seconds = time.monotonic(), 0.0
    with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
        for done, shard_seconds in enumerate(pool.map(generate_shard, jobs), 1):
            seconds += shard_seconds
            pace = seconds / (time.monotonic() - started)
            print(f"{done}/{len(jobs)} shards, {seconds / 3600:.2f} h, {pace:.0f} x real time", flush=True)
    (arguments.out / "finished").touch()


if __name__ == "__main__":
    main()
