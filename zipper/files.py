"""Saving results so that a file is either the old one, the whole new one, or an error; never half of it."""

import os
import stat
import tempfile
from pathlib import Path

from zipper.errors import StorageError


def save(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` to ``path`` through a temporary file in the same folder and a rename.

    A pipe or device (``/dev/stdout``) is written directly. Raises :class:`StorageError` for a full disk, a
    missing folder or one that may not be written.
    """
    target = Path(path)
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb", buffering=0) as stream:
                _write_all(stream.fileno(), data)
        else:
            _replace(target, data)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"Could not save {target}: {reason}.") from error
    return target


def _replace(target: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".tmp", dir=target.parent)
    try:
        try:
            _write_all(handle, data)
            os.fsync(handle)  # a full disk may only show here
            os.fchmod(handle, 0o644)  # mkstemp's 0600 would surprise whoever shares the folder
        finally:
            os.close(handle)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
