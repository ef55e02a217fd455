"""What decide() is given, checked once and made plain."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Message
from focalkit.decisions.goals import CaseCost, Cost, CostMatrix, Goal, upright
from focalkit.decisions.rule import by_name, labels_array, plain

Real = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Data:
    """Rows of positive weight: probabilities as given, class numbers, weights (None: all 1), costs of each case."""

    p: Real
    y: Ints
    w: Real | None
    costs: Real | None
    classes: tuple[Any, ...]
    multilabel: bool = False
    labels: NDArray[np.int64] = None  # type: ignore[assignment]
    rows: NDArray[np.bool_] | None = None
    notes: tuple[Message, ...] = ()

    @property
    def k(self) -> int:
        """Number of classes or labels."""
        return len(self.classes)

    def weights(self, rows: Any) -> Real | None:
        """Weights of some rows."""
        return None if self.w is None else self.w[rows]

    def groups(self, given: Any) -> Ints:
        """The groups of the rows, numbered from 0; ``given`` for all rows, those without weight too."""
        found = contracts.groups(given, len(self.p) if self.rows is None else len(self.rows))
        return np.unique(found if self.rows is None else found[self.rows], return_inverse=True)[1].astype(np.intp)

    def of_case(self, rows: Any) -> Real | None:
        """Costs of some rows."""
        return None if self.costs is None else self.costs[rows]


def narrow(p: Real) -> Real:
    """Of two classes the probabilities of the second (n,)."""
    return p[:, 1] if p.ndim == 2 and p.shape[1] == 2 else p


def read(
    probabilities: Any, targets: Any, sample_weight: Any, classes: Sequence[Any] | None, goal: Goal, costs: Any
) -> Data:
    """Everything checked; rows of weight 0 left out."""
    y_given = contracts.array("targets", plain(targets))
    named = "be the names of the classes", "One each, in the order of the probabilities."
    names = None if classes is None else contracts.several("classes", classes, *named)
    if names is None and getattr(probabilities, "columns", None) is not None and y_given.dtype.kind in "OUST":
        columns = tuple(map(str, probabilities.columns))
        names = columns if len(columns) > 1 and set(columns) >= set(map(str, y_given.ravel())) else None
    value = plain(by_name(probabilities, names or ()))
    if y_given.ndim == 2 and y_given.shape[1] == 1:
        y_given = y_given[:, 0]
    if y_given.ndim == 2:
        if costs is not None:
            contracts.reject("costs", "be left out for several labels", contracts.Words("costs"), "Weigh the rows.")
        return _labels(value, y_given, sample_weight, names)
    p = contracts.probabilities_array("probabilities", value)
    p = p[:, 0] if p.ndim == 2 and p.shape[1] == 1 else p
    k = 2 if p.ndim == 1 else p.shape[1]
    if y_given.shape != (len(p),):
        got = contracts.Words(f"shape {y_given.shape} for {len(p)} rows")
        contracts.reject("targets", "have one entry for each row of probabilities", got, "Pass the same rows of both.")
    if not len(p):
        contracts.reject(
            "probabilities", "have rows", contracts.Words(f"shape {p.shape}"), "Pass predictions of held-out rows."
        )
    y, names = _ids(y_given, k, names)
    w, rows = _weight(sample_weight, len(p))
    each = of_case(goal, costs, k, len(p))
    p, y = (p, y) if rows is None else (p[rows], y[rows])
    each = each if rows is None or each is None else each[rows]
    _every_class(y, names)
    _differ(narrow(p))
    matching(goal, k)
    return Data(p, y, w, each, names, rows=rows)


def _differ(p: Real) -> None:
    """Refuse the same predictions in every row."""
    if (p == p[0]).all():
        same = ", ".join(f"{v:g}" for v in np.atleast_1d(p[0])[:5])
        got = contracts.Words(f"{same} for all {len(p)} rows")
        remedy = "A model that tells no cases apart cannot decide."
        contracts.reject("probabilities", "differ between rows", got, remedy)


def _labels(value: Any, y: NDArray[Any], sample_weight: Any, names: tuple[Any, ...] | None) -> Data:
    p = labels_array(value)
    if y.shape != p.shape:
        contracts.reject(
            "targets", f"have the shape {p.shape} of the probabilities", contracts.Words(f"shape {y.shape}"), "0 or 1."
        )
    if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        contracts.reject(
            "targets", "be 0 or 1 for each label", contracts.Words(f"dtype {y.dtype}"), "1 where the label holds."
        )
    w, rows = _weight(sample_weight, len(p))
    labels = y.astype(np.int64)
    if rows is not None:
        p, labels = p[rows], labels[rows]
    _differ(p)
    if len(p) < 10:
        contracts.reject("probabilities", "have at least 10 rows", len(p), "Cut-offs are learned from rows.")
    names = tuple(range(p.shape[1])) if names is None else names
    if len(names) != p.shape[1]:
        contracts.reject("classes", f"name {p.shape[1]} labels", list(names), "One name a column.")
    return Data(p, np.zeros(len(p), np.intp), w, None, names, True, labels, rows)


def _ids(y: NDArray[Any], k: int, names: tuple[Any, ...] | None) -> tuple[Ints, tuple[Any, ...]]:
    """Class numbers, and the names of the classes."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        contracts.reject("targets", "be free of NaN", contracts.Words("NaN"), "Leave out rows without a target.")
    if names is None:
        if y.dtype.kind == "b" or (y.dtype.kind in "iuf" and np.isin(y, np.arange(k)).all()):
            return y.astype(np.intp), tuple(range(k))
        found = np.unique(y.astype(str) if y.dtype.kind == "O" else y)
        if len(found) != k:
            got = contracts.Words(f"{len(found)} of them: {', '.join(map(str, found[:5]))}")
            remedy = "Name the columns by classes, in their order."
            contracts.reject("targets", f"hold the {k} classes of the probabilities", got, remedy)
        names = tuple(found.tolist())
    if len(names) != k or len(set(map(str, names))) != k:
        contracts.reject("classes", f"name {k} classes, each once", list(names), "In the order of the columns.")
    if y.dtype.kind in "iub" and all(isinstance(n, str) for n in names) and np.isin(y, np.arange(k)).all():
        return y.astype(np.intp), names
    place = {str(name): i for i, name in enumerate(names)}
    said = [str(v) for v in y.tolist()]
    unknown = sorted({v for v in said if v not in place})
    if unknown:
        contracts.reject("targets", f"be among {', '.join(map(str, names[:8]))}", unknown[0], "Check classes.")
    return np.array([place[v] for v in said], np.intp), names


