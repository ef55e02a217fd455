"""The rivals: under- and over-sampling, SMOTE, balanced bagging, self-paced ensembles, and other heads.

Most of them train on other class frequencies q than the data's pi. Their probabilities are then those of another
prior, by the factor ``tilt`` = q / pi, which is known and is divided out before they are judged (Dal Pozzolo et al.
2015, SSCI; for the self-paced ensemble, which draws by hardness, that is an approximation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.tuning.foreign import aligned
from focalkit.tuning.result import HEADS

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
Fit = Callable[[Any, Ints, "Real | None"], Any]
"""From rows, class numbers and weights of the rows to a fitted classifier."""

RIVALS = ("undersample", "oversample", "smote", "bagging", "self-paced")
"""By the names that options take, the cheapest first."""

ADJUSTED = "logit-adjusted"
"""The rival that changes the loss: it is trained for equally frequent classes (Menon et al. 2021, eq. 10)."""

N_MEMBERS = 10
N_BINS = 20


def names_of(rivals: Any) -> tuple[str, ...]:
    """The rivals' names, of one or of several."""
    given = (rivals,) if isinstance(rivals, str) else rivals
    given = contracts.several("rivals", given, "be a sequence of names", "E.g. 'all', or ['smote'].")
    for rival in given:
        contracts.one_of("rivals", rival, (ADJUSTED, *RIVALS, *HEADS, "heads", "all"))
    return given


def checked(rivals: tuple[str, ...], *, resamples: bool, adjusts: bool, name: str) -> tuple[str, ...]:
    """The rivals asked for; "all" stands for every one that the trainer can try, "heads" for all heads."""
    sets = {"all": (*((ADJUSTED,) if adjusts else ()), *RIVALS), "heads": HEADS}
    rivals = tuple(one for rival in rivals for one in sets.get(rival, (rival,)))
    if ADJUSTED in rivals and not adjusts:
        got = contracts.Words(f"{name}, whose loss is its own")
        contracts.reject(
            "rivals", f"leave {ADJUSTED} out where the loss takes none", got, "Shift its decisions instead."
        )
    if set(rivals) - {ADJUSTED} and not resamples:
        contracts.reject("rivals", "be left out where no estimator is trained", rivals, f"{name} cannot resample.")
    if "smote" in rivals:
        _smote()
    return tuple(rival for rival in (ADJUSTED, *RIVALS, *HEADS) if rival in rivals)


def _smote() -> Any:
    with need("imblearn", "SMOTE", "rivals"):
        from imblearn.over_sampling import SMOTE
    return SMOTE


def fit_rival(
    fit: Fit, rival: str, X: Any, y: Ints, weight: Real | None, n_classes: int, seed: int
) -> tuple[list[Any], Real]:
    """The members of the ensemble (one, where it is none), and the tilt (n_classes,) of their probabilities.

    Parameters
    ----------
    fit : callable
        Trains on rows.
    rival : str
        Of :data:`RIVALS` or :data:`focalkit.tuning.result.HEADS`.
    X : (n, n_features)
        Prepared rows; for SMOTE numbers without gaps.
    y : integers (n,)
    weight : (n,), optional
    n_classes : int
    seed : int
        Of what is drawn.
    """
    rng = np.random.default_rng([seed, (*RIVALS, *HEADS).index(rival)])
    counts = np.bincount(y, minlength=n_classes)
    present = np.flatnonzero(counts)
    tilt = np.ones(n_classes)
    mass = np.bincount(y, weights=weight, minlength=n_classes)
    if rival in HEADS:
        from focalkit.tuning.heads import BALANCED, fit_head

        if rival in BALANCED:
            tilt[present] = mass.sum() / (mass[present] * len(present))
        return [fit_head(fit, rival, X, y, weight, rng)], tilt
    members = {
        "undersample": lambda: [_on(fit, X, y, weight, _drawn(y, counts[present].min(), present, rng))],
        "oversample": lambda: [_on(fit, X, y, weight, _drawn(y, counts.max(), present, rng))],
        "smote": lambda: [fit(*_synthetic(X, y, weight, int(rng.integers(2**31))), None)],
        "bagging": lambda: [
            _on(fit, X, y, weight, _drawn(y, counts[present].min(), present, rng)) for _ in range(N_MEMBERS)
        ],
        "self-paced": lambda: _self_paced(fit, X, y, weight, n_classes, rng),
    }[rival]()
    # every kind trains on as many rows of each class; rows keep their weights, so a class its mean weight
    each = mass[present] / counts[present]
    tilt[present] = (each / each.sum()) / (mass[present] / mass.sum())
    return members, tilt


