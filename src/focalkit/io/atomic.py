"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path``, then rename it: nothing is ever half-written.

    A file that is there keeps its permissions; a device, a pipe or a socket is written to and stays what it is.
    """
    path = path.resolve()
    with naming(path):
        _write(path, content, _status(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the system, whatever file it is about, names this one: that of a full disk names none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == str(path):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _write(path: Path, content: bytes, there: os.stat_result | None) -> None:
    if there is not None and not stat.S_ISREG(there.st_mode):
        with open(path, "wb") as stream:
            stream.write(content)
        return
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    # the system takes the umask off: asking for it would open it for other threads. A private file is never open.
    mode = 0o666 if there is None else 0o600
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if there is not None:
                _take_over(temporary, there)
            stream.flush()
            os.fsync(stream.fileno())  # the name must not go over to it before what it holds is on the disk
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_text(path: Path, content: str) -> None:
    """UTF-8 text, written as :func:`write_bytes` does."""
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def check_writable(path: Path) -> None:
    """Raise OSError where ``path`` cannot be written, before the work whose result it is to hold; it stays as it is."""
    path = path.resolve()
    there = _status(path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    if there is None or stat.S_ISREG(there.st_mode):
        trial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
        with naming(path):
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(trial)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _take_over(temporary: Path, there: os.stat_result) -> None:
    """Give the new file the owner, where that may be done, and the permissions of the old one."""
    now = os.stat(temporary)
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (there.st_uid, there.st_gid):
        with contextlib.suppress(OSError):
            os.chown(temporary, there.st_uid, there.st_gid)
    os.chmod(temporary, stat.S_IMODE(there.st_mode))
