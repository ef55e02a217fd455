"""Predictions in .npy and .npz files, memory-mapped where they lie uncompressed on this machine."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io.columns import Asked, Layout
from focalkit.io.sources import File

KNOWN = ("logits", "targets", "sample_weight", "class_names")
_ERRORS = (zipfile.BadZipFile, ValueError, EOFError, KeyError, TypeError, AttributeError)


def open_arrays(file: File) -> dict[str, NDArray[Any]]:
    """Every known array of the file; large ones are read from disk as they are used."""
    return _npz(file) if file.format == "npz" else _npy(file)


def _npy(file: File) -> dict[str, NDArray[Any]]:
    out = {}
    for name, path in (("logits", file.path), ("targets", file.partner)):
        one = File(path, "npy", file.url)
        try:
            if file.url:
                with one.stream() as stream:
                    out[name] = np.load(stream, allow_pickle=False)
            else:
                out[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except _ERRORS as error:
            contracts.reject(
                "FILE", "be a .npy file of a plain array", f"{one.name}: {error}", "Write it by numpy.save."
            )
    return out


def _npz(file: File) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    try:
        with file.stream() as stream, np.load(stream, allow_pickle=False) as archive:
            names = list(archive.files)
            for name in (n for n in KNOWN if n in names):
                mapped = None if file.url else _mapped(Path(file.path), archive.zip, f"{name}.npy")
                out[name] = archive[name] if mapped is None else mapped
    except _ERRORS as error:
        contracts.reject("FILE", "be a .npz file of plain arrays", f"{file.name}: {error}", "Write it by numpy.savez.")
    for name in ("logits", "targets"):
        if name not in out:
            contracts.reject(
                "FILE",
                f"hold an array named {name}",
                f"{file.name} with {names}",
                "numpy.savez(…, logits=…, targets=…)",
            )
    return out


def _mapped(path: Path, archive: zipfile.ZipFile, member: str) -> NDArray[Any] | None:
    """A stored member as a memory map: its .npy begins behind the local header of the zip entry."""
    info = archive.getinfo(member)
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        stream.seek(info.header_offset + 30 + names)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            message = "Object arrays cannot be loaded"
            raise ValueError(message)
        if not int(np.prod(shape)):
            return None
        return np.memmap(path, dtype, "r", stream.tell(), shape, "F" if fortran else "C")


def layout_of(arrays: dict[str, NDArray[Any]], asked: Asked, file: str) -> Layout:
    """Check that the arrays belong together, and say what they hold."""
    if asked.targets:
        remedy = "They hold an array named targets."
        contracts.reject("target", "be left out for .npy and .npz files", list(asked.targets), remedy)
    z, y, weight = arrays["logits"], arrays["targets"], arrays.get("sample_weight")
    link = asked.link or ("sigmoid" if z.ndim == 1 else "softmax")
    contracts.logits_array(z[:1])
    contracts.logits_shape(link, z.shape, 1)
    for name, array in (("targets", y), ("sample_weight", weight)):
        if array is not None and len(np.atleast_1d(array)) != len(z):
            contracts.reject(
                name, f"have one entry for each of the {len(z)} rows of logits", f"shape {array.shape}", ""
            )
    n_classes = z.shape[1] if z.ndim > 1 else 1
    names = asked.classes or tuple(str(n) for n in np.asarray(arrays.get("class_names", ())).reshape(-1))
    if names and len(names) != n_classes:
        contracts.reject("class_names", f"be {n_classes} names", list(names), "One per class.")
    return Layout(link, ("logits",), ("targets",), None, names, n_classes, True, probabilities=asked.probabilities)
