"""Reading from and writing to a shell: standard input and output, pipes, and bytes that are no UTF-8."""

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zipper import limits
from zipper.errors import AudioError, LimitError, StorageError, TextError
from zipper.files import save

STANDARD = "-"  # as the name of a file: standard input or output
BLOCK = 1 << 20  # bytes copied at a time


def flows(name: str) -> bool:
    """Whether a name is that of a pipe or a device, which can be read once and is never replaced."""
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):  # ValueError: a null byte
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def argument_text(given: str) -> str:
    """A text from the command line, or from standard input for `-`; bytes that are no UTF-8 are read as Latin-1."""
    if given == STANDARD:
        return _decoded(_standard_text())
    return _decoded(os.fsencode(given)) if any("\udc80" <= c <= "\udcff" for c in given) else given


@contextmanager
def recording(name: str) -> Iterator[Path]:
    """The path of a recording: the file itself, or a copy of what comes from standard input, a pipe or a device."""
    if not name:
        raise AudioError("The name of the recording is empty.")
    if name != STANDARD and not flows(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="zipper-") as folder:
        path = Path(folder) / ("standard input" if name == STANDARD else Path(name).name)
        try:
            if name == STANDARD:
                _copy(_standard_input(), path)
            else:
                with Path(name).open("rb") as source:
                    _copy(source, path)
        except OSError as error:
            raise StorageError(f"{path.name} could not be copied: {error.strerror}.") from error
        yield path


def write(data: bytes | str, output: str | None) -> None:
    """Write a result to a file or, for None and `-`, to standard output. Raises StorageError."""
    if output not in (None, STANDARD):
        save(str(output), data.encode() if isinstance(data, str) else data)
        return
    try:
        if isinstance(data, str):
            sys.stdout.write(_printable(data, sys.stdout.encoding or "utf-8"))
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again as it exits
        if not isinstance(error, BrokenPipeError):  # that is a reader, such as head, which has seen enough
            raise StorageError(f"Could not write the output: {error.strerror}.") from error


def tell(message: str) -> None:
    """One line on standard error, whatever the message holds."""
    print(f"zipper: {' '.join(message.split())}", file=sys.stderr)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise TextError("Standard input is closed.")
    return sys.stdin.buffer


def _standard_text() -> bytes:
    data = _standard_input().read(limits.MAX_TYPED_BYTES + 1)
    if len(data) > limits.MAX_TYPED_BYTES:
        raise LimitError(f"At most {limits.MAX_TYPED_BYTES:,} bytes of text are read from standard input.")
    return data


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _copy(source: BinaryIO, path: Path) -> None:
    """At most as much as may be read from a file; LimitError for more."""
    if source.isatty():
        raise AudioError("Standard input is a terminal, not a recording: give a file, or pipe one in.")
    size = 0
    with path.open("wb") as target:
        while block := source.read(BLOCK):
            size += len(block)
            if size > limits.MAX_FILE_BYTES:
                raise LimitError(f"{path.name} is larger than {limits.MAX_FILE_BYTES // 1024**2} MB, the most allowed.")
            target.write(block)


def _printable(text: str, encoding: str) -> str:
    """A text with what an encoding lacks written as JSON does, so that nothing is lost and JSON stays JSON."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return "".join(c if _fits(c, encoding) else json.dumps(c)[1:-1] for c in text)


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
        return True
    except UnicodeEncodeError:
        return False
