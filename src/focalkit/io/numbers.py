"""Texts that are numbers in the way people write them: marks for what is missing, separators, units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.message import Message
from focalkit.io.alerts import Alert, counted
from focalkit.io.arrow_types import filled

#: Texts that mean "missing" in any column (lower case); a minus or a point alone only among numbers.
MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "?", "\\n", "#n/a n/a", "nat"}
)
#: Texts that stand for a missing number in a column of numbers.
GAPS = MISSING | {
    *("-", "--", "—", "–", ".", "..", "...", "*", "n.d.", "n.d", "nd", "n.a.", "n.a", "k.a.", "missing", "unknown"),
    *("#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "inf/nan", "not available", "tbd"),
}
#: What the CSV reader itself may take as a missing number: the ones that need no word.
PLAIN_GAPS = ("", "NA", "NaN", "nan", "null", "NULL", "<NA>")

_PLAIN = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|infinity|nan)$", re.I)
_ARROW_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
_POINT = r"^[+-]?([1-9]\d{0,2}(,\d{3})+|[1-9]\d?(,\d{2})+,\d{3})(\.\d*)?([eE][+-]?\d+)?$"
_COMMA = r"^[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+|)(,\d+)([eE][+-]?\d+)?$|^[+-]?[1-9]\d{0,2}(\.\d{3}){2,}$"
_GROUPED = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"
_BLANKS = "\u00a0\u202f\u2009 '’"
_SPACED = rf"^[+-]?\d{{1,3}}([{_BLANKS}]\d{{3}})+([.,]\d+)?$"
_MONEY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|CNY)"
#: What may stand beside a number: its name, how it looks, and what is left of it.
_SIGNS = (
    ("mark.currency", rf"^([+-]?)\s*{_MONEY}\s*([-+]?[\d.,])", r"\1\2"),
    ("mark.currency", rf"([\d.,])\s*{_MONEY}$", r"\1"),
    ("mark.per_cent", r"([\d.,])\s*[%‰]$", r"\1"),
    ("mark.comparison", r"^(?:[<>≤≥~≈]=?)\s*([-+]?[\d.,])", r"\1"),
    ("mark.brackets", r"^\(([\d.,]+)\)$", r"-\1"),
)
#: Share of a column's known values that must be numbers.
NEARLY_ALL = 0.9


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a text is a number with this decimal mark (thousands may be separated by the other one)."""
    if _PLAIN.match(cell):
        return True
    if decimal == ",":
        return bool(re.match(_COMMA, cell))
    return "," in cell and bool(re.match(_POINT, cell))


def to_number(cell: str, decimal: str = ".") -> float:
    """The number that a text is with this decimal mark; see :func:`is_number`."""
    if _PLAIN.match(cell):
        return float(cell)
    if decimal == ",":
        return float(cell.replace(".", "").replace(",", "."))
    return float(cell.replace(",", ""))


@dataclass(frozen=True)
class Mended:
    """A text column read as numbers (float64, NaN where missing), or why not; and what is to be said."""

    values: NDArray[np.float64] | None
    alerts: tuple[Alert, ...] = ()


