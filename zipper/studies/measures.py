"""What a trained run is measured by: the functions of `zipper.evaluation`, on inputs that are given by path."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zipper import limits
from zipper.api import Zipper
from zipper.audio.io import load_audio
from zipper.errors import DataError
from zipper.evaluation.asr import evaluate_recognizer, zipper_recognizer
from zipper.evaluation.language import evaluate_language, read_lines
from zipper.evaluation.manifest import Recording, read_recordings, spread
from zipper.evaluation.metrics import error_rates, normalizer
from zipper.evaluation.peers import Recognizer, load_recognizer
from zipper.evaluation.sets import Lines
from zipper.evaluation.tts import Spoken, as_recorded, from_tokens, speak_all, zipper_voice
from zipper.model.checkpoint import load_tower
from zipper.studies.results import Measured
from zipper.studies.study import Measure, Sizes, read_yaml

PAPER = read_yaml(Path(__file__).with_name("paper.yaml"))
THRESHOLD = int(PAPER["length"])  # characters: the paper's Zipper speaks shorter sentences worse than the baseline
LENGTHS = (20, 50, 80, THRESHOLD, 140, 180, 230)  # characters at which bands of sentences begin and end
PLAIN = re.compile(r"[A-Za-z ,.'!?;:-]+")  # nothing to be written out, on which judges differ

Outcome = tuple[dict[str, float], list[dict[str, Any]]]


@dataclass(frozen=True)
class Inputs:
    """Paths of what is measured on; a measure whose inputs are missing is left out.

    readers: manifests whose held-out people are heard; tests: manifests that are heard as a whole; sentences: a text
    file; spoken: a manifest whose texts are spoken and whose recordings are the gold tokens; text: held-out text;
    judge: a Whisper folder.
    """

    readers: tuple[Path, ...] = ()
    tests: tuple[Path, ...] = ()
    sentences: Path | None = None
    spoken: Path | None = None
    text: Path | None = None
    judge: Path | None = None


class Measuring:
    """Everything that is loaded once and used for every run."""

    def __init__(self, inputs: Inputs, sizes: Sizes, threads: int = 1) -> None:
        self.inputs, self.sizes, self.threads = inputs, sizes, threads
        self.normal = normalizer()
        self._loaded: tuple[Path, Zipper] | None = None

    def inputs_of(self, measure: Measure) -> dict[str, Any] | None:
        """What a measurement is made on, by name, and how much of it; None where an input is missing."""
        given, sizes = self.inputs, self.sizes
        judged = {"judge": given.judge.name, "samples": sizes.samples} if given.judge else None
        if measure == "readers" and given.readers:
            return {"readers": [path.name for path in given.readers], "recordings": sizes.recordings}
        if measure == "recognition" and given.tests:
            return {"tests": [path.name for path in given.tests], "recordings": sizes.recordings}
        if measure == "synthesis" and given.sentences and judged:
            return {"sentences": given.sentences.name, "of each length": sizes.sentences, **judged}
        if measure == "resynthesis" and given.spoken and judged:
            return {"spoken": given.spoken.name, "recordings": sizes.recordings, **judged}
        if measure == "text" and given.text:
            return {"text": given.text.name, "lines": sizes.lines}
        return None

    def measure(self, measure: Measure, model: Path, tower: Path, command: str) -> Measured:
        """Measure a model folder; tower: its text tower from before the fusion."""
        inputs = self.inputs_of(measure)
        assert inputs is not None, "the caller asks first"
        zipper = self._load(model)
        kinds: dict[Measure, Callable[[Zipper, Path], Outcome]] = {
            "readers": self._readers,
            "recognition": self._recognition,
            "synthesis": self._synthesis,
            "resynthesis": self._resynthesis,
            "text": self._text,
        }
        figures, utterances = kinds[measure](zipper, tower)
        return Measured(command, inputs, figures, utterances)

    def _load(self, model: Path) -> Zipper:
        """The model of a folder; the last one is kept, as a run has several measurements."""
        if self._loaded is None or self._loaded[0] != model:
            self._loaded = (model, Zipper.from_pretrained(model))
        return self._loaded[1]

    def _readers(self, zipper: Zipper, tower: Path) -> Outcome:
        return self._recognized(zipper, self.held_out), []

    def _recognition(self, zipper: Zipper, tower: Path) -> Outcome:
        figures: dict[str, float] = {}
        for path in self.inputs.tests:
            found = self._recognized(zipper, read_recordings(path, self.sizes.recordings))
            figures |= {f"{name}.{path.stem}": value for name, value in found.items()}
        return figures, []

    @staticmethod
    def _recognized(zipper: Zipper, recordings: Sequence[Recording]) -> dict[str, float]:
        result = evaluate_recognizer("zipper", zipper_recognizer(zipper), recordings)
        return {
            "wer": result.rates.wer,
            "cer": result.rates.cer,
            "words": result.rates.words,
            "recordings": len(recordings),
            "refused": result.refused,
        }

    def _synthesis(self, zipper: Zipper, tower: Path) -> Outcome:
        assert self.inputs.sentences
        texts = sentences_by_length(self.inputs.sentences, self.sizes.sentences)
        utterances = self._errors(texts, self._heard(zipper, texts))
        short = [u for u in utterances if u["characters"] < THRESHOLD]
        long = [u for u in utterances if u["characters"] >= THRESHOLD]
        figures = {"wer": wer(utterances), "wer_best": wer(utterances, best=True)}
        figures |= {f"wer.{name}": wer(group) for name, group in (("short", short), ("long", long)) if group}
        return figures, utterances

    def _resynthesis(self, zipper: Zipper, tower: Path) -> Outcome:
        """Against the text, and against what the judge hears in the recordings spoken again from their tokens."""
        recordings = self.gold
        again = from_tokens(
            as_recorded(recordings),
            zipper.speech_tokenizer,
            zipper.detokenizer,
            zipper.detokenizer.voices[0],
            "gold tokens",
            None,
        )
        gold = self._listen(again)
        texts = [recording.text for recording in recordings]
        heard = self._heard(zipper, texts)
        by_text, by_tokens = self._errors(texts, heard), self._errors(gold, heard)
        figures = {
            "wer.gold": wer(self._errors(texts, [gold])),
            "wer": wer(by_text),
            "wer_best": wer(by_text, best=True),
        }
        if by_tokens:  # the judge may have heard nothing at all
            figures |= {"wer.tokens": wer(by_tokens), "wer_best.tokens": wer(by_tokens, best=True)}
        return figures, by_text

    def _text(self, zipper: Zipper, tower: Path) -> Outcome:
        assert self.inputs.text
        lines = read_lines(self.inputs.text, self.sizes.lines)
        result = evaluate_language(zipper.model, zipper.text_tokenizer, lines, load_tower(tower))
        figures = {
            "before": result.perplexity_word,
            "after": result.fused_perplexity_word,
            "identical": float(result.identical),
            "words": result.words,
        }
        return figures, []

    def _heard(self, zipper: Zipper, texts: Sequence[str]) -> list[list[str]]:
        """What the judge hears in each sample of each text, none of which is tried twice; samples × texts."""
        lines = Lines(list(texts), list(texts), table=False)
        with whole_sentences():
            voices = [zipper_voice(zipper, None, seed, one_try=True) for seed in range(self.sizes.samples)]
            return [self._listen(speak_all("zipper", voice, lines, None)) for voice in voices]

    def _listen(self, spoken: Spoken) -> list[str]:
        """What the judge hears; nothing where there is no sound."""
        return [self.judge(load_audio(sound)) if sound else "" for sound in spoken.sounds]

    def _errors(self, texts: Sequence[str], heard: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Characters, words and the word errors of each sample, of texts that have a word."""
        utterances = []
        for number, text in enumerate(texts):
            if not self.normal(text):
                continue
            rates = [error_rates([""], [text], [sample[number]], self.normal) for sample in heard]
            errors = [r.substitutions + r.deletions + r.insertions for r in rates]
            utterances.append({"characters": len(text), "words": rates[0].words, "errors": errors})
        return utterances

    @cached_property
    def judge(self) -> Recognizer:
        """The Whisper that listens."""
        assert self.inputs.judge
        return load_recognizer(self.inputs.judge, self.threads)

    @cached_property
    def held_out(self) -> list[Recording]:
        """Recordings of the held-out people of all manifests."""
        return [r for path in self.inputs.readers for r in read_recordings(path, self.sizes.recordings, held_out=True)]

    @cached_property
    def gold(self) -> list[Recording]:
        """Recordings whose texts are spoken."""
        assert self.inputs.spoken
        return read_recordings(self.inputs.spoken, self.sizes.recordings)