def _weight(sample_weight: Any, n: int) -> tuple[Real | None, NDArray[np.bool_] | None]:
    """Weights of the rows that weigh something, and which they are (None: all)."""
    if sample_weight is None:
        return None, None
    w = contracts.sample_weight_array(plain(sample_weight), (n,))
    assert w is not None
    if not (w > 0).any():
        contracts.reject(
            "sample_weight", "be positive for some row", contracts.Words("all 0"), "Leave it out for equal weights."
        )
    if (w == w[0]).all():
        return None, None
    return (w, None) if (w > 0).all() else (w[w > 0], w > 0)


def of_case(goal: Goal, costs: Any, k: int, n: int) -> Real | None:
    """A cost matrix for each of ``n`` cases to learn from, for the goal that takes them."""
    if not isinstance(goal, CaseCost):
        if costs is not None:
            contracts.reject(
                "costs", "go with the goal CaseCost", contracts.Words(type(goal).__name__), "decide(…, CaseCost(fp=…))"
            )
        return None
    c = case_matrices(goal, costs, k, n)
    upright("costs", c.mean(axis=0), "on average ")
    return c


def case_matrices(goal: CaseCost, costs: Any, k: int, n: int) -> Real:
    """The costs of ``n`` cases as matrices (n, n_classes, n_classes)."""
    if costs is None:
        contracts.reject("costs", "be given with the goal CaseCost", None, "Pass what missing each case costs.")
    c = goal.matrices(plain(costs), k)
    if len(c) != n:
        contracts.reject("costs", f"have {n} entries", len(c), "Pass one for each row.")
    return c


def _every_class(y: Ints, names: tuple[Any, ...]) -> None:
    missing = np.flatnonzero(np.bincount(y, minlength=len(names)) == 0)
    if len(missing):
        got = contracts.Words(f"no row of class {names[int(missing[0])]!r}")
        contracts.reject("targets", "hold every class", got, "Drop its column, or pass rows that hold it.")


def matching(goal: Goal, k: int) -> None:
    """Refuse a goal for another number of classes."""
    if isinstance(goal, CostMatrix) and len(goal.matrix) != k:
        n = len(goal.matrix)
        contracts.reject(
            "cost matrix", f"have shape ({k}, {k})", contracts.Words(f"shape ({n}, {n})"), "One row and column a class."
        )
    if isinstance(goal, Cost) and k > 2:
        got = contracts.Words("costs fn and fp, which are of two")
        contracts.reject("goal", f"suit {k} classes", got, "Give a cost matrix, rows the truth.")


