"""Prediction files as what decide() takes, through the one reader."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.contracts import InputError
from focalkit._core.message import Message
from focalkit.io import predictions as reading
from focalkit.io.columns import Asked
from focalkit.io.sources import find
from focalkit.io.tabular import read_columns

Real = NDArray[np.float64]
#: Probabilities of 0 are taken as this.
FLOOR = 1e-12


@dataclass
class Predictions:
    """What files hold: probabilities, targets, weights, names of the classes, more columns, and what was noted."""

    probabilities: Real
    targets: NDArray[Any]
    sample_weight: Real | None
    classes: tuple[str, ...] | None
    name: str
    target: str
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    #: how the predictions were read: whether as probabilities, from which columns (one list column: its name), by which
    #: link
    as_probabilities: bool = True
    read_from: tuple[str, ...] = ()
    link: str = "softmax"


def read_predictions(
    words: Sequence[str], *, kind: str = "auto", more: Sequence[str] = (), skip_damaged: bool = False, **asked: Any
) -> Predictions:
    """Read prediction files.

    Parameters
    ----------
    words : sequence of str
        Paths, folders, globs, URLs.
    kind : {"auto", "probabilities", "logits"}
        What the columns hold; "auto": probabilities where they can be, else logits.
    more : sequence of str
        Names of further columns.
    skip_damaged : bool
        Leave out what cannot be read.
    **asked
        Of :class:`focalkit.io.columns.Asked`.

    Raises
    ------
    InputError
        Where the files do not hold predictions.
    """
    contracts.one_of("kind", kind, ("auto", "probabilities", "logits"))
    asked["drop"] = (*asked.get("drop", ()), *more)
    if kind != "auto":
        return _gathered(words, kind == "probabilities", more, skip_damaged, asked).predictions()
    try:
        return _gathered(words, True, more, skip_damaged, asked).predictions()
    except InputError as error:
        try:
            found = _gathered(words, False, more, skip_damaged, asked)
            probable = found.all_within_unit()
        except InputError as other:
            raise (other if str(other).startswith("columns must") else error) from None
        if probable:  # probabilities that went wrong
            raise
    read = found.predictions()
    read.alerts = (*read.alerts, Message("decide.as_logits"))
    return read


def read_unlabelled(words: Sequence[str], like: Predictions, **asked: Any) -> Real:
    """The predictions of files that need no targets, read as those of ``like`` were: the same columns, by name.

    Raises
    ------
    InputError
        Where the files do not hold them.
    """
    same = {"targets": (), "weight": None, "drop": (), "logits": ",".join(like.read_from) or None, "link": like.link}
    asked = {**asked, **same, "unlabelled": True}
    return _gathered(words, like.as_probabilities, (), False, asked).predictions().probabilities


@dataclass(frozen=True)
class _Gathered:
    """All batches of the files together, as the reader gives them: logits, or logarithms of probabilities."""

    logits: Real
    targets: NDArray[Any]
    sample_weight: Real | None
    columns: dict[str, NDArray[Any]]
    opened: reading.Source
    as_probabilities: bool
    alerts: tuple[str, ...]

    def all_within_unit(self) -> bool:
        """Whether what was read as logits of several columns lies within [0, 1]; refused of some columns alone."""
        z = self.logits
        if z.ndim != 2 or z.shape[1] < 2:
            return False
        unit = np.asarray(((z >= 0) & (z <= 1)).all(axis=0))
        if unit.any() and not unit.all():
            layout = self.opened.pieces[0].layout
            names = layout.logits if len(layout.logits) == len(unit) else tuple(map(str, range(len(unit))))
            i, j = names[int(unit.argmax())], names[int((~unit).argmax())]
            got = contracts.Words(f"{i} within [0, 1] beside {j} outside")
            remedy = "Mend the column, name the others by logits='A,B,…', or say kind='logits'."
            contracts.reject("columns", "be all probabilities or all logits", got, remedy)
        return bool(unit.all())

    def predictions(self) -> Predictions:
        """Probabilities and what goes with them."""
        z, targets, opened = self.logits, self.targets, self.opened
        classes = opened.class_names
        if opened.link == "sigmoid":
            p = np.exp(-np.logaddexp(0.0, -z))
            if p.ndim == 2 and p.shape[1] == 1:
                p, targets, classes = p[:, 0], targets.reshape(-1), None
        else:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            if targets.ndim > 1:
                got = contracts.Words(f"probabilities of shape {targets.shape}")
                contracts.reject("targets", "be classes", got, "Decisions are judged by what was the case.")
        name, target = str(opened.name), str(opened.target)
        read = (self.as_probabilities, opened.pieces[0].layout.logits, opened.link)
        return Predictions(p, targets, self.sample_weight, classes, name, target, self.columns, self.alerts, *read)


def _gathered(
    words: Sequence[str], probabilities: bool, more: Sequence[str], leave_out: bool, asked: dict[str, Any]
) -> _Gathered:
    options = Asked(**asked, probabilities=probabilities, clip=FLOOR if probabilities else None)
    try:
        opened = reading.open_predictions(words, options, leave_out=leave_out)
    except InputError as error:
        # the further columns are left out of the predictions by the same option as the user's
        said = str(error)
        if said.startswith("drop must be a column") and any(f"got {name!r}" in said for name in more):
            message = f"column{said.removeprefix('drop')}"
            raise InputError(message) from None
        raise
    trouble, places = reading.Trouble(leave_out), list[tuple[int, NDArray[Any]]]()
    z, y, w = list[NDArray[Any]](), list[NDArray[Any]](), list[NDArray[Any] | None]()
    for piece in opened.pieces:
        for batch in reading.batches(piece, trouble):
            z.append(np.asarray(batch.logits, np.float64))
            y.append(batch.targets)
            w.append(batch.sample_weight)
            places.append((piece.index, np.asarray(batch.row_of(np.arange(len(batch.logits))))))
    if not z:
        reading.nothing_there(opened.name)
    weight = None if w[0] is None else np.concatenate([np.asarray(part, np.float64) for part in w])
    columns = {name: _column(words, name, places, asked) for name in more}
    alerts = (*opened.warnings, *trouble.said)
    return _Gathered(np.concatenate(z), np.concatenate(y), weight, columns, opened, probabilities, alerts)


def _column(
    words: Sequence[str], name: str, places: list[tuple[int, NDArray[Any]]], asked: dict[str, Any]
) -> NDArray[Any]:
    """A further column, of the rows that are used."""
    of_files = {}
    text = Asked(**{**asked, "drop": ()}).text
    for index, file in enumerate(find(tuple(words))):
        table = read_columns(file, text)
        if name not in table.names:
            shown = ", ".join(table.names[:8])
            contracts.reject("column", f"be one of {file.name}: {shown}", name, "Check its name.")
        of_files[index] = np.asarray(table.columns[table.names.index(name)].to_numpy(), None)
    return np.concatenate([of_files[index][rows - 1] for index, rows in places])


def read_matrix(path: Path, classes: Sequence[Any] | None) -> NDArray[np.float64]:
    """A cost matrix from CSV: numbers alone, or with the classes' names above and before them, in any order.

    Raises
    ------
    InputError
        Where it is no square of numbers, or names other classes.
    """
    remedy = "A line for each true class, a column for each decision."
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        contracts.reject("costs", "be a CSV in UTF-8", path.name, remedy)
    mark = next((m for m in (";", "\t") if m in text), ",")
    if mark == ";":  # spreadsheets that write it have decimal commas
        text = text.replace(",", ".")
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if any(cell.strip() for cell in row)]
    if not rows:
        contracts.reject("costs", "be a CSV of numbers", contracts.Words(f"{path.name} without any"), remedy)
    try:
        return np.array([[float(cell) for cell in row] for row in rows])
    except ValueError:
        pass
    columns, names = [c.strip() for c in rows[0][1:]], [row[0].strip() for row in rows[1:]]
    try:
        values = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    except ValueError:
        contracts.reject("costs", "be a CSV of numbers", path.name, remedy)
    want = columns if classes is None else [str(c) for c in classes]
    if values.shape != (len(want), len(want)) or sorted(columns) != sorted(want) or sorted(names) != sorted(want):
        got = contracts.Words(f"lines {', '.join(names[:8])} and columns {', '.join(columns[:8])}")
        contracts.reject("costs", f"name the classes {', '.join(want[:8])}", got, remedy)
    return values[np.ix_([names.index(c) for c in want], [columns.index(c) for c in want])]
