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


def form_value(m: Any, gamma: Any, name: str, number: Any) -> Any:
    """The loss of a form at the log-odds ``m``, as its paper has it."""
    m, gamma, number = mpf(m), mpf(gamma), mpf(number)
    if name == "star":
        return margin(gamma * m + number, 0)["loss"][0] / gamma
    e = exp(-abs(m))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    p, q = (larger, smaller) if m >= 0 else (smaller, larger)
    nll = max(-m, mpf(0)) + log1p(e)
    if name == "poly":
        return q**gamma * nll + number * q ** (gamma + 1)
    if name == "dft":
        return ((1 - number) + number * p) * nll
    if name == "gce":
        return -mp.expm1(-number * nll) / number
    v = q - number
    return v**gamma * -log1p(-v) if v > 0 else mpf(0)


def nll_of(m: Any) -> Any:
    """-log sigma(m) at the working precision."""
    return max(-m, mpf(0)) + log1p(exp(-abs(m)))


def form_margin(m: Any, gamma: Any, name: str, number: Any) -> dict[str, tuple[Any, Any]]:
    """Loss, d1 and d2 of a form, each as (value, sum of its terms' sizes). Derivatives by differences of the loss."""
    m, g, k = mpf(m), mpf(gamma), mpf(number)
    e = exp(-abs(m))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    p, q = (larger, smaller) if m >= 0 else (smaller, larger)
    with mp.workdps(130 + int(abs(m))):  # where k is -1 in poly a loss is the difference of what nearly agrees
        loss = form_value(m, g, name, k)
    if name == "dft":  # whose weight is held
        s = (1 - k) + k * p
        return {"loss": (loss, loss), "d1": (-s * q, s * q), "d2": (s * p * q, s * p * q)}
    with mp.workdps(130 + int(abs(m))):  # a loss near 1 has a derivative of e^m
        d1 = mp.diff(lambda x: form_value(x, g, name, k), m, 1, h=mpf(10) ** -40)
        d2 = mp.diff(lambda x: form_value(x, g, name, k), m, 2, h=mpf(10) ** -35)
    sizes = [abs(loss), abs(d1), abs(d2)]
    if name == "poly":  # q^g ((nll - q) + (1 + k) q): a sum of positive terms, and so is -d1
        with mp.workdps(130 + int(abs(m))):
            rest = 1 / (1 + exp(m))
            over, c, w = nll_of(m) - rest, (1 + k) * (g + 1), rest**g
            sizes[2] = w * (p * (2 * (g + 1) * q**2 + c * q * ((g + 1) * p + q)) + g * p * over * (g * p + q))
    elif name == "gce":
        sizes[2] = p**k * q * (p + k * q)
    elif name == "clipped" and q > k:
        v, u = q - k, p + k
        w, t = v**g, -log1p(-v) / v
        slope, bend = g * t + 1 / u, g * (abs(g - 1) * t + 2 / u) / v + 1 / u**2
        sizes[2] = p * q * w * (p * q * bend + slope)
    values = (loss, d1, d2)
    return {name: pair for name, pair in zip(("loss", "d1", "d2"), zip(values, sizes, strict=True), strict=True)}


def form_values(m: Any, gamma: Any, name: str, number: Any) -> dict[str, Value]:
    """:func:`form_margin` with the sensitivity to ``m``, and to what is subtracted on the way."""
    here, there = form_margin(m, gamma, name, number), form_margin(mpf(m) + STEP, gamma, name, number)
    reach = abs(mpf(m))
    if name == "star":
        reach += abs(mpf(number)) / mpf(gamma)
    if name == "clipped":  # q - c of a rounded q
        reach += min(1 + exp(-mpf(m)), 4)  # q is near c where p is not small
    return {
        column: Value(value, size + reach * abs(there[column][0] - value) / STEP)
        for column, (value, size) in here.items()
    }


def quality_value(z: Any, y: Any, beta: Any) -> Any:
    """|y - p|^beta times cross-entropy."""
    z, y = mpf(z), mpf(y)
    p = 1 / (1 + exp(-z))
    return abs(y - p) ** mpf(beta) * (y * log1p(exp(-z)) + (1 - y) * log1p(exp(z)))


