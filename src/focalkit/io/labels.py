"""The target of a table: which texts are classes, and which mean that there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io.alerts import Alert, counted, names_said
from focalkit.io.arrow_types import filled
from focalkit.io.numbers import is_number, to_number

#: Labels that may mean "no label" (lower case); one that is a frequent word among words is a class.
_NONE = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "\\n", "nat", "-", "."})
#: The share of rows from which such a word among other words is a class, unless each of these is twice as frequent.
FREQUENT = 0.05
#: Whole numbers as classes, above which they look like a measurement.
MANY = 50
#: Classes that are named with their sizes.
MOST_SHOWN = 12


@dataclass(frozen=True)
class Labels:
    """The label of each row: ``values[codes]``, with a code of -1 where there is none."""

    codes: NDArray[np.intp]
    values: list[Any]
    alerts: list[Alert]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have a label."""
        return self.codes >= 0


def labels(column: Any, name: str, missing: Sequence[str] | None, decimal: str = ".") -> Labels:
    """Which class each row is of.

    Parameters
    ----------
    column : Arrow array of plain type
    name : str
        Of the target, for messages.
    missing : sequence of str, optional
        Texts that mean "no label"; none: every text but the empty one is a class; default: found out.
    decimal : {".", ","}
        Decimal mark of the file.
    """
    import pyarrow as pa

    kind = column.type
    if not (
        pa.types.is_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or (pa.types.is_temporal(kind) and kind != pa.month_day_nano_interval())
        or pa.types.is_null(kind)
    ):
        remedy = "Choose another column by target=."
        contracts.reject(f"target {name!r}", "hold one class for each row", contracts.Words(str(kind)), remedy)
    if not pa.types.is_string(kind):
        return _numbers(column, name)
    encoded = column.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    words = [_bare(word) for word in encoded.dictionary.to_pylist()]
    ids = filled(encoded.indices, len(words))
    counts: Counter[str] = Counter()
    for word, n in zip(words, np.bincount(ids, minlength=len(words) + 1)[:-1].tolist(), strict=True):
        counts[word] += n
    gone, alerts = _missing(counts, missing)
    kept = [word for word in counts if word not in gone]
    quoted = any(word.strip()[:1] in ("'", '"') for word in encoded.dictionary.to_pylist())
    numbers = {} if quoted else _as_numbers(kept, name, decimal)
    values: list[Any] = []
    code: dict[Any, int] = {}
    table = np.full(len(words) + 1, -1, np.intp)
    for i, word in enumerate(words):
        if word not in gone:
            label = numbers.get(word, word)
            table[i] = code.setdefault(label, len(values))
            if table[i] == len(values):
                values.append(label)
    return Labels(table[ids], values, alerts)


def _bare(word: str) -> str:
    """A word without blanks around it and without a pair of quotes."""
    word = word.strip()
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        return word[1:-1].strip()
    return word


def _missing(counts: Counter[str], asked: Sequence[str] | None) -> tuple[set[str], list[Alert]]:
    """Which of the words mean that there is no label."""
    if asked is not None:
        gone = {w for w in counts if w == "" or w in set(asked)}
        words = {w: counts[w] for w in gone if w}
        return gone, [_gone(words)] if words else []
    gone = {w for w in counts if w.lower() in _NONE or w == ""}
    others = [w for w in counts if w not in gone]
    total = sum(counts.values())
    alerts = []
    if others and not all(is_number(w) for w in others):
        for word in sorted(gone - {""}, key=lambda w: -counts[w]):
            frequent = counts[word] >= max(FREQUENT * total, min(counts[w] for w in others) / 2)
            if word.lower() not in ("nan", "<na>", "nat") and counts[word] > 1 and (frequent or len(others) == 1):
                gone.discard(word)
                alerts.append(Alert("word_as_class", {"word": word, "n": counts[word]}))
                break
    words = {w: counts[w] for w in gone if w}
    if words:
        alerts.append(_gone(words))
    return gone, alerts


def _gone(words: dict[str, int]) -> Alert:
    return Alert("missing_label_word", {"n": sum(words.values()), "words": counted(words)})


def _as_numbers(words: list[str], name: str, decimal: str) -> dict[str, int]:
    """Whole numbers for labels that are written as such; texts stay texts, also 007."""
    values: dict[str, int] = {}
    fractions = 0
    for word in words:
        if not is_number(word, decimal):
            return {}
        number = to_number(word, decimal)
        if not np.isfinite(number):
            return {}
        if number != int(number):
            fractions += 1
            continue
        if word.lstrip("+-") != "0" and word.lstrip("+-").startswith("0") and not {".", ","} & set(word):
            return {}
        values[word] = int(number)
    if fractions:
        _too_many(fractions, name)
        return {}
    return values


def _too_many(n: int, name: str) -> None:
    if n > 50:
        remedy = "The target must hold classes; choose another column by target=."
        contracts.reject(f"target {name!r}", "hold classes", contracts.Words(f"{n:,} different fractions"), remedy)


def _numbers(column: Any, name: str) -> Labels:
    """Numbers of a typed file: NaN is none, whole floats are integers."""
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return Labels(np.full(len(column), -1, np.intp), [], [])
    encoded = column.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    found = encoded.dictionary.to_pylist()
    known = [v for v in found if isinstance(v, float) and not np.isnan(v)]
    if known:
        if all(np.isfinite(v) and v == int(v) for v in known):
            found = [int(v) if isinstance(v, float) and not np.isnan(v) else v for v in found]
        else:
            _too_many(len(known), name)
    values = [v for v in found if not (isinstance(v, float) and np.isnan(v))]
    code = {v: i for i, v in enumerate(values)}
    table = np.array([*(code.get(v, -1) for v in found), -1], np.intp)
    return Labels(table[filled(encoded.indices, len(found))], values, [])


def check_classes(found: Labels, name: str) -> list[Alert]:
    """Refuse what cannot be classes; tell of classes with one row and of labels that are nearly equal."""
    codes = found.codes[found.known]
    sizes = np.bincount(codes, minlength=len(found.values)).tolist()
    counts = {value: n for value, n in zip(found.values, sizes, strict=True) if n}
    if len(counts) > max(50, len(codes) // 4):
        remedy = "The target must hold classes; choose another column by target=."
        got = contracts.Words(f"{len(counts):,} values in {len(codes):,} rows")
        contracts.reject(f"target {name!r}", "hold classes that recur", got, remedy)
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    shown: list[Any] = [(str(label), n) for label, n in ordered]
    if len(shown) > MOST_SHOWN:  # the rarest are what it is about
        shown[MOST_SHOWN - 4 : -3] = ["…"]
    alerts = [Alert("classes", {"n": len(ordered), "classes": shown})]
    single = sorted(str(label) for label, n in counts.items() if n == 1)
    if single:
        alerts.append(Alert("single_row_classes", {"n": len(single), "labels": names_said(single)}))
    if len(counts) > MANY and all(isinstance(label, int) and not isinstance(label, bool) for label in counts):
        alerts.append(Alert("many_classes", {"name": name, "n": len(counts)}))
    alike: dict[str, list[str]] = {}
    for label in counts:
        if isinstance(label, str):
            alike.setdefault(" ".join(label.casefold().replace("_", " ").split()), []).append(label)
    alerts += [Alert("near_equal_labels", {"labels": sorted(same)}) for same in alike.values() if len(same) > 1]
    return alerts
