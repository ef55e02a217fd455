"""Columns of an Arrow batch as logits, targets and weights; rows that cannot be used are named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.io.arrow_types import filled, plain
from focalkit.io.columns import Layout, is_number

IGNORE_INDEX = -100
#: A target that is not there; its row is left out, or with independent columns the entry is.
MISSING_TARGET = np.iinfo(np.int64).min
_MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
#: Words for the two classes of one logit.
_NEGATIVE = frozenset({"false", "no", "n", "f", "negative", "neg", "off", "-1"})
_POSITIVE = frozenset({"true", "yes", "t", "positive", "pos", "on"}) | {"y"}


class Predicted(NamedTuple):
    """A piece of a file; ``row`` numbers its rows in the file from 1 (None: one after the other from ``first``)."""

    logits: NDArray[Any]
    targets: NDArray[Any]
    sample_weight: NDArray[Any] | None
    first: int = 1
    row: NDArray[np.int64] | None = None
    #: a number for the group of each row, and its time
    group: NDArray[np.uint64] | None = None
    time: NDArray[np.float64] | None = None

    def row_of(self, i: Any) -> Any:
        """Number in the file of row ``i``."""
        return self.first + i if self.row is None else self.row[i]


#: Told of unusable rows: file, number of the first, what is wrong, how to say it, and how many there are; raises unless
#: such rows are to be left out.
Complain = Callable[[str, str, str, str, int], None]


def convert(
    batch: Any,
    layout: Layout,
    file: str,
    first: int,
    key: str = "",
    row: NDArray[np.int64] | None = None,
) -> tuple[Predicted, list[str] | None]:
    """Logits (n, n_classes), targets and weights of one batch, and the texts of its targets where some are no class."""

    def named(name: str) -> Any:
        ((_, column),) = plain(name, batch.column(name))
        return column

    where = first if row is None else row
    if layout.listed:
        z = _listed(named(layout.logits[0]), layout.n_classes, file, where)
    else:
        z = _stack([_numbers(named(name)) for name in layout.logits], batch.num_rows)
    texts = None
    if layout.key is not None:
        one = class_id(key, layout)
        ids = np.full(len(z), one, np.int64)
        if one == -1:
            _reject_id(repr(key), f"the folder {layout.key}={key} of {file}", layout)
        y = ids[:, None] if layout.link == "sigmoid" else ids
    elif not layout.targets:
        y = np.zeros(z.shape if layout.link == "sigmoid" else len(z), np.int64)
    elif layout.target_listed:
        y = _listed(named(layout.targets[0]), layout.n_classes, file, where, "targets")
    else:
        pairs = [_targets(named(name), layout) for name in layout.targets]
        texts = pairs[0][1]
        y = pairs[0][0] if len(pairs) == 1 and layout.link == "softmax" else np.stack([p[0] for p in pairs], axis=1)
    w = None if layout.weight is None else _numbers(named(layout.weight))
    group = None if layout.groups is None else group_numbers(named(layout.groups))
    time = None if layout.time is None else times(named(layout.time), layout.time, file, where)
    return Predicted(z, y, w, first, row, group, time), texts


def group_numbers(values: Any) -> NDArray[np.uint64]:
    """A hash of each row's group, the same in every file; 0 for a row without one, which is a group of its own."""
    import pyarrow

    if isinstance(values, np.ndarray):
        values = pyarrow.array(values)
    encoded = values.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    digests = [hashlib.blake2b(str(word).encode(), digest_size=8).digest() for word in words]
    numbers = np.append(np.frombuffer(b"".join(digests), "<u8").astype(np.uint64), np.uint64(0))
    return np.asarray(numbers[filled(encoded.indices, len(words))])


#: Dates that are told apart row by row: which of day and month comes first is never guessed.
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y")


