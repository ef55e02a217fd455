"""The catalogues, one a language, and how a message is said.

To add a message: a key in ``en.py`` and the same key in ``zh_cn.py`` with the same fields. ``Message(key, **values)``
says it, or ``word(key, language, **values)``. A field may name a format of :mod:`focalkit.report.format`:
``{share:percent}``, ``{names:names}``; so values stay raw. A ``Finding(id, values)`` is the message ``finding.{id}``,
an ``Alert`` is ``alert.{id}``. Keys that begin with ``js.`` go to the page's script, without that. Tests hold keys and
fields of both equal, and every key used.

To add a section: a function that returns a ``Section`` (:mod:`focalkit.report.sections`) in ``report/diagnose.py`` or
``report/tune.py`` and its place in that file's ``sections``; the terminal and the page draw it alike.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from focalkit._core.message import Finding, Message
from focalkit.report.format import FORMATS, entries, spaced
from focalkit.report.messages import en, zh_cn

CATALOGUES: dict[str, dict[str, str]] = {"en": en.MESSAGES, "zh-CN": zh_cn.MESSAGES}
LANGUAGES = tuple(CATALOGUES)


class _Speaker(string.Formatter):
    """``str.format`` whose fields may name a format, and whose values may be messages themselves."""

    def __init__(self, language: str) -> None:
        self.language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in FORMATS:
            return FORMATS[format_spec](value, self.language)
        if isinstance(value, (list, tuple)):
            return entries(value, self.language)
        if isinstance(value, (str, Finding)):
            value = say(value, self.language)
        return str(format(value, format_spec))

    def vformat(self, format_string: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The text; in Chinese with a blank between a character and a Latin word, and none beside its punctuation."""
        if self.language != "zh-CN":
            return super().vformat(format_string, args, kwargs)
        text = ""
        for literal, name, spec, conversion in self.parse(format_string):
            text = spaced(text, literal)
            if name is not None:
                value = self.convert_field(self.get_field(name, args, kwargs)[0], conversion)
                text = spaced(text, self.format_field(value, spec or ""))
        return text


_SPEAKERS = {language: _Speaker(language) for language in LANGUAGES}


def phrase(key: str, language: str, values: Mapping[str, Any]) -> str:
    """The text of ``key`` with its fields filled in."""
    form = CATALOGUES[language][key]
    return _SPEAKERS[language].vformat(form, (), values) if "{" in form else form


def word(key: str, language: str = "en", **values: Any) -> str:
    """The text of ``key`` with its ``values``."""
    return phrase(key, language, values)


def say(thing: str | Finding, language: str = "en") -> str:
    """A message or a finding in ``language``; any other text is as it is."""
    if isinstance(thing, (Message, Finding)):
        return thing.said(language)
    return str(thing)


def script(language: str) -> dict[str, str]:
    """What the page's script says."""
    return {key[3:]: text for key, text in CATALOGUES[language].items() if key.startswith("js.")}
