"""A scikit-learn classifier and a rule as one ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.decisions.rules import REVIEW, Bands, Cutoff, Rule, Weighted
from focalkit.decisions.steps import Recover, Reweigh, Step, Temperature, own_bands, own_scale


def with_rule(rule: Rule, steps: tuple[Step, ...], model: Any, initial_types: Any) -> Any:
    """The graph of ``model`` with an output ``decision`` (n,) of class numbers behind its probabilities.

    Parameters
    ----------
    rule : Rule
        One cut-off, bands, or weights with or without a cost matrix.
    steps : tuple of Step
        Before the rule.
    model : fitted scikit-learn classifier
    initial_types : list
        As skl2onnx takes them.

    Raises
    ------
    ModuleNotFoundError
        Where skl2onnx is not installed.
    InputError
        Where the rule has no such form.
    """
    if not isinstance(rule, Cutoff | Bands | Weighted):
        got = contracts.Words(type(rule).__name__)
        contracts.reject("rule", "be cut-offs, or weights and a cost matrix", got, "Use DecisionRule.predict.")
    with need("skl2onnx", "writing ONNX", "onnx"):
        from skl2onnx import convert_sklearn
    from onnx import TensorProto, helper

    graph = convert_sklearn(model, initial_types=initial_types, options={id(model): {"zipmap": False}})
    nodes = _Nodes()
    # in double precision: what undoes training has powers of small numbers
    p = nodes("Cast", graph.graph.output[1].name, to=TensorProto.DOUBLE)
    said = _weighted(nodes, rule, steps, p) if isinstance(rule, Weighted) else _of_two(nodes, rule, steps, p)
    nodes("Identity", said, output="decision")
    graph.graph.node.extend(nodes.nodes)
    graph.graph.initializer.extend(nodes.constants)
    graph.graph.output.append(helper.make_tensor_value_info("decision", TensorProto.INT64, [None]))
    return graph


class _Nodes:
    """Nodes and constants as they are added; a call adds a node and gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: Any = np.float64) -> str:
        """The name of a constant."""
        from onnx import numpy_helper

        name = f"rule_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def __call__(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"rule_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def sum(self, values: str, n_classes: int) -> str:
        """Sums (n, 1) over the classes."""
        return self("MatMul", values, self.constant(np.ones((n_classes, 1))))


def _of_two(g: _Nodes, rule: Cutoff | Bands, steps: tuple[Step, ...], p: str) -> str:
    score = g("Gather", p, g.constant(1, np.int64), axis=1)
    if isinstance(rule, Cutoff):
        above = g("Greater", score, g.constant(own_scale(rule.cutoff, steps)))
        return g("Cast", above, to=7)  # int64
    own = own_bands(rule, steps)
    yes, no, doubt = (g.constant(value, np.int64) for value in (1, 0, REVIEW))
    below = g("Where", g("Greater", score, g.constant(own.lower)), doubt, no)
    return g("Where", g("Greater", score, g.constant(own.upper)), yes, below)


def _weighted(g: _Nodes, rule: Weighted, steps: tuple[Step, ...], p: str) -> str:
    n_classes = len(rule.weights)
    for step in steps:
        p = _after(g, step, p, n_classes)
    q = g("Mul", p, g.constant(rule.weights))
    if rule.matrix is None and rule.review_cost is None:
        return g("ArgMax", q, axis=1, keepdims=0)
    cost = g("MatMul", q, g.constant(1 - np.eye(n_classes) if rule.matrix is None else rule.matrix))
    said = g("ArgMin", cost, axis=1, keepdims=1)
    if rule.review_cost is not None:
        least = g("GatherElements", cost, said, axis=1)
        bar = g("Mul", g.sum(q, n_classes), g.constant(rule.review_cost))
        said = g("Where", g("Greater", least, bar), g.constant(REVIEW, np.int64), said)
    return g("Reshape", said, g.constant([-1], np.int64))


def _after(g: _Nodes, step: Step, p: str, n_classes: int) -> str:
    """Probabilities (n, n_classes) after a step of several classes."""
    if isinstance(step, Reweigh):
        weighed = g("Mul", p, g.constant(step.factors))
        return g("Div", weighed, g.sum(weighed, n_classes))
    if isinstance(step, Temperature):
        logs = g("Log", g("Max", p, g.constant(1e-300)))
        p = g("Softmax", g("Div", logs, g.constant(step.temperature)), axis=1)
        return _recovered(g, Recover(step.gamma), p, n_classes) if step.gamma else p
    if isinstance(step, Recover):
        return _recovered(g, step, p, n_classes)
    contracts.reject(
        "rule", "have steps of several classes", contracts.Words(type(step).__name__), "Use DecisionRule.predict."
    )


def _recovered(g: _Nodes, step: Recover, p: str, n_classes: int) -> str:
    gamma = np.array(step.gamma)
    rest = g("Max", g("Sub", g.sum(p, n_classes), p), g.constant(1e-30))
    q = g("Max", p, g.constant(1e-300))
    slope = g("Mul", g("Mul", g.constant(gamma), g("Pow", rest, g.constant(gamma - 1))), g("Mul", q, g("Log", q)))
    h = g("Div", q, g("Sub", g("Pow", rest, g.constant(gamma)), slope))
    if step.alpha is not None:
        h = g("Div", h, g.constant(step.alpha))
    return g("Div", h, g.sum(h, n_classes))
