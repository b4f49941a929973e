"""Byte-level BPE: any text in, the same text out, and no unknown token."""

import os
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from zipper.errors import WeightsError

FILE_NAME = "text_tokenizer.json"
BEGIN, END = "<begin>", "<end>"
SPACE = "Ġ"  # how the byte alphabet writes a space; it opens the first piece of a word


class TextTokenizer:
    """Text to piece ids and back. Ids 0 and 1 are the begin and the end of a segment; `encode` adds neither."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
        if begin is None or end is None:
            raise WeightsError(f"The text tokenizer has no {BEGIN} and {END}; it belongs to another model.")
        self._tokenizer = tokenizer
        self.begin_id, self.end_id = begin, end
        self.vocab_size: int = tokenizer.get_vocab_size()

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> "TextTokenizer":
        """Read text_tokenizer.json of a model folder; raises WeightsError."""
        path = Path(folder) / FILE_NAME
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a missing and for a broken file
            raise WeightsError(f"{path.name} is missing or is not a tokenizer; fetch the model files again.") from error
        return cls(tokenizer)

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int) -> "TextTokenizer":
        """Learn the merges from text."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=[BEGIN, END], initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(lines, trainer)
        return cls(tokenizer)

    def save(self, folder: Path) -> None:
        """Write text_tokenizer.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(folder / FILE_NAME))

    def encode(self, text: str) -> list[int]:
        """Piece ids; the text gains a leading space, so that a word is the same at the start and inside."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of piece ids, without the leading space; begin and end are left out."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)).removeprefix(" ")

    def piece(self, token: int) -> str:
        """How one token is shown; bytes of a split character are shown as in the byte alphabet."""
        piece = self._tokenizer.id_to_token(int(token))
        return "" if piece is None else piece.replace(SPACE, " ")

    def starts_word(self, token: int) -> bool:
        """True when a token opens a new word."""
        piece = self._tokenizer.id_to_token(int(token))
        return piece is not None and piece.startswith(SPACE)

    def with_dropout(self, share: float) -> "TextTokenizer":
        """A copy that skips each merge with this probability (BPE dropout, Provilkov et al. 2020)."""
        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.model.dropout = share
        return TextTokenizer(copy)
