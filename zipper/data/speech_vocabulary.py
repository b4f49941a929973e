"""The vocabulary of the speech tower: the codes of the quantizer, then the begin and the end of speech."""

from dataclasses import dataclass

from zipper.model.config import TowerConfig


@dataclass(frozen=True)
class SpeechVocabulary:
    """Ids of `codes` speech codes (0 .. codes - 1) and of the two special tokens behind them."""

    codes: int

    @classmethod
    def of_tower(cls, config: TowerConfig) -> "SpeechVocabulary":
        """The vocabulary that a speech tower was made for."""
        return cls(min(config.begin_id, config.end_id))

    @property
    def begin_id(self) -> int:
        """Id of the begin of speech, which follows the codes."""
        return self.codes

    @property
    def end_id(self) -> int:
        """Id of the end of speech."""
        return self.codes + 1

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.codes + 2

    @property
    def specials(self) -> tuple[int, int]:
        """Begin and end."""
        return self.begin_id, self.end_id
