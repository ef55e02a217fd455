"""In which encoding the bytes of a text are, and the text."""

from __future__ import annotations

import codecs
import re

from focalkit._core import contracts


def encoding_of(head: bytes, name: str = "file") -> str:
    """UTF-8 where it is that, by marks at the beginning UTF-16 or UTF-32, and otherwise a code page by its bytes."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    n_null = head.count(0)
    if n_null:
        if n_null > len(head) // 4:
            return "utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"
        contracts.reject(
            "file",
            "be text",
            contracts.Words(f"{name} with bytes of value 0"),
            "Is it a CSV file? Arrays go into .npz.",
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    if _mostly_utf8(head):
        return "utf-8"
    if sum(head.count(c) for c in range(32) if c not in (9, 10, 12, 13)) > len(head) // 1000:
        contracts.reject(
            "file",
            "be text",
            contracts.Words(f"{name} with control characters"),
            "Is it a CSV file? Arrays go into .npz.",
        )
    # a code page of one byte: é, ü, ñ stand beside letters; Chinese of GB 2312 always comes in pairs of high bytes, and
    # nearly always in those of marks and of the usual words, as öß of a code page does not
    high = re.findall(rb"[\x80-\xff]+", head)
    pairs = all(len(run) % 2 == 0 and all(0xA1 <= b <= 0xFE for b in run) for run in high[:-1] or high)
    first = [b for run in high for b in run[::2]]
    if pairs and sum(b < 0xD8 for b in first) > 0.7 * len(first):
        return "gb18030"
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _mostly_utf8(head: bytes) -> bool:
    """Whether nearly all lines with high bytes are UTF-8: then the others are damaged, not of another encoding."""
    lines = [line for line in head.split(b"\n")[:-1] if not line.isascii()]
    good = 0
    for line in lines:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            continue
        good += 1
    return good > 0.9 * len(lines)


def decoded(head: bytes, encoding: str, name: str, whole: bool) -> str:
    """The text, or as much of it as its first bytes hold whole; without a mark at the beginning."""
    try:
        # damaged lines are told where they are read, and have as many bytes here as there
        lenient = "surrogateescape" if encoding == "utf-8" else "strict"
        text = codecs.getincrementaldecoder(encoding)(lenient).decode(head, final=whole)
    except UnicodeError as error:  # UTF-16 without a mark at its beginning is no UnicodeDecodeError
        where = f"a byte at {error.start:,} that is none" if isinstance(error, UnicodeDecodeError) else str(error)
        got = contracts.Words(f"{name}, with {where}")
        contracts.reject("file", f"be {encoding} text", got, "Say which by encoding=, e.g. latin-1, cp1252, gb18030.")
    return text.removeprefix("\ufeff")