def check_cv(cv: Any) -> None:
    """Refuse what is no number of folds."""
    if isinstance(cv, bool) or not isinstance(cv, int | np.integer) or cv < 2:
        contracts.reject("cv", "be an integer of at least 2, or None", cv, "5 folds are usual.")


def make_folds(data: Data, cv: int | None, groups: Any, seed: int) -> Ints | None:
    """A fold number for each row, stratified; groups stay together."""
    if cv is None:
        return None
    check_cv(cv)
    sizes = np.bincount(data.y, minlength=data.k)
    rare = int(sizes.argmin())
    if sizes[rare] < 2 * cv:
        _too_few(cv, int(sizes[rare]), data.classes[rare])
    with need("sklearn", "cross-fitting", "tune"):
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    if groups is None:
        splits = StratifiedKFold(cv, shuffle=True, random_state=seed).split(np.zeros(len(data.y)), data.y)
    else:
        g = data.groups(groups)
        own = [len(np.unique(g[data.y == k])) for k in range(data.k)]
        if min(own) < cv:
            k = int(np.argmin(own))
            got = contracts.Words(f"{own[k]} with class {data.classes[k]!r}")
            remedy = f"Use {own[k]} folds." if own[k] > 1 else "A class of one group cannot be scored on another."
            contracts.reject("groups", f"be at least {cv} of each class for {cv} folds", got, remedy)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            splitter = StratifiedGroupKFold(cv, shuffle=True, random_state=seed)
            splits = list(splitter.split(np.zeros(len(data.y)), data.y, g))
    folds = np.empty(len(data.y), np.intp)
    for fold, (train, test) in enumerate(splits):
        folds[test] = fold
        few = np.minimum(np.bincount(data.y[train], minlength=data.k), np.bincount(data.y[test], minlength=data.k))
        if groups is not None and few.min() < 1:
            got = contracts.Words(f"none of class {data.classes[int(few.argmin())]!r} in fold {fold + 1} or its rest")
            contracts.reject("groups", "leave every class in each fold and its rest", got, "Use fewer folds.")
    return folds


def _too_few(cv: int, rows: int, name: Any) -> NoReturn:
    most = rows // 2
    remedy = f"Use {most} folds: cv={most}."
    if most < 2:
        remedy = "Gather more; in Python cv=None learns and scores on the same rows, which flatters."
    got = contracts.Words(f"{rows} of class {name!r}")
    contracts.reject("targets", f"have two rows of each class in each of the {cv} folds", got, remedy)


def spread_folds(y: Ints, cv: int, seed: int, unit: Ints | None = None) -> Ints:
    """A fold for each row: units of equal rows are dealt out class by class, whatever their order and number.

    Of a class with fewer units than folds, each is in a fold of its own.
    """
    unit = np.arange(len(y)) if unit is None else unit
    first = np.unique(unit, return_index=True)[1]
    of_unit = np.minimum.reduceat(y[np.argsort(unit, kind="stable")], np.searchsorted(np.sort(unit), unit[first]))
    folds = np.empty(len(first), np.intp)
    rng = np.random.default_rng(seed)
    for k in np.unique(of_unit):
        units = np.flatnonzero(of_unit == k)
        # the first fold differs from class to class, so that rare classes do not share one
        folds[rng.permutation(units)] = (np.arange(len(units)) + rng.integers(cv)) % cv
    return folds[np.searchsorted(unit[first], unit)]


def prior_vector(prior: Any, k: int) -> tuple[float, ...]:
    """Class frequencies (k,) that sum to 1; of two classes one number is that of the second."""
    pi = contracts.number_or_vector("prior", prior, contracts.PRIOR, "Class frequencies where the rule will be used.")
    if isinstance(pi, float):
        if k != 2:
            contracts.reject("prior", f"be {k} frequencies that sum to 1", pi, "One number serves two classes only.")
        return (1 - pi, pi)
    if len(pi) != k or abs(sum(pi) - 1) > 1e-6:
        contracts.reject("prior", f"be {k} frequencies that sum to 1", pi, "E.g. counts / counts.sum().")
    return pi


def probabilities_like(value: Any, data: Data) -> Real:
    """Unlabelled probabilities with the classes of ``data``."""
    p = contracts.probabilities_array("unlabelled", plain(by_name(value, data.classes)))
    p = p[:, 0] if p.ndim == 2 and p.shape[1] == 1 else p
    width = 2 if p.ndim == 1 else p.shape[1]
    if width != data.k or not len(p):
        contracts.reject(
            "unlabelled",
            f"have rows of {data.k} classes",
            contracts.Words(f"shape {p.shape}"),
            "Pass the same columns.",
        )
    return p
