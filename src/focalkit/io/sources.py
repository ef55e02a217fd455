"""What paths, folders, globs and URLs name: files, each with its format, compression and partition keys."""

from __future__ import annotations

import glob
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from focalkit._core import contracts
from focalkit.io._streams import Answered, Decompressed, decompressing, filesystem, opened, told

#: What a file is, by its ending.
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".arrows": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npz": "npz",
    ".npy": "npy",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".arff": "arff",
    ".xlsx": "xlsx",
    ".xls": "xlsx",
    ".xlsb": "xlsx",
    ".ods": "xlsx",
}
#: How a file is compressed, by its ending.
COMPRESSED = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst", ".zip": "zip"}
_MAGIC_OF = (
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
)
#: Files that hold no table: how they begin, what they are, what to do.
_FOREIGN = (
    (b"\x80\x02", "a pickle", "Save the arrays by numpy.savez, or the table by to_parquet."),
    (b"\x80\x03", "a pickle", "Save the arrays by numpy.savez, or the table by to_parquet."),
    (b"\x80\x04", "a pickle", "Save the arrays by numpy.savez, or the table by to_parquet."),
    (b"\x80\x05", "a pickle", "Save the arrays by numpy.savez, or the table by to_parquet."),
    (b"\x89HDF", "an HDF5 file", "Save the table by to_parquet, or the arrays by numpy.savez."),
    (b"SQLite format", "an SQLite database", "Save the table as CSV or Parquet."),
    (b"%PDF", "a PDF document", "Save the table as CSV."),
    (b"ORC", "an ORC file", "Save the table as Parquet."),
    (b"Obj\x01", "an Avro file", "Save the table as Parquet."),
    (b"MATLAB 5.0", "a MATLAB file", "Save the arrays by numpy.savez."),
    (b"$FL2", "an SPSS file", "Save the table as CSV."),
    (b"<stata_dta>", "a Stata file", "Save the table as CSV."),
    *(
        (bytes([version, order, 1, 0]), "a Stata file", "Save the table as CSV.")
        for version in (113, 114, 115)
        for order in (1, 2)
    ),
    (bytes(12) + b"\xc2\xea\x81\x60", "a SAS file", "Save the table as CSV."),
    (b"HEADER RECORD*******", "a SAS file", "Save the table as CSV."),
    (b"RDX", "an R data file", "Save the table by write.csv."),
    (b"{\\rtf", "a text document", "Save the table as CSV."),
    (b"<!DOCTYPE", "a web page", "Save the table as CSV."),
    (b"<html", "a web page", "Save the table as CSV."),
    (b"<table", "a web page", "Save the table as CSV."),
    (b"\x89PNG", "a picture", "Give CSV, Parquet, Arrow, JSON or .npz."),
    (b"GIF8", "a picture", "Give CSV, Parquet, Arrow, JSON or .npz."),
    (b"\xff\xd8\xff", "a picture", "Give CSV, Parquet, Arrow, JSON or .npz."),
)
_PYTORCH = "torch.load it, then numpy.savez('p.npz', logits=logits.numpy(), targets=targets.numpy())."
_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.I)
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class File:
    """One file: where it is, what it is, how it is compressed, and the ``key=value`` folders it lies in."""

    path: str
    format: str
    url: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    partner: str = ""
    compression: str = ""
    member: str = ""

    @property
    def name(self) -> str:
        """Its name without the folders."""
        return self.member or self.path.rsplit("/", 1)[-1] or self.path

    def stream(self) -> Any:
        """Open for reading, decompressed."""
        raw = self._raw()
        if self.compression:
            try:
                with decompressing(self):
                    return Decompressed(opened(raw, self), raw, self)
            except BaseException:
                raw.close()
                raise
        return raw

    def _raw(self) -> Any:
        if not self.url:
            return Path(self.path).open("rb")
        with told(self.url):
            return Answered(filesystem(self.url)[0].open(self.path, "rb"), self.url)

    def arrow(self) -> Any:
        """The same as an Arrow file, which can seek."""
        import pyarrow

        if self.compression:
            return pyarrow.PythonFile(_unpacked(self.stream()), mode="r")
        if self.url:
            stream = self.stream()
            if not stream.seekable():
                stream = io.BytesIO(stream.read())
            return pyarrow.PythonFile(stream, mode="r")
        return pyarrow.OSFile(self.path)


