"""decide() for labels that can hold at once: each label's probabilities made true, a cut-off each, cross-fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.decisions import inputs
from focalkit.decisions.calibration import METHODS, best_calibration, fit_calibration
from focalkit.decisions.goals import Constraint, Cost, Goal, Maximize
from focalkit.decisions.label_figures import label_figures
from focalkit.decisions.labels import fit_labels
from focalkit.decisions.learn import curve_of
from focalkit.decisions.prior import PriorEstimate, likeliest_prior
from focalkit.decisions.report import Curve, DecisionReport
from focalkit.decisions.rule import DecisionRule, labels_array, plain
from focalkit.decisions.rules import Cutoffs, both_sides
from focalkit.decisions.steps import EachLabel, Recover, Reweigh, Step, own_cutoffs

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
#: Positives and negatives that a label must have to be calibrated.
FEWEST = 10


@dataclass(frozen=True)
class Labelled:
    """What is known of training and of the place of use, as :func:`focalkit.decisions.decide` takes it."""

    gamma: Any = None
    alpha: Any = None
    keep_hardest: Any = None
    sampling_rate: Any = None
    calibrate: str | None = "auto"
    prior: Any = None
    unlabelled: Any = None


@dataclass(frozen=True)
class Recipe:
    """How cut-offs are made from rows: the same on all of them and on each fold's rest."""

    goal: Goal
    closed: bool
    methods: tuple[str | None, ...]
    prior: tuple[float, ...] | None
    seed: int

    def fit(self, p: Real, y: NDArray[Any], w: Real | None) -> tuple[EachLabel, Cutoffs, float | None]:
        """Steps on ``p`` (n, n_labels), the cut-offs behind them, and what these were shrunk with."""
        each: list[tuple[Step, ...]] = []
        factor = factors(self.prior, y, w)
        for k, method in enumerate(self.methods):
            steps: list[Step] = []
            if method is not None and min(y[:, k].sum(), (1 - y[:, k]).sum()) > 1:
                steps.append(fit_calibration(method, p[:, k], y[:, k], w))
            if factor is not None:
                steps.append(Reweigh(tuple(map(float, factor[k]))))
            each.append(tuple(steps))
        step = EachLabel(tuple(each))
        if self.closed:
            return step, Cutoffs((self.goal.cutoff,) * p.shape[1]), None  # type: ignore[attr-defined]
        if factor is not None:
            of_row = np.take_along_axis(factor.T, y, axis=0)
            w = of_row if w is None else of_row * w[:, None]
        folds = np.asarray(np.random.default_rng(self.seed + 1).permutation(len(p)) % 5, np.intp)
        return step, *fit_labels(self.goal, step.apply(p), y, w, folds=folds)


def factors(prior: tuple[float, ...] | None, y: NDArray[Any], w: Real | None) -> Real | None:
    """How much more frequent rows without and with each label (n_labels, 2) are under ``prior``."""
    if prior is None:
        return None
    have = np.average(y, axis=0, weights=w).clip(1e-12, 1 - 1e-12)
    new = np.array(prior)
    return np.column_stack([(1 - new) / (1 - have), new / have])


