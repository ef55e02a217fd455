"""tune: paired, repeated cross-validation of the alpha x gamma surface and its rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit._core.types import Features
from focalkit.decisions import Constraint, Cost, CostMatrix, Goal
from focalkit.decisions.goals import as_goal
from focalkit.io.repeats import duplicate_groups
from focalkit.tuning.collection import Collection, Left, Progress
from focalkit.tuning.data import Data, Trainer
from focalkit.tuning.execute import run_units
from focalkit.tuning.folds import Folds, forward_folds, make_folds
from focalkit.tuning.grid import ALPHAS, GAMMAS, KEEP_HARDEST, Grid, Plan, in_turn
from focalkit.tuning.journal import Journal
from focalkit.tuning.linear import LinearTable, LinearTrainer
from focalkit.tuning.measures import CostOf, Scored
from focalkit.tuning.racing import FEWEST_FITS, FEWEST_REPEATS, left_behind
from focalkit.tuning.resampling import checked as checked_rivals
from focalkit.tuning.resampling import names_of
from focalkit.tuning.result import TuneResult
from focalkit.tuning.scores import NAMES, Metric, bound, metric_of
from focalkit.tuning.units import Task, Unit

if TYPE_CHECKING:
    from distributed import Client
    from sklearn.base import BaseEstimator

    from focalkit.tuning.classifiers import OutOfFold
    from focalkit.tuning.trials import Space


#: Beyond any use, and within memory.
MOST_REPEATS, MOST_TRIALS = 1000, 100_000


def tune(
    estimator: BaseEstimator | OutOfFold | str | Callable[..., Any],
    X: Features,
    y: ArrayLike,
    *,
    alphas: Sequence[Any] = ALPHAS,
    gammas: Sequence[float] = GAMMAS,
    keep_hardest: Sequence[float | int] = KEEP_HARDEST,
    rivals: str | Sequence[str] = (),
    metric: str | Goal | ArrayLike | Callable[..., float] = "balanced_accuracy",
    costs: ArrayLike | None = None,
    positive: Any = None,
    n_splits: int = 5,
    n_repeats: int = 5,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
    n_trials: int = 0,
    space: Space | None = None,
    n_jobs: int = 1,
    dask: str | Client | None = None,
    journal: str | Path | None = None,
    every_cell: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> TuneResult:
    """Score every alpha and gamma, OHEM, and plain cross-entropy with shifted decisions, on the same folds.

    Parameters
    ----------
    estimator : classifier, Pipeline that ends in one, str, function, or OutOfFold
        A classifier with parameters ``alpha`` and ``gamma`` (such as
        :class:`focalkit.estimator.FocalClassifier`), and ``keep_hardest`` where OHEM is to be tried; or
        any other with ``predict_proba``, whose class weights are given by ``class_weight`` or
        ``sample_weight``, whichever it takes, and which gamma is left out for. A ``random_state`` of None
        becomes ``seed``. A pipeline's other steps are fitted inside the folds. A ``warm_start`` parameter is used
        along gamma. A name ("linear", "xgboost", "lightgbm", "catboost") stands for
        :func:`focalkit.tuning.estimators.named_estimator`. A function
        ``fit_score(spec, train, test)`` trains on row numbers and returns logits, as
        :class:`focalkit.tuning.trainers.FunctionTrainer` says. :class:`focalkit.tuning.OutOfFold` are
        predictions that are there already: what needs no training is compared on them.
    X : (n, n_features), or None
        Features, as the estimator takes them. With a function they only serve to keep equal rows
        together and to tell a journal's data; None: rows are told apart by ``groups`` alone.
    y : (n,)
        Class labels of any kind.
    alphas : sequence
        Class weights to try, each as ``FocalClassifier.alpha``; None is always among them.
    gammas : sequence of float in [0, inf)
        Focusing parameters to try; 0 is always among them.
    keep_hardest : sequence
        OHEM's kept fractions or counts; empty for none.
    rivals : "all" or sequence of str
        What is tried besides: the "logit-adjusted" loss, where the estimator takes it ("train with it, or shift
        afterwards?"); and what changes the training rows: "undersample", "oversample", "smote" (needs
        imbalanced-learn), "bagging" (balanced), "self-paced". Their probabilities are undone at the known rate before
        they are judged. On features of a network, other heads of a linear classifier ("heads" for all): "crt",
        "tau-normalised", "lws" (Kang et al. 2020, arXiv 1910.09217), "cosine".
    metric : str, Goal, matrix, scorer or function
        The figure that the tables and the verdict's headline go by: "balanced_accuracy",
        "macro_f1", "mcc", "average_precision", "log_loss", "calibration_error"; a goal of
        :mod:`focalkit.decisions` (``Cost``, ``CostMatrix`` or the matrix itself, ``CaseCost``, ``Maximize``,
        ``Constraint``); the name of one (:func:`focalkit.tuning.scores.metric_named`); a scorer of scikit-learn by its
        name or itself; or a function ``(y_true, y_pred)`` of decisions. Of scorers and functions larger is better;
        with ``sample_weight`` they must take that.
    costs : (n,) or (n, n_classes, n_classes), optional
        Of each case, for ``CaseCost``.
    positive : label, optional
        Of two classes, the one that misses, alarms, precision, recall and F scores are of; it becomes the second of the
        result's classes. Default: of numbers and truth values the larger, of texts the rarer.
    n_splits, n_repeats : int
        Folds, and how often they are drawn anew.
    groups : (n,), optional
        Rows of one group stay in one fold; default: rows whose features are equal.
    time : (n,), optional
        What orders the rows in time: the folds then follow each other, each trained on all that was before it
        (forward chaining), once. Default: folds are drawn at random.
    sample_weight : (n,) in [0, inf), optional
        Weights of the rows, in training and in every figure.
    seed : int
        Seeds the folds and the trials. The result is the same, bit for bit, for any number of jobs.
    n_trials : int
        Draws beyond the grid, of alpha = n^-beta, gamma and the estimator's own parameters (see
        :mod:`focalkit.tuning.trials`; needs Optuna).
    space : callable, optional
        From an Optuna trial to the estimator's parameters: ``lambda trial: {"C":
        trial.suggest_float("C", 0.01, 100, log=True)}``; default: one for each known estimator.
    n_jobs : int
        Processes; -1 for all cores.
    dask : str or Client, optional
        "local", or the address of a scheduler, whose workers do the training.
    journal : path, optional
        Keeps every finished fold (or cell of a fold, where fits are independent); a run with the
        same journal does only what is missing, and several processes may share one.
    every_cell : bool
        Score every cell in every repeat. Otherwise, where fits are made one by one (which those of the linear model are
        not), eight of them and three repeats at the least and no trials, those go on after the first repeat that may
        still win (:mod:`focalkit.tuning.racing`), which takes half of the time.
    progress : callable, optional
        Called with a :class:`focalkit.tuning.collection.Progress` as work is finished.

    Returns
    -------
    TuneResult
        On Ctrl-C with the folds finished so far (``finished`` is then False).

    Raises
    ------
    InputError
        Where an argument breaks its contract, or the journal is that of another run.
    KeyboardInterrupt
        Where it came before two folds were finished.
    ChildProcessError
        Where a worker process was killed.
    """
    started = perf_counter()
    asked, given = metric_of(metric), metric
    metric = asked.name
    contracts.whole("n_splits", n_splits, 2)
    contracts.whole("n_repeats", n_repeats, 1, most=MOST_REPEATS)
    contracts.whole("seed", seed, 0, most=contracts.MOST_SEED)
    contracts.whole("n_trials", n_trials, 0, most=MOST_TRIALS)
    contracts.jobs("n_jobs", n_jobs)
    rivals = names_of(rivals)
    contracts.flag("every_cell", every_cell)
    for name, function in (("space", space), ("progress", progress)):
        if function is not None and not callable(function):
            contracts.reject(name, "be a function", function, "Leave it out, or pass a callable.")
    place = None if journal is None else contracts.path("journal", journal)
    remedy = "Leave such rows out of X and y."
    classes, targets = contracts.class_ids(contracts.complete("y", y, "have a label in every row", remedy))
    contracts.unmasked("X", X)
    X = X.tocsr() if hasattr(X, "tocsr") else X  # of the other forms not all have rows
    rows = _rows(X)
    if rows is not None and rows != len(targets):
        contract = f"have one label for each of the {rows} rows of X"
        contracts.reject("y", contract, len(targets), "Pass the same rows of both.")
    weight = None if sample_weight is None else _weights(sample_weight, targets, classes)
    turns = (positive is not None or asked.directed) and _turns(positive, estimator, classes, targets, weight)
    if turns:
        # what is in the order of the labels changes places with them
        classes, targets, alphas = classes[::-1], 1 - targets, [in_turn(alpha) for alpha in alphas]
        estimator = estimator.turned() if hasattr(estimator, "turned") else estimator
        matrix = as_goal(given) if isinstance(given, list | tuple | np.ndarray) else given
        if isinstance(matrix, CostMatrix):
            asked = metric_of(matrix.ordered((1, 0)))
            metric = asked.name
    asked = bound(asked, targets, classes, weight, costs)
    if turns and isinstance(asked.measure, CostOf) and np.ndim(costs) == 3:  # type: ignore[arg-type]
        asked = replace(asked, measure=replace(asked.measure, matrices=asked.measure.matrices[:, ::-1, ::-1]))
    grouped = groups is not None
    groups = contracts.groups(groups, len(targets)) if grouped else _equal_rows(X, len(targets))
    trainer = _trainer(estimator, X, targets, len(classes), seed, plain=not n_trials and not rivals)
    grid = Grid.checked(
        alphas if trainer.weighs else (), gammas if trainer.focuses else (), keep_hardest if trainer.mines else (),
        len(classes), checked_rivals(rivals, resamples=trainer.resamples, adjusts=trainer.adjusts, name=trainer.name),
    )  # fmt: skip
    if time is None:
        folds = make_folds(
            targets, groups, n_splits=n_splits, n_repeats=n_repeats, seed=seed, names=classes.tolist(), grouped=grouped
        )
    else:
        times = contracts.complete("time", time, "have a value in every row", "Mend or drop the rows.", len(targets))
        folds = forward_folds(targets, groups, contracts.distinct("time", times)[1], n_splits=n_splits)
    surface = grid.plans(trainer.chained)
    drawn: list[Grid] = []
    if n_trials:
        from focalkit.tuning.trials import draw

        drawn = draw(trainer, grid, n_trials, space, seed)
    plans = _without_repeats([*surface, *(plan for one in drawn for plan in one.plans(trainer.chained))])
    if len(classes) > 2 and isinstance(asked.goal, Cost | Constraint):
        contracts.reject(
            "metric", f"suit {len(classes)} classes", metric, "Bounds are of two classes; give a cost matrix for costs."
        )
    data = Data(X, targets, len(classes), weight)
    held = np.array([data.masses(split.test) for split in folds.splits])
    if not held.any(axis=1).all():
        remedy = "Ask for fewer folds, or leave rows of weight 0 out."
        contracts.reject(
            "sample_weight", "leave each fold a weight above 0", contracts.Words("zeros alone in a fold"), remedy
        )
    scored = np.asarray(held.any(axis=0))
    task = Task(trainer, data, folds.splits, plans, asked, scored)
    # the surface fold by fold, then trial after trial: an interrupted run has folds that are whole
    n_surface, all_folds = len(surface), range(len(folds.splits))
    units = [Unit(plan, fold) for fold in all_folds for plan in range(n_surface)]
    units += [Unit(plan, fold) for plan in range(n_surface, len(plans)) for fold in all_folds]
    book = None
    if place is not None:
        from focalkit.tuning.fingerprint import fingerprint, identity, source

        contents = {"features": X, "target": (targets, classes.tolist()), "groups": groups}
        contents |= {} if time is None else {"time": np.asarray(time)}
        contents |= {} if weight is None else {"sample_weight": weight}
        contents |= {} if costs is None else {"costs": np.asarray(costs)}
        options = {
            "alphas": grid.alphas, "gammas": grid.gammas, "keep_hardest": grid.keep_hardest, "metric": _identity(asked),
            "n_splits": n_splits, "n_repeats": n_repeats, "seed": seed, "space": source(space) if space else "default",
            **({"rivals": grid.rivals} if grid.rivals else {}),
        }  # fmt: skip
        book = Journal(place, identity(trainer, contents, options), [fingerprint(p) for p in plans], len(folds.splits))

    collection = Collection(task, n_surface, folds.n_splits)
    every_cell = every_cell or n_trials > 0 or n_surface < FEWEST_FITS or folds.n_repeats < FEWEST_REPEATS

    def phases() -> Iterator[Sequence[Unit]]:
        if every_cell:
            yield units
            return
        yield [unit for unit in units if folds.splits[unit.fold].repeat == 0]
        collection.left = left_behind(collection, asked)
        yield [u for u in units if folds.splits[u.fold].repeat > 0 and u.plan not in collection.left.plans]

    running = run_units(task, phases(), n_jobs=n_jobs, dask=dask, journal=book)
    try:
        for unit, found in running:
            collection.add(unit, found)
            if progress:
                progress(collection.progress(NAMES.index(metric) if metric in NAMES else 0))
    except KeyboardInterrupt:
        if len(collection.folds()) < 2:
            raise
    except ChildProcessError as error:
        raise ChildProcessError(_lost(str(error), collection, journal)) from error
    finally:
        running.close()
        if book is not None:
            book.close()
    return _result(collection, folds, grid, asked, classes, seed=seed, seconds=perf_counter() - started)


def _trainer(estimator: Any, X: Any, targets: NDArray[Any], n_classes: int, seed: int, *, plain: bool) -> Trainer:
    """The trainer of what was given; ``plain``: neither rivals nor trials, which need scikit-learn's pipeline."""
    if isinstance(estimator, LinearTable):
        if plain and isinstance(X, np.ndarray) and X.ndim == 2:
            finite = np.isfinite(X) | np.isnan(X) if estimator.missing else np.isfinite(X)
            if not finite.all():
                row = int(np.flatnonzero(~finite.all(axis=1))[0])
                got = contracts.Words(f"NaN or inf in row {row}")
                contracts.reject("X", "hold finite numbers", got, "Leave such rows out or mend them.")
            return LinearTrainer(estimator)
        estimator = estimator.made()
    from focalkit.tuning.classifiers import OutOfFold, trainer_of
    from focalkit.tuning.estimators import named_estimator

    if isinstance(estimator, str):
        shape = np.shape(X) if hasattr(X, "shape") else contracts.array("X", X).shape
        if len(shape) != 2:
            contracts.reject("X", "have shape (n, n_features)", contracts.Words(f"shape {shape}"), "Pass a matrix.")
        estimator = named_estimator(estimator, shape[1])
    trainer = trainer_of(estimator, seed)
    return trainer.checked(len(targets), n_classes) if isinstance(trainer, OutOfFold) else trainer