@contextmanager
def in_utf8(file: File) -> Iterator[None]:
    """Arrow takes names and texts for UTF-8 without a look; here they become text."""
    try:
        yield
    except UnicodeDecodeError as error:
        got = contracts.Words(f"{file.name} with {bytes(error.object[:20])!r}")
        contracts.reject("file", "hold its names and texts in UTF-8", got, "Write it again.")


def find(words: tuple[str, ...]) -> tuple[File, ...]:
    """Every file the words name, each once, in the words' order and sorted inside a folder or glob."""
    found: list[File] = []
    for word in words:
        some = _at_url(word) if _URL.match(word) else _local(word)
        if not some:
            contracts.reject(
                "file", "name at least one file", word, "No file there has a known ending or fits the glob."
            )
        found += [file for file in some if file not in found]
    return _paired(found)


def _unpacked(stream: Any) -> Any:
    """A temporary file without a name: Arrow seeks in it, and the checksum, which ends the other, was compared."""
    with stream:
        out = tempfile.TemporaryFile()
        try:
            shutil.copyfileobj(stream, out, 1 << 22)
        except BaseException:
            out.close()
            raise
    out.seek(0)
    return out


def recognised(file: File) -> File:
    """The file as its first bytes tell; what holds no table is refused by its name."""
    with file.stream() as stream:
        head = stream.read(4096)
    for magic, kind in _MAGIC_OF:
        if head.startswith(magic):
            if file.compression:
                _refuse_nested(file)
            return recognised(replace(file, compression=kind))
    if head.startswith(b"PAR1"):
        return replace(file, format="parquet")
    if head.startswith((b"ARROW1", b"FEA1")) or head[:4] == b"\xff\xff\xff\xff":
        return replace(file, format="ipc")
    if head.startswith(b"\x93NUMPY") and file.format != "npz":
        return replace(file, format="npy")
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(file)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return replace(file, format="xlsx")
    for magic, what, remedy in _FOREIGN:
        if head.startswith(magic):
            remedy = _PYTORCH if file.path.endswith((".pt", ".pth", ".ckpt")) else remedy
            contracts.reject("file", "hold a table", contracts.Words(f"{file.name}, {what}"), remedy)
    called = {"parquet": "Parquet", "ipc": "Arrow", "npz": ".npz", "npy": ".npy", "xlsx": "Excel"}.get(file.format)
    if called:
        got = contracts.Words(f"{file.name}, which does not begin as one")
        contracts.reject("file", f"be a whole {called} file", got, "Write it again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if file.format == "csv":
        if re.match(rb"(?i)@relation\b", text) or (text[:1] == b"%" and re.search(rb"(?im)^@relation\b", text)):
            return replace(file, format="arff")
        if re.match(rb"\{\s*\"", text):
            return replace(file, format="jsonl")
    if file.format == "json" and re.match(rb"\{[^\n]*\}\s*\n\s*\{", text):
        return replace(file, format="jsonl")
    return file


def _refuse_nested(file: File) -> NoReturn:
    contracts.reject("file", "hold a table", contracts.Words(f"{file.name}, an archive in an archive"), "Unpack it.")


def _of_zip(file: File) -> File:
    """A zip archive is a workbook, arrays, a PyTorch file, or one table in a box."""
    if file.compression:
        _refuse_nested(file)
    with file.stream() as stream:
        try:
            names = [n for n in zipfile.ZipFile(stream).namelist() if not n.endswith("/")]
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            if file.format == "npz":
                return file
            contracts.reject(
                "file", "be a whole .zip file", contracts.Words(f"{file.name}: {error}"), "Write it again."
            )
    if any(n.startswith("xl/") or n == "content.xml" for n in names):
        return replace(file, format="xlsx")
    if any(n.endswith("data.pkl") for n in names):
        contracts.reject("file", "hold a table", contracts.Words(f"{file.name}, a PyTorch file"), _PYTORCH)
    if names and all(n.endswith(".npy") for n in names):
        return replace(file, format="npz")
    if any(n.startswith("word/") for n in names):
        contracts.reject(
            "file", "hold a table", contracts.Words(f"{file.name}, a text document"), "Save the table as CSV."
        )
    seen = [n for n in names if not _hidden(n) and not n.startswith("__MACOSX")]
    tables = [n for n in seen if Path(n).suffix.lower() in FORMATS] or seen
    if len(tables) != 1:
        got = contracts.Words(f"{file.name}, a zip archive of {len(tables)} tables ({', '.join(tables[:3])})")
        contracts.reject("file", "hold one table", got, "Unpack it, and name a table or the folder.")
    inside = replace(file, compression="zip", member=tables[0], format=_file(tables[0]).format)
    return recognised(inside)


def _local(word: str) -> list[File]:
    path = Path(word)
    if path.is_dir():
        inside = (p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path).as_posix()))
        return [_file(str(p)) for p in sorted(inside) if _known(p)]
    if not path.exists() and _MAGIC.search(word):
        return [_file(p) for p in sorted(glob.glob(word, recursive=True)) if Path(p).is_file()]
    if path.is_file():
        return [_file(word)]
    if path.exists() or word == "-":
        remedy = "A table is read more than once: write what the pipe gives to a file first (... > table.csv)."
        contracts.reject("file", "be a file or a folder, no pipe and no device", word, remedy)
    contracts.reject("file", "be an existing file", word, "Check the path.")