def decide_labels(
    data: inputs.Data, goal: Goal, cv: int | None, groups: Any, seed: int, learned: bool | None, training: Labelled
) -> DecisionRule:
    """A cut-off a label, cross-fitted; figures are sums and means over labels of each label's, per 1,000 cases."""
    if not isinstance(goal, Maximize | Constraint | Cost):
        got = contracts.Words(type(goal).__name__)
        contracts.reject("goal", "be one of two classes for each label", got, "E.g. 'f1', Cost(fn=9, fp=1).")
    notes = list(data.notes)
    y, w = data.labels, data.w
    folds = _folds(data, cv, groups, seed)
    undo = _undo(training, data, notes)
    p = undo.apply(data.p)
    closed = isinstance(goal, Cost) and not learned
    methods = _methods(training.calibrate, closed, p, y, w, folds)
    if training.calibrate == "auto" and any(methods):
        for name in sorted({m for m in methods if m}):
            notes.append(
                Message("decide.calibrated_labels", n=methods.count(name), method=Message(f"decide.map_{name}"))
            )
    prior, estimated = _prior(training, data, undo, methods, p, notes)
    recipe = Recipe(goal, closed, methods, prior, seed)
    step, rule, kappa = recipe.fit(p, y, w)
    after, spread = rule.decide(step.apply(p)), []
    if folds is not None:
        for fold in range(int(folds.max()) + 1):
            test, train = folds == fold, folds != fold
            of_fold, cutoffs, _ = recipe.fit(p[train], y[train], data.weights(train))
            after[test] = cutoffs.decide(of_fold.apply(p[test]))
            spread.append(own_cutoffs(cutoffs, _joined(undo, of_fold)))
    before = (data.p > 0.5).astype(np.int64)
    factor = factors(prior, y, w)
    figures, how = label_figures(goal, before, after, y, w, seed, factor)
    mass = (y if w is None else y * w[:, None]).sum(axis=0) * (1.0 if factor is None else factor[:, 1])
    report = DecisionReport(
        n_rows=len(data.p),
        class_weight=tuple(map(float, mass)),
        figures=figures,
        interval=how,
        cross_fitted=folds is not None,
        prior=estimated,
        notes=tuple(notes),
        curves=tuple(_curve(data, k, factor, cut) for k, cut in enumerate(own_cutoffs(rule, _joined(undo, step)))),
        kappa=kappa,
        fold_labels=tuple(spread),
        seed=seed,
    )
    return DecisionRule(rule, goal, data.classes, _joined(undo, step), report)


def _folds(data: inputs.Data, cv: int | None, groups: Any, seed: int) -> Ints | None:
    """A fold for each row, drawn at random; rows of one group stay together."""
    unit = np.arange(len(data.p)) if groups is None else data.groups(groups)
    if cv is None:
        return None
    inputs.check_cv(cv)
    n_units = int(unit.max()) + 1
    if n_units < cv:
        contracts.reject("groups", f"be at least {cv} for {cv} folds", n_units, "Use fewer folds.")
    return np.asarray((np.random.default_rng(seed).permutation(n_units) % cv)[unit], np.intp)


def _joined(undo: EachLabel, step: EachLabel) -> tuple[Step, ...]:
    """Both of each label, one after the other; nothing where no label has any."""
    each = tuple(first + then for first, then in zip(undo.labels, step.labels, strict=True))
    return (EachLabel(each),) if any(each) else ()


def _undo(training: Labelled, data: inputs.Data, notes: list[Message]) -> EachLabel:
    """What training did to the probabilities of each label, undone."""
    n = len(data.classes)
    if training.sampling_rate is not None:
        remedy = "Give each row its sample weight instead."
        contracts.reject(
            "sampling_rate", "be of classes that exclude each other", contracts.Words("several labels"), remedy
        )
    if training.keep_hardest is not None:
        share = contracts.number("keep_hardest", training.keep_hardest, contracts.FRACTION, "As in training.")
        if share < 1:
            notes.append(Message("decide.mined" if training.calibrate else "decide.mined_uncalibrated"))
    if training.gamma is None and training.alpha is None:
        return EachLabel(((),) * n)
    gamma = _per_label("gamma", 0.0 if training.gamma is None else training.gamma, contracts.GAMMA, n)
    alpha = None
    if training.alpha is not None:
        alpha = _per_label("alpha", training.alpha, contracts.ALPHA_SIGMOID, n)
    steps = [Recover(gamma[k], None if alpha is None else (1 - alpha[k], alpha[k])) for k in range(n)]
    return EachLabel(tuple((step,) for step in steps))


