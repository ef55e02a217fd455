"""Statements as data: a key and its values, said in any language that has a catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


class Message(str):
    """The text of ``key`` with its ``values``, in English; both are kept, so that a report can say it in Chinese.

    A string like any other. The catalogues are in ``focalkit.report.messages``: the one thing above that what computes
    knows of.
    """

    key: str
    values: dict[str, Any]

    def __new__(cls, key: str, **values: Any) -> Message:
        from focalkit.report.messages import phrase

        made = super().__new__(cls, phrase(key, "en", values))
        made.key, made.values = key, values
        return made

    def said(self, language: str = "en") -> str:
        """The text in ``language``."""
        from focalkit.report.messages import phrase

        return phrase(self.key, language, self.values)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.key, self.values)


def _again(cls: type[Message], key: str, values: dict[str, Any]) -> Message:
    return cls(key, **values)


@dataclass(frozen=True)
class Finding:
    """One thing that was found out: a stable ``id`` and its figures, raw; the catalogue's ``finding.{id}`` says it.

    A kind of its own (an alert, say) is a subclass with another :attr:`kind`.
    """

    kind: ClassVar[str] = "finding"

    id: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> Message:
        """What is said of it."""
        return Message(f"{self.kind}.{self.id}", **self.values)

    def said(self, language: str = "en") -> str:
        """The sentence in ``language``."""
        return self.message.said(language)

    def __str__(self) -> str:
        return str(self.message)
