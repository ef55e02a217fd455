"""tune: paired, repeated cross-validation of the alpha x gamma surface and its rivals."""

from __future__ import annotations

import copy
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import column_or_1d
from threadpoolctl import threadpool_limits

from focalkit import _checks
from focalkit._spec import LossSpec
from focalkit.posterior import shift_prior
from focalkit.tuning.folds import Split, duplicate_groups, make_folds
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.scores import METRICS, NAMES, decision_score, metric_named, score
from focalkit.weights import alpha_vector

ALPHAS: tuple[Any, ...] = (None, "power:0.25", "power:0.5", "power:0.75", "power:1")
GAMMAS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
KEEP_HARDEST = (0.5, 0.25, 0.1)
TAUS = np.round(np.arange(0, 2.0001, 0.05), 2)

Progress = Callable[[int, int], None]


def tune(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    alphas: Sequence[Any] = ALPHAS,
    gammas: Sequence[float] = GAMMAS,
    keep_hardest: Sequence[float | int] = KEEP_HARDEST,
    metric: str = "balanced_accuracy",
    n_splits: int = 5,
    n_repeats: int = 5,
    groups: Any = None,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> TuneResult:
    """Score every alpha and gamma, OHEM, and plain cross-entropy with shifted decisions, on the same folds.

    Parameters
    ----------
    estimator : classifier, or Pipeline that ends in one
        With parameters ``alpha`` and ``gamma`` (such as :class:`focalkit.estimator.FocalClassifier`),
        and ``keep_hardest`` where OHEM is to be tried. The pipeline's other steps are fitted once
        per training fold. A ``warm_start`` parameter is used along gamma.
    X : (n, n_features)
        Features, as the estimator takes them.
    y : (n,)
        Class labels of any kind.
    alphas : sequence
        Class weights to try, each as ``FocalClassifier.alpha``; None is always among them.
    gammas : sequence of float in [0, inf)
        Focusing parameters to try; 0 is always among them.
    keep_hardest : sequence
        OHEM's kept fractions or counts; empty for none.
    metric : str
        The figure that the tables and the verdict's headline go by: "balanced_accuracy",
        "macro_f1", "mcc", "average_precision", "log_loss" or "calibration_error".
    n_splits, n_repeats : int
        Folds, and how often they are drawn anew.
    groups : (n,), optional
        Rows of one group stay in one fold; default: rows whose features are equal.
    seed : int
        Seeds the folds. The result is the same for any number of jobs.
    n_jobs : int
        Processes; -1 for all cores.
    progress : callable, optional
        Called as ``progress(n_done, n_folds)``.

    Returns
    -------
    TuneResult
        On Ctrl-C with the folds finished so far (``finished`` is then False).

    Raises
    ------
    InputError
        Where an argument breaks its contract.
    KeyboardInterrupt
        Where it came before two folds were finished.
    """
    started = time.perf_counter()
    _checks.one_of("metric", metric, NAMES)
    _whole("n_splits", n_splits, 2)
    _whole("n_repeats", n_repeats, 1)
    _whole("seed", seed, 0)
    classes, targets = np.unique(column_or_1d(y), return_inverse=True)
    if len(classes) < 2:
        _checks.reject("y", "have at least two classes", f"{len(classes)}", "Nothing is to be told apart.")
    if groups is None:
        groups = duplicate_groups(np.asarray(X)) if getattr(X, "ndim", 0) == 2 or hasattr(X, "columns") else None
    groups = np.arange(len(targets)) if groups is None else column_or_1d(groups)
    if len(groups) != len(targets):
        _checks.reject(
            "groups", f"have one entry for each of the {len(targets)} rows", len(groups), "Drop it or complete it."
        )
    grid = _Grid.check(estimator, alphas, gammas, keep_hardest, len(classes))
    folds = make_folds(targets, groups, n_splits=n_splits, n_repeats=n_repeats, seed=seed)
    tau_metric = metric if metric_named(metric).judges == "decisions" else "balanced_accuracy"
    task = _Task(estimator, X, targets, groups, grid, NAMES.index(tau_metric), seed)

    done: dict[int, _FoldScores] = {}
    try:
        for index, scores in _run(task, folds.splits, n_jobs):
            done[index] = scores
            if progress:
                progress(len(done), len(folds.splits))
    except KeyboardInterrupt:
        if len(done) < 2:
            raise
    order = sorted(done)
    first_repeat = [i for i in order if folds.splits[i].repeat == 0 and done[i].ce_logits is not None]
    notes = list(folds.notes)
    stopped = sum(done[i].n_unconverged for i in order)
    if stopped:
        notes.append(f"{stopped:,} of {len(order) * grid.n_fits:,} fits stopped at their iteration limit.")
    if len(order) < len(folds.splits):
        notes.append(f"Interrupted: {len(order)} of {len(folds.splits)} folds were finished and are used.")
    width = 1 if len(classes) == 2 else len(classes)
    return TuneResult(
        cells=grid.cells,
        scores=np.stack([done[i].scores for i in order], axis=1),
        repeat_of_fold=np.array([folds.splits[i].repeat for i in order]),
        taus=np.array([done[i].tau for i in order]),
        folds=folds,
        alphas=grid.alphas,
        gammas=grid.gammas,
        metric=metric,
        classes=tuple(classes.tolist()),
        counts=np.bincount(targets),
        targets=targets,
        ce_rows=np.concatenate([folds.splits[i].test for i in first_repeat] or [np.empty(0, np.intp)]),
        ce_logits=np.concatenate([_two_dimensional(done[i].ce_logits) for i in first_repeat] or [np.empty((0, width))]),
        seed=seed,
        seconds=time.perf_counter() - started,
        finished=len(order) == len(folds.splits),
        notes=tuple(notes),
    )


def _two_dimensional(logits: Any) -> NDArray[np.float64]:
    return np.asarray(logits, np.float64).reshape(len(logits), -1)


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        _checks.reject(name, f"be a whole number of at least {least}", value, "Pass an int.")


@dataclass(frozen=True)
class _Grid:
    """The candidates, in the order of their scores."""

    alphas: tuple[Any, ...]
    gammas: tuple[float, ...]
    keep_hardest: tuple[float | int, ...]
    cells: tuple[Cell, ...]

    @property
    def n_fits(self) -> int:
        """Models fitted per fold, besides those that choose tau."""
        return len(self.alphas) * len(self.gammas) + len(self.keep_hardest)

    @classmethod
    def check(cls, estimator: Any, alphas: Any, gammas: Any, keep_hardest: Any, n_classes: int) -> _Grid:
        model = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        parameters = model.get_params() if hasattr(model, "get_params") else {}
        if not {"alpha", "gamma"} <= set(parameters):
            _checks.reject(
                "estimator", "be a classifier with parameters alpha and gamma", model, "E.g. FocalClassifier()."
            )
        alphas = [tuple(a) if isinstance(a, (list, np.ndarray)) else a for a in alphas]
        for alpha in alphas:
            alpha_vector(alpha, np.ones(n_classes))
        alphas = tuple(dict.fromkeys([None, *alphas]))
        zero = [0.0, *(_checks.number("gammas", g, _checks.GAMMA, "0 is cross-entropy.") for g in gammas)]
        gammas = tuple(sorted(set(zero)))
        for part in keep_hardest:
            LossSpec(keep_hardest=part)
        kept = tuple(dict.fromkeys(keep_hardest)) if "keep_hardest" in parameters else ()
        cells = [Cell(), Cell(tau=1.0), Cell(tau="chosen")]
        cells += [Cell(alpha) for alpha in alphas[1:]]
        cells += [Cell(alpha, gamma) for gamma in gammas[1:] for alpha in alphas]
        cells += [Cell(keep_hardest=part) for part in kept]
        return cls(alphas, gammas, kept, tuple(cells))


@dataclass(frozen=True)
class _Task:
    """What every fold needs."""

    estimator: Any
    X: Any
    targets: NDArray[np.intp]
    groups: NDArray[Any]
    grid: _Grid
    tau_metric: int
    seed: int


@dataclass(frozen=True)
class _FoldScores:
    scores: NDArray[np.float64]
    tau: float
    ce_logits: NDArray[np.float64] | None
    n_unconverged: int


def _run(task: _Task, splits: Sequence[Split], n_jobs: int) -> Iterator[tuple[int, _FoldScores]]:
    if n_jobs == 1:
        for index, split in enumerate(splits):
            yield _run_split(task, index, split)
        return
    jobs = (delayed(_run_split)(task, index, split) for index, split in enumerate(splits))
    yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)