def _per_label(name: str, value: Any, domain: contracts.Interval, n: int) -> tuple[float, ...]:
    """One number for all labels, or one each."""
    values = contracts.number_or_vector(name, value, domain, "One number, or one a label, as in training.")
    if isinstance(values, tuple) and len(values) != n:
        contracts.reject(
            name, f"be one number or {n}, one a label", contracts.Words(f"{len(values)} numbers"), "As in training."
        )
    return values if isinstance(values, tuple) else (values,) * n


def _methods(
    calibrate: str | None, closed: bool, p: Real, y: NDArray[Any], w: Real | None, folds: Ints | None
) -> tuple[str | None, ...]:
    """How each label is calibrated; None: not at all."""
    n = p.shape[1]
    nothing: tuple[str | None, ...] = (None,) * n
    if calibrate is None or (calibrate == "auto" and (not closed or folds is None)):
        return nothing
    if calibrate != "auto":
        contracts.one_of("calibrate", calibrate, ("auto", *METHODS))
    some = [min(int(y[:, k].sum()), int((1 - y[:, k]).sum())) >= FEWEST for k in range(n)]
    if calibrate != "auto":
        return tuple(calibrate if enough else None for enough in some)
    assert folds is not None
    return tuple(_best_map(p[:, k], y[:, k], w, folds) if some[k] else None for k in range(n))


def _best_map(p: Real, y: NDArray[Any], w: Real | None, folds: Ints) -> str | None:
    """The map that most surely lowers the cross-fitted log loss, or None: also where a fold's rest has one class."""
    if any(len(np.unique(y[folds != fold])) < 2 for fold in range(int(folds.max()) + 1)):
        return None
    return best_calibration(p, y, w, folds)


def _prior(
    training: Labelled, data: inputs.Data, undo: EachLabel, methods: tuple[str | None, ...], p: Real, notes: Any
) -> tuple[tuple[float, ...] | None, PriorEstimate | None]:
    """How frequent each label is where the rule will be used: given, or estimated from predictions."""
    if training.prior is not None and training.unlabelled is not None:
        contracts.reject(
            "prior", "be given or estimated, not both", contracts.Words("prior and unlabelled"), "Drop one of the two."
        )
    n = len(data.classes)
    if training.prior is not None:
        remedy = "How frequent each label is where the rule will be used."
        values = contracts.number_or_vector("prior", training.prior, contracts.PRIOR, remedy)
        if not isinstance(values, tuple) or len(values) != n or not all(0 < v < 1 for v in values):
            contracts.reject("prior", f"be {n} frequencies in (0, 1), one a label", training.prior, remedy)
        return values, None
    if training.unlabelled is None:
        return None, None
    fresh = undo.apply(labels_array(plain(training.unlabelled), n))
    y, w, found = data.labels, data.w, []
    for k, method in enumerate(methods):
        share = float(np.average(y[:, k], weights=w))
        q = fresh[:, k] if method is None else fit_calibration(method, p[:, k], y[:, k], w).apply(fresh[:, k])
        found.append(likeliest_prior(both_sides(q), np.array([1 - share, share]).clip(1e-12), np.ones(len(q))))
    if not all(each.identifiable for each in found):
        notes.append(Message("decide.unidentifiable"))
    if any(each.at_edge for each in found):
        notes.append(Message("decide.at_edge"))
    prior = tuple(min(max(each.prior[1], 1e-6), 1 - 1e-6) for each in found)
    errors = tuple(each.error[1] for each in found)
    sure, edge = all(each.identifiable for each in found), any(each.at_edge for each in found)
    return prior, PriorEstimate(prior, errors, sure, edge)


def _curve(data: inputs.Data, k: int, factor: Real | None, cut: float) -> Curve:
    of_label = None if factor is None else factor[k]
    return curve_of(data.p[:, k], data.labels[:, k] == 1, data.w, of_label, {"half": 0.5, "rule": cut})
