"""Which columns of a table are logits, targets and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from focalkit._core import contracts

#: Names that a target column goes by when none is named.
TARGETS = ("target", "targets", "label", "labels", "y", "y_true", "class")
PREFIXES = ("logits_", "logit_", "logits.", "logit.", "logits", "logit", "prob_", "p_", "z_")


@dataclass(frozen=True)
class Asked:
    """What the user said about the files."""

    targets: tuple[str, ...] = ()
    logits: str | None = None
    weight: str | None = None
    link: str | None = None
    classes: tuple[str, ...] = ()
    probabilities: bool = False
    header: bool | None = None


@dataclass(frozen=True)
class Layout:
    """Columns by name; ``logits`` is one list column or one column per class, ``classes`` are their names."""

    link: str
    logits: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    classes: tuple[str, ...]
    n_classes: int
    listed: bool = False
    target_listed: bool = False
    named: bool = True
    probabilities: bool = False
    key: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are read."""
        of_file = self.targets if self.key is None else ()
        return (*self.logits, *of_file, *(() if self.weight is None else (self.weight,)))


def column(word: str, names: Sequence[str], file: str, what: str = "target") -> str:
    """A column by its name, or by its position from 0 (negative: from the end)."""
    if word in names:
        return word
    try:
        return names[int(word)]
    except (ValueError, IndexError):
        contracts.reject(what, f"be a column of {file}", word, f"Its columns: {', '.join(names)}.")


def of_schema(schema: Any, asked: Asked, file: str, keys: dict[str, str], width: int | None) -> Layout:
    """The layout of an Arrow schema; ``width`` is the length of its list column where that is not fixed."""
    import pyarrow

    names = list(schema.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        contracts.reject("FILE", "name each column once", f"{file} with {twice} twice", "Rename or drop one.")
    types = {name: schema.field(name).type for name in names}
    weight = None if asked.weight is None else column(asked.weight, names, file, "weight")
    targets = tuple(t if t in keys else column(t, names, file) for t in asked.targets) or _default_target(names, types)
    key = targets[0] if len(targets) == 1 and targets[0] in keys and targets[0] not in names else None
    rest = [n for n in names if n not in targets and n != weight]
    lists = [n for n in rest if _is_list(types[n]) and pyarrow.types.is_floating(types[n].value_type)]
    logits = _chosen(asked.logits, rest, lists, types, file)
    listed = len(logits) == 1 and logits[0] in lists
    n = _width(types[logits[0]], width) if listed else len(logits)
    classes = asked.classes or (() if listed else without_prefix(tuple(logits)))
    target_listed = key is None and _is_list(types[targets[0]])
    link = asked.link or ("sigmoid" if n == 1 or (len(targets) > 1 and not target_listed) else "softmax")
    layout = Layout(
        link, tuple(logits), targets, weight, classes, n, listed, target_listed, True, asked.probabilities, key
    )
    check(file, layout, names)
    return layout


def _default_target(names: list[str], types: dict[str, Any]) -> tuple[str, ...]:
    import pyarrow

    # a column of floats called y is the logit of a class y
    known = [n for n in names if n.lower() in TARGETS and not pyarrow.types.is_floating(types[n])]
    scalar = [n for n in names if not _is_list(types[n])]
    return tuple(known[-1:] or scalar[-1:] or names[-1:])


def _chosen(asked: str | None, rest: list[str], lists: list[str], types: dict[str, Any], file: str) -> list[str]:
    import pyarrow

    if asked is not None:
        if asked in lists:
            return [asked]
        some = [n for n in rest if n.startswith(asked)]
        if not some:
            contracts.reject(
                "logits", f"name a list column of {file}, or begin columns of it", asked, f"Others: {', '.join(rest)}."
            )
        return some
    named = [n for n in lists if n.lower() in ("logits", "logit", "scores", "outputs", "probabilities", "probs")]
    if named or len(lists) == 1:
        return (named or lists)[:1]
    if lists:
        contracts.reject("logits", "be named where there are several lists", lists, "Say which by --logits NAME.")
    prefixed = [n for n in rest if n.lower().startswith(("logit", "z_"))]
    return prefixed or [n for n in rest if pyarrow.types.is_floating(types[n])]


def _is_list(kind: Any) -> bool:
    import pyarrow

    t = pyarrow.types
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


def _width(kind: Any, width: int | None) -> int:
    import pyarrow

    return int(kind.list_size) if pyarrow.types.is_fixed_size_list(kind) else int(width or 0)


def check(file: str, layout: Layout, names: Sequence[str]) -> None:
    """Refuse columns that do not fit the link, in one line."""
    n, n_targets = layout.n_classes, len(layout.targets)
    if n == 0:
        remedy = "Give one column per logit beside the target, or one list column."
        contracts.reject("FILE", "hold logit columns", f"{file} with columns {list(names)}", remedy)
    if layout.target_listed:
        return
    one_hot = layout.link == "softmax" and n_targets == n > 1
    if len(set(layout.targets)) != n_targets or (n_targets != (n if layout.link == "sigmoid" else 1) and not one_hot):
        contract = "name one column" if layout.link == "softmax" else f"name one column for each of the {n} logits"
        remedy = "Repeat --target once per logit column, in their order, or use --link softmax."
        contracts.reject("target", contract, list(layout.targets), remedy)
    if layout.classes and len(layout.classes) != n:
        contracts.reject("classes", f"be {n} names", list(layout.classes), "One per logit, in their order.")


def without_prefix(names: tuple[str, ...]) -> tuple[str, ...]:
    """Class names from logit columns: ``logit_cat`` is about class cat."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) and len(name) > len(prefix) for name in names):
            return tuple(name[len(prefix) :] for name in names)
    return names


def is_number(cell: str) -> bool:
    """Whether a text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
