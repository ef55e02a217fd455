"""What reading a file found out or decided, as data: an id and its values; the catalogues say it (``alert.{id}``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from focalkit._core.message import Finding, Message


class Alert(Finding):
    """One finding about the data: a stable ``id``, and the plain numbers, strings and lists that are said of it."""

    kind: ClassVar[str] = "alert"


def say(alert: Alert) -> Message:
    """The sentence of an alert; it keeps its key and values, for other languages."""
    return alert.message


def counted(words: dict[str, int], most: int = 5) -> list[tuple[str, int]]:
    """The most frequent of these words, with how often each occurs."""
    return sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def names_said(names: Sequence[str], most: int = 6) -> list[str]:
    """The first names of many."""
    return [*names[:most], *(["…"] if len(names) > most else [])]