def _run_split(task: _Task, index: int, split: Split) -> tuple[int, _FoldScores]:
    if multiprocessing.parent_process() is not None:
        # Ctrl-C reaches every process of the terminal; the parent alone answers it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        scores, tau, logits = _score_split(task, split)
    stopped = sum(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return index, _FoldScores(scores, tau, logits if split.repeat == 0 else None, stopped)


def _score_split(task: _Task, split: Split) -> tuple[NDArray[np.float64], float, NDArray[np.float64] | None]:
    """Scores (n_cells, n_metrics) of one fold, the tau chosen in it, and plain CE's logits."""
    n_classes = int(task.targets.max()) + 1
    train_y, test_y = task.targets[split.train], task.targets[split.test]
    prepare, model = _parts(task.estimator)
    train_X, test_X = _prepared(prepare, task.X, split.train, split.test, train_y)
    counts = np.bincount(train_y, minlength=n_classes)
    prior = counts / len(train_y)
    scores = np.full((len(task.grid.cells), len(METRICS)), np.nan)
    logits = None
    tau = 1.0
    for cell, fitted in _path(model, task.grid, train_X, train_y):
        posterior = _posterior(fitted, cell, test_X, n_classes, train_y)
        decisions = fitted.predict(test_X)
        scores[task.grid.cells.index(cell)] = score(test_y, decisions, posterior, counts)
        if cell == Cell():
            logits = fitted.decision_function(test_X) if hasattr(fitted, "decision_function") else None
            tau = _choose_tau(task, split, clone(fitted))
            for shift in (1.0, "chosen"):
                strength = tau if shift == "chosen" else 1.0
                shifted = _shifted(posterior, prior, float(strength))
                scores[task.grid.cells.index(Cell(tau=shift))] = score(test_y, shifted, posterior, counts)
    return scores, tau, logits


def _parts(estimator: Any) -> tuple[Any, Any]:
    estimator = clone(estimator)
    if isinstance(estimator, Pipeline):
        return (estimator[:-1] if len(estimator.steps) > 1 else None), estimator.steps[-1][1]
    return None, estimator


def _prepared(prepare: Any, X: Any, train: Any, test: Any, train_y: Any) -> tuple[Any, Any]:
    train_X, test_X = _safe_indexing(X, train), _safe_indexing(X, test)
    if prepare is None:
        return train_X, test_X
    return prepare.fit_transform(train_X, train_y), prepare.transform(test_X)


def _path(model: Any, grid: _Grid, X: Any, y: Any) -> Iterator[tuple[Cell, Any]]:
    """Every fitted model; each starts from its neighbour: along alpha at gamma = 0, then along gamma."""
    if "warm_start" in model.get_params():
        model.set_params(warm_start=True)
    plain = copy.deepcopy(model.set_params(alpha=None, gamma=0.0).fit(X, y))
    for alpha in grid.alphas:
        if alpha is not None:
            model.set_params(alpha=alpha).fit(X, y)
        walker = copy.deepcopy(model)
        yield Cell(alpha), walker
        for gamma in grid.gammas[1:]:
            yield Cell(alpha, gamma), walker.set_params(gamma=gamma).fit(X, y)
    for part in grid.keep_hardest:
        miner = copy.deepcopy(plain).set_params(keep_hardest=part)
        yield Cell(keep_hardest=part), miner.fit(X, y)


def _posterior(model: Any, cell: Cell, X: Any, n_classes: int, train_y: Any) -> NDArray[np.float64]:
    """Probabilities under the training prior: alpha's tilt is divided out."""
    given = np.asarray(model.predict_proba(X), np.float64)
    if cell.alpha is not None:
        counts = np.bincount(train_y, minlength=n_classes)[model.classes_]
        weights = getattr(model, "alpha_", None)
        given = given / (alpha_vector(cell.alpha, counts) if weights is None else weights)
        given /= given.sum(axis=1, keepdims=True)
    posterior = np.zeros((len(given), n_classes))
    posterior[:, model.classes_] = given
    return posterior


def _shifted(posterior: NDArray[np.float64], prior: NDArray[np.float64], tau: float) -> NDArray[Any]:
    safe = np.maximum(prior, np.finfo(np.float64).tiny)
    return np.asarray(shift_prior(posterior, safe / safe.sum(), tau).argmax(axis=1))


def _choose_tau(task: _Task, split: Split, model: Any) -> float:
    """The shift that does best on inner folds of the training rows; of equals the one nearest to 1."""
    targets = task.targets[split.train]
    n_classes = int(task.targets.max()) + 1
    inner = make_folds(targets, task.groups[split.train], n_splits=3, n_repeats=1, seed=task.seed)
    prepare, _ = _parts(task.estimator)
    posterior = np.zeros((len(targets), n_classes))
    scored = np.zeros(len(targets), bool)
    for part in inner.splits:
        rows, held = split.train[part.train], split.train[part.test]
        train_X, test_X = _prepared(prepare, task.X, rows, held, targets[part.train])
        model.set_params(alpha=None, gamma=0.0).fit(train_X, targets[part.train])
        posterior[part.test] = _posterior(model, Cell(), test_X, n_classes, targets[part.train])
        scored[part.test] = True
    prior = np.bincount(targets, minlength=n_classes) / len(targets)
    sign = 1 if METRICS[task.tau_metric].larger_is_better else -1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merit = [
            sign * decision_score(task.tau_metric, targets[scored], _shifted(posterior[scored], prior, tau))
            for tau in TAUS
        ]
    best = np.flatnonzero(np.isclose(merit, max(merit), rtol=0, atol=1e-12))
    return float(TAUS[best[np.abs(TAUS[best] - 1).argmin()]])
