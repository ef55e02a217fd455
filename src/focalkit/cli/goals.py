"""Goals as options say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from focalkit._core import contracts
from focalkit._core.extras import module_named, need
from focalkit.cli.options import number, parts
from focalkit.decisions.goals import CaseCost, Cost, CostMatrix


def cost_goal(text: str | None, *, per_case: bool) -> Cost | CaseCost | None:
    """The goal of ``--cost fn=…,fp=…``; ``per_case``: a column holds what missing each case costs."""
    values: dict[str, float] = {}
    for part in parts(text or ""):
        name, sign, value = part.partition("=")
        known = ("fp", "tp", "tn") if per_case else ("fn", "fp", "tp", "tn")
        if not sign or name.strip() not in known:
            what = f"be {', '.join(f'{k}=…' for k in known)}"
            contracts.reject("cost", what, part, "E.g. --cost fn=100,fp=1" if not per_case else "E.g. --cost fp=5")
        if name.strip() in values:
            contracts.reject("cost", f"name {name.strip()} once", text, "Drop one of the two.")
        values[name.strip()] = number("cost", value)
    if per_case:
        return CaseCost(**values)
    if not values:
        return None
    if "fn" not in values:
        contracts.reject("cost", "have fn=…, the cost of a missed positive", text, "E.g. --cost fn=100,fp=1")
    return Cost(**values)


def matrix_goal(path: Path, classes: Any = None) -> CostMatrix:
    """The goal of ``--costs FILE``, in the order of the classes where they are known."""
    from focalkit.decisions.files import read_matrix

    return CostMatrix(read_matrix(path, classes))  # type: ignore[arg-type]


def metric_asked(metric: str | None, cost: str | None, costs: Path | None, cost_column: str | None) -> Any:
    """What tune goes by: a metric's name, a function by its dotted name, or costs; one of them."""
    of_cost = cost is not None or cost_column is not None
    given = [f for f, is_given in (("--metric", metric), ("--cost", of_cost), ("--costs", costs)) if is_given]
    if len(given) > 1:
        contracts.reject("goal", "be one", contracts.Words(" and ".join(given)), "Drop the others.")
    if of_cost:
        return cost_goal(cost, per_case=cost_column is not None)
    if costs is not None:
        return matrix_goal(costs)
    metric = metric or "balanced_accuracy"
    module, _, name = metric.rpartition(".")
    if not module or ":" in metric:
        return metric
    with need(module, f"--metric {metric}", None):
        function = getattr(module_named(module), name, None)
    if not callable(function):
        contracts.reject("metric", "name a function (y_true, y_pred) or a scorer", metric, "E.g. my_metrics.profit")
    return function
