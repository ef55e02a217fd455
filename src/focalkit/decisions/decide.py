"""decide: from predictions that were not trained on to a rule, with figures on rows it was not learned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit._core.spec import PerClass
from focalkit._core.types import Array, Predictions
from focalkit.decisions import inputs
from focalkit.decisions.goals import Goal, as_goal
from focalkit.decisions.label_rules import Labelled, decide_labels
from focalkit.decisions.learn import Asked, learn
from focalkit.decisions.rule import DecisionRule
from focalkit.decisions.steps import Recover, Reweigh, Step

Real = NDArray[np.float64]
Ints = NDArray[np.intp]


def decide(
    probabilities: Predictions,
    targets: Array,
    goal: Goal | str | Any,
    *,
    sample_weight: Array | None = None,
    costs: Array | None = None,
    classes: Sequence[Any] | None = None,
    groups: Array | None = None,
    cv: int | None = 5,
    learned: bool | None = None,
    gamma: PerClass | None = None,
    alpha: PerClass | None = None,
    keep_hardest: float | None = None,
    sampling_rate: float | Array | Mapping[Any, float] | None = None,
    calibrate: str | None = "auto",
    prior: Array | Mapping[Any, float] | None = None,
    unlabelled: Predictions | None = None,
    random_state: int = 0,
) -> DecisionRule:
    """The decision rule that serves a goal best, with what it does per 1,000 cases before and after.

    Parameters
    ----------
    probabilities : (n, n_classes), or (n,) of the second of two classes
        Of rows that the model was not trained on: held out, or out of fold. An array, a tensor or a frame. With
        ``targets`` of shape (n, n_labels), probabilities of labels that can hold at once.
    targets : (n,) or (n, n_labels)
        Class names or numbers; of labels 0 or 1.
    goal : Goal, str or matrix
        E.g. ``Cost(fn=100, fp=1)``, ``"mcc"``, ``Constraint("precision", 0.9)``, or a cost matrix.
    sample_weight : (n,), optional
        Rows of weight 0 take no part.
    costs : (n,) or (n, n_classes, n_classes), optional
        Of each case, for :class:`CaseCost`.
    classes : sequence, optional
        Names in the order of the columns; None: the sorted targets, or numbers.
    groups : (n,), optional
        Rows of one group stay in one fold.
    cv : int of at least 2, or None
        Folds that the figures are cross-fitted over; None: learned and scored on the same rows, which the report says.
    learned : bool, optional
        Whether the rule is searched for in the data or taken in closed form, which supposes true probabilities. None:
        goals of costs and abstention in closed form, others searched. Closed forms of metrics: accuracy (the largest
        p), balanced accuracy, Youden's and the geometric mean (the largest p over the class's frequency).
    gamma, alpha : optional
        Of the training loss (:class:`focalkit.LossSpec`): undone first. alpha of two classes of shape (n,): the weight
        in (0, 1) of positives; with one column a class: one weight a class.
    keep_hardest : float, optional
        Share that hard example mining kept in training. It cannot be undone, which is said.
    sampling_rate : (n_classes,) or mapping from the classes, optional
        Share of each class that was kept for training, up to a factor: undone first. Not of several labels.
    calibrate : {"auto", "temperature", "focal_temperature", "isotonic", "beta"} or None
        A map fitted to ``targets``. "auto": for goals of costs that are not ``learned``, temperature, beta or isotonic
        (two classes), temperature or focal temperature (more): the one with the least cross-fitted log loss, of those
        that lower it by more than two standard errors.
    prior : (n_classes,), mapping from the classes, or the frequency of the second of two, optional
        Class frequencies where the rule will be used, where they differ from those of ``targets``. Of several labels
        (n_labels,): how frequent each is.
    unlabelled : like ``probabilities``, optional
        Predictions there: the frequencies are estimated from them.
    random_state : int
        Of folds and bootstrap.

    Returns
    -------
    DecisionRule

    Raises
    ------
    InputError
        Where an argument breaks its contract; the message names the remedy.

    Examples
    --------
    >>> from focalkit.decisions import Cost
    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(1, 8, 4000)
    >>> rule = decide(p, rng.random(4000) < p, Cost(fn=9, fp=1))
    >>> print(rule.sentence)
    Decide “1” when p > 0.1, otherwise “0”.
    >>> cost = rule.report.figure("cost")
    >>> cost.after.value < cost.before.value
    True
    """
    goal = as_goal(goal)
    contracts.whole("random_state", random_state, 0, most=contracts.MOST_SEED)
    data = inputs.read(probabilities, targets, sample_weight, classes, goal, costs)
    prior, sampling_rate = (
        _in_order(name, value, data.classes) for name, value in (("prior", prior), ("sampling_rate", sampling_rate))
    )
    if data.multilabel:
        training = Labelled(gamma, alpha, keep_hardest, sampling_rate, calibrate, prior, unlabelled)
        return decide_labels(data, goal, cv, groups, random_state, learned, training)
    notes: list[Message] = list(data.notes)
    undo = _undo(data, gamma, alpha, keep_hardest, sampling_rate, calibrate, notes)
    folds = inputs.make_folds(data, cv, groups, random_state)
    asked = Asked(goal, learned, calibrate, prior, unlabelled, random_state)
    return learn(data, folds, asked, undo, notes)


def _in_order(name: str, value: Any, classes: Sequence[Any]) -> Any:
    """A mapping from the classes' names as a vector in their order."""
    if not isinstance(value, Mapping):
        return value
    known = {str(key): number for key, number in value.items()}
    names = [str(label) for label in classes]
    if sorted(known) != sorted(names) or len(known) != len(value):
        got = contracts.Words(", ".join(map(repr, list(known)[:5])) or "nothing")
        contracts.reject(name, f"name the classes {', '.join(map(repr, names[:5]))}", got, "One number a class.")
    return [known[label] for label in names]


def _undo(
    data: inputs.Data,
    gamma: Any,
    alpha: Any,
    keep_hardest: Any,
    rate: Any,
    calibrate: str | None,
    notes: list[Message],
) -> tuple[Step, ...]:
    """What training did to the probabilities, undone."""
    steps: list[Step] = []
    if gamma is not None or alpha is not None:
        g = contracts.number_or_vector("gamma", 0.0 if gamma is None else gamma, contracts.GAMMA, "As in training.")
        contracts.class_vector("gamma", g, data.k)
        a: tuple[float, ...] | None = None
        if alpha is not None and data.p.ndim == 1:
            remedy = "Probabilities (n,) take the weight of the positives, in (0, 1)."
            of_positive = contracts.number("alpha", alpha, contracts.ALPHA_SIGMOID, remedy)
            a = (1 - of_positive, of_positive)
        elif alpha is not None:
            weights = contracts.number_or_vector("alpha", alpha, contracts.POSITIVE, "As in training.")
            contracts.class_vector("alpha", weights, data.k)
            a = weights if isinstance(weights, tuple) else None
        steps.append(Recover(g, a))
    if keep_hardest is not None and contracts.number("keep_hardest", keep_hardest, contracts.FRACTION, "") < 1:
        notes.append(Message("decide.mined" if calibrate else "decide.mined_uncalibrated"))
    if rate is not None:
        values = contracts.number_or_vector("sampling_rate", rate, contracts.POSITIVE, "One share a class.")
        if isinstance(values, float) or len(values) != data.k:
            contracts.reject("sampling_rate", f"have {data.k} entries", rate, "E.g. [0.1, 1]: a tenth of class 0 kept.")
        steps.append(Reweigh(tuple(1 / v for v in values)))
    return tuple(steps)