def mend(encoded: Any, name: str, decimal: str = ".") -> Mended:
    """Read a dictionary-encoded Arrow array of texts as numbers where nearly all of it is.

    Parameters
    ----------
    encoded : pyarrow.DictionaryArray
    name : str
        Of the column.
    decimal : {".", ","}
        Decimal mark of the file.
    """
    import pyarrow
    from pyarrow import compute

    raw = encoded.dictionary
    if not len(raw):
        return Mended(None)
    indices = filled(encoded.indices, -1)
    counts = np.bincount(indices[indices >= 0], minlength=len(raw))
    text = compute.utf8_trim_whitespace(raw.cast(pyarrow.string()))
    text = compute.replace_substring_regex(text, "^'(.*)'$", r"\1")
    text = compute.replace_substring_regex(text, "[\u2212\u2013]", "-")
    gap = np.asarray(compute.is_in(compute.utf8_lower(text), pyarrow.array(sorted(GAPS))))
    # a quick no for what is plainly text: no digit in most values
    digits = np.asarray(compute.match_substring_regex(text, r"\d"))
    known = counts[~gap].sum()
    if not known or counts[~gap & digits].sum() < 0.5 * known:
        return Mended(None)
    bare, marks = _bare(text)
    point = _matches(bare, _ARROW_PLAIN) | _matches(bare, _POINT)
    comma = _matches(bare, r"^[+-]?\d+([eE][+-]?\d+)?$") | _matches(bare, _COMMA)
    n_point, n_comma = (int(counts[m & ~gap].sum()) for m in (point, comma))
    grouped = _matches(bare, _GROUPED)
    by_comma = n_comma > n_point or (n_comma == n_point and decimal == "," and bool(grouped.any()))
    fits = (comma if by_comma else point) & ~gap
    n = int(counts[fits].sum())
    if n < NEARLY_ALL * known:
        if n >= 0.5 * known:
            strays = {raw[int(i)].as_py(): int(counts[i]) for i in np.flatnonzero(~fits & ~gap)}
            values = {"name": name, "n": n, "n_rows": int(known), "words": counted(strays, 3)}
            return Mended(None, (Alert("partly_numbers", values),))
        return Mended(None)
    plain = compute.replace_substring_regex(bare, "[.]" if by_comma else ",", "")
    plain = compute.replace_substring(plain, ",", ".") if by_comma else plain
    number = compute.if_else(pyarrow.array(fits), plain, None).cast(pyarrow.float64())
    table = np.append(filled(number, np.nan), np.nan)
    alerts = []
    lost = {raw[int(i)].as_py(): int(counts[i]) for i in np.flatnonzero(~fits) if raw[int(i)].as_py() not in PLAIN_GAPS}
    if lost:
        alerts.append(Alert("number_with_gaps", {"name": name, "words": counted(lost)}))
    used = fits & (counts > 0)
    if by_comma and decimal != ",":
        marks.append(Message("mark.decimal_commas"))
    elif not by_comma and (_matches(bare, _POINT) & used).any():
        only = bool((grouped | _matches(bare, r"^[+-]?\d+$"))[used].all())
        if only:
            alerts.append(Alert("thousands_or_decimal", {"name": name, "mark": ","}))
        else:
            marks.append(Message("mark.thousands"))
    if marks:
        alerts.append(Alert("number_marks", {"name": name, "marks": marks}))
    return Mended(table[indices], tuple(alerts))


def _bare(text: Any) -> tuple[Any, list[Message]]:
    """Texts without currencies, per cent signs, a common unit, comparison signs; and what was taken off."""
    from pyarrow import compute

    marks = []
    for what, pattern, instead in _SIGNS:
        changed = compute.replace_substring_regex(text, pattern, instead)
        if not changed.equals(text) and Message(what) not in marks:
            marks.append(Message(what))
        text = changed
    spaced = compute.match_substring_regex(text, _SPACED)
    if compute.any(spaced).as_py():
        text = compute.if_else(spaced, compute.replace_substring_regex(text, f"[{_BLANKS}]", ""), text)
        marks.append(Message("mark.blanks"))
    unit = compute.extract_regex(text, r"[\d.,]\s+(?P<u>[A-Za-zµ°/]+)$")
    units = [u["u"] for u in unit.to_pylist() if u]
    if units and len(set(units)) == 1 and len(units) > 0.5 * len(text):
        text = compute.replace_substring_regex(text, r"\s+" + re.escape(units[0]) + "$", "")
        marks.append(Message("mark.unit", unit=units[0]))
    return text, marks


def _matches(text: Any, pattern: str) -> NDArray[np.bool_]:
    from pyarrow import compute

    return np.asarray(compute.match_substring_regex(text, pattern).fill_null(False))
