"""Sentences that remember how they were made, so that a report can say them in another language."""

from __future__ import annotations

from typing import Any


class Sentence(str):
    """``form.format(**values)``, a string like any other, with both kept."""

    form: str
    values: dict[str, Any]

    def __new__(cls, form: str, **values: Any) -> Sentence:
        made = super().__new__(cls, form.format(**values))
        made.form, made.values = form, values
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.form, self.values)


def _again(form: str, values: dict[str, Any]) -> Sentence:
    return Sentence(form, **values)
