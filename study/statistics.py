"""Statistics of the study: within a table, across tables of a family, across families.

- Within a table: the corrected resampled t-test (Nadeau & Bengio 2003).
- Across families: a Bayesian signed-rank test (Benavoli, Corani, Demsar & Zaffalon 2017, section 4.2) with a region of
  practical equivalence, made hierarchical: what enters it are draws of the families' mean differences, each of them a
  weighted mean of draws from its tables' posteriors.
- Ranks: Friedman's and Nemenyi's tests (Demsar 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The mean difference on one table, with its corrected standard error and degrees of freedom."""

    mean: float
    error: float
    freedom: int

    def draws(self, n: int, random: np.random.Generator) -> Real:
        """Draws of the true mean difference: Student's t around the mean."""
        return self.mean + self.error * random.standard_t(self.freedom, n)


def corrected(differences: Real, test_share: float) -> Difference:
    """Nadeau and Bengio's correction: folds that share their training rows are not independent.

    Parameters
    ----------
    differences : (n,)
        Of each fold of each repeat.
    test_share : float
        Rows scored over rows trained on: 1 for two folds.
    """
    n = len(differences)
    return Difference(float(differences.mean()), float(differences.std(ddof=1) * np.sqrt(1 / n + test_share)), n - 1)


@dataclass(frozen=True)
class Posterior:
    """P(worse), P(equivalent), P(better); ``mean`` of the families' mean difference with its 95 % interval."""

    worse: float
    equivalent: float
    better: float
    mean: float
    low: float
    high: float


def signed_rank(draws: Real, rope: float, random: np.random.Generator, prior: float = 0.5) -> Real:
    """Shares of pairs below, inside and above the region, for each draw: (n_draws, 3).

    Parameters
    ----------
    draws : (n_draws, n_families)
        The families' mean differences, drawn from their posteriors, or the same in every draw.
    rope : float
        Half-width of the region of practical equivalence.
    prior : float
        Weight of the prior's pseudo-observation, which is 0.
    """
    n_draws, n = draws.shape
    weights = random.dirichlet([prior] + [1.0] * n, n_draws)
    shares = np.zeros((n_draws, 3))
    for i in range(n_draws):
        z = np.concatenate([[0.0], draws[i]])
        order = np.argsort(z)
        z, w = z[order], weights[i, order]
        so_far = np.concatenate([[0.0], np.cumsum(w)])
        # sums of pairs below -2 rope, and up to 2 rope, by the weight of what each z can be paired with
        below = w @ so_far[np.searchsorted(z, -2 * rope - z, side="left")]
        upto = w @ so_far[np.searchsorted(z, 2 * rope - z, side="right")]
        shares[i] = below, upto - below, 1 - upto
    return shares


def across_families(
    tables: Mapping[str, Sequence[Difference]], rope: float, *, n_draws: int = 4000, seed: int = 0
) -> Posterior:
    """The hierarchical test: families count alike, however many tables were cut from each.

    Parameters
    ----------
    tables : mapping of family to differences of its tables
    rope : float
        Half-width of the region of practical equivalence.
    """
    random = np.random.default_rng(seed)
    columns = []
    for differences in tables.values():
        weights = random.dirichlet([1.0] * len(differences), n_draws)
        columns.append((weights * np.column_stack([d.draws(n_draws, random) for d in differences])).sum(axis=1))
    draws = np.column_stack(columns)
    shares = signed_rank(draws, rope, random)
    # of equal shares none is preferred
    wins = shares >= shares.max(axis=1, keepdims=True) - 1e-12
    won = (wins / wins.sum(axis=1, keepdims=True)).mean(axis=0)
    bootstrap = (random.dirichlet([1.0] * draws.shape[1], n_draws) * draws).sum(axis=1)
    mean = float(np.mean([np.mean([d.mean for d in ds]) for ds in tables.values()]))
    low, high = np.percentile(bootstrap, [2.5, 97.5])
    return Posterior(float(won[0]), float(won[1]), float(won[2]), mean, float(low), float(high))


@dataclass(frozen=True)
class Ranks:
    """Mean ranks (1 is best), Friedman's p-value by Iman and Davenport, Nemenyi's critical difference at 5 %."""

    mean: Real
    p_value: float
    critical: float


def ranks(values: Real) -> Ranks:
    """Of figures (n_families, n_procedures) where larger is better."""
    return compare_ranks(stats.rankdata(-values, axis=1).mean(axis=0), len(values))


def compare_ranks(mean: Real, n: int) -> Ranks:
    """What mean ranks (n_procedures,) over ``n`` families say."""
    k = len(mean)
    chi = 12 * n / (k * (k + 1)) * (float((mean**2).sum()) - k * (k + 1) ** 2 / 4)
    f = (n - 1) * chi / (n * (k - 1) - chi)
    critical = stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n))
    return Ranks(mean, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))), float(critical))


def regression(y: Real, columns: Mapping[str, Real]) -> dict[str, tuple[float, float]]:
    """Least squares of a difference on standardised columns, families as rows: slope and its standard error (HC3)."""
    X = np.column_stack([np.ones(len(y)), *[(c - c.mean()) / (c.std() or 1.0) for c in columns.values()]])
    inverse = np.linalg.pinv(X.T @ X)
    beta = inverse @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    residual = (y - X @ beta) / np.clip(1 - leverage, 1e-9, None)
    covariance = inverse @ (X.T * residual**2) @ X @ inverse
    errors = np.sqrt(np.diag(covariance))
    names = ["(mean)", *columns]
    return {name: (float(b), float(e)) for name, b, e in zip(names, beta, errors, strict=True)}