def quality_parts(z: Any, y: Any, beta: Any, off: Any = 0) -> dict[str, tuple[Any, Any]]:
    """The quality loss and its derivatives in z, each as (value, sum of its terms' sizes).

    ``off`` is what rounding may make of the difference p - y, wherever it stands for itself.
    """
    z, y, beta = mpf(z), mpf(y), mpf(beta)
    p, q = 1 / (1 + exp(-z)), 1 / (1 + exp(z))
    entropy = y * log1p(exp(-z)) + (1 - y) * log1p(exp(z))
    s = (p if y == 0 else -q if y == 1 else p - y) + off
    size, sign = abs(s), (-1 if s < 0 else 1)
    w = size**beta if beta else mpf(1)
    pull = beta * p * q / size * entropy if size else mpf(0)
    terms = (
        (beta - 1) * pull * p * q / size if size else mpf(0),
        pull * sign * (q - p),
        (2 * beta + 1) * p * q,
    )
    return {
        "loss": (w * entropy, w * entropy),
        "d1": (w * sign * (size + pull), w * (size + pull)),
        "d2": (w * sum(terms), w * sum(map(abs, terms))),
    }


def varifocal_parts(z: Any, y: Any, gamma: Any) -> dict[str, tuple[Any, Any]]:
    """The varifocal loss and its derivatives in z, each as (value, sum of its terms' sizes)."""
    if y == 0:
        at = margin(-mpf(z), gamma)
        return {"loss": at["loss"], "d1": (-at["d1"][0], at["d1"][1]), "d2": at["d2"]}
    y, at = mpf(y), quality_parts(z, y, 0)
    p, q = 1 / (1 + exp(-mpf(z))), 1 / (1 + exp(mpf(z)))
    s = -q if y == 1 else p - y
    return {"loss": (y * at["loss"][0],) * 2, "d1": (y * s, y * abs(s)), "d2": (y * p * q,) * 2}


def soft_values(z: Any, y: Any, gamma: Any, name: str) -> dict[str, Value]:
    """A loss of a logit and a soft target, with the sensitivity to z and to the difference p - y, which rounds."""
    parts = quality_parts if name == "quality" else varifocal_parts
    here, there = parts(z, y, gamma), parts(mpf(z) + STEP, y, gamma)
    p = 1 / (1 + exp(-mpf(z)))
    rounding = p + mpf(y) if 0 < y < 1 else mpf(0)
    beside = quality_parts(z, y, gamma, STEP) if name == "quality" else None
    found = {}
    for column, (value, size) in here.items():
        scale = size + abs(mpf(z)) * abs(there[column][0] - value) / STEP
        if beside:
            scale += rounding * abs(beside[column][0] - value) / STEP
        elif column == "d1":
            scale += rounding * mpf(y)
        found[column] = Value(value, scale)
    return found


def margin_values(m: Any, gamma: Any) -> dict[str, Value]:
    """:func:`margin` with the sensitivity to ``m``."""
    here, there = margin(m, gamma), margin(mpf(m) + STEP, gamma)
    return {
        name: Value(value, size + abs(mpf(m)) * abs(there[name][0] - value) / STEP)
        for name, (value, size) in here.items()
    }


def stepped_values(m: Any, table: list[list[float]]) -> dict[str, Value]:
    """:func:`margin_values` with gamma from the first row (p, gamma) above p."""
    p = 1 / (1 + exp(-mpf(m)))
    gamma = next((gamma for upper, gamma in table if p < mpf(upper)), table[-1][1])
    return margin_values(m, gamma)


def others(values: list[Any]) -> list[Any]:
    """For each entry the sum of all the others, without a subtraction."""
    before, after = [mpf(0)], [mpf(0)]
    for value in values[:-1]:
        before.append(before[-1] + value)
    for value in values[:0:-1]:
        after.append(after[-1] + value)
    return [left + right for left, right in zip(before, reversed(after), strict=True)]


