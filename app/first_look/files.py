"""Results as small files: NAME.json for texts and times, NAME.npz for attention, NAME.ogg for speech.

Weights keep their half precision; times are rounded to milliseconds. Speech is compressed, so its samples come back
nearly as they were; of a recording only the path is kept, for it is there already.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from app.settings import EXAMPLES
from zipper.audio.io import load_audio
from zipper.files import save
from zipper.results import AlignmentHead, Attention, Passage, Speech, Token, Transcript, Word

Samples = npt.NDArray[np.float32]
ARRAYS = ("weights", "gates", "path")  # of each passage, followed by its number


@dataclass(frozen=True, eq=False)
class KeptResult:
    """A result with the file that holds its sound, a path below assets/examples.

    samples (n,) float32 at sample_rate Hz: the recording, or the speech.
    """

    result: Transcript | Speech
    sound: str
    samples: Samples
    sample_rate: int


def write(folder: Path, name: str, kept: KeptResult) -> None:
    """Write a result into a folder, which must lie below assets/examples. Raises StorageError."""
    result, arrays = kept.result, io.BytesIO()
    attentions = [passage.attention for passage in result.passages]
    named: dict[str, Any] = {}
    for i, attention in enumerate(attentions):
        shrunk = (attention.weights, attention.gates, attention.path.astype(np.uint16))
        named |= {f"{name}_{i}": array for name, array in zip(ARRAYS, shrunk, strict=True)}
    np.savez_compressed(arrays, **named)
    described: dict[str, Any] = {
        "sound": kept.sound,
        "sample_rate": kept.sample_rate,
        "complete": result.complete,
        "passages": [_passage(passage) for passage in result.passages],
    }
    if isinstance(result, Speech):
        described |= {"voice": result.voice, "seed": result.seed}
        sound = io.BytesIO()
        soundfile.write(sound, kept.samples, kept.sample_rate, format="OGG", subtype="VORBIS")
        save(folder / f"{name}.ogg", sound.getvalue())
    save(folder / f"{name}.npz", arrays.getvalue())
    save(folder / f"{name}.json", json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def read(folder: Path, name: str) -> KeptResult:
    """A result that `write` has written. Raises OSError, AudioError where a file is missing or broken."""
    described = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        pairs = enumerate(described["passages"])
        passages = tuple(_opened(passage, {key: arrays[f"{key}_{i}"] for key in ARRAYS}) for i, passage in pairs)
    rate = described["sample_rate"]
    samples = load_audio(EXAMPLES / described["sound"], rate)
    result: Transcript | Speech
    if "voice" in described:
        result = Speech(passages, samples, rate, described["voice"], described["seed"], described["complete"])
    else:
        result = Transcript(passages, len(samples) / rate, described["complete"])
    return KeptResult(result, described["sound"], samples, rate)


def _passage(passage: Passage) -> dict[str, Any]:
    attention = passage.attention
    return {
        "text": passage.text,
        "start": round(passage.start, 3),
        "end": round(passage.end, 3),
        "unheard": round(passage.unheard, 3),
        "words": [
            [*_timed(word), None if word.confidence is None else round(word.confidence, 4)] for word in passage.words
        ],
        "direction": attention.direction,
        "heads": [[head.zip_point, head.head, round(head.score, 4)] for head in attention.heads],
        "text_tokens": [_timed(token) for token in attention.text_tokens],
        "speech_tokens": [_timed(token) for token in attention.speech_tokens],
    }


def _timed(item: Word | Token) -> list[Any]:
    return [item.text, round(item.start, 3), round(item.end, 3)]


def _opened(passage: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Passage:
    direction = passage["direction"]
    attention = Attention(
        direction,
        arrays["weights"],
        arrays["gates"],
        tuple(Token(*token) for token in passage["text_tokens"]),
        tuple(Token(*token) for token in passage["speech_tokens"]),
        tuple(AlignmentHead(direction, *head) for head in passage["heads"]),
        arrays["path"].astype(np.int64),
    )
    words = tuple(Word(*word) for word in passage["words"])
    return Passage(passage["text"], words, attention, passage["start"], passage["end"], passage["unheard"])
