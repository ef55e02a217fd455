"""A rule learned from checked rows: calibration, prior, cut-offs, cross-fitted figures, and the report of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.decisions import inputs
from focalkit.decisions.ascent import some_of_each
from focalkit.decisions.calibration import MOST_ROWS, best_calibration, calibration_of, fit_calibration
from focalkit.decisions.cutoffs import Cutoffs, sorted_cutoffs
from focalkit.decisions.figures import compare, promise
from focalkit.decisions.fit import best_cutoff, fit_rule, is_closed
from focalkit.decisions.goals import Abstain, Constraint, CostMatrix, Goal, Maximize
from focalkit.decisions.prior import PriorEstimate, likeliest_prior
from focalkit.decisions.report import Curve, DecisionReport, Promise, Sampled
from focalkit.decisions.rule import DecisionRule
from focalkit.decisions.rules import Bands, Cutoff, Rule, both_sides
from focalkit.decisions.steps import Reweigh, Step, apply_all, own_bands, own_scale

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
#: Cut-offs kept for curves, and rows kept of each class for pages.
CURVE, SAMPLE = 300, 120


@dataclass(frozen=True)
class Recipe:
    """How a rule is made from rows: the same on all of them and on each fold's rest."""

    goal: Goal
    learned: bool | None
    calibrate: str | None
    new_prior: tuple[float, ...] | None

    def fit(self, p: Real, y: Ints, w: Real | None, costs: Any) -> tuple[tuple[Step, ...], Rule]:
        """Steps on ``p`` and the rule behind them."""
        steps: list[Step] = []
        if self.calibrate is not None:
            rows = some_of_each(y, MOST_ROWS)
            steps.append(fit_calibration(self.calibrate, p[rows[0]], y[rows[0]], _times(w, rows)))
        k = 2 if p.ndim == 1 else p.shape[1]
        if self.new_prior is not None:
            ratio = np.array(self.new_prior) / frequencies(y, w, k)
            steps.append(Reweigh(tuple(map(float, ratio))))
            w = (np.ones(len(y)) if w is None else w) * ratio[y]
        q = apply_all(tuple(steps), p)
        return tuple(steps), fit_rule(self.goal, q, y, w, costs, learned=self.learned)


@dataclass(frozen=True)
class Asked:
    """What is asked of :func:`learn`, as :func:`decide` takes it."""

    goal: Goal
    learned: bool | None = None
    calibrate: str | None = "auto"
    prior: Any = None
    unlabelled: Any = None
    random_state: int = 0


def learn(
    data: inputs.Data, folds: Ints | None, asked: Asked, undo: tuple[Step, ...] = (), notes: Sequence[Message] = ()
) -> DecisionRule:
    """A rule and its report from checked data; ``folds`` (n,) number the folds, None: nothing is cross-fitted."""
    said, goal = list(notes), asked.goal
    p = inputs.narrow(apply_all(undo, data.p))
    method = _calibrated(asked.calibrate, goal, asked.learned, p, data, folds)
    if method is not None and asked.calibrate == "auto":
        said.append(Message("decide.calibrated", method=Message(f"decide.map_{method}")))
    new_prior, estimated = _prior(asked.prior, asked.unlabelled, data, undo, method, p, said)
    recipe = Recipe(goal, asked.learned, method, new_prior)
    steps, rule = recipe.fit(p, data.y, data.w, data.costs)
    after, fold_rules, fold_steps = _cross_fitted(recipe, p, data, folds, (steps, rule))
    own = [(r, undo + s) for r, s in zip(fold_rules, fold_steps, strict=True)]
    bands = [own_bands(r, s) for r, s in own if isinstance(r, Bands)]
    said += _cheap_mistakes(goal, data)
    before = inputs.narrow(data.p)
    said += _upside_down(before, data)
    plain = (before > 0.5).astype(np.int64) if before.ndim == 1 else before.argmax(axis=1)
    factor = None
    if new_prior is not None:
        factor = np.array(new_prior) / frequencies(data.y, data.w, data.k)
    figures, how = compare(goal, plain, after, data.y, data.w, data.k, data.costs, factor, asked.random_state)
    q = apply_all(steps, p)
    true = _calibration(q, data, factor)
    if true is not None and true.off and is_closed(goal, asked.learned):
        said.append(Message("decide.untrue", off=true.off, bins=len(true.share)))
    mass = np.bincount(data.y, data.w, data.k) * (1.0 if factor is None else factor)
    marks = _marks(rule, undo + steps, float(mass[1] / mass.sum())) if data.k == 2 else {}
    report = DecisionReport(
        n_rows=len(data.y),
        class_weight=tuple(map(float, np.bincount(data.y, data.w, data.k))),
        figures=figures,
        interval=how,
        cross_fitted=folds is not None,
        fold_rules=fold_rules,
        fold_cutoffs=tuple(own_scale(r.cutoff, s) for r, s in own if isinstance(r, Cutoff)),
        fold_bands=tuple((band.lower, band.upper) for band in bands),
        seed=asked.random_state,
        promise=_promised(goal, rule, q, after, data, factor, said),
        calibration=true,
        calibration_before=_calibration(before, data, None),
        prior=estimated,
        notes=tuple(said),
        curve=curve_of(before, data.y == 1, data.w, factor, marks) if data.k == 2 else None,
        sample=_sample(q, data, factor) if data.k > 2 else None,
    )
    return DecisionRule(rule, goal, data.classes, undo + steps, report)


