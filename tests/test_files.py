"""Where results are written: links are followed, modes kept, devices and pipes written, and the rest refused."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from zipper.errors import StorageError
from zipper.files import save

ROOT = Path(__file__).parents[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Sets the umask for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_a_new_file_honors_the_umask(tmp_path: Path, umask) -> None:
    for mask, expected in ((0o077, 0o600), (0o022, 0o644), (0o002, 0o664)):
        umask(mask)
        assert mode(save(tmp_path / f"{mask}.txt", b"x")) == expected


@pytest.mark.parametrize("kept", [0o640, 0o600, 0o666, 0o755])
def test_a_file_keeps_its_mode(tmp_path: Path, umask, kept: int) -> None:
    umask(0o077)
    path = tmp_path / "a.txt"
    path.write_bytes(b"old and longer")
    path.chmod(kept)
    save(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == kept


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, chain = tmp_path / "real" / "a.txt", tmp_path / "link", tmp_path / "chain"
    target.write_bytes(b"old")
    link.symlink_to(target)
    chain.symlink_to("link")
    save(chain, b"new")
    assert chain.is_symlink() and link.is_symlink() and target.read_bytes() == b"new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to("real/b.txt")
    save(dangling, b"made")
    assert dangling.is_symlink() and (tmp_path / "real" / "b.txt").read_bytes() == b"made"


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(StorageError):
        save(loop, b"x")


def test_both_names_of_a_file_are_written(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old and longer")
    second.hardlink_to(first)
    save(first, b"new")
    assert second.read_bytes() == b"new" and first.samefile(second)


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"precious")
    path.chmod(0o444)
    with pytest.raises(StorageError, match="may not be written") as told:
        save(path, b"new")
    assert path.read_bytes() == b"precious" and str(told.value).endswith("written.")


def test_a_pipe_is_written_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    save(pipe, b"x" * 200_000)  # more than a pipe holds at once
    reader.join(30)
    assert read == [b"x" * 200_000] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_is_written_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    save(link, b"x")
    assert link.is_symlink() and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(StorageError, match="No space left"):
        save("/dev/full", b"x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_in_a_file_is_added_to(tmp_path: Path, name: str) -> None:
    """As `{ echo before; zipper … -o /dev/stdout; echo after; } > file`; through a link, as a fault may replace it."""
    link, out = tmp_path / "link", tmp_path / "out"
    link.symlink_to("/proc/self/fd/1")
    target = str(link) if name == "link" else name
    if name == "/dev/stdout":
        link = Path(name)
        assert link.is_symlink()
    code = "import sys; from zipper.files import save; save(sys.argv[1], b'result\\n')"
    with out.open("wb") as stream:
        stream.write(b"before\n")
        stream.flush()
        subprocess.run([sys.executable, "-c", code, target], cwd=ROOT, stdout=stream, check=True)
        subprocess.run(["echo", "after"], stdout=stream, check=True)
    assert out.read_bytes() == b"before\nresult\nafter\n" and link.is_symlink()


@pytest.mark.parametrize("path", ["missing/a.txt", "a.txt/b.txt", ".", "a\0b", "n" * 300])
def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"file")
    with pytest.raises(StorageError, match=r"^Could not save .*\.$"):
        save(tmp_path / path, b"x")
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_long_names_and_foreign_bytes_are_no_obstacle(tmp_path: Path) -> None:
    for name in ("\u4f60" * 80 + ".txt", os.fsdecode(b"caf\xe9.txt")):
        assert save(tmp_path / name, b"x").read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 2