@dataclass(frozen=True)
class Shift:
    """Logits become ``scale z + adjustment``, the true class's log-odds lose ``scale margin``."""

    adjustment: Any = None
    margin: Any = None
    scale: Any = 1
    form: Any = None  # name and number, as a pair

    def of(self, k: int) -> Any:
        return mpf(self.adjustment[k]) - max(map(mpf, self.adjustment)) if self.adjustment else mpf(0)

    def less(self, k: int) -> Any:
        return mpf(self.scale) * mpf(self.margin[k]) if self.margin else mpf(0)


NO_SHIFT = Shift()


def row(
    given: list[Any], weights: list[Any], gammas: list[Any], shift: Shift = NO_SHIFT, moved: list[Any] | None = None
) -> dict[str, list[tuple[Any, Any]]]:
    """One softmax row: the loss sum_k weights_k loss(m_k), its gradient and Hessian diagonal.

    ``moved`` perturbs the logits after they have been shifted.
    """
    n, s = len(given), mpf(shift.scale)
    highest = max(given)
    logits = [s * (z - highest) + shift.of(k) + (moved[k] if moved else 0) for k, z in enumerate(given)]
    top = max(logits)
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
        less = shift.less(k)
        at = form_margin(m - less, gammas[k], *shift.form) if shift.form else margin(m - less, gammas[k])
        (d1, d1_size), (d2, d2_size) = at["d1"], at["d2"]
        if less and not isinf(m):  # the difference rounds
            near = margin(m - less + STEP, gammas[k])
            add(loss[0], mpf(0), weight * less * abs(near["loss"][0] - at["loss"][0]) / STEP)
            d1_size += less * abs(near["d1"][0] - d1) / STEP
            d2_size += less * abs(near["d2"][0] - d2) / STEP
        d1, d1_size, d2, d2_size = s * d1, s * d1_size, s * s * d2, s * s * d2_size
        add(loss[0], weight * at["loss"][0], weight * at["loss"][1])
        add(grad[k], weight * d1, weight * d1_size)
        add(hess[k], weight * d2, weight * d2_size)
        for j, beyond in enumerate(others(rest)):
            if j == k or not total:
                continue
            r, not_r = rest[j] / total, beyond / total
            add(grad[j], -weight * d1 * r, weight * d1_size * r)
            add(
                hess[j],
                weight * (d2 * r**2 - s * d1 * r * not_r),
                weight * (d2_size * r**2 + s * d1_size * r * not_r),
            )
    return {"loss": loss, "grad": grad, "hess": hess}


def row_values(
    logits: list[Any], weights: list[Any], gammas: list[Any], shift: Shift = NO_SHIFT
) -> dict[str, list[Value]]:
    """:func:`row` with the sensitivities to the logits, and to those that are shifted."""
    z = [mpf(v) for v in logits]
    weights, top = [mpf(w) for w in weights], max(z)
    here = row(z, weights, gammas, shift)
    scales = {name: [size for _, size in parts] for name, parts in here.items()}
    for j, own in enumerate(z):
        if own in (-inf, top):
            continue
        there = row([v + STEP * (i == j) for i, v in enumerate(z)], weights, gammas, shift)
        for name, parts in here.items():
            for i, (value, _) in enumerate(parts):
                if not isinf(value):
                    scales[name][i] += (top - own) * abs(there[name][i][0] - value) / STEP
    for j in range(len(z) if shift.adjustment or shift.scale != 1 else 0):
        if z[j] == -inf:
            continue
        there = row(z, weights, gammas, shift, [STEP * (i == j) for i in range(len(z))])
        for name, parts in here.items():
            for i, (value, _) in enumerate(parts):
                if not isinf(value):
                    size = abs(shift.of(j)) + abs(mpf(shift.scale) * (top - z[j]))
                    scales[name][i] += size * abs(there[name][i][0] - value) / STEP
    return {
        name: [Value(value, scale) for (value, _), scale in zip(parts, scales[name], strict=True)]
        for name, parts in here.items()
    }