def frequencies(y: Ints, w: Real | None, k: int) -> Real:
    """Weighted class frequencies (n_classes,)."""
    counts = np.bincount(y, w, k).astype(np.float64)
    return np.asarray(counts / counts.sum())


def _calibrated(
    calibrate: str | None, goal: Goal, learned: bool | None, p: Real, data: inputs.Data, folds: Ints | None
) -> str | None:
    """The method to calibrate by, or None."""
    if calibrate is None:
        return None
    if not isinstance(calibrate, str) or calibrate != "auto":
        contracts.one_of("calibrate", calibrate, ("auto", "temperature", "focal_temperature", "isotonic", "beta"))
        return calibrate
    if folds is None or not is_closed(goal, learned):
        return None
    return best_calibration(p, data.y, data.w, folds)


def _prior(
    prior: Any, unlabelled: Any, data: inputs.Data, undo: tuple[Step, ...], method: str | None, p: Real, notes: Any
) -> tuple[tuple[float, ...] | None, PriorEstimate | None]:
    """The frequencies that the rule is for: given, or estimated from predictions without targets."""
    if prior is not None and unlabelled is not None:
        contracts.reject(
            "prior", "be given or estimated, not both", contracts.Words("prior and unlabelled"), "Drop one of the two."
        )
    if prior is not None:
        return inputs.prior_vector(prior, data.k), None
    if unlabelled is None:
        return None, None
    fresh = inputs.probabilities_like(unlabelled, data)
    q, fresh = p, inputs.narrow(apply_all(undo, fresh))
    if method is not None:
        some, times = some_of_each(data.y, MOST_ROWS)
        step = fit_calibration(method, q[some], data.y[some], _times(data.w, (some, times)))
        fresh = step.apply(fresh)
    full = both_sides(fresh)
    found = likeliest_prior(full, frequencies(data.y, data.w, data.k), np.ones(len(full)))
    if not found.identifiable:
        notes.append(Message("decide.unidentifiable"))
    if found.at_edge:
        notes.append(Message("decide.at_edge"))
    pi = np.maximum(np.array(found.prior), 1e-6)
    return tuple(map(float, pi / pi.sum())), found


def _cross_fitted(
    recipe: Recipe, p: Real, data: inputs.Data, folds: Ints | None, whole: Any
) -> tuple[NDArray[np.int64], tuple[Rule, ...], tuple[tuple[Step, ...], ...]]:
    """Decisions on rows that their rule was not learned on, and the folds' rules with the steps before them."""
    if folds is None:
        steps, rule = whole
        return rule.decide(apply_all(steps, p), data.costs), (), ()
    after, rules, before = np.empty(len(p), np.int64), [], []
    for fold in range(folds.max() + 1):
        test = folds == fold
        train = ~test
        steps, rule = recipe.fit(p[train], data.y[train], data.weights(train), data.of_case(train))
        after[test] = rule.decide(apply_all(steps, p[test]), data.of_case(test))
        rules.append(rule)
        before.append(steps)
    return after, tuple(rules), tuple(before)


