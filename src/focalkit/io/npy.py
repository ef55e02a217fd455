"""Arrays in .npy and .npz files, read row by row: nothing is mapped, so a file that shrinks meanwhile is an error.

A stored member of an .npz is read where it lies, after its checksum was verified once; a compressed one is
decompressed as it is read, which verifies it. Memory does not grow with the rows in either case.
"""

from __future__ import annotations

import errno
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io.columns import Asked, Layout, same_order
from focalkit.io.sources import File

KNOWN = ("logits", "targets", "sample_weight", "class_names", "groups", "time")
_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, TypeError, AttributeError, SyntaxError),
    *(RuntimeError, NotImplementedError, OverflowError, RecursionError),
)


class Held:
    """One array of a file: its shape and type, and its rows."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype

    #: whether rows come in their order only
    sequential = False

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """A copy of some rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""


class _Stored(Held):
    """An array that lies as it is from ``offset`` on in a file that can seek."""

    def __init__(self, stream: Any, offset: int, header: _Header, name: str) -> None:
        super().__init__(header.shape, header.dtype)
        self._stream, self._offset, self._fortran, self._name = stream, offset, header.fortran, name

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        tail = self.shape[1:]
        n = stop - start
        if self._fortran and tail:
            out = np.empty((n, math.prod(tail)), self.dtype, order="F")
            for k in range(out.shape[1]):
                out[:, k] = self._read(k * len(self) + start, n)
            return out.reshape((n, *tail), order="F")
        width = math.prod(tail)
        return self._read(start * width, n * width).reshape((n, *tail))

    def _read(self, start: int, n: int) -> NDArray[Any]:
        size = self.dtype.itemsize
        self._stream.seek(self._offset + start * size)
        return np.frombuffer(_exactly(self._stream, n * size, self._name), self.dtype)

    def close(self) -> None:
        self._stream.close()


class _Packed(Held):
    """A compressed array in C order, read from its beginning on."""

    sequential = True

    def __init__(self, stream: Any, raw: Any, header: _Header, name: str) -> None:
        super().__init__(header.shape, header.dtype)
        self._stream, self._raw, self._at, self._name = stream, raw, 0, name

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        assert start == self._at, "rows of a compressed array come in their order"
        self._at = stop
        width = math.prod(self.shape[1:])
        try:
            data = _exactly(self._stream, (stop - start) * width * self.dtype.itemsize, self._name)
            if stop == len(self):
                self._stream.read(1)  # the end of the member, where its checksum is compared
        except _ERRORS as error:
            _refuse(self._name, "npz", error)
        return np.frombuffer(data, self.dtype).reshape((stop - start, *self.shape[1:]))

    def close(self) -> None:
        self._stream.close()
        self._raw.close()