def _turns(
    positive: Any,
    estimator: Any,
    classes: NDArray[Any],
    targets: NDArray[Any],
    weight: NDArray[np.float64] | None,
) -> bool:
    """Whether the first of the labels is the positive class: as asked, or of two texts the rarer."""
    fixed = callable(estimator) and not hasattr(estimator, "get_params")  # a function's logits have the labels' order
    if positive is None:
        texts = len(classes) == 2 and all(isinstance(label, str) for label in classes.tolist())
        masses = np.bincount(targets, weight, minlength=len(classes))
        return bool(texts and not fixed and masses[0] < masses[1])
    if len(classes) != 2:
        got = contracts.Words(f"{positive!r} with {len(classes)} classes")
        contracts.reject("positive", "be left out", got, "It is one of two classes.")
    labels = classes.tolist()
    found = [k for k, label in enumerate(labels) if label == positive or str(label) == str(positive)]
    if len(found) != 1:
        contracts.reject("positive", f"be {labels[0]!r} or {labels[1]!r}", positive, "It is one of the two labels.")
    if fixed and found[0] == 0:
        remedy = "A training function's logits are in the order of the labels: rename them, or pass a classifier."
        contracts.reject("positive", f"be {labels[1]!r}", positive, remedy)
    return found[0] == 0


