"""Speed and pitch of synthesized speech, and how long it is at a speed."""

from dataclasses import dataclass

from zipper.rates import VOCODER_HOP, VOCODER_SAMPLES_PER_TOKEN


@dataclass(frozen=True)
class Delivery:
    """How tokens are spoken.

    speed: 1 as generated, 2 in half the time; a hundredth is the finest step, so that positions are exact. pitch: in
    semitones above or below what the network predicts.
    """

    speed: float = 1.0
    pitch: float = 0.0

    @property
    def percent(self) -> int:
        """The speed in hundredths."""
        return round(self.speed * 100)

    @property
    def pitch_factor(self) -> float:
        """By which F0 is multiplied."""
        return float(2 ** (self.pitch / 12))


AS_GENERATED = Delivery()


def samples_of(tokens: int, delivery: Delivery = AS_GENERATED) -> int:
    """Samples that so many tokens take at 22.05 kHz: 882 each at speed 1."""
    return -(-tokens * VOCODER_SAMPLES_PER_TOKEN * 100 // delivery.percent)


def frames_of(tokens: int, delivery: Delivery = AS_GENERATED) -> int:
    """Mel frames that cover so many tokens."""
    return -(-samples_of(tokens, delivery) // VOCODER_HOP)
