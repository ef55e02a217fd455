"""Streams of bytes: decompressed, or from somebody's server, with errors that name the file."""

from __future__ import annotations

import bz2
import errno
import gzip
import importlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from sys import getrefcount
from time import monotonic, sleep
from typing import Any, NoReturn, Protocol

from focalkit._core import contracts, extras


class Packed(Protocol):
    """A file as far as it matters here."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def compression(self) -> str:
        """How it is compressed."""
        ...

    @property
    def member(self) -> str:
        """Which file of an archive is meant."""
        ...


def need(package: str, what: str, extra: str | None = "io") -> Any:
    """Import an optional package, or say what to install."""
    with extras.need(package, what, extra):
        return importlib.import_module(package)


def opened(raw: Any, file: Packed) -> Any:
    if file.compression == "gz":
        return gzip.GzipFile(fileobj=raw)
    if file.compression == "bz2":
        return bz2.BZ2File(raw)
    if file.compression == "xz":
        return lzma.LZMAFile(raw)
    if file.compression == "zst":
        pyarrow = need("pyarrow", "reading .zst", "tune")
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd")
    return zipfile.ZipFile(raw).open(file.member)


_BROKEN = (EOFError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, NotImplementedError)


@contextmanager
def decompressing(file: Packed) -> Iterator[None]:
    """What cannot be decompressed is no whole file."""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, contracts.InputError):
            raise
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        refuse_packed(file, error)


class Decompressed(io.RawIOBase):
    """A decompressed stream whose errors name the file."""

    def __init__(self, stream: Any, raw: Any, file: Packed) -> None:
        super().__init__()
        self._stream, self._raw, self._file = stream, raw, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.compression != "zst"

    def read(self, size: int = -1, /) -> bytes:
        with decompressing(self._file):
            return bytes(self._stream.read(None if size < 0 and self._file.compression == "zst" else size))

    def readinto(self, buffer: Any, /) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        with decompressing(self._file):  # forward it reads
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._raw.close()
        super().close()


def refuse_packed(file: Packed, error: BaseException) -> NoReturn:
    text = str(error) or type(error).__name__
    if "password" in text or "encrypted" in text:
        contracts.reject(
            "file", "be readable", contracts.Words(f"{file.name}, which is encrypted"), "Decrypt it first."
        )
    contracts.reject(
        "file", f"be a whole .{file.compression} file", contracts.Words(f"{file.name}: {text}"), "Write it again."
    )


class Answered:
    """A file that somebody's server sends: what it answers wrongly is told in one line."""

    def __init__(self, stream: Any, url: str) -> None:
        self._stream, self._url = stream, url

    def read(self, size: int = -1) -> bytes:
        with told(self._url):
            if size is not None and size < 0:
                return self._all()
            return bytes(self._stream.read(size))

    def _all(self) -> bytes:
        """Everything, if it ends: a server may send for ever."""
        parts, n = [], 0
        while part := self._stream.read(1 << 22):
            parts.append(part)
            n += len(part)
            if getattr(self._stream, "size", None) is None and n > MOST_UNANNOUNCED:
                got = contracts.Words(f"{self._url}, which has sent {n >> 30} GiB without saying how much there is")
                contracts.reject("file", "have an end", got, "Download it first.")
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0) -> int:
        with told(self._url):
            return int(self._stream.seek(offset, whence))

    def seekable(self) -> bool:
        return bool(self._stream.seekable()) and getattr(self._stream, "size", 0) is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Answered:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


#: Bytes that are read into memory from a server that does not say how many there are.
MOST_UNANNOUNCED = 1 << 32


class told:
    """Errors of a server, or of its file system, in one line; errors of this machine as they are."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (contracts.InputError, MemoryError, ImportError, KeyboardInterrupt)):
            return
        if isinstance(error, FileNotFoundError):  # as fsspec says of whatever was answered
            error = error.__cause__ or error
        status = getattr(error, "status", None)
        if isinstance(error, FileNotFoundError) or status in (404, 410):
            contracts.reject("file", "be an existing file", self._url, "Check the address.")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENOMEM):
            return
        if isinstance(error, Exception):
            what = (str(error).splitlines() or [""])[0][:100] if status is None else ""
            what = f"status {status}" if status else f"{type(error).__name__}{': ' + what if what else ''}"
            got = contracts.Words(f"{self._url} ({what})")
            contracts.reject("file", "be a URL that answers", got, "Check the address, or download the file first.")


#: For how many seconds a server may say nothing; it may send for as long as it likes.
SILENT_SECONDS = 60


def filesystem(url: str) -> tuple[Any, str]:
    """Fsspec's file system of a URL, and the path there."""
    fsspec, options = need("fsspec", "reading URLs"), {}
    if url.startswith(("http://", "https://")):
        aiohttp = need("aiohttp", "reading from a web server", None)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=SILENT_SECONDS)
        usual = fsspec.config.conf.get(url.partition(":")[0], {}).get("client_kwargs", {})
        options = {"client_kwargs": {"timeout": timeout, **usual}}
    system, path = fsspec.core.url_to_fs(url, **options)
    return system, path


def first_line(error: BaseException) -> str:
    """An error's first line, without bytes that no terminal shows; where it tells of want of memory, MemoryError."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    if re.search("launch worker thread|allocate memory|alloc of size", text):
        raise MemoryError(text) from error
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


class Lent:
    """A stream that Arrow's threads hold for a moment longer than the call, and blocks of it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._blocks: list[bytes | bytearray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read(self, size: int = -1, /) -> bytes | bytearray:
        """A block that nobody but Arrow has, so that its references tell whether Arrow holds it."""
        block = self.stream.read(size)
        if getrefcount(block) > 2:  # by more than this function and getrefcount
            block = bytearray(block)
        self._blocks = [*self.held(), block]
        return block  # type: ignore[no-any-return]

    def held(self) -> list[bytes | bytearray]:
        """The blocks that Arrow has not given back: all others are held by the list, the loop and getrefcount alone."""
        return [block for block in self._blocks if getrefcount(block) > 3]


def given_back(lent: Lent, seconds: float = 1.0) -> None:
    """Wait until no thread of Arrow's holds the stream or a block of it.

    One that lets go of them while Python ends aborts the process.
    """
    until = monotonic() + seconds
    # the caller, this function and getrefcount hold the stream
    while (getrefcount(lent) > 3 or lent.held()) and monotonic() < until:
        sleep(1e-4)
