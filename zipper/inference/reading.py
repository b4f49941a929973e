"""What generation asks of a session, whatever the model, and the session of each kind of model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import singledispatch
from typing import Protocol

from torch import Tensor

from zipper.inference.session import Prediction, Session
from zipper.inference.single_session import SingleSession
from zipper.model.config import Modality
from zipper.model.cross_attention import GateScale
from zipper.model.fused import FusedModel
from zipper.model.single_decoder import SingleDecoder
from zipper.model.zipper import ZipperModel


class Reader(Protocol):
    """One request's state: what has been read, and what is predicted to follow it. Shapes as in session.py."""

    @property
    def model(self) -> FusedModel:
        """The model that reads; it holds no state itself."""

    @property
    def source_time(self) -> Tensor | None:
        """(B, 1) seconds of the source where the next token was found; None where that is not tracked."""

    def feed(self, modality: Modality, ids: Sequence[int] | Tensor) -> Prediction:
        """Read tokens, (T,) ids or a tensor (B, T), and predict what follows them."""

    def fork(self, modality: Modality, rows: Tensor) -> Reader:
        """A reader that continues some rows, (B',) int64, in the segment of `modality`."""

    def copy_rows(self, modality: Modality, moves: Sequence[tuple[int, int]]) -> None:
        """In a fork, let row t go on as a copy of row s for each (s, t), no t being another's s."""


@singledispatch
def open_session(
    model: FusedModel, modalities: Collection[Modality], gate_scale: GateScale | float | None = None
) -> Reader:
    """A session that has read nothing, for a request of these modalities. Raises OptionError for the gate scale."""
    raise TypeError(f"There is no session for {type(model).__name__}.")


@open_session.register(ZipperModel)
def _two_towers(
    model: ZipperModel, modalities: Collection[Modality], gate_scale: GateScale | float | None = None
) -> Reader:
    return Session(model, modalities, gate_scale)


@open_session.register(SingleDecoder)
def _one_decoder(
    model: SingleDecoder, modalities: Collection[Modality], gate_scale: GateScale | float | None = None
) -> Reader:
    return SingleSession(model, modalities, gate_scale)
