"""Saving results so that a file is either the old one, the whole new one, or an error; never half of it."""

import errno
import os
import secrets
import stat
from pathlib import Path

from zipper.errors import StorageError

ANYBODY_WRITES = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
LINKS = 40  # symbolic links followed in a row, as many as Linux does


def save(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` to ``path`` through a temporary file beside it and a rename.

    Symbolic links are followed; a file that is there keeps its mode and owner, a new one gets what the umask leaves.
    What a rename would break is written directly: a pipe, a device, ``/dev/stdout``, a file of several names or of
    another owner. Raises :class:`StorageError` for a full disk, a missing folder, and whatever may not be written.
    """
    target = Path(path)
    try:
        descriptor = _own_descriptor(target)
        if descriptor is not None:
            _write_all(descriptor, data)
            return target
        old = _status(target)
        if old is not None and not stat.S_ISREG(old.st_mode):
            _write_into(target, data, os.O_WRONLY)
            return target
        path = Path(os.path.realpath(target))
        if old is not None and not (old.st_mode & ANYBODY_WRITES and os.access(path, os.W_OK)):
            raise PermissionError(errno.EACCES, "it may not be written")
        if old is not None and not _replaceable(path, old):
            _write_into(path, data, os.O_WRONLY | os.O_TRUNC)
        else:
            _replace(path, data, old)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise StorageError(f"Could not save {target}: {reason}.") from error
    return target


def _own_descriptor(path: Path) -> int | None:
    """The open file of this process that a path such as /dev/stdout names: opening it anew would empty it."""
    folder = os.path.realpath("/dev/fd")
    for _ in range(LINKS):
        if path.name.isdecimal() and os.path.realpath(path.parent) == folder:
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _status(path: Path) -> os.stat_result | None:
    """Of what a path leads to; None where there is nothing yet."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _replaceable(path: Path, old: os.stat_result) -> bool:
    """Whether a new file can take the place of an old one without anybody noticing but by its content."""
    mine = os.geteuid() in (0, old.st_uid)
    return mine and old.st_nlink == 1 and os.access(path.parent, os.W_OK)


def _replace(path: Path, data: bytes, old: os.stat_result | None) -> None:
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    temporary = path.parent / f".zipper-{secrets.token_hex(8)}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)  # the umask applies
    try:
        try:
            _write_all(handle, data)
            if old is not None:
                if (old.st_uid, old.st_gid) != (os.fstat(handle).st_uid, os.fstat(handle).st_gid):
                    os.fchown(handle, old.st_uid, old.st_gid)
                os.fchmod(handle, mode)  # the umask does not apply
            os.fsync(handle)  # a full disk may only show here
        finally:
            os.close(handle)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_into(path: Path, data: bytes, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        _write_all(handle, data)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
