"""The losses in 60-digit arithmetic, each value with the size of the error that its inputs excuse.

Written apart from the package: logsumexp over explicit sums, no shared code. ``scale`` of a value is

    sum |terms|  +  sum_j |z_j - max z| |d value / d z_j|

that is the cancellation which the definition itself asks for (d2 and soft targets are differences of
terms), plus the sensitivity to relative perturbations of the logits. The losses do not change with a
shift, and the difference of two floating numbers is exact to half an ulp, so that it is the logits'
distances to the largest one that are perturbed, which is the stricter reading. ``condition`` is
``scale / |value|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import exp, inf, isinf, log1p, mp, mpf

mp.dps = 60
STEP = mpf(10) ** -25  # one-sided differences for the sensitivities, of which three digits are wanted


@dataclass(frozen=True)
class Value:
    value: Any
    scale: Any

    @property
    def condition(self) -> float:
        return float(self.scale / abs(self.value)) if self.value and not isinf(self.value) else 1.0


def margin(m: Any, gamma: Any) -> dict[str, tuple[Any, Any]]:
    """Loss, d1 and d2 at the log-odds ``m``, each as (value, sum of its terms' sizes)."""
    m, gamma = mpf(m), mpf(gamma)
    e = exp(-abs(m))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    p, q = (larger, smaller) if m >= 0 else (smaller, larger)
    nll = max(-m, mpf(0)) + log1p(e)
    w = q**gamma if gamma else mpf(1)
    if isinf(m):
        return {"loss": ((mpf(0), mpf(0)), (inf, inf))[m < 0], "d1": (-q, q), "d2": (mpf(0), mpf(0))}
    terms = (p * (1 + 2 * gamma) * q, gamma**2 * p**2 * nll, -gamma * p * q * nll)
    d1 = w * (q + gamma * p * nll)
    return {"loss": (w * nll, w * nll), "d1": (-d1, d1), "d2": (w * sum(terms), w * sum(map(abs, terms)))}


def margin_values(m: Any, gamma: Any) -> dict[str, Value]:
    """:func:`margin` with the sensitivity to ``m``."""
    here, there = margin(m, gamma), margin(mpf(m) + STEP, gamma)
    return {
        name: Value(value, size + abs(mpf(m)) * abs(there[name][0] - value) / STEP)
        for name, (value, size) in here.items()
    }


def others(values: list[Any]) -> list[Any]:
    """For each entry the sum of all the others, without a subtraction."""
    before, after = [mpf(0)], [mpf(0)]
    for value in values[:-1]:
        before.append(before[-1] + value)
    for value in values[:0:-1]:
        after.append(after[-1] + value)
    return [left + right for left, right in zip(before, reversed(after), strict=True)]


def row(logits: list[Any], weights: list[Any], gammas: list[Any]) -> dict[str, list[tuple[Any, Any]]]:
    """One softmax row: the loss sum_k weights_k loss(m_k), its gradient and Hessian diagonal."""
    n, top = len(logits), max(logits)
    e = [exp(z - top) if z != -inf else mpf(0) for z in logits]
    loss, grad, hess = [[mpf(0), mpf(0)]], [[mpf(0), mpf(0)] for _ in e], [[mpf(0), mpf(0)] for _ in e]

    def add(total: list[Any], value: Any, size: Any) -> None:
        total[0] += value
        total[1] += size

    for k, weight in enumerate(weights):
        if not weight:
            continue
        rest = [e[j] if j != k else mpf(0) for j in range(n)]
        total = sum(rest)
        m = -inf if not e[k] else mp.log(e[k] / total) if total else inf
        at = margin(m, gammas[k])
        (d1, d1_size), (d2, d2_size) = at["d1"], at["d2"]
        add(loss[0], weight * at["loss"][0], weight * at["loss"][1])
        add(grad[k], weight * d1, weight * d1_size)
        add(hess[k], weight * d2, weight * d2_size)
        for j, beyond in enumerate(others(rest)):
            if j == k or not total:
                continue
            r, not_r = rest[j] / total, beyond / total
            add(grad[j], -weight * d1 * r, weight * d1_size * r)
            add(hess[j], weight * (d2 * r**2 - d1 * r * not_r), weight * (d2_size * r**2 + d1_size * r * not_r))
    return {"loss": loss, "grad": grad, "hess": hess}


def row_values(logits: list[Any], weights: list[Any], gammas: list[Any]) -> dict[str, list[Value]]:
    """:func:`row` with the sensitivities to the logits."""
    z = [mpf(v) for v in logits]
    weights, top = [mpf(w) for w in weights], max(z)
    here = row(z, weights, gammas)
    scales = {name: [size for _, size in parts] for name, parts in here.items()}
    for j, own in enumerate(z):
        if own in (-inf, top):
            continue
        there = row([v + STEP * (i == j) for i, v in enumerate(z)], weights, gammas)
        for name, parts in here.items():
            for i, (value, _) in enumerate(parts):
                if not isinf(value):
                    scales[name][i] += (top - own) * abs(there[name][i][0] - value) / STEP
    return {
        name: [Value(value, scale) for (value, _), scale in zip(parts, scales[name], strict=True)]
        for name, parts in here.items()
    }
