"""Errors of handlers: a sentence for people, and the whole of it in the log."""

import re
import tempfile
from typing import Any

import gradio as gr
import pytest

from app.errors import guarded
from app.settings import ROOT
from zipper.errors import AudioError, StorageError


@pytest.mark.parametrize("name", ["plain", "generator"])
def test_errors_become_sentences(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> None:
        raise error

    def fail_later(error: Exception) -> Any:
        yield 1
        raise error

    def call(error: Exception) -> gr.Error:
        with pytest.raises(gr.Error) as raised:
            guarded(fail)(error) if name == "plain" else list(guarded(fail_later)(error))
        return raised.value

    folder = tempfile.gettempdir()
    assert call(AudioError(f"There is no file {folder}/gradio/abc/clip.wav.")).message == "There is no file clip.wav."
    assert call(StorageError(f"Could not save {ROOT}/x.wav: full.")).message == "Could not save x.wav: full."
    assert "&lt;img" in call(AudioError("<img src=x> is empty.")).message
    assert call(AudioError("a")).print_exception is False
    own = gr.Error("mine")
    assert call(own) is own
    told = call(ValueError(f"secret {ROOT}"))
    number = re.search(r"noted as (\w+)", told.message)
    assert number and "secret" not in told.message
    assert number[1] in caplog.text and "secret" in caplog.text  # where somebody can look it up


def test_a_guarded_generator_is_closed_with_its_work() -> None:
    closed = []

    def work() -> Any:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    running = guarded(work)()
    assert next(running) == 1
    running.close()
    assert closed == [True]