def _identity(metric: Metric) -> str:
    """What a journal's figures depend on of the metric: its name, the goal's numbers, the source of a function."""
    measure = metric.measure
    if isinstance(measure, Scored):
        from focalkit.tuning.fingerprint import source

        return f"{metric.name} {measure.score if measure.scorer else source(measure.score)}"
    return metric.name if metric.goal is None or measure is None else f"{metric.name} {metric.goal}"


def _rows(X: Any) -> int | None:
    """How many rows ``X`` has, where it says so."""
    if getattr(X, "ndim", None) is not None:
        return int(X.shape[0]) if X.ndim else 0
    return len(X) if hasattr(X, "__len__") else None


def _weights(given: Any, targets: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.float64]:
    weight = contracts.sample_weight_array(given, targets.shape)
    assert weight is not None
    for k in np.flatnonzero(np.bincount(targets, weights=weight, minlength=len(classes)) == 0):
        got = contracts.Words(
            f"zeros alone for class {classes[k].item() if hasattr(classes[k], 'item') else classes[k]!r}"
        )
        contracts.reject("sample_weight", "leave each class a weight above 0", got, "Leave such rows out.")
    return np.asarray(weight, np.float64)


def _equal_rows(X: Any, n: int) -> NDArray[Any]:
    """A group for each row, which equal rows share; what holds neither numbers nor texts is not looked into."""
    if hasattr(X, "tocsr"):
        return duplicate_groups(X)
    if not isinstance(X, list | tuple) and not hasattr(X, "ndim"):
        return np.arange(n)
    try:
        values = np.asarray(X) if isinstance(X, list | tuple) else contracts.array("X", X)
    except ValueError:  # parts of several lengths
        return np.arange(n)
    if values.ndim == 1 and all(isinstance(value, str) for value in values):
        values = values[:, None]
    return duplicate_groups(values.reshape(n, -1)) if values.ndim > 1 else np.arange(n)


