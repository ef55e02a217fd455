"""Minimising by steps: all models in lockstep, each with its own length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.linear_solver.metric import Metric
from focalkit.linear_solver.risk import risk
from focalkit.linear_solver.rows import Model, Rows

SMALL = 1 << 12
"""Up to so many logits the first steps are taken in float64 too."""

ROUNDED_ROWS = 1 << 13
"""Of so many rows the rounding of float32 is taken to be that of a single one, since it may be that of a few."""

SETTLED = 1e-7
"""A curvature that was computed where a step promised less than this share of the risk is that of the minimum."""


def descend(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], tol: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Minimise each model's risk; its coefficients, steps, and whether it converged."""
    single = not rows.sparse and len(rows.targets) * rows.n_logits * len(models) > SMALL
    steps = np.zeros(len(models), np.intp)
    method = Metric(rows, models)
    if single:
        theta, steps, _ = take_steps(rows, models, theta, method, max(tol, 1e-4), max_iter, np.float32, steps)
    return take_steps(rows, models, theta, method, tol, max_iter, np.float64, steps)


def take_steps(
    rows: Rows,
    models: Sequence[Model],
    theta: NDArray[np.float64],
    method: Metric,
    tol: float,
    max_iter: int,
    dtype: Any,
    steps: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Steps of all models in lockstep, each with its own length; finished ones drop out."""
    theta, steps = theta.copy(), steps.copy()
    value, grad = risk(rows, models, theta, dtype)
    first = value.copy()
    rounding = 4 * np.finfo(np.float64).eps
    if dtype == np.float32:  # of rows' losses, which are summed in float64, so that much of it averages out
        rounding = np.finfo(np.float32).eps / max(1.0, (len(rows.targets) / ROUNDED_ROWS) ** 0.5)
    direction, slope = np.zeros_like(theta), np.zeros(len(models))
    length = np.ones(len(models))
    fresh = np.ones(len(models), bool)  # whether a new direction is due
    active = steps < max_iter
    converged = np.zeros(len(models), bool)
    decrement = np.full(len(models), np.inf)
    while active.any():
        due = np.flatnonzero(active & fresh)
        if len(due):
            enough = tol * tol * np.maximum(value[due], 1e-6 * first[due])
            found, promise, after = method.directions(
                [models[int(i)] for i in due], theta[due], grad[due], due, enough, SETTLED * value[due]
            )
            bad = ~(promise > 0)
            found[bad], promise[bad] = -grad[due][bad], 0.5 * (grad[due][bad] ** 2).sum(axis=(1, 2))
            after[bad] = np.inf
            direction[due], slope[due], length[due] = found, -2 * promise, 1.0
            decrement[due] = promise
            ended = (promise <= enough) | (after <= enough)
            theta[due[ended]] += found[ended]  # the step is known, and only takes it nearer
            converged[due[ended]] = True
            active[due[ended]] = False
            fresh[due] = False
        at = np.flatnonzero(active)
        if not len(at):
            break
        trial = theta[at] + length[at, None, None] * direction[at]
        new_value, new_grad = risk(rows, [models[int(i)] for i in at], trial, dtype)
        promised = length[at] * slope[at]
        noise = rounding * np.abs(value[at])
        good = new_value <= value[at] + 1e-4 * promised + noise
        good &= np.isfinite(new_value)
        accepted = at[good]
        method.learn(accepted, trial[good] - theta[accepted], new_grad[good] - grad[accepted])
        stuck = accepted[(value[accepted] - new_value[good] <= noise[good]) & (decrement[accepted] < 10 * noise[good])]
        theta[accepted], value[accepted], grad[accepted] = trial[good], new_value[good], new_grad[good]
        steps[accepted] += 1
        fresh[accepted] = True
        active[accepted] = steps[accepted] < max_iter
        converged[stuck], active[stuck] = True, False
        rejected = at[~good]
        with np.errstate(all="ignore"):
            curve = new_value[~good] - value[rejected] - promised[~good]
            shrink = -promised[~good] / (2 * curve)
        shrink = np.where(np.isfinite(shrink), shrink, 0.1)
        length[rejected] *= np.clip(shrink, 0.1, 0.5)
        method.surprised(rejected)
        lost = rejected[length[rejected] < 1e-10]
        converged[lost] = decrement[lost] < np.maximum(tol * tol, 100 * rounding) * value[lost]
        active[lost] = False
    return theta, steps, converged
