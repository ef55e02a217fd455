"""ARFF (Weka, OpenML, KEEL): its header gives the names, its data are comma-separated."""

from __future__ import annotations

import re

from focalkit._core import contracts
from focalkit.io.code_pages import encoding_of
from focalkit.io.dialect import HEAD, Dialect
from focalkit.io.sources import File

_ATTRIBUTE = re.compile(r"(?i)^\s*@attribute\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s{]+)\s*(.*)$")


def dialect(file: File) -> Dialect:
    """Names and where the data begin."""
    with file.stream() as stream:
        head = b""
        while b"@data" not in head.lower() and (part := stream.read(HEAD)):
            head += part
    encoding = encoding_of(head, file.name)
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    names: list[str] = []
    start, lines = None, 0
    position = 0
    for line in text.splitlines(keepends=True):
        position += len(line.encode())
        lines += 1
        word = line.strip().lower()
        if found := _ATTRIBUTE.match(line):
            names.append(found[1].strip("'\""))
        elif word.startswith("@data"):
            start = position
            break
    if start is None or not names:
        contracts.reject(
            "file",
            "be a whole ARFF file",
            contracts.Words(f"{file.name} without @attribute and @data"),
            "Write it again.",
        )
    rest = text[len(text.encode()[:start].decode()) :]
    first = next((line for line in rest.splitlines() if line.strip() and not line.startswith("%")), "")
    if first.lstrip().startswith("{"):
        contracts.reject(
            "file",
            "be dense ARFF",
            contracts.Words(f"{file.name}, which is sparse"),
            "Write every value, or save it as CSV.",
        )
    return Dialect(encoding, ",", ".", tuple(names), True, start, lines, quote="'")
