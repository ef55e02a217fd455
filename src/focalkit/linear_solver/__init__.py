r"""Newton and quasi-Newton minimisation of the penalised focal risk of many linear models on the same rows.

All models (one for each :class:`Candidate`) see the same features. Their logits are one product
:math:`X [W_1 \dots W_B]`, and their gradients another: with many models these are bound by
arithmetic, where fits one after the other read X from memory for every thin product.

The curvature of a row in its logits is, with the derivatives d1 <= 0 and d2 of the loss in the
log-odds of the true class t and r the softmax over the other classes,

.. math:: C = d_2 u u^\top - d_1 (\mathrm{diag}\, r - r r^\top), \qquad u = e_t - r.

Only its first term can be indefinite (the focal loss is not convex where p_t < 0.0585), so that
max(d2, 0) in place of d2 makes it positive semidefinite and no smaller than C (Lin et al. 2017 give
d2 in appendix B). With few parameters the whole curvature matrix is made anew at every step, a
damped Newton method; with many, each class's diagonal block is the metric of an L-BFGS iteration.
The metric only steers the steps, so it is computed in float32, and from some of the rows where
there are many. The risk and its gradient decide where the steps end: they are float32 at first and
float64 at the end. Where there are more features than rows, Newton's steps are taken in the span of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.linear_solver.candidates import Candidate, Solution, candidate_of
from focalkit.linear_solver.descent import descend
from focalkit.linear_solver.metric import BLOCK_FEATURES, MEMORY
from focalkit.linear_solver.mined import mine
from focalkit.linear_solver.prediction import predicted, squeezed, weighed
from focalkit.linear_solver.products import on_one_thread
from focalkit.linear_solver.rows import Model, Rows
from focalkit.linear_solver.span import minimise_in_span, spans

__all__ = ["Candidate", "Solution", "candidate_of", "minimise"]


@on_one_thread()
def minimise(
    X: Any,
    targets: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    candidates: Sequence[Candidate],
    *,
    n_classes: int,
    fit_intercept: bool,
    tol: float,
    max_iter: int,
) -> list[Solution]:
    """Minimise every candidate's risk: a weighted mean of its losses plus its penalty.

    Parameters
    ----------
    X : array or sparse matrix (n, n_features)
    targets : (n,)
        Class ids; two classes have one logit, that of the second.
    sample_weight : (n,), optional
        Multiplies the class weights.
    candidates : sequence of Candidate
    n_classes : int
    fit_intercept : bool
    tol : float
        A fit ends where its next step promises to lower the risk by less than ``tol ** 2`` of it.
    max_iter : int
        Most steps of a fit; of each round where the hardest are kept.

    Returns
    -------
    list of Solution
        In the order of the candidates. A solution does not depend on its neighbours, but for rounding.
    """
    rows = Rows.of(X, targets, sample_weight, n_classes, fit_intercept)
    parameters = rows.n_columns * rows.n_logits
    per_model = 8 * parameters * (rows.n_columns if rows.n_columns <= BLOCK_FEATURES else 3 * MEMORY)
    together = max(1, min(len(candidates), (1 << 29) // per_model))
    if rows.sparse:
        together = 1
    out: list[Solution] = []
    for first in range(0, len(candidates), together):
        out += _minimise(rows, candidates[first : first + together], tol, max_iter)
    return out


def _minimise(rows: Rows, candidates: Sequence[Candidate], tol: float, max_iter: int) -> list[Solution]:
    models = [Model.of(candidate, rows) for candidate in candidates]
    theta = np.stack([rows.start(candidate) for candidate in candidates])
    plain = [i for i, model in enumerate(models) if model.keep_hardest is None]
    mined = [i for i, model in enumerate(models) if model.keep_hardest is not None]
    steps, converged = np.zeros(len(models), int), np.zeros(len(models), bool)
    for i in [i for i in plain if spans(rows, models[i])]:
        theta[i], steps[i], converged[i] = minimise_in_span(rows, models[i], theta[i], tol, max_iter)
    everything, plain = plain, [i for i in plain if not converged[i] and steps[i] < max_iter]
    free = {i for i in plain if candidates[i].start is None and not steps[i]}
    seen: list[int] = []  # whose minimum is known
    of_weights, guesses = _weightings(candidates), _Guesses(rows, theta)
    for some in _in_order([candidates[i] for i in plain]):
        stage = [plain[i] for i in some]
        for i in free.intersection(stage):
            theta[i] = _start(candidates, of_weights, guesses, i, seen)
        theta[stage], taken, converged[stage] = descend(rows, [models[i] for i in stage], theta[stage], tol, max_iter)
        steps[stage] += taken
        seen += stage
    if mined:
        # from the minimum over all rows: far from it the hardest rows are other ones
        for i in mined:
            alike = [j for j in everything if _alike(candidates[i], candidates[j])]
            if candidates[i].start is None:
                theta[i] = (
                    theta[alike[0]] if alike else descend(rows, [models[i]], theta[i][None], 1e-2, max_iter)[0][0]
                )
        theta[mined], steps[mined], converged[mined] = mine(
            rows, [models[i] for i in mined], theta[mined], tol, max_iter
        )
    return [
        Solution(*rows.coefficients(theta[i]), max(int(steps[i]), 1), bool(converged[i])) for i in range(len(models))
    ]


def _in_order(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Which are fitted together, so that each sees minima near its own.

    Cross-entropy without weights, cross-entropy, then a middle gamma and the largest, and those between.
    """
    gammas = sorted({candidate.gamma for candidate in candidates} - {0.0})
    ends = {gammas[-1], gammas[-1 - len(gammas) // 3]} if gammas else set()
    stages: list[list[int]] = [[], [], [], []]
    for i, candidate in enumerate(candidates):
        if candidate.gamma:
            stages[2 if candidate.gamma in ends else 3].append(i)
        else:
            stages[0 if not stages[0] and (candidate.class_weight == 1).all() else 1].append(i)
    return [stage for stage in stages if stage]


class _Guesses:
    """Where the maps of gammas lead from cross-entropy's minima in ``theta`` (n_models, n_columns, n_logits)."""

    def __init__(self, rows: Rows, theta: NDArray[np.float64]) -> None:
        self.rows, self.theta = rows, theta
        self.roots: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self.made: dict[tuple[int, float], NDArray[np.float64]] = {}

    def of(self, root: int, gamma: float) -> NDArray[np.float64]:
        """From the minimum of a model, which is known."""
        if root not in self.roots:
            self.roots[root] = weighed(self.rows, self.theta[root], np.ones(self.rows.n_classes))
        if (root, gamma) not in self.made:
            self.made[root, gamma] = squeezed(self.rows, *self.roots[root], gamma)
        return self.made[root, gamma]


def _start(
    candidates: Sequence[Candidate], of_weights: Sequence[int], guesses: _Guesses, i: int, seen: Sequence[int]
) -> NDArray[np.float64]:
    """Where the minimum of a candidate should be, by the minima that are known.

    From cross-entropy's of the same weights a map of gamma leads there, but for a rest that changes smoothly with
    gamma: a polynomial through the rests of other gammas, zero at gamma 0.
    """
    one, theta = candidates[i], guesses.theta
    line = {candidates[j].gamma: j for j in seen if of_weights[j] == of_weights[i]}
    if 0.0 not in line:
        alike = [j for j in seen if not candidates[j].gamma and (candidates[j].class_weight == 1).all()]
        return predicted(guesses.rows, theta[alike[0]], one) if alike else theta[i]
    root = line.pop(0.0)
    out = guesses.of(root, one.gamma).copy()
    for gamma, j in line.items():
        at = [other for other in (0.0, *line) if other != gamma]
        share = np.prod([np.log((1 + one.gamma) / (1 + a)) / np.log((1 + gamma) / (1 + a)) for a in at])
        out += share * (theta[j] - guesses.of(root, gamma))
    return out


def _weightings(candidates: Sequence[Candidate]) -> list[int]:
    """The place of the first candidate that differs from each in its gamma alone."""
    out: list[int] = []
    for i, one in enumerate(candidates):
        out.append(next((j for j in dict.fromkeys(out) if _of_one_weighting(one, candidates[j])), i))
    return out


def _of_one_weighting(one: Candidate, other: Candidate) -> bool:
    return (
        one.penalty == other.penalty
        and one.keep_hardest == other.keep_hardest
        and one.options == other.options
        and np.array_equal(one.class_weight, other.class_weight)
    )


def _alike(mined: Candidate, plain: Candidate) -> bool:
    """Whether two candidates differ in what they keep alone."""
    return (
        (mined.gamma, mined.penalty, mined.options) == (plain.gamma, plain.penalty, plain.options)
        and plain.keep_hardest is None
        and np.array_equal(mined.class_weight, plain.class_weight)
    )
