"""A rule as source that needs nothing of this package: a function in NumPy, an expression in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from focalkit._core import contracts
from focalkit._core.printable import visible
from focalkit.decisions.rules import Bands, Cutoff, Cutoffs, PerCase, Rule, Weighted
from focalkit.decisions.sentences import rule_sentence
from focalkit.decisions.steps import (
    Beta,
    Isotonic,
    Recover,
    Reweigh,
    Step,
    Temperature,
    own_bands,
    own_cutoffs,
    own_scale,
)

# 1e-30 is nearer to 0 than any 1 - p of a p below 1, and its powers do not underflow
_RECOVER = """\
    gamma, rest = np.array({gamma}), np.maximum(p.sum(axis=1, keepdims=True) - p, 1e-30)
    q = np.maximum(p, 1e-300)
    h = q / (rest**gamma - gamma * rest ** (gamma - 1) * q * np.log(q)){alpha}
    p = h / h.sum(axis=1, keepdims=True)"""
_TEMPERATURE = """\
    z = np.log(np.maximum(p, 1e-300)) / {t}
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)"""


def numpy_source(rule: Rule, steps: tuple[Step, ...], classes: Sequence[Any]) -> str:
    """A function ``decide(p)``: class numbers from probabilities, -1 where a person decides."""
    numbered = visible(", ".join(f"{i} = {c}" for i, c in enumerate(classes)))
    about = f"# {rule_sentence(rule, steps, classes)}\n# classes: {numbered}\n"
    lines = ["import numpy as np", "", ""]
    if isinstance(rule, Cutoff):
        body = [f"    return (np.asarray(p) > {own_scale(rule.cutoff, steps)!r}).astype(int)"]
        what = "p (n,), the probability of class 1"
    elif isinstance(rule, Bands):
        own = own_bands(rule, steps)
        body = [f"    return np.where(p > {own.upper!r}, 1, np.where(p > {own.lower!r}, -1, 0))"]
        what = "p (n,), the probability of class 1"
    elif isinstance(rule, Cutoffs):
        body = [f"    return (np.asarray(p) > np.array({list(own_cutoffs(rule, steps))!r})).astype(int)"]
        what = "p (n, n_labels)"
    else:
        body = [line for step in steps for line in _numpy_step(step)]
        body += [f"    q = p * np.array({list(rule.weights)!r})"]  # type: ignore[attr-defined]
        what = "p (n, n_classes)"
        if isinstance(rule, PerCase):
            if len(classes) == 2:
                body = ["    p = np.column_stack([1 - p, p]) if np.ndim(p) == 1 else p", *body]
            body.append('    return np.einsum("ik,ikj->ij", q, costs).argmin(axis=1)')
            what += ", costs (n, n_classes, n_classes), rows the truth"
        else:
            assert isinstance(rule, Weighted)
            body += _numpy_weighted(rule)
    head = "def decide(p, costs):" if isinstance(rule, PerCase) else "def decide(p):"
    return about + "\n".join([*lines, head, f'    """Class numbers from {what}."""', *body]) + "\n"


def _numpy_weighted(rule: Weighted) -> list[str]:
    if rule.matrix is None and rule.review_cost is None:
        return ["    return q.argmax(axis=1)"]
    n = len(rule.weights)
    matrix = rule.matrix or tuple(tuple(float(i != j) for j in range(n)) for i in range(n))
    lines = [f"    cost = q @ np.array({[list(row) for row in matrix]!r})  # rows are the truth"]
    if rule.review_cost is None:
        return [*lines, "    return cost.argmin(axis=1)"]
    doubtful = f"cost.min(axis=1) > {rule.review_cost!r} * q.sum(axis=1)"
    return [*lines, f"    return np.where({doubtful}, -1, cost.argmin(axis=1))"]


def _numpy_step(step: Step) -> list[str]:
    if isinstance(step, Reweigh):
        return [f"    p = p * np.array({list(step.factors)!r})", "    p = p / p.sum(axis=1, keepdims=True)"]
    if isinstance(step, Temperature):
        lines = _TEMPERATURE.format(t=repr(step.temperature)).split("\n")
        return lines + (_RECOVER.format(gamma=step.gamma, alpha="").split("\n") if step.gamma else [])
    if isinstance(step, Recover):
        alpha = "" if step.alpha is None else f" / np.array({list(step.alpha)!r})"
        gamma = list(step.gamma) if isinstance(step.gamma, tuple) else step.gamma
        return _RECOVER.format(gamma=gamma, alpha=alpha).split("\n")
    if isinstance(step, Isotonic):
        lines = [f"    q = np.interp(p[:, 1], {list(step.x)!r}, {list(step.y)!r})"]
        return [*lines, "    p = np.column_stack([1 - q, q])"]
    if isinstance(step, Beta):
        log, rest = "np.log(np.maximum(p[:, 1], 1e-300))", "np.log(np.maximum(p[:, 0], 1e-300))"
        lines = [f"    q = np.exp(-np.logaddexp(0, {step.b!r} * {rest} - {step.a!r} * {log} - {step.c!r}))"]
        return [*lines, "    p = np.column_stack([1 - q, q])"]
    contracts.reject(
        "rule", "have steps that a snippet can hold", contracts.Words(type(step).__name__), "Use DecisionRule.predict."
    )


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else _quoted(str(value))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _number(value: float) -> str:
    """A number that databases read as a double: without an exponent it is a decimal, whose products can overflow."""
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _cut(value: float) -> str:
    """A number to compare with; one of few digits is the same as a decimal."""
    text = repr(value)
    return text if len(text) <= 12 else _number(value)


def _at_least(value: str, least: str) -> str:
    """The larger of the two; SQLite has no GREATEST."""
    return f"CASE WHEN {value} > {least} THEN {value} ELSE {least} END"


def _column(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else '"' + name.replace('"', '""') + '"'


def sql(rule: Rule, steps: tuple[Step, ...], classes: Sequence[Any], columns: Sequence[str] | None = None) -> str:
    """A CASE expression; of labels one expression a line."""
    # names of one type: a person's cases are text
    doubtful = isinstance(rule, Bands) or getattr(rule, "review_cost", None) is not None
    names = [_quoted(str(c)) if doubtful else _text(c) for c in classes]
    single = isinstance(rule, Cutoff | Bands)
    contract = f"be {1 if single else len(names)} names"
    remedy = "Name the column of each class's probability, or of two classes that of the second."
    given: Sequence[str] = ["p"] if single else [f"p_{c}" for c in classes]
    if columns is not None:
        given = contracts.several("columns", columns, contract, remedy)
    if len(given) != (1 if single else len(names)) or not all(isinstance(name, str) for name in given):
        contracts.reject("columns", contract, list(given), remedy)
    cols = [_column(name) for name in given]
    if isinstance(rule, Cutoff):
        cut = own_scale(rule.cutoff, steps)
        return f"CASE WHEN {cols[0]} > {_cut(cut)} THEN {names[1]} ELSE {names[0]} END"
    if isinstance(rule, Bands):
        own = own_bands(rule, steps)
        flag, doubt = (
            f"WHEN {cols[0]} > {_cut(own.upper)} THEN {names[1]}",
            f"WHEN {cols[0]} > {_cut(own.lower)} THEN 'review'",
        )
        return f"CASE {flag} {doubt} ELSE {names[0]} END"
    if isinstance(rule, Cutoffs):
        each = zip(cols, own_cutoffs(rule, steps), strict=True)
        return ",\n".join(f"CASE WHEN {c} > {_cut(t)} THEN 1 ELSE 0 END" for c, t in each)
    if isinstance(rule, PerCase):
        contracts.reject("rule", "be the same for all cases", contracts.Words("costs of each case"), "Use to_numpy().")
    assert isinstance(rule, Weighted)
    return _sql_weighted(rule, steps, cols, names)


def _sql_weighted(rule: Weighted, steps: tuple[Step, ...], cols: list[str], names: list[str]) -> str:
    # a common factor changes no decision, so that what is reweighed need not sum to 1
    q = [f"{_number(w)} * {_sql_steps(steps, cols, k)}" for k, w in enumerate(rule.weights)]
    if rule.matrix is None and rule.review_cost is None:
        return _least([f"-({value})" for value in q], names, [])
    n = len(names)
    matrix = rule.matrix or tuple(tuple(float(i != j) for j in range(n)) for i in range(n))
    costs = [" + ".join(f"{_number(matrix[k][j])} * {q[k]}" for k in range(n) if matrix[k][j]) or "0" for j in range(n)]
    doubts = []
    if rule.review_cost is not None:
        bar = f"{_number(rule.review_cost)} * ({' + '.join(q)})"
        doubts = ["WHEN " + " AND ".join(f"{c} > {bar}" for c in costs) + " THEN 'review'"]
    return _least(costs, names, doubts)


def _least(values: list[str], names: list[str], first: list[str]) -> str:
    """The name of the least of ``values``, the first of equal ones."""
    whens = list(first)
    for j in range(len(values) - 1):
        others = [f"{values[j]} <= {values[i]}" for i in range(len(values)) if i > j]
        whens.append(f"WHEN {' AND '.join(others)} THEN {names[j]}")
    # whoever is not at most all later values is above one of them: the least is among those that are left
    return "CASE " + " ".join(whens) + f" ELSE {names[-1]} END"


#: Classes of which an expression looks at all the others' probabilities more than once.
MOST_NESTED = 8


def _sql_steps(steps: tuple[Step, ...], cols: list[str], k: int) -> str:
    """Class k's probability after the steps, up to a factor that all classes share."""
    value = cols[k]
    for i, step in enumerate(steps):
        if isinstance(step, Reweigh):
            value = f"{_number(step.factors[k])} * {value}"
        elif isinstance(step, Temperature) and not step.gamma:
            value = f"POWER({value}, {_number(1 / step.temperature)})"
        elif isinstance(step, Recover) and i == 0:
            value = _sql_recovered(step, k, cols[k], f"1 - {cols[k]}")
        elif isinstance(step, Recover | Temperature) and len(cols) <= MOST_NESTED:
            before = steps[:i] if isinstance(step, Recover) else (*steps[:i], Temperature(step.temperature))
            every = [_sql_steps(before, cols, j) for j in range(len(cols))]
            total, others = " + ".join(every), " + ".join(every[:k] + every[k + 1 :])
            recover = step if isinstance(step, Recover) else Recover(step.gamma)
            value = _sql_recovered(recover, k, f"({every[k]}) / ({total})", f"({others}) / ({total})")
        else:
            remedy = "Use to_numpy(), or DecisionRule.predict."
            got = contracts.Words(f"{type(step).__name__} of {len(cols)} classes")
            contracts.reject("rule", "have steps that SQL can hold", got, remedy)
    return value


def _sql_recovered(step: Recover, k: int, p: str, rest: str) -> str:
    """What :class:`Recover` makes of class k's probability and of that of all others."""
    g = step.gamma[k] if isinstance(step.gamma, tuple) else step.gamma
    p, rest = f"({_at_least(p, '1e-300')})", _at_least(rest, "1e-30")
    power, under = f"POWER({rest}, {_number(g)})", f"POWER({rest}, {_number(g - 1)})"
    h = f"({p} / ({power} - {_number(g)} * {under} * {p} * LN({p})))"
    return h if step.alpha is None else f"{h} / {_number(step.alpha[k])}"