def wer(utterances: Sequence[dict[str, Any]], best: bool = False) -> float:
    """Word error rate in % of utterances with `words` and `errors`: of the first sample or, with `best`, the best."""
    errors = sum(min(u["errors"]) if best else u["errors"][0] for u in utterances)
    return float(round(100 * errors / sum(u["words"] for u in utterances), 2))


def bands() -> list[tuple[int, int]]:
    """Lengths in characters, from and up to, of the bands of sentences."""
    return list(zip(LENGTHS[:-1], LENGTHS[1:], strict=True))


def sentences_by_length(path: Path, count: int) -> list[str]:
    """`count` sentences of each band of lengths, evenly spread over a text file. Raises DataError."""
    lines = [line for line in read_lines(path) if PLAIN.fullmatch(line) and len(line.split()) > 1]
    chosen = [spread([line for line in lines if a <= len(line) < b], count) for a, b in bands()]
    if not any(chosen):
        raise DataError(f"{path} holds no plain sentence of {LENGTHS[0]} to {LENGTHS[-1]} characters.")
    return [line for band in chosen for line in band]


@contextmanager
def whole_sentences() -> Iterator[None]:
    """Speak each sentence in one piece, as the paper does; the product cuts long ones into clauses."""
    usual, limits.MAX_SENTENCE_CHARACTERS = limits.MAX_SENTENCE_CHARACTERS, LENGTHS[-1]
    try:
        yield
    finally:
        limits.MAX_SENTENCE_CHARACTERS = usual
