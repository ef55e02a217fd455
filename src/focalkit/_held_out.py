"""What held-out rows say: posteriors from logits, decisions at every shift, figures of every class; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu

Real = NDArray[np.float64]
Ids = NDArray[np.int64]


def recovered(logits: NDArray[Any], gamma: float, weights: NDArray[Any] | None = None) -> Real:
    """The posterior (n, n_classes) of logits that a focal loss of one ``gamma`` learned.

    :func:`focalkit.posterior.recover_from_log_odds` of finite logits, divided by class weights.

    Parameters
    ----------
    logits : (n, n_classes), or (n,) of the second of two classes
    gamma : float
    weights : (n_classes,), optional
        Class weights of the training loss, of any scale.

    Examples
    --------
    >>> recovered(np.array([0.0]), 2.0, np.array([1.0, 3.0]))
    array([[0.75, 0.25]])
    """
    given = np.ascontiguousarray(logits, np.float64).reshape(len(logits), -1)
    out = np.empty((len(given), max(2, given.shape[1])))
    _cpu.recovered(given, gamma, None if weights is None else np.ascontiguousarray(weights, np.float64), out)
    return out


def ranked(posterior: Real, targets: NDArray[Any], classes: NDArray[Any], n_bins: int) -> tuple[Real, Real]:
    """Average precision and calibration error (n_classes,) of some ``classes``, NaN of the others.

    The average precision is the sum of precisions, weighted by the steps of the recall, and 0 where nothing is to be
    found; the calibration error the mean absolute gap between predicted and observed frequency over bins of equal mass.

    Parameters
    ----------
    posterior : (n, n_classes)
    targets : integers (n,)
    classes : integers (n_ranked,)
    n_bins : int

    Examples
    --------
    >>> ranked(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 0]), np.array([1]), 2)
    (array([nan,  1.]), array([ nan, 0.15]))
    """
    precision, gap = np.full((2, posterior.shape[1]), np.nan)
    _cpu.ranked(_table(posterior), _ids(targets), _ids(classes), n_bins, precision, gap)
    return precision, gap


def shifted(posterior: Real, targets: NDArray[Any], known: NDArray[Any], shifts: Real) -> tuple[Ids, Ids]:
    """Rows of each class that are decided rightly, and rows that are decided for it, at every shift.

    Parameters
    ----------
    posterior : (n, n_classes)
    targets : integers (n,)
    known : integers (n_known,)
        Classes that may be decided.
    shifts : (n_known, n_shifts)
        What is taken from the logarithm of each probability; the first of the largest is decided.

    Returns
    -------
    right, named : integers (n_shifts, n_classes)
    """
    right, named = np.zeros((2, shifts.shape[1], posterior.shape[1]), np.int64)
    _cpu.shifted(_table(posterior), _ids(targets), _ids(known), _table(shifts), right, named)
    return right, named


def cut(posterior: Real, targets: NDArray[Any], cutoffs: Real) -> Ids:
    """Rows of each of two classes by how many of the ascending ``cutoffs`` (n,) their log-odds exceed: (2, n + 1)."""
    above = np.zeros((2, len(cutoffs) + 1), np.int64)
    _cpu.cut(_table(posterior), _ids(targets), np.ascontiguousarray(cutoffs), above)
    return above


def _table(values: NDArray[Any]) -> Real:
    return np.ascontiguousarray(values, np.float64)


def _ids(values: NDArray[Any]) -> Ids:
    return np.ascontiguousarray(values, np.int64)