def _upside_down(p: Real, data: inputs.Data) -> list[Message]:
    """What looks like probabilities of the other class: an area under the ROC curve surely below one half."""
    if data.k != 2:
        return []
    positives, negatives = p[data.y == 1], np.sort(p[data.y == 0])
    below = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    auc = float(below.mean()) / 2 / len(negatives)
    more = (len(positives) - 1) * (auc / (2 - auc) - auc**2) + (len(negatives) - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    error = np.sqrt((auc * (1 - auc) + more) / (len(positives) * len(negatives)))  # Hanley & McNeil 1982
    if auc + 3 * error >= 0.5:
        return []
    return [Message("decide.upside_down", first=str(data.classes[0]), second=str(data.classes[1]), auc=auc)]


def _cheap_mistakes(goal: Goal, data: inputs.Data) -> list[Message]:
    """What looks like a matrix with its sides mixed up, but need not be: a mistake cheaper than being right."""
    c = goal.array if isinstance(goal, CostMatrix) else goal.matrix(data.k) if isinstance(goal, Abstain) else None
    if c is None or not (c < np.diag(c)[:, None]).any():
        return []
    k, j = (int(i) for i in np.argwhere(c < np.diag(c)[:, None])[0])
    values = {"cost": f"{c[k, j]:g}", "right": f"{c[k, k]:g}"}
    return [Message("decide.cheap_mistake", true=str(data.classes[k]), said=str(data.classes[j]), **values)]


def _promised(
    goal: Goal, rule: Rule, q: Real, after: Any, data: inputs.Data, factor: Real | None, notes: list[Message]
) -> Promise | None:
    """Whether a constraint can be promised, and the sentence about it."""
    if not isinstance(goal, Constraint):
        return None
    w = data.w if factor is None else (np.ones(len(data.y)) if data.w is None else data.w) * factor[data.y]
    here, _, _ = promise(goal, rule.decide(q), data.y, w)
    met = here <= goal.bound + 1e-9 if goal.at_most else here >= goal.bound - 1e-9
    value, bound95, n = promise(goal, after, data.y, w)
    kept = bound95 <= goal.bound if goal.at_most else bound95 >= goal.bound
    positives = int((data.y == 1).sum())
    cases = {"alerts": len(data.y), "false_positive_rate": len(data.y) - positives}.get(goal.kind, positives)
    of = {"alerts": "cases", "false_positive_rate": "negatives"}.get(goal.kind, "positives")
    values = {"kind": Message(f"decide.{goal.kind}"), "bound": f"{goal.bound:g}"}
    if not met:
        notes.append(Message("decide.unreachable", value=here, **values))
    elif not kept:
        key = "decide.no_promise_above" if goal.at_most else "decide.no_promise"
        notes.append(Message(key, n=cases, of=Message(f"decide.of_{of}"), edge=bound95, **values))
    return Promise(goal.kind, goal.bound, value, bound95, n, positives, bool(met), bool(kept))


def _calibration(p: Real, data: inputs.Data, factor: Real | None) -> Any:
    if data.k != 2:
        return None
    w = data.w if factor is None else (np.ones(len(data.y)) if data.w is None else data.w) * factor[data.y]
    w = np.ones(len(data.y)) if w is None else w
    return calibration_of(np.asarray(p), (data.y == 1).astype(np.float64), w)


#: Metrics whose best cut-off on the rows is named on the curve.
BEST = {"best_balanced": "balanced_accuracy", "best_f1": "f1", "best_mcc": "mcc"}


def curve_of(
    p: Real, positive: NDArray[np.bool_], w: Real | None, factor: Real | None, marks: Mapping[str, float]
) -> Curve:
    """Some hundred of all cut-offs on the model's own probabilities, evenly over those they catch and let pass.

    Among them are ``marks``, exactly, and the best ones for some metrics.
    """
    found = sorted_cutoffs(p, positive, w)
    f = np.ones(2) if factor is None else factor
    weighed = Cutoffs(found.scores, found.tp * f[1], found.fp * f[0])
    best = {name: best_cutoff(Maximize(metric), weighed).cutoff for name, metric in BEST.items()}  # type: ignore[attr-defined]
    points = {name: found.above(value) for name, value in {**best, **marks}.items()}
    half = CURVE // 2
    at = [np.searchsorted(side, np.linspace(0, side[-1], half)) for side in (weighed.tp, weighed.fp)]
    index = np.unique(np.concatenate([*at, [0, len(found.tp) - 1], list(points.values())]).clip(0, len(found.tp) - 1))
    cut = {int(i): found.at(int(i)) for i in index} | {points[name]: value for name, value in marks.items()}
    per = 1000 / (weighed.positives + weighed.negatives)
    caught, alarms = (tuple(map(float, per * side[index])) for side in (weighed.tp, weighed.fp))
    positives, negatives = float(per * weighed.positives), float(per * weighed.negatives)
    named = tuple((name, int(np.searchsorted(index, i))) for name, i in points.items())
    return Curve(tuple(float(cut[int(i)]) for i in index), caught, alarms, positives, negatives, named)


def _marks(rule: Rule, steps: tuple[Step, ...], share: float) -> dict[str, float]:
    """Cut-offs to name, on the model's own probabilities; ``share`` is the frequency of positives."""
    marks = {"half": 0.5, "balanced": own_scale(share, steps)}
    if isinstance(rule, Cutoff):
        marks["rule"] = own_scale(rule.cutoff, steps)
    if isinstance(rule, Bands):
        own = own_bands(rule, steps)
        marks |= {"lower": own.lower, "upper": own.upper}
    return marks


def _sample(q: Real, data: inputs.Data, factor: Real | None) -> Sampled:
    w = np.ones(len(data.y)) if data.w is None else data.w
    rows, times = some_of_each(data.y, SAMPLE * data.k)
    weight = w[rows] * times
    # the classes of the sample weigh what those of the data do
    mass, have = np.bincount(data.y, w, data.k), np.bincount(data.y[rows], weight, data.k)
    scale = np.where(have > 0, mass / np.where(have > 0, have, 1), 0.0) * (1.0 if factor is None else factor)
    weight = weight * scale[data.y[rows]]
    return Sampled(q[rows], data.y[rows].astype(np.int64), weight * 1000 / weight.sum())


def _times(w: Real | None, rows: tuple[Ints, Real]) -> Real:
    return rows[1] if w is None else w[rows[0]] * rows[1]
