"""The folds that every cell shares: repeated, stratified, duplicates of a row together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message


@dataclass(frozen=True)
class Split:
    """One train/test split: row numbers, and which repeat and fold it is."""

    repeat: int
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True)
class Folds:
    """All splits, and what had to be done to make them (plain sentences)."""

    splits: tuple[Split, ...]
    n_splits: int
    n_repeats: int
    notes: tuple[str, ...]


def make_folds(
    targets: NDArray[Any],
    groups: NDArray[Any],
    *,
    n_splits: int,
    n_repeats: int,
    seed: int,
    names: Sequence[Any] | None = None,
    grouped: bool = False,
) -> Folds:
    """Split rows with class ids ``targets`` (n,) into ``n_splits`` folds, ``n_repeats`` times.

    The unit that is dealt out is a group of rows; it is stratified by the rarest class that it
    holds. A class in one unit only is always trained on and never scored. A class in fewer units
    than folds is scored in the folds that hold one. ``grouped`` says that somebody named the groups;
    otherwise they are of rows with equal features, and their copies are counted in the notes.

    Raises
    ------
    InputError
        Where fewer than two classes can be both trained and scored.
    """
    n_classes = int(targets.max()) + 1
    first, unit = _in_order(groups)
    holds = np.zeros((len(first), n_classes), bool)
    holds[unit, targets] = True
    units_per_class = holds.sum(axis=0)
    label = np.where(holds, units_per_class, len(first) + 1).argmin(axis=1)
    scorable = units_per_class[label] >= 2
    if (units_per_class >= 2).sum() < 2:
        _too_few(np.bincount(targets), units_per_class, range(n_classes) if names is None else names)
    n_splits = min(n_splits, int(units_per_class.max()))
    n_copies = 0 if grouped else len(targets) - int(holds.sum())  # of features and label, as the reader counts them
    notes = _notes(len(targets), n_copies, len(first) if grouped else 0, units_per_class, n_splits)
    dealt = np.flatnonzero(scorable)
    splits = []
    for repeat in range(n_repeats):
        of_unit = np.full(len(first), -1)
        of_unit[dealt] = dealt_out(label[dealt], n_splits, np.random.RandomState([seed, repeat]))
        of_row = of_unit[unit]
        for fold in range(n_splits):
            test = of_row == fold
            splits.append(Split(repeat, fold, np.flatnonzero(~test), np.flatnonzero(test)))
    return Folds(tuple(splits), n_splits, n_repeats, notes)


def _in_order(groups: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row of each group, and the group of each row, by first appearance: the same whatever groups are called.

    Equal rows are groups of their own, whose numbers depend on the type of the features.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[group]


def dealt_out(labels: NDArray[Any], n_splits: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """The fold of each unit (n,), as scikit-learn's shuffled ``StratifiedKFold`` deals them; loading that takes longer.

    Each class goes to the folds in turn, where the last one ended, and is then shuffled.
    """
    _, first, ids = np.unique(labels, return_index=True, return_inverse=True)
    ids = np.argsort(np.argsort(first))[ids]  # classes in the order in which they appear
    n_classes = len(first)
    in_order = np.sort(ids)
    out = np.empty(len(labels), np.intp)
    shares = np.array([np.bincount(in_order[fold::n_splits], minlength=n_classes) for fold in range(n_splits)])
    for k in range(n_classes):
        folds = np.arange(n_splits).repeat(shares[:, k])
        rng.shuffle(folds)
        out[ids == k] = folds
    return out


def forward_folds(targets: NDArray[Any], groups: NDArray[Any], time: NDArray[Any], *, n_splits: int) -> Folds:
    """Forward chaining: folds that follow each other in ``time`` (n,), each trained on all that was before it.

    The rows are cut at ``n_splits`` times into parts of about one size; rows of one time are never parted, and rows
    whose group recurs in a test part are left out of its training part.

    Raises
    ------
    InputError
        Where there are fewer times than parts, or a part has fewer than two classes to train on.
    """
    times, when = np.unique(time, return_inverse=True)
    if len(times) <= n_splits:
        got = contracts.Words(f"{len(times)} different times for {n_splits} folds and what is before the first")
        contracts.reject("time", "have more times than folds", got, "Ask for fewer folds.")
    before = np.concatenate([[0], np.cumsum(np.bincount(when))])
    cuts = np.searchsorted(before, np.arange(1, n_splits + 1) * len(when) / (n_splits + 1))
    cuts = np.unique(np.clip(cuts, 1, len(times) - 1))
    splits = []
    for fold, (low, high) in enumerate(zip(cuts, [*cuts[1:], len(times)], strict=True)):
        test = np.flatnonzero((when >= low) & (when < high))
        past = np.flatnonzero(when < low)
        train = past[~np.isin(groups[past], groups[test])]
        if len(np.unique(targets[train])) < 2:
            rows, n_shared = f"the {len(train):,} rows before fold {fold + 1}", len(past) - len(train)
            rows += f", without {n_shared:,} of groups that it tests on" if n_shared else ""
            got = contracts.Words(f"{len(np.unique(targets[train]))} in {rows}")
            remedy = "Leave out groups=, or time=." if n_shared else "Ask for fewer folds."
            contracts.reject("time", "leave two classes to train on before each fold", got, remedy)
        splits.append(Split(0, fold, train, test))
    return Folds(tuple(splits), len(splits), 1, (Message("note.forward", n=len(splits)),))


def _too_few(rows: NDArray[Any], units: NDArray[Any], names: Sequence[Any]) -> NoReturn:
    """Say of the classes as the data name them how many rows there are, and why these are not enough."""
    shown = []
    for k in np.argsort(rows, kind="stable")[:5].tolist():
        different = "" if units[k] == rows[k] else f", {units[k]:,} of them different"
        shown.append(f"class {names[k]!r} with {rows[k]:,} row{'s' if rows[k] != 1 else ''}{different}")
    remedy = "A class of one row can be trained on but never scored: add rows, or leave the class out."
    if (units < rows).any():
        remedy = "Equal rows, and rows of one group, stay in one fold: a class needs two that differ."
    contracts.reject("y", "have at least two classes of two different rows", contracts.Words("; ".join(shown)), remedy)


def _notes(n: int, n_copies: int, n_groups: int, units: NDArray[Any], n_splits: int) -> tuple[str, ...]:
    notes = []
    if n_copies:
        notes.append(Message("note.copies", n_copies=n_copies, n=n))
    if n_groups:
        notes.append(Message("note.groups", n_groups=n_groups, n=n))
    single = np.flatnonzero(units == 1)
    if len(single):
        notes.append(Message("note.single", n=len(single)))
    rare = np.flatnonzero((units > 1) & (units < n_splits))
    if len(rare):
        notes.append(Message("note.few", n=len(rare), n_splits=n_splits))
    return tuple(notes)
