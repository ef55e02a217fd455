"""What the words after ``focalkit diagnose`` name: files, folders, globs, partitioned data sets, URLs."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from focalkit._core import contracts, extras

#: What a file is, by its ending; anything else is read as CSV.
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npz": "npz",
    ".npy": "npy",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
}
_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.I)
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class File:
    """One file: where it is, what it is, and the ``key=value`` folders it lies in."""

    path: str
    format: str
    url: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    partner: str = ""

    @property
    def name(self) -> str:
        """Its name without the folders."""
        return self.path.rsplit("/", 1)[-1] or self.path

    def stream(self) -> Any:
        """Open for reading, seekable: a local memory map's worth of bytes or whatever fsspec opens."""
        if not self.url:
            return Path(self.path).open("rb")
        return _filesystem(self.url).open(self.path, "rb")

    def arrow(self) -> Any:
        """The same as an Arrow file."""
        import pyarrow

        return pyarrow.OSFile(self.path) if not self.url else pyarrow.PythonFile(self.stream(), mode="r")


def need(package: str, what: str, extra: str = "io") -> Any:
    """Import an optional package, or say what to install."""
    with extras.need(package, what, extra):
        return import_module(package)


def _filesystem(url: str) -> Any:
    return need("fsspec", "reading URLs").core.url_to_fs(url)[0]


def find(words: tuple[str, ...]) -> tuple[File, ...]:
    """Every file the words name, each once, in the words' order and sorted inside a folder or glob."""
    found: list[File] = []
    for word in words:
        some = _at_url(word) if _URL.match(word) else _local(word)
        if not some:
            contracts.reject(
                "FILE", "name at least one file", word, "No file there has a known ending or fits the glob."
            )
        found += [file for file in some if file not in found]
    return _paired(found)


def _local(word: str) -> list[File]:
    path = Path(word)
    if path.is_dir():
        inside = (p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path).as_posix()))
        return [_file(str(p)) for p in sorted(inside) if p.suffix.lower() in FORMATS]
    if not path.exists() and _MAGIC.search(word):
        return [_file(p) for p in sorted(glob.glob(word, recursive=True)) if Path(p).is_file()]
    if not path.is_file():
        contracts.reject("FILE", "be an existing file", word, "Check the path.")
    return [_file(word)]


def _at_url(word: str) -> list[File]:
    fsspec = need("fsspec", "reading URLs")
    try:
        system, path = fsspec.core.url_to_fs(word)
    except (ImportError, ValueError) as error:
        contracts.reject("FILE", "be a URL that fsspec opens", word, f"{error}".splitlines()[0])
    if _MAGIC.search(path):
        paths = sorted(system.glob(path))
    elif system.isdir(path):
        paths = [p for p in sorted(system.find(path)) if Path(p).suffix.lower() in FORMATS and not _hidden(p)]
    else:
        paths = [path] if system.exists(path) else []
    return [_file(p, word) for p in paths]


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _file(path: str, url: str = "") -> File:
    keys = re.findall(r"(?:^|/)([^/=]+)=([^/]*)(?=/)", path.replace("\\", "/"))
    return File(path, FORMATS.get(Path(path).suffix.lower(), "csv"), url, tuple((k, v) for k, v in keys))


def _paired(files: list[File]) -> tuple[File, ...]:
    """Logits and targets in .npy files come as pairs, in this order."""
    arrays = [file for file in files if file.format == "npy"]
    if len(arrays) % 2:
        contracts.reject(
            "FILE",
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