def _at_url(word: str) -> list[File]:
    try:
        system, path = filesystem(word)
    except ModuleNotFoundError:
        raise
    except (ImportError, ValueError) as error:
        contracts.reject("file", "be a URL that fsspec opens", word, f"{error}".splitlines()[0])
    with told(word):
        paths = _paths_at(system, path)
    return [_file(p, word) for p in paths]


def _paths_at(system: Any, path: str) -> list[str]:
    if _MAGIC.search(path):
        return sorted(system.glob(path))
    if "http" in system.protocol:
        return [path]  # whether it is there is asked when it is opened
    if system.isdir(path):
        return [p for p in sorted(system.find(path)) if _known(Path(p)) and not _hidden(p)]
    return [path] if system.exists(path) else []


#: What Hugging Face's save_to_disk writes beside the tables, and what others do.
_BESIDE = {"state.json", "dataset_info.json", "dataset_dict.json", "_metadata.json"}


def _known(path: Path) -> bool:
    """Whether a file in a folder is one of its tables."""
    if path.name.lower() in _BESIDE:
        return False
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    return bool(suffixes) and (suffixes[-1] in FORMATS or (suffixes[-1] in COMPRESSED and suffixes[0] in FORMATS))


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _file(path: str, url: str = "") -> File:
    keys = tuple((k, v) for k, v in re.findall(r"(?:^|/)([^/=]+)=([^/]*)(?=/)", path.replace("\\", "/")))
    suffixes = [s.lower() for s in Path(path.split("?")[0]).suffixes[-2:]]
    packed = COMPRESSED.get(suffixes[-1], "") if suffixes else ""
    if packed:
        suffixes.pop()
    packed = "" if packed == "zip" else packed  # its members are looked up when it is opened
    return File(path, FORMATS.get(suffixes[-1] if suffixes else "", "csv"), url, keys, "", packed)


def _paired(files: list[File]) -> tuple[File, ...]:
    """Logits and targets in .npy files come as pairs, in this order."""
    arrays = [file for file in files if file.format == "npy"]
    if len(arrays) % 2:
        contracts.reject(
            "file",
            "name .npy files in pairs, logits first, then targets",
            [file.name for file in arrays],
            "E.g. focalkit diagnose logits.npy targets.npy",
        )
    pairs = iter([File(a.path, "npy", a.url, a.keys, b.path) for a, b in zip(arrays[::2], arrays[1::2], strict=True)])
    out = []
    for file in files:
        if file.format != "npy":
            out.append(file)
        elif file in arrays[::2]:
            out.append(next(pairs))
    return tuple(out)
