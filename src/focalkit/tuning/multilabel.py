"""Several labels of the same rows: a run and a verdict for each, and what they promise together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from focalkit._core import contracts
from focalkit.tuning.collection import Progress
from focalkit.tuning.remedy import RemedyClassifier
from focalkit.tuning.scores import Metric
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import WORTH, Estimate, Verdict, check_worth, estimate, judge


@dataclass(frozen=True)
class LabelVerdicts:
    """The verdict of each label, and the mean gain over the labels.

    ``positives`` are the rows that have a label; ``together`` is the mean over labels of the gains over plain
    cross-entropy in the same folds, where each label follows its own recommendation.
    """

    verdicts: dict[str, Verdict]
    positives: dict[str, int]
    together: Estimate

    @property
    def metric(self) -> Metric:
        """The figure that all go by."""
        return next(iter(self.verdicts.values())).metric

    @property
    def finished(self) -> bool:
        """Whether no run was stopped before its end."""
        return all(verdict.result.finished for verdict in self.verdicts.values())


class LabelRemedies(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What is recommended for each label, trained, as one classifier.

    Parameters
    ----------
    models : mapping of str to RemedyClassifier
        A trained one a label, each of 0 and 1.
    words : mapping of str to (object, object), optional
        What 0 and 1 of each label are called; default: 0 and 1.
    """

    def __init__(
        self, models: Mapping[str, RemedyClassifier], words: Mapping[str, tuple[Any, Any]] | None = None
    ) -> None:
        self.models = models
        self.words = words

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns."""
        return tuple(self.models)

    def predict(self, X: Any) -> NDArray[Any]:
        """Decisions (n, n_labels), 0 or 1, or what these are called."""
        said = {name: model.predict(X) for name, model in self.models.items()}
        if self.words is not None:
            said = {name: np.array(self.words[name])[ids] for name, ids in said.items()}
        kind = object if len({column.dtype.kind for column in said.values()}) > 1 else None
        return np.column_stack([column if kind is None else column.astype(object) for column in said.values()])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (n, n_labels) that a row has each label."""
        return np.column_stack([model.predict_proba(X)[:, 1] for model in self.models.values()])

    def __sklearn_is_fitted__(self) -> bool:
        return True


def tune_labels(
    estimator: Any, X: Any, labels: Mapping[str, Any], *, worth: float = WORTH, proof: bool = False, **options: Any
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
    proof : bool
        Recommend what was shown to be better at the 5 % level only.
    **options
        Of :func:`focalkit.tuning.tune`; a journal gets the label's number behind its name, and ``progress`` is told
        of the labels as one run.

    Returns
    -------
    LabelVerdicts
        On Ctrl-C of the labels, and their folds, that were finished so far (``finished`` is then False).

    Raises
    ------
    InputError
        Where a label is not 0 or 1.
    """
    if not isinstance(labels, Mapping) and not hasattr(labels, "columns"):
        contracts.reject("labels", "map names to labels", labels, "E.g. {'rain': y}, or a data frame.")
    check_worth(worth)
    contracts.flag("proof", proof)
    verdicts, positives = {}, {}
    journal = options.pop("journal", None)
    place = None if journal is None else contracts.path("journal", journal)
    progress = options.pop("progress", None)
    names = list(labels if isinstance(labels, Mapping) else labels.columns)
    for i, name in enumerate(names):
        if place is not None:  # a journal is of one run
            options["journal"] = place.with_name(f"{place.name}.{i}")
        y = contracts.column(f"label {name!r}", labels[name])
        if not np.isin(y, [0, 1]).all():
            contracts.reject(
                f"label {name!r}", "be 0 or 1 in every row", np.unique(y)[:5].tolist(), "One column a label."
            )
        y = y.astype(np.intp)
        told = None if progress is None else partial(_tell_of_all, progress, i, len(names))
        result = tune(estimator, X, y, **options, progress=told)
        verdicts[str(name)] = judge(result, worth=worth, proof=proof)
        positives[str(name)] = int(y.sum())
        if not result.finished:
            break  # Ctrl-C means the whole
    if not verdicts:
        contracts.reject("labels", "have at least one label", contracts.Words("none"), "Name the columns.")
    return LabelVerdicts(verdicts, positives, _together(list(verdicts.values())))


def _tell_of_all(progress: Callable[[Progress], None], before: int, n_labels: int, state: Progress) -> None:
    """A label's state as one of all labels."""
    progress(replace(state, done=before * state.total + state.done, total=n_labels * state.total))


def _together(verdicts: list[Verdict]) -> Estimate:
    """The mean over labels; the folds of a label are its own, so that gains are paired by their order alone."""
    gains = []
    for verdict in verdicts:
        result, folds = verdict.result, np.arange(verdict.result.scores.shape[1])
        values = result.gain(verdict.metric.name)
        best, plain = (values[list(f.picks), folds] for f in (verdict.recommended, verdict.families[0]))
        gains.append(best - plain)
    shared = min(map(len, gains))  # of a label whose run was stopped there are fewer
    return estimate(np.mean([gain[:shared] for gain in gains], axis=0), verdicts[0].result.folds.n_splits)
