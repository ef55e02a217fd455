"""Classifiers of others: what they raise, in words, and what they predict, in the order of all classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts

Real = NDArray[np.float64]


@contextmanager
def in_words(doing: str = "train on these data") -> Iterator[None]:
    """What the user's estimator raises while it is at something, in one line."""
    try:
        yield
    except contracts.InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        trains = doing.startswith("train")
        remedy = "Put what prepares them before it, in a Pipeline." if trains else "Pass rows as in training."
        try:
            contracts.reject("estimator", doing, contracts.Words(f"{type(error).__name__}: {first}"), remedy)
        except contracts.InputError as told:
            raise told from error


def aligned(fitted: Any, X: Any, n_classes: int) -> Real:
    """Probabilities (n, n_classes); 0 for classes that training had no row of."""
    with in_words("predict for these rows"):
        p = np.asarray(fitted.predict_proba(X), np.float64)
    if not np.isfinite(p).all():
        contracts.reject(
            "estimator", "predict probabilities", contracts.Words("NaN or inf"), "Did the training diverge?"
        )
    full = np.zeros((len(p), n_classes))
    full[:, np.asarray(fitted.classes_, np.intp)] = p
    return full