def times(values: Any, name: str, file: str, where: Any) -> NDArray[np.float64]:
    """Times of rows as numbers: numbers, times, or texts that are numbers or dates."""
    import pyarrow
    from pyarrow import compute

    if isinstance(values, np.ndarray):
        values = pyarrow.array(values)
    kind, read = values.type, None
    if pyarrow.types.is_temporal(kind):
        read = values.cast(pyarrow.timestamp("us")) if not pyarrow.types.is_time(kind) else values
        read = read.cast(pyarrow.int64())
    elif pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind):
        read = values
    elif pyarrow.types.is_string(kind):
        text = compute.utf8_trim_whitespace(values)
        try:
            read = text.cast(pyarrow.float64())
        except pyarrow.ArrowInvalid:
            forms = (compute.strptime(text, format=form, unit="us", error_is_null=True) for form in _DATES)
            found = next((dates for dates in forms if dates.null_count == values.null_count), None)
            read = None if found is None else found.cast(pyarrow.int64())
    if read is None:
        got = contracts.Words(f"{values[0].as_py()!r} in {file}")
        contracts.reject(f"time {name!r}", "hold numbers or dates", got, "Write dates as 2026-11-29.")
    out = np.asarray(read.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    if np.isnan(out).any():
        at = int(np.isnan(out).argmax())
        row = where + at if isinstance(where, int) else where[at]
        got = contracts.Words(f"none in row {row} of {file}")
        contracts.reject(f"time {name!r}", "have a value in every row", got, "Mend or drop the row.")
    return out


def _stack(columns: list[NDArray[Any]], n: int) -> NDArray[Any]:
    dtype = np.float32 if all(c.dtype.itemsize <= 4 for c in columns) else np.float64
    table = np.empty((len(columns), n), dtype)
    for row, values in zip(table, columns, strict=True):
        row[:] = values
    return table.T


def _numbers(column: Any) -> NDArray[Any]:
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        return values  # type: ignore[no-any-return]
    return values.astype(np.float64)  # type: ignore[no-any-return]


def _listed(column: Any, width: int, file: str, first: Any, what: str = "logits") -> NDArray[Any]:
    import pyarrow
    from pyarrow import compute

    def refuse(row: int, got: str) -> None:
        contract = f"be lists of {width} numbers"
        number = first + row if isinstance(first, int) else first[row]
        contracts.reject(
            what, contract, contracts.Words(f"{got} in row {number} of {file}"), "Every row needs one for each class."
        )

    t = pyarrow.types
    value = column.type.value_type
    if not (t.is_integer(value) or t.is_floating(value) or t.is_decimal(value)):
        got = contracts.Words(f"{column.type} in {file}")
        contracts.reject(what, f"be lists of {width} numbers", got, "Write one number for each class.")
    if column.null_count:
        refuse(int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))), "nothing")
    if t.is_fixed_size_list(column.type):
        if column.type.list_size != width:
            refuse(0, f"{column.type.list_size} numbers")
    else:
        lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            row = int(np.argmax(lengths != width))
            refuse(row, f"{int(lengths[row])} numbers")
    values = column.flatten()
    if t.is_decimal(value) or (what == "logits" and not t.is_floating(value)):
        values = values.cast(pyarrow.float64())
    array = values.to_numpy(zero_copy_only=False)
    if what == "targets" and array.dtype.kind == "f" and not (array % 1).any():
        array = array.astype(np.int64)
    return array.reshape(len(column), width)  # type: ignore[no-any-return]


