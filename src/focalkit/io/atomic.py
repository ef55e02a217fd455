"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path``, then rename it: nothing is ever half-written.

    A file that is there keeps its permissions; a new one gets those that the process's umask leaves. What is no
    regular file (a pipe, a terminal, ``/dev/stdout``) is written to and not replaced.
    """
    path = path.resolve()
    try:
        before = path.stat()
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with path.open("wb") as stream:
            stream.write(content)
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    # made by open itself, so that the umask, which is the whole process's, need not be asked for by changing it
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if before is not None:
                os.chmod(temporary, stat.S_IMODE(before.st_mode))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_text(path: Path, content: str) -> None:
    """UTF-8 text, written as :func:`write_bytes` does."""
    write_bytes(path, content.encode("utf-8"))
