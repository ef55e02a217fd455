"""Several labels of the same rows: a run and a verdict for each, and what they promise together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import Estimate, Verdict, estimate, judge


@dataclass(frozen=True)
class LabelVerdicts:
    """The verdict of each label, and the mean gain over the labels.

    ``positives`` are the rows that have a label; ``together`` is the mean over labels of the gains over plain
    cross-entropy in the same folds, where each label follows its own recommendation.
    """

    verdicts: dict[str, Verdict]
    positives: dict[str, int]
    together: Estimate


def tune_labels(
    estimator: Any, X: Any, labels: Mapping[str, Any], *, worth: float = 0.5, **options: Any
) -> LabelVerdicts:
    """Tune every label by itself, on the same rows.

    Parameters
    ----------
    estimator, X
        As for :func:`focalkit.tuning.tune`.
    labels : mapping of str to (n,) of 0 and 1
        Or a data frame of them.
    worth : float
        Points that a retraining must gain.
    **options
        Of :func:`focalkit.tuning.tune`.

    Raises
    ------
    InputError
        Where a label is not 0 or 1.
    """
    verdicts, positives = {}, {}
    for name in labels:
        y = np.asarray(labels[name])
        if not np.isin(y, [0, 1]).all():
            contracts.reject(
                f"label {name!r}", "be 0 or 1 in every row", np.unique(y)[:5].tolist(), "One column a label."
            )
        y = y.astype(np.intp)
        verdicts[str(name)] = judge(tune(estimator, X, y, **options), worth=worth)
        positives[str(name)] = int(y.sum())
    if not verdicts:
        contracts.reject("labels", "have at least one label", "none", "Name the columns.")
    return LabelVerdicts(verdicts, positives, _together(list(verdicts.values())))


def _together(verdicts: list[Verdict]) -> Estimate:
    """The mean over labels; the folds of a label are its own, so that gains are paired by their order alone."""
    gains = []
    for verdict in verdicts:
        result, folds = verdict.result, np.arange(verdict.result.scores.shape[1])
        values = result.gain(verdict.metric.name)
        best, plain = (values[list(f.picks), folds] for f in (verdict.recommended, verdict.families[0]))
        gains.append(best - plain)
    return estimate(np.mean(gains, axis=0), verdicts[0].result.folds.n_splits)
