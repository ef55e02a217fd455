"""How probabilities become decisions: a cut-off, bands, weights with a cost matrix, a cost per case, a cut-off a label.

Each takes probabilities (n, n_classes), or of two classes those of the positive (n,), and gives class numbers (n,),
with :data:`REVIEW` for a case that a person decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts

Real = NDArray[np.float64]
Ids = NDArray[np.int64]
#: The decision to let a person decide.
REVIEW = -1


class Rule:
    """What all rules share."""

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """Decisions from probabilities."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain data; :func:`rule_from_dict` reads it back."""
        return {"rule": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


def positive(p: Real) -> Real:
    """The probabilities of the second of two classes (n,)."""
    return p if p.ndim == 1 else p[:, 1]


def both_sides(p: Real) -> Real:
    """Probabilities (n, 2) of two classes given as (n,), others as they are."""
    return np.column_stack([1 - p, p]) if p.ndim == 1 else p


@dataclass(frozen=True)
class Cutoff(Rule):
    """The second of two classes where its probability is above ``cutoff``."""

    cutoff: float

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """0 or 1 for each row."""
        return np.asarray(positive(p) > self.cutoff, np.int64)


@dataclass(frozen=True)
class Bands(Rule):
    """Flagged above ``upper``, cleared up to ``lower``, a person's between."""

    lower: float
    upper: float

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """0, 1 or REVIEW for each row."""
        score = positive(p)
        return np.where(score > self.upper, 1, np.where(score > self.lower, REVIEW, 0)).astype(np.int64)


@dataclass(frozen=True)
class Weighted(Rule):
    """The least of sum_k w_k p_k C[k, j] over decisions j; without a cost matrix C the largest of w_k p_k.

    ``review_cost`` hands a case over where its smallest expected cost is above it.
    """

    weights: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...] | None = None
    review_cost: float | None = None

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """A class, or REVIEW, for each row."""
        weighed = both_sides(p) * np.array(self.weights)
        if self.matrix is None and self.review_cost is None:
            return np.asarray(weighed.argmax(axis=1))
        c = 1 - np.eye(weighed.shape[1]) if self.matrix is None else np.array(self.matrix)
        expected = weighed @ c
        said = expected.argmin(axis=1)
        if self.review_cost is not None:
            least = np.take_along_axis(expected, said[:, None], axis=1)[:, 0]
            said = np.where(least > self.review_cost * weighed.sum(axis=1), REVIEW, said)
        return np.asarray(said, np.int64)


@dataclass(frozen=True)
class PerCase(Rule):
    """The least of sum_k w_k p_k C_i[k, j], with a cost matrix C_i for each case i."""

    weights: tuple[float, ...]

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """A class for each row; ``costs`` (n, n_classes, n_classes)."""
        if costs is None:
            contracts.reject("costs", "be given with a cost of each case", None, "Pass what each case costs.")
        weighed = both_sides(p) * np.array(self.weights)
        if len(costs) != len(weighed):
            got = contracts.Words(f"{len(costs)} for {len(weighed)} cases")
            contracts.reject("costs", "have one entry for each case", got, "Pass costs of the same rows.")
        return np.asarray(np.einsum("ik,ikj->ij", weighed, costs).argmin(axis=1))


@dataclass(frozen=True)
class Cutoffs(Rule):
    """Of several labels each where its probability is above its own cut-off; decisions are 0 or 1 (n, n_labels)."""

    cutoffs: tuple[float, ...]

    def decide(self, p: Real, costs: Real | None = None) -> Ids:
        """0 or 1 for each row and label."""
        return np.asarray(p > np.array(self.cutoffs), np.int64)


RULES: dict[str, type[Rule]] = {c.__name__: c for c in (Cutoff, Bands, Weighted, PerCase, Cutoffs)}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def rule_from_dict(data: dict[str, Any]) -> Rule:
    """The rule that :meth:`Rule.to_dict` wrote."""
    kind = RULES.get(str(data.get("rule")))
    if kind is None:
        contracts.reject("rule", f"be one of {', '.join(RULES)}", data.get("rule"), "Was it saved by a newer version?")
    return kind(**{name: _tuples(value) for name, value in data.items() if name != "rule"})
