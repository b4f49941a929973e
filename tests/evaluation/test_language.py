"""Perplexity of the text tower."""

import math
import shutil
from pathlib import Path

import pytest
import torch

from evaluation.stand_ins import Letters
from zipper.errors import DataError
from zipper.evaluation import cli, language
from zipper.model import checkpoint
from zipper.model.single_decoder import extended
from zipper.model.zipper import ZipperModel


def test_perplexity_matches_a_plain_loop_and_the_fused_model(model: ZipperModel) -> None:
    lines = ["hello there", "a", "long " * 150]
    with torch.no_grad():
        for name, parameter in model.zips.named_parameters():
            parameter.add_(torch.randn_like(parameter))  # a fused model that was trained
            assert name
    result = language.evaluate_language(model, Letters(), lines)
    nll, count = 0.0, 0
    for line in lines:
        ids = [0, *Letters().encode(line), 1]
        for start in range(0, len(ids) - 1, language.MAX_TOKENS):
            part = torch.tensor([ids[start : start + language.MAX_TOKENS + 1]])
            with torch.no_grad():
                log = model.text(part).log_softmax(-1)[0]
            nll -= float(log[:-1].gather(1, part[0, 1:, None]).sum())
            count += part.shape[1] - 1
    assert result.identical
    assert (result.tokens, result.words) == (count, 153)
    assert result.perplexity_token == result.fused_perplexity_token
    assert result.perplexity_token == pytest.approx(math.exp(nll / count), rel=1e-3)
    assert result.perplexity_word == pytest.approx(math.exp(nll / 153), rel=1e-3)


def test_a_text_tower_that_was_changed_is_noticed(model: ZipperModel) -> None:
    other = ZipperModel(model.config).eval().text
    assert not language.evaluate_language(model, Letters(), ["hello"], other).identical


def test_text_files_plain_and_compressed(tmp_path: Path) -> None:
    import lzma

    (tmp_path / "a.txt").write_text("one\n\n two \nthree\n")
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"one\ntwo\nthree"))
    assert language.read_lines(tmp_path / "a.txt") == language.read_lines(tmp_path / "a.txt.xz")
    assert language.read_lines(tmp_path / "a.txt", 1) == ["one"]
    (tmp_path / "b.txt.xz").write_bytes(b"not compressed")
    (tmp_path / "c.txt").write_text("\n")
    for name in ("b.txt.xz", "c.txt", "none.txt"):
        with pytest.raises(DataError):
            language.read_lines(tmp_path / name)


def test_a_model_that_does_not_keep_its_text_is_measured_and_not_refused(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A single decoder may lose some of its text; a Zipper whose text tower is another one is an error."""
    folder = shutil.copytree(model_folder, tmp_path / "assets")
    tower = checkpoint.load_zipper(folder / "zipper").text
    single = extended(tower, 18, 16, 17)
    with torch.no_grad():
        tower.blocks[0].ff.down.weight += 1.0
    checkpoint.save_tower(tower, tmp_path / "tower")
    (tmp_path / "lines.txt").write_text("Hello there, how are you today?\nIt was a dark night.\n")
    command = ["text", str(tmp_path / "lines.txt"), "--model", str(folder), "--tower", str(tmp_path / "tower")]
    assert cli.main(command) == 2
    assert "differ from the text tower's" in capsys.readouterr().err
    checkpoint.save(single, folder / "zipper")
    assert cli.main(command) == 0
    assert "False" in capsys.readouterr().out
