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
float64 at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import reduction
from focalkit._core.definition import log_h
from focalkit._core.ops import NUMPY
from focalkit._core.spec import LossSpec
from focalkit.losses import loss_grad_hess

NEWTON_PARAMETERS = 160
"""Up to so many coefficients a model has its whole curvature matrix."""

BLOCK_FEATURES = 1024
"""Up to so many features the metric has a block for each class, above it a diagonal."""

CURVATURE_ROWS = 4000
"""Rows that the metric is computed from, at least; fewer rows are all used."""

BLOCK_BYTES = 1 << 24
"""Logits that exist at a time in a pass over the rows."""

PAIR_BYTES = 1 << 27
"""Products of pairs of features are kept where they need no more than this."""

SMALL = 1 << 15
"""Up to so many logits the first steps are taken in float64 too."""

MEMORY = 10
"""Pairs of steps and gradient changes that L-BFGS keeps."""

ROUNDS = 100
"""Most rounds of hard example mining."""


class Candidate(NamedTuple):
    """One model: its loss, and the start of its fit.

    ``class_weight`` is (n_classes,); ``penalty`` is the factor of half the squared norm of the
    coefficients; ``start`` (n_features, n_logits) and (n_logits,), or None for the class prior. ``options`` are
    further fields of the LossSpec.
    """

    gamma: float
    class_weight: NDArray[np.float64]
    penalty: float
    keep_hardest: float | int | None = None
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    options: Mapping[str, Any] = MappingProxyType({})


class Solution(NamedTuple):
    """A fitted model: ``coef`` (n_logits, n_features), ``intercept`` (n_logits,), and how the fit ended."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: int
    converged: bool


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
    free = [i for i in plain if candidates[i].start is None]
    if len(free) > 1:
        # one cross-entropy fit shows all others where to start
        model = Model.of(Candidate(0.0, np.ones(rows.n_classes), min(models[i].penalty for i in free)), rows)
        anchor = _descend(rows, [model], rows.start(Candidate(0.0, np.ones(rows.n_classes), 0.0))[None], 1e-2, max_iter)
        for i in free:
            theta[i] = _predicted(rows, anchor[0][0], candidates[i])
    if plain:
        theta[plain], steps[plain], converged[plain] = _descend(
            rows, [models[i] for i in plain], theta[plain], tol, max_iter
        )
    if mined:
        # from the minimum over all rows: far from it the hardest rows are other ones
        for i in mined:
            alike = [j for j in plain if _alike(candidates[i], candidates[j])]
            if candidates[i].start is None:
                theta[i] = (
                    theta[alike[0]] if alike else _descend(rows, [models[i]], theta[i][None], 1e-2, max_iter)[0][0]
                )
        theta[mined], steps[mined], converged[mined] = _mine(
            rows, [models[i] for i in mined], theta[mined], tol, max_iter
        )
    return [
        Solution(*rows.coefficients(theta[i]), max(int(steps[i]), 1), bool(converged[i])) for i in range(len(models))
    ]


def _alike(mined: Candidate, plain: Candidate) -> bool:
    """Whether two candidates differ in what they keep alone."""
    return (
        (mined.gamma, mined.penalty, mined.options) == (plain.gamma, plain.penalty, plain.options)
        and plain.keep_hardest is None
        and np.array_equal(mined.class_weight, plain.class_weight)
    )


def _predicted(rows: Rows, theta: NDArray[np.float64], candidate: Candidate) -> NDArray[np.float64]:
    """Where a candidate's minimum is, were the model right: from that of cross-entropy without weights.

    Class weights then move the logits by their logarithms, and gamma squeezes log-odds by the inverse of the map
    that recovers the posterior (Charoenphakdee et al. 2021); of that map the best straight line is taken.
    """
    at, _ = rows.sample()
    X = rows.once("sampled", lambda: rows.sampled(at))
    logits = (_logits(X, theta[None].astype(np.float32)) if not rows.sparse else rows.sparse_logits(X, theta[None]))[0]
    with np.errstate(divide="ignore"):
        shift = np.log(np.maximum(candidate.class_weight, 1e-12 * candidate.class_weight.max()))
    theta = theta.copy()
    if rows.n_logits == 1:
        move = np.atleast_1d(shift[1] - shift[0])
        margin = np.asarray(logits, np.float64) + move
    else:
        move = shift - shift.mean()
        top = np.partition(np.asarray(logits, np.float64) + move, -2, axis=1)
        margin = top[:, -1] - top[:, -2]
    if rows.fit_intercept:
        theta[-1] += move
    if candidate.gamma == 0:
        return theta
    grid = np.linspace(-40, 40, 1601)
    odds = log_h(grid, candidate.gamma, np) - log_h(-grid, candidate.gamma, np)
    squeezed = np.interp(margin, odds, grid)
    if rows.n_logits == 1 and rows.fit_intercept:
        spread = margin - margin.mean()
        slope = float(spread @ squeezed) / max(float(spread @ spread), 1e-300)
        theta *= slope
        theta[-1] += squeezed.mean() - slope * margin.mean()
    else:
        theta *= float(margin @ squeezed) / max(float(margin @ margin), 1e-300)
    return theta


@dataclass(frozen=True)
class Model:
    """A candidate on certain rows: each row's weight, and what the sum of the losses is divided by."""

    spec: LossSpec
    weight: NDArray[np.float64] | None
    total: float
    penalty: float
    keep_hardest: float | int | None

    @classmethod
    def of(cls, candidate: Candidate, rows: Rows) -> Model:
        """The model of a candidate."""
        link = "sigmoid" if rows.n_logits == 1 else "softmax"
        weight = None
        if rows.weight is not None or (candidate.class_weight != 1).any():
            weight = candidate.class_weight[rows.targets]
            weight = weight if rows.weight is None else weight * rows.weight
        total = float(len(rows.targets) if weight is None else weight.sum())
        spec = LossSpec(link, candidate.gamma, reduction="sum", **candidate.options)
        return cls(spec, weight, total, candidate.penalty, candidate.keep_hardest)

    def keeping(self, kept: NDArray[np.bool_]) -> Model:
        """The same with the losses of ``kept`` rows alone."""
        weight = kept.astype(np.float64) if self.weight is None else np.where(kept, self.weight, 0.0)
        total = float(weight.sum())
        return Model(self.spec, weight, total if total > 0 else 1.0, self.penalty, None)


