"""What every kind of work with a Zipper is made of: tokens on the clock, segments, passages, and sound."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zipper.audio.io import Samples
from zipper.inference.beam_search import ScoreFunction
from zipper.inference.components import Detokens, SpeechTokens, TextTokens
from zipper.inference.deadline import Clock
from zipper.inference.generate import Step, generate
from zipper.inference.passages import PassageInput, alignment_heads, gates_into, make_passage, readable
from zipper.inference.sampling import SamplingOptions
from zipper.model.config import Modality
from zipper.model.cross_attention import GateScale
from zipper.model.fused import FusedModel
from zipper.model.streams import Segment
from zipper.results import AlignmentHead, Direction, Passage
from zipper.speech.delivery import AS_GENERATED, Delivery

HALF_CHARACTER = "\ufffd"  # how a character reads while the token of its last byte is missing
SOUND_TOKENS = 100  # speech tokens, 4 s, handed to the detokenizer at once where nobody listens yet

Gates = GateScale | float | None


class Engine:
    """The parts of a Zipper, and what recognition, synthesis and continuation alike do with them."""

    model: FusedModel
    speech_tokenizer: SpeechTokens
    text_tokenizer: TextTokens
    detokenizer: Detokens
    heads: tuple[AlignmentHead, ...]

    def _gates(self, gate_scale: Gates, modality: Modality) -> Gates:
        """None where the gates into the tower that writes are as trained, however that is said.

        Only then must a passage reach the end of its source: with other gates the tracked source time means little.
        """
        scale = self.model.gate_scale(gate_scale)
        trained = all(factor == 1 for pair in scale.into(modality) for factor in pair)
        return None if trained else scale

    def _segment(self, modality: Modality, ids: Sequence[int]) -> Segment:
        tower = self.model.config.tower(modality)
        return Segment(modality, (tower.begin_id, *ids, tower.end_id))

    def _text(self, steps: Sequence[Step]) -> str:
        """Text of the tokens so far."""
        return readable(self.text_tokenizer.decode([step.id for step in without_end(steps)]))

    def _steps(
        self,
        prompt: Sequence[Segment],
        modality: Modality,
        options: SamplingOptions,
        clock: Clock,
        gate_scale: Gates = None,
        score_function: ScoreFunction | None = None,
    ) -> Iterator[Step]:
        """Tokens of one passage; LimitError as soon as one comes later than the clock allows."""
        options = replace(options, deadline_seconds=clock.passage_seconds())
        for step in generate(
            self.model, prompt, [modality], options, gate_scale=gate_scale, score_function=score_function
        ):
            if step.stop_reason == "deadline":
                raise clock.late()
            yield step

    def _passage(self, given: PassageInput, steps: Sequence[Step], direction: Direction, gate_scale: Gates) -> Passage:
        generated: Modality = "text" if direction == "text_from_speech" else "speech"
        heads = alignment_heads(self.heads, direction, self.model)
        return make_passage(given, steps, direction, heads, gates_into(self.model, generated, gate_scale))

    def _sound(
        self, codes: npt.NDArray[np.int64], voice: str, seed: int, clock: Clock, delivery: Delivery = AS_GENERATED
    ) -> Generator[None, None, Samples]:
        """Sound of speech tokens; after each second of it, the clock is looked at and whoever asks may leave."""
        pieces = [np.zeros(0, np.float32)]
        chunks = (codes[first : first + SOUND_TOKENS] for first in range(0, len(codes), SOUND_TOKENS))
        for piece in self.detokenizer.stream(chunks, voice, seed, delivery):
            clock.check()
            pieces.append(piece)
            yield None
        return np.concatenate(pieces)


def ended(steps: Sequence[Step]) -> bool:
    """Whether the model itself closed the segment."""
    return bool(steps) and steps[-1].stop_reason == "end"


def without_end(steps: Sequence[Step]) -> Sequence[Step]:
    """The same steps without the one of the end token."""
    return steps[:-1] if steps and steps[-1].stop_reason == "end" else steps
