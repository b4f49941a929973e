"""Manifests of recordings, in folders and in tars."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from evaluation.stand_ins import RATE
from zipper.alignment.words import WordTime
from zipper.errors import DataError
from zipper.evaluation.manifest import read_recordings, spread, words_from_phones


def test_folder_tar_and_manifest_read_alike(corpus: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "corpus.tar", "w") as archive:
        archive.add(corpus, "corpus")
    lines = (corpus / "manifest.tsv").read_text(encoding="utf-8").splitlines()
    named = [line + end for line, end in zip(lines, ("\taudio", "\taudio/a.flac", "\taudio/b.flac"), strict=True)]
    (corpus / "named.tsv").write_text("\n".join(named), encoding="utf-8")
    first, *others = [read_recordings(p) for p in (corpus, tmp_path / "corpus.tar", corpus / "named.tsv")]
    for other in others:
        assert [(r.id, r.text, r.words) for r in other] == [(r.id, r.text, r.words) for r in first]
        assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, other, strict=True))
    assert [len(r.samples) for r in first] == [RATE, RATE]
    assert first[0].words[1] == WordTime("there", 0.5, 0.9)
    assert [w.word for w in first[1].words] == ["hi", "all."]
    assert len(read_recordings(corpus, limit=1)) == 1


def test_a_limit_spreads_over_the_manifest() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(10), 99) == spread(range(10), None) == list(range(10))


def test_phones_that_do_not_pair_up_with_words_give_no_times() -> None:
    assert words_from_phones(["5", "of", "us"], [("f", 0.1), ("I", 0.1), (" ", 0.05), ("ʌ", 0.1)]) == ()


def test_bad_manifests_are_one_clear_error(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "empty.tsv").write_text("id\ttext\n")
    (tmp_path / "other.tsv").write_text("name\nx\n")
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with tarfile.open(tmp_path / "bare.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("x.txt"), io.BytesIO())
    for path in (tmp_path / "none", *tmp_path.glob("*.tsv"), *tmp_path.glob("*.tar")):
        with pytest.raises(DataError):
            read_recordings(path)
    (corpus / "manifest.tsv").write_text("id\ttext\twords\na\tHello\t[1]\n")
    with pytest.raises(DataError, match="word times of a"):
        read_recordings(corpus)