def _without_repeats(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """The plans without cells that an earlier one has; a trial may draw what is in the grid."""
    seen: set[Any] = set()
    out = []
    for plan in plans:
        fresh = tuple(cell for cell in plan if cell not in seen)
        seen.update(fresh)
        if fresh:
            out.append(fresh)
    return tuple(out)


def _lost(message: str, collection: Collection, journal: str | Path | None) -> str:
    """What a killed worker means for the run, in one line."""
    if journal is None:
        return f"{message}; a journal would have kept what was finished"
    n_done, n_all = len(collection.found), collection.n_units
    return f"{message}; {journal} keeps {n_done:,} of {n_all:,} pieces of work: run the same again to do the rest"


def _result(
    collection: Collection,
    folds: Folds,
    grid: Grid,
    metric: Metric,
    classes: NDArray[Any],
    *,
    seed: int,
    seconds: float,
) -> TuneResult:
    task = collection.task
    order = collection.folds()
    # what was left is as good as the others where no later repeat was scored
    left = collection.left if any(task.splits[i].repeat for i in order) else Left()
    plans = [plan for plan in collection.complete_plans(order) if plan not in left.plans]
    table = collection.table(plans, order, metric)
    first = [i for i in order if task.splits[i].repeat == 0 and collection.plain(i).ce_logits is not None]
    notes: list[str] = [*folds.notes, *task.trainer.notes]
    stopped = sum(found.n_unconverged for found in collection.found.values())
    if stopped:
        n_fits = sum(len(task.plans[unit.plan]) for unit in collection.found)
        notes.append(Message("note.unconverged", n=stopped, n_fits=n_fits))
    if len(order) < len(task.splits):
        notes.append(Message("note.interrupted_folds", n=len(order), n_all=len(task.splits)))
    elif len(plans) + len(left.plans) < len(task.plans):
        n_fits = sum(len(task.plans[i]) for i in plans)
        notes.append(Message("note.interrupted_cells", n=n_fits, n_all=len(collection.cells)))
    if left.cells:
        notes.append(Message("note.left", n=len(left.cells), n_all=len(collection.cells)))
    width = 1 if len(classes) == 2 else len(classes)
    return TuneResult(
        cells=table.cells,
        scores=table.scores,
        repeat_of_fold=np.array([task.splits[i].repeat for i in order]),
        taus=table.plain_taus,
        folds=folds,
        alphas=grid.alphas,
        gammas=grid.gammas,
        metric=metric.name,
        asked=metric,
        classes=tuple(classes.tolist()),
        counts=np.bincount(task.data.targets),
        targets=task.data.targets,
        ce_rows=np.concatenate([task.splits[i].test for i in first] or [np.empty(0, np.intp)]),
        ce_logits=np.concatenate(
            [_two_dimensional(collection.plain(i).ce_logits) for i in first] or [np.empty((0, width))]
        ),
        seed=seed,
        seconds=seconds,
        finished=len(collection.found) == collection.n_units,
        estimator=task.trainer.name,
        notes=tuple(notes),
        decided=table.decided,
        final_taus=table.final_taus,
        masses=None if task.data.weight is None else task.data.masses(np.arange(len(task.data.targets))),
        scored=task.scored,
        left=left.cells,
        left_scores=left.scores,
    )


def _two_dimensional(logits: Any) -> NDArray[np.float64]:
    return np.asarray(logits, np.float64).reshape(len(logits), -1)
