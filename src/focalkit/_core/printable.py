"""Texts of others, made harmless where they are shown."""

from __future__ import annotations

import re

#: Control characters, those that turn the direction of the text around them, and halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """``text`` with its control characters written out: they must not act where it is shown."""
    return _CONTROL.sub(lambda found: _escaped(found.group()), text)


def _escaped(sign: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(
        sign, f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"
    )