class _Loaded(Held):
    """An array in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        super().__init__(array.shape, array.dtype)
        self._array = array

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        return self._array[start:stop]


class _Header:
    """What stands at the beginning of an .npy file."""

    def __init__(self, stream: Any, size: int | None) -> None:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            message = "an array of plain numbers has version 1 or 2 of the format"
            raise ValueError(message)
        try:
            self.shape, self.fortran, self.dtype = read(stream)
        except (MemoryError, tokenize.TokenError) as error:  # of Python's parser, at a header with very many brackets
            message = "the header cannot be parsed"
            raise ValueError(message) from error
        if self.dtype.hasobject:
            message = "Object arrays cannot be loaded"
            raise ValueError(message)
        if any(n < 0 for n in self.shape):
            message = f"the header tells of the shape {self.shape}"
            raise ValueError(message)
        self.offset = stream.tell()
        n_bytes = math.prod(self.shape) * self.dtype.itemsize
        if size is not None and n_bytes > size - self.offset:
            message = f"the header tells of {n_bytes:,} bytes, of which {max(0, size - self.offset):,} are there"
            raise ValueError(message)
        self.fortran = self.fortran and len(self.shape) > 1


def open_arrays(file: File, *, verify: bool = True) -> dict[str, Held]:
    """Every known array of the file; ``verify`` compares the checksums of stored members first."""
    return _npz(file, verify) if file.format == "npz" else _npy(file)


def close(held: dict[str, Held]) -> None:
    """Let go of all of them."""
    for one in held.values():
        one.close()


def _npy(file: File) -> dict[str, Held]:
    out: dict[str, Held] = {}
    for name, path in (("logits", file.path), ("targets", file.partner)):
        one = File(path, "npy", file.url)
        stream = one.stream()
        try:
            size = stream.seek(0, 2)
            stream.seek(0)
            header = _Header(stream, size)
            out[name] = _Stored(stream, header.offset, header, one.name)
        except _ERRORS as error:
            stream.close()
            contract = "be a .npy file of a plain array"
            contracts.reject(
                "file", contract, contracts.Words(f"{one.name}: {_said(error)}"), "Write it by numpy.save."
            )
    return out


def _npz(file: File, verify: bool, known: Sequence[str] | None = KNOWN) -> dict[str, Held]:
    out: dict[str, Held] = {}
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            _all_listed(archive)
            names = [n.removesuffix(".npy") for n in archive.namelist()]
            for name in names if known is None else (n for n in known if n in names):
                out[name] = _member(file, archive, f"{name}.npy", verify)
    except (*_ERRORS, MemoryError, OSError) as error:
        close(out)
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)):
            raise
        _refuse(file.name, "npz", error)
    for name in ("logits", "targets"):
        if known is not None and name not in out:
            close(out)
            remedy = "numpy.savez(…, logits=…, targets=…)"
            contracts.reject(
                "file", f"hold an array named {name}", contracts.Words(f"{file.name} with {names}"), remedy
            )
    return out


def _all_listed(archive: zipfile.ZipFile) -> None:
    """A directory in which lengths are damaged loses members in silence: as many must be there as its end says."""
    stream = archive.fp
    assert stream is not None
    end = stream.seek(0, 2)
    stream.seek(max(0, end - (1 << 16) - 22))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    said = int.from_bytes(tail[at + 10 : at + 12], "little")
    if at >= 0 and said not in (0xFFFF, len(archive.namelist())):
        message = f"the archive's directory names {len(archive.namelist())} of its {said} arrays"
        raise zipfile.BadZipFile(message)


def _member(file: File, archive: zipfile.ZipFile, member: str, verify: bool) -> Held:
    info = archive.getinfo(member)
    stored = info.compress_type == zipfile.ZIP_STORED
    if verify and stored:
        _verified(archive, member)  # what is compressed is verified when its end is reached
    raw = file.stream()
    try:
        return _stored(raw, info, file.name) if stored else _packed(raw, info, file.name)
    except BaseException:
        raw.close()
        raise


def _stored(raw: Any, info: zipfile.ZipInfo, name: str) -> Held:
    raw.seek(info.header_offset)
    local = raw.read(30)
    if local[:4] != b"PK\x03\x04" or info.flag_bits & 1:
        message = "it is encrypted" if info.flag_bits & 1 else "the archive's directory does not fit its contents"
        raise zipfile.BadZipFile(message)
    names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    start = info.header_offset + 30 + names
    raw.seek(start)
    header = _Header(_Window(raw, start), info.file_size)
    return _Stored(raw, start + header.offset, header, name)


def _packed(raw: Any, info: zipfile.ZipInfo, name: str) -> Held:
    stream: Any = zipfile.ZipFile(raw).open(info)
    header = _Header(stream, info.file_size)
    if header.fortran or not header.shape:
        with stream, raw:
            data = stream.read()
        flat = np.frombuffer(data, header.dtype, math.prod(header.shape))
        return _Loaded(flat.reshape(header.shape, order="F" if header.fortran else "C"))
    return _Packed(stream, raw, header, name)


def verified(file: File) -> None:
    """Read a compressed .npz through, so that a damaged one is known before any of its rows is used."""
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            for name in archive.namelist():
                _verified(archive, name)
    except _ERRORS as error:
        _refuse(file.name, "npz", error)


def _verified(archive: zipfile.ZipFile, member: str) -> None:
    with archive.open(member) as stream:
        while stream.read(1 << 22):
            pass


class _Window:
    """A stream whose positions are counted from ``start``."""

    def __init__(self, stream: Any, start: int) -> None:
        self._stream, self._start = stream, start

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size))

    def tell(self) -> int:
        return int(self._stream.tell()) - self._start


def _exactly(stream: Any, n: int, name: str) -> bytes:
    data = bytes(stream.read(n))
    while len(data) < n:
        part = bytes(stream.read(n - len(data)))
        if not part:
            got = contracts.Words(f"{name}, which has become shorter")
            contracts.reject("file", "stay whole while it is read", got, "Read it again.")
        data += part
    return data


def _refuse(name: str, kind: str, error: BaseException) -> NoReturn:
    if isinstance(error, contracts.InputError):
        raise error
    got = contracts.Words(f"{name}: {_said(error)}")
    contracts.reject("file", f"be a .{kind} file of plain arrays", got, "Write it by numpy.savez.")


def _said(error: BaseException) -> str:
    text = (str(error).splitlines() or [""])[0]
    return "".join(c if c.isprintable() else "?" for c in text)[:160] or type(error).__name__


def whole(file: File) -> dict[str, NDArray[Any]]:
    """Every array of an .npz in memory; of a pair of .npy files the features as ``x`` and the labels as ``y``."""
    if file.format == "npy":
        held = dict(zip(("x", "y"), _npy(file).values(), strict=True))
    else:
        held = _npz(file, True, None)
    try:
        return {name: one.rows(0, len(one)) for name, one in held.items() if one.shape}
    finally:
        close(held)


def layout_of(arrays: dict[str, Held], asked: Asked, file: str) -> Layout:
    """Check that the arrays belong together, and say what they hold."""
    if asked.targets:
        remedy = "They hold an array named targets."
        contracts.reject("target", "be left out for .npy and .npz files", list(asked.targets), remedy)
    z, y, weight = arrays["logits"], arrays["targets"], arrays.get("sample_weight")
    link = asked.link or ("sigmoid" if len(z.shape) == 1 or z.shape[1:] == (1,) else "softmax")
    contracts.logits_array(np.empty((0,), z.dtype))
    contracts.logits_shape(link, z.shape, 1)
    beside = {"groups": asked.groups, "time": asked.time}
    for name, given in beside.items():
        if given is not None and (given != name or name not in arrays):
            contracts.reject(name, f"be the array called {name} of an .npz file", given, "Save it under this name.")
    for name, array in (("targets", y), ("sample_weight", weight), *((n, arrays[n]) for n, g in beside.items() if g)):
        if array is not None and (array.shape[0] if array.shape else 1) != len(z):
            got = contracts.Words(f"shape {array.shape}")
            remedy = "Save the arrays of the same rows."
            contracts.reject(name, f"have one entry for each of the {len(z)} rows of logits", got, remedy)
    n_classes = z.shape[1] if len(z.shape) > 1 else 1
    told = _names(arrays.get("class_names"))
    same_order(asked.classes, told)
    names = asked.classes or told
    if names and len(names) != n_classes and not (n_classes == 1 and len(names) == 2):
        contracts.reject("class_names", f"be {n_classes} names", list(names), "One per class.")
    return Layout(
        link,
        ("logits",),
        ("targets",),
        None,
        names,
        n_classes,
        True,
        probabilities=asked.probabilities,
        clip=asked.clip,
        groups=asked.groups,
        time=asked.time,
    )


def _names(held: Held | None) -> tuple[str, ...]:
    if held is None:
        return ()
    return tuple(str(n) for n in held.rows(0, len(held)).reshape(-1))


def batches(held: dict[str, Held], start: int, stop: int, step: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Rows ``start`` to ``stop`` of logits, targets and weights, ``step`` at a time."""
    names = [name for name in ("logits", "targets", "sample_weight", "groups", "time") if name in held]
    for at in range(start, stop, step):
        end = min(at + step, stop)
        yield at, {name: held[name].rows(at, end) for name in names}