@dataclass(frozen=True)
class Rows:
    """Features scaled to unit variance, class ids and weights; what every model has in common."""

    X: Any
    targets: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    n_classes: int
    fit_intercept: bool
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    sparse: bool
    ready: dict[Any, Any]

    @classmethod
    def of(
        cls,
        X: Any,
        targets: NDArray[np.intp],
        weight: NDArray[np.float64] | None,
        n_classes: int,
        fit_intercept: bool,
    ) -> Rows:
        """Find the scales; rows of no weight do not count."""
        sparse = hasattr(X, "multiply")
        if weight is not None and (weight == weight[0]).all() and weight[0] == 1:
            weight = None
        share = np.full(len(targets), 1 / len(targets)) if weight is None else weight / weight.sum()
        if sparse:
            centre = np.zeros(X.shape[1])
            square = np.asarray(X.multiply(X).T @ share, np.float64).ravel()
        else:
            centre, square = np.zeros(X.shape[1]), np.zeros(X.shape[1])
            for part in _parts(len(targets), 16384):
                block = np.asarray(X[part], np.float64)
                centre += share[part] @ block
            centre = centre if fit_intercept else np.zeros(X.shape[1])
            for part in _parts(len(targets), 16384):
                block = np.asarray(X[part], np.float64) - centre
                square += share[part] @ (block * block)
        scale = np.sqrt(square)
        scale[~(scale > 0)] = 1.0
        return cls(X, targets, weight, n_classes, fit_intercept, centre, scale, sparse, {})

    @property
    def n_logits(self) -> int:
        """One for two classes."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def n_columns(self) -> int:
        """Features and, where there is an intercept, a column of ones."""
        return len(self.scale) + int(self.fit_intercept)

    @property
    def large(self) -> bool:
        """Whether a scaled copy of the features is made block by block only."""
        return len(self.targets) * self.n_columns > 1 << 22

    def start(self, candidate: Candidate) -> NDArray[np.float64]:
        """Where the fit of a candidate starts (n_columns, n_logits): its own start, or the class prior."""
        theta = np.zeros((self.n_columns, self.n_logits))
        if candidate.start is not None:
            coef, intercept = candidate.start
            theta[: len(self.scale)] = coef.T * self.scale[:, None]
            if self.fit_intercept:
                theta[-1] = intercept + coef @ self.centre
        elif self.fit_intercept:
            counts = np.bincount(self.targets, self.weight, self.n_classes) * candidate.class_weight
            log_counts = np.log(np.maximum(counts, 1e-12 * counts.sum()))
            theta[-1] = log_counts[1] - log_counts[0] if self.n_logits == 1 else log_counts - log_counts.mean()
        return theta

    def coefficients(self, theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients and intercepts of the features as they were given."""
        if self.n_logits > 1:
            # what all classes share changes no probability, and at the minimum the penalty has made it 0
            theta = theta - theta.mean(axis=1, keepdims=True)
        coef = (theta[: len(self.scale)] / self.scale[:, None]).T
        if not self.fit_intercept:
            return np.ascontiguousarray(coef), np.zeros(self.n_logits)
        return np.ascontiguousarray(coef), theta[-1] - coef @ self.centre

    def penalties(self, models: Sequence[Model]) -> NDArray[np.float64]:
        """The penalty's factor for each model and column, (n_models, n_columns, 1)."""
        of_column = np.zeros(self.n_columns)
        of_column[: len(self.scale)] = 1 / (self.scale * self.scale)
        return np.array([model.penalty for model in models])[:, None, None] * of_column[:, None]

    def prepared(self, part: Any, dtype: Any) -> NDArray[Any]:
        """Scaled features of some rows, with the column of ones."""
        block = np.empty((len(self.targets[part]), self.n_columns), dtype)
        np.subtract(self.X[part], self.centre, out=block[:, : len(self.scale)], casting="unsafe")
        block[:, : len(self.scale)] /= self.scale.astype(dtype)
        block[:, len(self.scale) :] = 1
        return block

    def blocks(self, n_models: int, dtype: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Slices of rows, each with its scaled features; small tables are scaled once."""
        n = len(self.targets)
        height = max(1024, BLOCK_BYTES // (np.dtype(dtype).itemsize * n_models * self.n_logits))
        if not self.large:
            whole = self.once((dtype, "X"), lambda: self.prepared(slice(None), dtype))
            for part in _parts(n, height):
                yield part, whole[part]
            return
        for part in _parts(n, min(height, 8192)):
            yield part, self.prepared(part, dtype)

    def sample(self) -> tuple[NDArray[np.intp] | slice, NDArray[np.float64] | None]:
        """Rows for the metric, and how many rows each stands for: evenly from each class, rare ones whole."""
        return self.once("sample", self._sample)  # type: ignore[no-any-return]

    def _sample(self) -> tuple[NDArray[np.intp] | slice, NDArray[np.float64] | None]:
        n, few = len(self.targets), CURVATURE_ROWS if self.n_logits == 1 else CURVATURE_ROWS // 2
        wanted = max(few, 20 * self.n_columns)
        if n <= 2 * wanted:
            return slice(None), None
        counts = np.bincount(self.targets, minlength=self.n_classes)
        most = wanted // self.n_classes
        # what the rare classes leave is the frequent ones'
        for _ in range(self.n_classes):
            spare = wanted - np.minimum(counts, most).sum()
            open_classes = int((counts > most).sum())
            if spare < open_classes or not open_classes:
                break
            most += spare // open_classes
        chosen, factor = [], []
        for k, count in enumerate(counts):
            at = np.flatnonzero(self.targets == k)
            take = min(int(count), most)
            chosen.append(at[(np.arange(take) * count) // max(take, 1)])
            factor.append(np.full(take, count / max(take, 1)))
        return np.concatenate(chosen), np.concatenate(factor)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is made on first use."""
        if key not in self.ready:
            self.ready[key] = make()
        return self.ready[key]

    # ------------------------------------------------------------------ risk and gradient

    def risk(
        self, models: Sequence[Model], theta: NDArray[np.float64], dtype: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Risks (n_models,) and gradients shaped like theta (n_models, n_columns, n_logits)."""
        if self.sparse:
            return self._sparse_risk(models, theta)
        values = np.zeros(len(models))
        grads = np.zeros(theta.shape)
        given = theta.astype(dtype)
        for part, X in self.blocks(len(models), dtype):
            logits = _logits(X, given)
            for i, model in enumerate(models):
                weight = None if model.weight is None else model.weight[part]
                found = loss_grad_hess(
                    model.spec, logits[i], self.targets[part], sample_weight=weight, hess=False, out=logits[i]
                )
                values[i] += float(found.loss)
            grads += _pulled(X, logits)
        return self._with_penalty(models, theta, values, grads)

    def _sparse_risk(
        self, models: Sequence[Model], theta: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values, grads = np.zeros(len(models)), np.zeros(theta.shape)
        width = len(self.scale)
        for i, model in enumerate(models):
            logits = np.asarray(self.X @ (theta[i, :width] / self.scale[:, None]), np.float64)
            if self.fit_intercept:
                logits += theta[i, -1]
            flat = logits[:, 0] if self.n_logits == 1 else logits
            found = loss_grad_hess(model.spec, flat, self.targets, sample_weight=model.weight, hess=False)
            grad = found.grad.reshape(-1, self.n_logits)
            values[i] = float(found.loss)
            grads[i, :width] = (self.X.T @ grad) / self.scale[:, None]
            if self.fit_intercept:
                grads[i, -1] = grad.sum(axis=0)
        return self._with_penalty(models, theta, values, grads)

    def _with_penalty(
        self,
        models: Sequence[Model],
        theta: NDArray[np.float64],
        values: NDArray[np.float64],
        grads: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        totals = np.array([model.total for model in models])
        penalties = self.penalties(models)
        values = values / totals + 0.5 * (penalties * theta * theta).sum(axis=(1, 2))
        return values, grads / totals[:, None, None] + penalties * theta

    def losses(self, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every row's weighted loss, (n_models, n)."""
        out = np.empty((len(models), len(self.targets)))
        specs = [replace(model.spec, reduction="none") for model in models]
        if self.sparse:
            parts: Any = [(slice(None), None)]
        else:
            parts = self.blocks(len(models), np.float64)
        for part, X in parts:
            if X is None:
                product = np.stack([self.X @ (t[: len(self.scale)] / self.scale[:, None]) for t in theta])
                if self.fit_intercept:
                    product += theta[:, -1:, :]
                logits = product[:, :, 0] if self.n_logits == 1 else product
            else:
                logits = _logits(X, theta)
            for i, model in enumerate(models):
                weight = None if model.weight is None else model.weight[part]
                found = loss_grad_hess(specs[i], logits[i], self.targets[part], sample_weight=weight, hess=False)
                out[i, part] = found.loss
        return out

    # ------------------------------------------------------------------ curvature

    def row_curvature(
        self, models: Sequence[Model], theta: NDArray[np.float64]
    ) -> Iterator[tuple[slice, Any, NDArray[Any], NDArray[Any], NDArray[np.intp]]]:
        """For blocks of the sample: place, features, gradient, Hessian diagonal (n_models, rows[, K]), targets."""
        at, factor = self.sample()
        targets = self.targets[at]
        whole = self.once("sampled", lambda: self.sampled(at))
        height = max(1024, BLOCK_BYTES // (4 * len(models) * self.n_logits))
        given = theta.astype(np.float32)
        totals = np.array([model.total for model in models])
        for part in _parts(len(targets), height):
            X = whole[part]
            logits = _logits(X, given) if not self.sparse else self.sparse_logits(X, theta)
            grad, hess = np.empty_like(logits), np.empty_like(logits)
            for i, model in enumerate(models):
                weight = model.weight
                if weight is not None:
                    weight = weight[at][part]
                if factor is not None:
                    weight = factor[part] if weight is None else weight * factor[part]
                weight = np.full(len(targets[part]), 1 / totals[i]) if weight is None else weight / totals[i]
                found = loss_grad_hess(model.spec, logits[i], targets[part], sample_weight=weight)
                grad[i], hess[i] = found.grad, found.hess
            yield part, X, grad, hess, targets[part]

    def sampled(self, at: Any) -> Any:
        """The features that the metric is computed from."""
        return self.X[at] if self.sparse else self.prepared(at, np.float32)

    def sparse_logits(self, X: Any, theta: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits of sparse features."""
        product = np.stack([X @ (t[: len(self.scale)] / self.scale[:, None]) for t in theta])
        if self.fit_intercept:
            product += theta[:, -1:, :]
        return np.asarray(product[:, :, 0] if self.n_logits == 1 else product, np.float32)

    def newton_matrix(self, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curvature (n_models, p, p) of all coefficients, p = n_columns * n_logits, in theta's order."""
        D, K = self.n_columns, self.n_logits
        upper = np.triu_indices(K)
        sums = np.zeros((len(upper[0]), len(models), D * (D + 1) // 2))
        for part, X, grad, hess, targets in self.row_curvature(models, theta):
            pairs = self._pairs(part, X)
            if K == 1:
                sums[0] += np.maximum(hess, 0) @ pairs
                continue
            index = np.arange(len(targets))
            d1, d2 = grad[:, index, targets], np.maximum(hess[:, index, targets], 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                others = np.where(d1[:, :, None] < 0, -grad / d1[:, :, None], 0)
            others[:, index, targets] = 0  # r, the softmax over the other classes
            pulled = -others
            pulled[:, index, targets] = 1  # u = e_t - r
            others, pulled = (np.ascontiguousarray(np.moveaxis(a, 2, 0)) for a in (others, pulled))
            for at, (k, j) in enumerate(zip(*upper, strict=True)):
                c = d2 * pulled[k] * pulled[j] + d1 * others[k] * others[j]
                if k == j:
                    c -= d1 * others[k]
                sums[at] += c @ pairs
        matrix = np.empty((len(models), D, K, D, K))
        first, second = np.triu_indices(D)
        for at, (k, j) in enumerate(zip(*upper, strict=True)):
            block = np.empty((len(models), D, D))
            block[:, first, second] = sums[at]
            block[:, second, first] = sums[at]
            matrix[:, :, k, :, j] = block
            matrix[:, :, j, :, k] = block
        return _regular(
            matrix.reshape(len(models), D * K, D * K), np.repeat(self.penalties(models)[:, :, 0], K, axis=1)
        )

    def _pairs(self, part: slice, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Products of all pairs of columns (rows, D (D + 1) / 2)."""
        first, second = np.triu_indices(self.n_columns)
        rows = len(self.ready["sampled"])
        if 4 * rows * len(first) > PAIR_BYTES:
            return X[:, first] * X[:, second]
        whole = self.ready["sampled"]
        return self.once("pairs", lambda: whole[:, first] * whole[:, second])[part]  # type: ignore[no-any-return]

    def blocks_matrix(self, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curvature of each class's coefficients (n_models, n_logits, D, D)."""
        D, K = self.n_columns, self.n_logits
        sums = np.zeros((len(models), K, D, D))
        for _, X, _, hess, _ in self.row_curvature(models, theta):
            h = np.maximum(hess, 0).reshape(len(models), -1, K)
            for i in range(len(models)):
                for k in range(K):
                    sums[i, k] += (X * h[i, :, k, None]).T @ X
        flat = sums.reshape(len(models) * K, D, D)
        penalties = np.repeat(self.penalties(models)[:, :, 0], K, axis=0)
        return _regular(flat, penalties).reshape(len(models), K, D, D)

    def diagonal(self, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curvature of every coefficient by itself, shaped like theta."""
        out = np.zeros(theta.shape)
        width = len(self.scale)
        for _, X, _, hess, _ in self.row_curvature(models, theta):
            h = np.maximum(hess, 0).reshape(len(models), -1, self.n_logits)
            for i in range(len(models)):
                if self.sparse:
                    out[i, :width] += (X.multiply(X).T @ h[i]) / (self.scale * self.scale)[:, None]
                    out[i, width:] += h[i].sum(axis=0)
                else:
                    out[i] += (X * X).T @ h[i]
        out += self.penalties(models)
        floor = 1e-6 * out.max(axis=(1, 2), keepdims=True)
        return np.asarray(np.maximum(out, np.maximum(floor, 1e-300)))


def _logits(X: NDArray[Any], theta: NDArray[Any]) -> NDArray[Any]:
    """(n_models, rows) for one logit, otherwise (n_models, rows, n_logits)."""
    if theta.shape[2] == 1:
        return np.asarray(theta[:, :, 0] @ X.T)
    return np.asarray(np.matmul(X, theta))


def _pulled(X: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    """The gradient in theta from the one in the logits."""
    if grad.ndim == 2:
        return np.asarray(grad @ X)[:, :, None]
    return np.asarray(np.matmul(X.T, grad))


def _regular(matrix: NDArray[np.float64], penalties: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the penalties (m, p) to the diagonals of (m, p, p), and a little where a direction has no curvature."""
    at = np.arange(matrix.shape[1])
    matrix[:, at, at] += penalties
    largest = matrix[:, at, at].max(axis=1, keepdims=True)
    matrix[:, at, at] += np.maximum(1e-7 * matrix[:, at, at], 1e-9 * largest) + 1e-300
    return matrix


def _parts(n: int, height: int) -> Iterator[slice]:
    for first in range(0, n, height):
        yield slice(first, min(first + height, n))


# ---------------------------------------------------------------------- steps


class _Metric:
    """Directions by L-BFGS (Nocedal & Wright 2006, algorithm 7.4) over a metric that is made anew now and then.

    The metric is the whole curvature matrix, each class's block of it, or its diagonal. Between renewals the pairs of
    steps and gradient changes correct it, and a step costs a gradient alone.
    """

    def __init__(self, rows: Rows, n_models: int) -> None:
        self.rows = rows
        if rows.sparse or rows.n_columns > BLOCK_FEATURES:
            self.kind = "diagonal"
        else:
            self.kind = "whole" if rows.n_columns * rows.n_logits <= NEWTON_PARAMETERS else "blocks"
        # of several classes the matrix costs many gradients, of two a few
        self.renewed = RENEWED["whole of classes" if self.kind == "whole" and rows.n_logits > 1 else self.kind]
        self.metric: dict[int, NDArray[np.float64]] = {}
        self.age = np.zeros(n_models, int)
        self.pairs: list[list[tuple[NDArray[np.float64], NDArray[np.float64], float]]] = [[] for _ in range(n_models)]

    def directions(
        self, models: Sequence[Model], theta: NDArray[np.float64], grad: NDArray[np.float64], which: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """A descent direction for each model."""
        renew = [i for i, model in enumerate(which) if int(self.age[model]) in self.renewed]
        if renew:
            self._renew([models[i] for i in renew], theta[renew], [int(which[i]) for i in renew])
        self.age[which] += 1
        return np.stack([-self._times(int(model), grad[i]) for i, model in enumerate(which)])

    def _renew(self, models: Sequence[Model], theta: NDArray[np.float64], which: Sequence[int]) -> None:
        if self.kind == "whole":
            found = np.linalg.inv(self.rows.newton_matrix(models, theta))
        elif self.kind == "blocks":
            found = np.linalg.inv(self.rows.blocks_matrix(models, theta))
        else:
            found = 1 / self.rows.diagonal(models, theta)
        for model, metric in zip(which, found, strict=True):
            self.metric[model] = metric
            if self.kind == "whole":
                self.pairs[model] = []

    def _times(self, model: int, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        q, taken = vector.ravel().copy(), []
        for step, change, product in reversed(self.pairs[model]):
            factor = float(step @ q) / product
            q -= factor * change
            taken.append(factor)
        metric = self.metric[model]
        if self.kind == "whole":
            q = metric @ q
        elif self.kind == "blocks":
            q = np.einsum("kde,ek->dk", metric, q.reshape(vector.shape)).ravel()
        else:
            q = metric.ravel() * q
        for (step, change, product), factor in zip(self.pairs[model], reversed(taken), strict=True):
            q += (factor - float(change @ q) / product) * step
        return q.reshape(vector.shape)

    def forget(self) -> None:
        """Drop the pairs: the risk has changed, and the metric steers still."""
        self.pairs = [[] for _ in self.pairs]

    def learn(self, which: int, step: NDArray[np.float64], change: NDArray[np.float64]) -> None:
        """Remember a step and what it did to the gradient, where the curvature along it is positive."""
        step, change = step.ravel(), change.ravel()
        product = float(step @ change)
        if product > 1e-10 * float(step @ step) ** 0.5 * float(change @ change) ** 0.5:
            self.pairs[which] = [*self.pairs[which][1 - MEMORY :], (step, change, product)]


RENEWED = {
    "whole": frozenset([0, 2, 4, 7, 11, 16, *range(24, 1000, 12)]),
    "whole of classes": frozenset([0, 3, 8, 15, *range(25, 1000, 15)]),
    "blocks": frozenset([0, 4, 12, 30, 80]),
    "diagonal": frozenset([0, 4, 12, 30, 80]),
}
"""Steps at which the metric is made anew."""


def _descend(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], tol: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Minimise each model's risk; its coefficients, steps, and whether it converged."""
    single = not rows.sparse and len(rows.targets) * rows.n_logits * len(models) > SMALL
    steps = np.zeros(len(models), np.intp)
    method = _Metric(rows, len(models))
    if single:
        theta, steps, _ = _steps(rows, models, theta, method, max(tol, 1e-3), max_iter, np.float32, steps)
    return _steps(rows, models, theta, method, tol, max_iter, np.float64, steps)


def _steps(
    rows: Rows,
    models: Sequence[Model],
    theta: NDArray[np.float64],
    method: _Metric,
    tol: float,
    max_iter: int,
    dtype: Any,
    steps: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Steps of all models in lockstep, each with its own length; finished ones drop out."""
    theta, steps = theta.copy(), steps.copy()
    value, grad = rows.risk(models, theta, dtype)
    first = value.copy()
    rounding = np.finfo(dtype).eps * (4 if dtype == np.float64 else 1)
    direction, slope = np.zeros_like(theta), np.zeros(len(models))
    length = np.ones(len(models))
    fresh = np.ones(len(models), bool)  # whether a new direction is due
    active = steps < max_iter
    converged = np.zeros(len(models), bool)
    decrement = np.full(len(models), np.inf)
    while active.any():
        due = np.flatnonzero(active & fresh)
        if len(due):
            found = method.directions([models[int(i)] for i in due], theta[due], grad[due], due)
            descent = (found * grad[due]).sum(axis=(1, 2))
            bad = ~(descent < 0)
            found[bad], descent[bad] = -grad[due][bad], -(grad[due][bad] ** 2).sum(axis=(1, 2))
            direction[due], slope[due], length[due] = found, descent, 1.0
            decrement[due] = -0.5 * descent
            ended = decrement[due] <= tol * tol * np.maximum(value[due], 1e-6 * first[due])
            theta[due[ended]] += found[ended]  # the step is known, and only takes it nearer
            converged[due[ended]] = True
            active[due[ended]] = False
            fresh[due] = False
        at = np.flatnonzero(active)
        if not len(at):
            break
        trial = theta[at] + length[at, None, None] * direction[at]
        new_value, new_grad = rows.risk([models[int(i)] for i in at], trial, dtype)
        promised = length[at] * slope[at]
        noise = rounding * np.abs(value[at])
        good = new_value <= value[at] + 1e-4 * promised + noise
        good &= np.isfinite(new_value)
        for i, j in enumerate(at):
            if good[i]:
                method.learn(int(j), trial[i] - theta[j], new_grad[i] - grad[j])
        accepted = at[good]
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
        lost = rejected[length[rejected] < 1e-10]
        converged[lost] = decrement[lost] < np.maximum(tol * tol, 100 * rounding) * value[lost]
        active[lost] = False
    return theta, steps, converged


def _mine(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], tol: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Minimise the mean of the hardest losses: hold the hardest rows, take a step over them, choose them again.

    The risk over rows that are held is a lower bound that touches the mean of the hardest where they were
    chosen, so that its steps descend; each goes as far as the mean of the hardest falls. Every choice is a
    kink, and whoever minimises in between ends in one: a single step did better on every table.
    """
    theta = theta.copy()
    steps, converged = np.zeros(len(models), np.intp), np.zeros(len(models), bool)
    active = np.arange(len(models))
    kept, value = _hardest(rows, models, theta)
    method = _Metric(rows, len(models))
    for _ in range(ROUNDS):
        held = [model.keeping(keep) for model, keep in zip(models, kept, strict=True)]
        method.forget()
        spent = np.ones(len(models), np.intp)
        spent[active] = 0
        theta_held, taken, _ = _steps(rows, held, theta, method, 1e-3, 1, np.float64, spent)
        found = theta_held[active]
        steps[active] += taken[active]
        length, going = np.ones(len(active)), np.ones(len(active), bool)
        gained = np.zeros(len(active))
        direction = found - theta[active]
        while going.any():
            at = np.flatnonzero(going)
            some = active[at]
            trial = theta[some] + length[at, None, None] * direction[at]
            new_kept, new_value = _hardest(rows, [models[int(i)] for i in some], trial)
            for place, (j, i) in enumerate(zip(at, some, strict=True)):
                if new_value[place] < value[i]:
                    gained[j] = value[i] - new_value[place]
                    theta[i], value[i], kept[i] = trial[place], new_value[place], new_kept[place]
                    going[j] = False
                else:
                    length[j] *= 0.3
                    going[j] = length[j] > 1e-4
        small = gained <= 1e-6 * value[active]
        converged[active[small]] = True
        active = active[~small]
        if not len(active):
            break
    return theta, steps, converged


def _hardest(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float64]]:
    """Which losses each model keeps, and its risk: their weighted mean, and the penalty."""
    losses = rows.losses(models, theta)
    everything = np.ones(losses.shape[1], bool)
    kept, value = [], np.empty(len(models))
    for i, model in enumerate(models):
        spec = replace(model.spec, keep_hardest=model.keep_hardest)
        counted = everything if model.weight is None else model.weight > 0
        keep: NDArray[np.bool_] = reduction.kept(spec, losses[i], counted, everything, NUMPY, _largest)
        total = float(keep.sum() if model.weight is None else model.weight[keep].sum())
        kept.append(keep)
        value[i] = losses[i][keep].sum() / (total if total > 0 else 1.0)
    return kept, value + 0.5 * (rows.penalties(models) * theta * theta).sum(axis=(1, 2))


def _largest(losses: NDArray[Any], among: NDArray[np.bool_], count: float) -> NDArray[np.bool_]:
    """Where the ``count`` largest are; of equal ones the first."""
    count = int(count)
    index = np.flatnonzero(among)
    chosen = np.zeros_like(among)
    if count >= len(index):
        chosen[index] = True
        return chosen
    values = losses[index]
    bound = np.partition(values, len(values) - count)[len(values) - count]
    above = values > bound
    chosen[index[above]] = True
    chosen[index[np.flatnonzero(values == bound)[: count - int(above.sum())]]] = True
    return chosen
