"""Hard example mining: the mean of the hardest losses alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import reduction
from focalkit._core.ops import NUMPY
from focalkit.linear_solver.metric import Metric
from focalkit.linear_solver.risk import losses as losses_of
from focalkit.linear_solver.risk import risk
from focalkit.linear_solver.rows import Model, Rows

ROUNDS = 100
"""Most rounds of hard example mining."""

GAIN = 1e-6
"""A round that lowers the risk by no more than this share of it is the last."""

SHORTER = 0.3
"""By so much a step that ended above its start is cut."""


def mine(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], tol: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Minimise the mean of the hardest losses: hold the hardest rows, take a step over them, choose them again.

    The risk over rows that are held is a lower bound that touches the mean of the hardest where they were
    chosen, so that its steps descend; each goes as far as the mean of the hardest falls. Every choice is a
    kink, and whoever minimises in between ends in one: a single step did better on every table.
    """
    method, lengths = Metric(rows, models), np.ones(len(models))
    taken = np.zeros(len(models), np.intp)
    if not rows.sparse and not rows.keeps(np.float64):
        theta, taken, _ = _rounds(rows, models, theta, method, lengths, max_iter, np.float32)
    theta, steps, converged = _rounds(rows, models, theta, method, lengths, max_iter, np.float64)
    return theta, taken + steps, converged


def _rounds(
    rows: Rows,
    models: Sequence[Model],
    theta: NDArray[np.float64],
    method: Metric,
    lengths: NDArray[np.float64],
    max_iter: int,
    dtype: Any,
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Rounds in which losses and gradients are of this type; ``lengths`` keeps how long each model's last step was."""
    theta = theta.copy()
    steps, converged = np.zeros(len(models), np.intp), np.zeros(len(models), bool)
    active = np.arange(len(models))
    kept, value = _hardest(rows, models, theta, dtype)
    for _ in range(min(ROUNDS, max_iter)):
        held = [models[int(i)].keeping(kept[int(i)]) for i in active]
        method.forget()
        _, grad = risk(rows, held, theta[active], dtype)
        none = np.zeros(len(active))
        direction, promise, _ = method.directions(held, theta[active], grad, active, none, none)
        steps[active] += 1
        # a step of length 1 lowers the bound by no more than its slope
        most, enough = 2 * promise, GAIN * value[active]
        # where kinks allowed short steps alone, the next one need not be tried whole
        length = np.minimum(1, lengths[active] / SHORTER)
        going = length * most > enough
        gained = np.zeros(len(active))
        while going.any():
            at = np.flatnonzero(going)
            some = active[at]
            trial = theta[some] + length[at, None, None] * direction[at]
            new_kept, new_value = _hardest(rows, [models[int(i)] for i in some], trial, dtype)
            for place, (j, i) in enumerate(zip(at, some, strict=True)):
                if new_value[place] < value[i]:
                    gained[j] = value[i] - new_value[place]
                    theta[i], value[i], kept[i] = trial[place], new_value[place], new_kept[place]
                    lengths[i], going[j] = length[j], False
                else:
                    length[j] *= SHORTER
                    going[j] = length[j] * most[j] > enough[j]
        small = gained <= enough
        converged[active[small]] = True
        active = active[~small]
        if not len(active):
            break
    return theta, steps, converged


def _hardest(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], dtype: Any
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float64]]:
    """Which losses each model keeps, and its risk: their weighted mean, and the penalty."""
    losses = losses_of(rows, models, theta, dtype)
    everything = np.ones(losses.shape[1], bool)
    kept, value = [], np.empty(len(models))
    for i, model in enumerate(models):
        spec = model.keeping_spec
        counted = everything if model.weight is None else model.weight > 0
        keep: NDArray[np.bool_] = reduction.kept(spec, losses[i], counted, everything, NUMPY, _largest)
        total = float(keep.sum() if model.weight is None else model.weight[keep].sum())
        kept.append(keep)
        value[i] = losses[i][keep].sum() / (total if total > 0 else 1.0)
    return kept, value + 0.5 * (rows.penalties(models) * theta * theta).sum(axis=(1, 2))


def _largest(losses: NDArray[np.float64], among: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Where the ``count`` largest of finite losses ``among`` are, of equal ones the first.

    The partition takes half of the time of the kernels' choice, in which NaN may take part.
    """
    values = np.where(among, losses, -np.inf)
    if count >= len(values):
        return among
    least = np.partition(values, len(values) - count)[len(values) - count]
    keep = values > least
    keep[np.flatnonzero(values == least)[: count - np.count_nonzero(keep)]] = True
    return np.asarray(keep & among)