def _targets(column: Any, layout: Layout) -> tuple[NDArray[Any], list[str] | None]:
    """Class ids (-1: not one), or soft sigmoid targets; and the texts they came from."""
    import pyarrow

    kind = column.type
    if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind)):
        encoded = column.cast(pyarrow.string()).dictionary_encode()
        texts = [str(t) for t in encoded.dictionary.to_pylist()]
        indices = filled(encoded.indices, len(texts)).astype(np.int64)
        known = np.array([class_id(text.strip(), layout) for text in texts] + [MISSING_TARGET], np.int64)
        wrong = (known[:-1] == -1).any()
        return known[indices], [*(texts[i] if i < len(texts) else "" for i in indices)] if wrong else None
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        gone = np.isnan(values)
        soft = layout.link == "sigmoid" and bool(np.all((values >= 0) & (values <= 1)) and np.any(values % 1))
        if soft:
            return values, None
        whole = np.where(values == np.floor(values), values, -2)
        values = np.where(gone | ~(np.abs(whole) < 2.0**63), -2, whole).astype(np.int64)
        values[gone] = MISSING_TARGET
    elif values.dtype.kind == "u":  # what no int64 holds must not come round as ignore_index
        values = np.where(values > np.iinfo(np.int64).max, -2, values.astype(np.int64))
    elif values.dtype.kind != "i":
        values = np.array([MISSING_TARGET if v is None else int(v) for v in values], np.int64)
    ids = np.asarray(values).astype(np.int64, copy=False)
    if layout.link == "sigmoid" and (ids == -1).any() and not (ids == 0).any():
        ids = np.where(ids == -1, 0, ids)
    numbered = _numbered(layout)
    if numbered is None:
        return ids, None
    out = np.full(len(ids), -1, np.int64)
    for i, number in enumerate(numbered):
        out[ids == number] = i
    return np.where((ids == IGNORE_INDEX) | (ids == MISSING_TARGET), ids, out), None


def _numbered(layout: Layout) -> list[float] | None:
    """The numbers that the classes are called by, where these are not 0, 1, 2 and so on."""
    if layout.link != "softmax" or not layout.classes or not all(is_number(name) for name in layout.classes):
        return None
    values = [float(name) for name in layout.classes]
    return None if values == list(range(len(values))) else values


def class_id(text: str, layout: Layout) -> int:
    """A class's number from its name, its column's name or its number; -1 for none of them."""
    n_classes = 2 if layout.link == "sigmoid" else layout.n_classes
    if layout.link == "softmax":
        for names in (layout.classes, layout.logits if layout.named and not layout.listed else ()):
            if text in names:
                return names.index(text)
    elif len(layout.classes) == 2 and layout.n_classes == 1 and text in layout.classes:
        return layout.classes.index(text)
    word = text.lower()
    if word in _MISSING:
        return MISSING_TARGET
    if layout.link == "sigmoid" and word in _NEGATIVE | _POSITIVE:
        return int(word in _POSITIVE)
    if not is_number(text):
        return -1
    number = float(text)
    if number == IGNORE_INDEX:
        return IGNORE_INDEX
    numbered = _numbered(layout)
    if numbered is not None:
        return numbered.index(number) if number in numbered else -1
    return int(number) if number in range(n_classes) else -1


def _reject_id(got: str, where: str, layout: Layout) -> None:
    top = 1 if layout.link == "sigmoid" else layout.n_classes - 1
    contract = f"be class ids 0 to {top} or {IGNORE_INDEX} for ignored"
    if layout.link == "softmax":
        contract += (
            ", or names of logit columns" if not layout.listed else ", or names given by class_names= (--classes)"
        )
    elif layout.n_classes == 1:
        contract += ", or two names, the negatives' first, given by class_names= (--classes)"
    contracts.reject(
        "targets",
        contract,
        contracts.Words(f"{got} in {where}"),
        "Name the target's column by targets=, or mend the value.",
    )