def averaged(members: list[Any], X: Any, n_classes: int) -> Real:
    """The members' mean probabilities (n, n_classes); 0 for classes that no training row had."""
    return np.asarray(np.mean([aligned(member, X, n_classes) for member in members], axis=0))


def _on(fit: Fit, X: Any, y: Ints, weight: Real | None, rows: Ints) -> Any:
    from sklearn.utils import _safe_indexing

    return fit(_safe_indexing(X, rows), y[rows], None if weight is None else weight[rows])


def _drawn(y: Ints, size: int, present: Ints, rng: np.random.Generator) -> Ints:
    """``size`` rows of each class: drawn without replacement where it has as many, otherwise all and copies."""
    out = []
    for k in present:
        rows = np.flatnonzero(y == k)
        more = max(int(size) - len(rows), 0)
        kept = rows if more else rng.choice(rows, int(size), replace=False)
        out.append(np.concatenate([kept, rng.choice(rows, more)]) if more else kept)
    return np.sort(np.concatenate(out))


def _synthetic(X: Any, y: Ints, weight: Real | None, seed: int) -> tuple[Any, Ints]:
    """SMOTE (Chawla et al. 2002); a class of one row, which has no neighbour, is copied."""
    if weight is not None:
        contracts.reject(
            "rivals", "leave smote out where rows have weights", contracts.Words("smote"), "What it makes up has none."
        )
    counts = np.bincount(y)
    alone = np.flatnonzero(counts == 1)
    rows = np.arange(len(y))
    if len(alone):
        rows = np.concatenate([rows, np.flatnonzero(np.isin(y, alone))])
    X, y = np.asarray(X.todense() if hasattr(X, "todense") else X, np.float64)[rows], y[rows]
    if not np.isfinite(X).all():
        contracts.reject(
            "rivals", "leave smote out where values are missing", contracts.Words("smote"), "It needs numbers."
        )
    fewest = np.bincount(y)[np.unique(y)].min()
    return _smote()(random_state=seed, k_neighbors=int(min(5, fewest - 1))).fit_resample(X, y)  # type: ignore[no-any-return]


def _self_paced(fit: Fit, X: Any, y: Ints, weight: Real | None, n_classes: int, rng: np.random.Generator) -> list[Any]:
    """Self-paced ensemble (Liu et al. 2020, ICDE): each member sees the rows that the others find hard, ever more."""
    counts = np.bincount(y, minlength=n_classes)
    present = np.flatnonzero(counts)
    size = int(counts[present].min())
    members = [_on(fit, X, y, weight, _drawn(y, size, present, rng))]
    total = averaged(members, X, n_classes)
    for step in range(1, N_MEMBERS):
        hardness = 1 - total[np.arange(len(y)), y] / step
        pace = np.tan(np.pi / 2 * step / (N_MEMBERS - 1)) if step < N_MEMBERS - 1 else np.inf
        rows = np.concatenate([_by_hardness(np.flatnonzero(y == k), hardness, size, pace, rng) for k in present])
        members.append(_on(fit, X, y, weight, np.sort(rows)))
        total += averaged(members[-1:], X, n_classes)
    return members


def _by_hardness(rows: Ints, hardness: Real, size: int, pace: float, rng: np.random.Generator) -> Ints:
    """``size`` of the rows: from bins of equal width in hardness, each by 1 / (its mean hardness + ``pace``)."""
    if len(rows) <= size:
        return rows
    of = hardness[rows]
    low, high = float(of.min()), float(of.max())
    bins = np.minimum(((of - low) / max(high - low, 1e-12) * N_BINS).astype(int), N_BINS - 1)
    filled, bins = np.unique(bins, return_inverse=True)
    n = np.bincount(bins)
    share = np.ones(len(filled)) if np.isinf(pace) else 1 / (np.bincount(bins, weights=of) / n + pace + 1e-12)
    p = (share / n)[bins]
    return rng.choice(rows, size, replace=False, p=p / p.sum())