def checked(p: Predicted, layout: Layout, file: str, complain: Complain, texts: list[str] | None = None) -> Predicted:
    """The batch without unusable rows: each is complained about, which raises unless they may be left out."""
    y = p.targets
    if layout.link == "softmax" and y.ndim == 2:
        y = _from_one_hot(p, file)
    bad = np.zeros(len(p.logits), bool)
    if y.dtype.kind in "iu":
        top = 2 if layout.link == "sigmoid" else layout.n_classes
        wrong = (y != IGNORE_INDEX) & ((y < 0) | (y >= top))
        if wrong.any():
            bad |= wrong if wrong.ndim == 1 else wrong.any(axis=1)
            row = int(np.argmax(bad))
            value = int(np.atleast_2d(y.T)[:, row][np.atleast_2d(wrong.T)[:, row]][0])
            text = repr(texts[row]) if texts and texts[row] else repr(str(value))
            try:
                _reject_id(text, f"row {p.row_of(row)} of {file}", layout)
            except contracts.InputError as error:
                complain(file, str(p.row_of(row)), Message("damage.target", text=text), str(error), int(bad.sum()))
    bad |= _no_log_odds(p, y, layout, file, complain)
    if p.sample_weight is not None:
        light = ~(p.sample_weight >= 0) | ~np.isfinite(p.sample_weight)
        if light.any():
            row = int(np.argmax(light))
            got = contracts.Words(f"{p.sample_weight[row]} in row {p.row_of(row)} of {file}")
            message = f"sample_weight must be finite and not negative; got {got}."
            complain(file, str(p.row_of(row)), Message("damage.weight"), message, int(light.sum()))
            bad |= light
    if not bad.any():
        return p._replace(targets=y)
    return kept(p._replace(targets=y), ~bad)


def kept(p: Predicted, keep: NDArray[np.bool_]) -> Predicted:
    """Some rows of a batch, with their numbers."""
    weight = None if p.sample_weight is None else p.sample_weight[keep]
    row = np.asarray(p.row_of(np.flatnonzero(keep)), np.int64)
    group, time = None if p.group is None else p.group[keep], None if p.time is None else p.time[keep]
    return Predicted(p.logits[keep], p.targets[keep], weight, p.first, row, group, time)


def without_missing(p: Predicted, texts: list[str] | None = None) -> tuple[Predicted, list[str] | None, int]:
    """The rows that have a target, and how many have none; of independent columns the entry alone is then ignored."""
    y = p.targets
    if y.dtype != np.int64 or not (gone := y == MISSING_TARGET).any():
        return p, texts, 0
    if y.ndim > 1 and y.shape[1] > 1:
        return p._replace(targets=np.where(gone, IGNORE_INDEX, y)), texts, int(gone.sum())
    keep = ~gone.reshape(len(y))
    if texts is not None:
        texts = [text for text, stays in zip(texts, keep.tolist(), strict=True) if stays]
    return kept(p, keep), texts, int(gone.sum())


def _no_log_odds(p: Predicted, y: NDArray[Any], layout: Layout, file: str, complain: Complain) -> NDArray[np.bool_]:
    z = p.logits
    with np.errstate(all="ignore"):
        if np.isfinite(z.sum()):
            return np.zeros(len(z), bool)
        wrong = np.isnan(z) | np.isposinf(z)
    if y.ndim == 1 and y.dtype.kind in "iu":
        wrong |= (y[:, None] == np.arange(z.shape[1])) & np.isneginf(z)
    elif y.ndim == 2 and y.shape == z.shape:
        wrong |= (y > 0) & np.isneginf(z)
    bad: NDArray[np.bool_] = wrong.any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        column = int(wrong[row].argmax())
        name = repr(layout.logits[column]) if not layout.listed else str(column)
        value = z[row, column]
        kind = "no_number" if np.isnan(value) else "inf" if value > 0 else "minus_inf"
        where = f"{Message(f'damage.{kind}')} in row {p.row_of(row)}, column {name} of {file}"
        remedy = "Leave the row out, or mend the model's output."
        message = f"logits must be finite numbers; got {where}. {remedy}"
        complain(file, str(p.row_of(row)), Message(f"damage.{kind}"), message, int(bad.sum()))
    return bad


def _from_one_hot(p: Predicted, file: str) -> NDArray[Any]:
    """Class ids where every row of the targets holds a single 1; probabilities stay as they are."""
    y = p.targets
    if np.all((y == 0) | (y == 1)):
        several = y.sum(axis=1) != 1
        if several.any():
            row = int(several.argmax())
            got = contracts.Words(f"{int(y[row].sum())} ones in row {p.row_of(row)} of {file}")
            contracts.reject("targets", "be one-hot", got, "For independent classes use link='sigmoid'.")
        return np.asarray(y.argmax(axis=1))
    return y.astype(np.float64)
