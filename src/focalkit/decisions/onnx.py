"""A scikit-learn classifier and a rule as one ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.decisions.rules import Bands, Cutoff, Rule, Weighted
from focalkit.decisions.steps import Reweigh, Step, own_bands, own_scale


def with_rule(rule: Rule, steps: tuple[Step, ...], model: Any, initial_types: Any) -> Any:
    """The graph of ``model`` with an output ``decision`` (n,) of class numbers behind its probabilities.

    Parameters
    ----------
    rule : Rule
        One cut-off, bands, or weights with or without a cost matrix.
    steps : tuple of Step
        Before the rule; of weights those that reweigh, which are folded in.
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
    with need("skl2onnx", "writing ONNX", "onnx"):
        from skl2onnx import convert_sklearn
    from onnx import TensorProto, helper, numpy_helper

    graph = convert_sklearn(model, initial_types=initial_types, options={id(model): {"zipmap": False}})
    score = graph.graph.output[1].name
    nodes, constants = _nodes(rule, steps, score, helper, numpy_helper)
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend(constants)
    graph.graph.output.append(helper.make_tensor_value_info("decision", TensorProto.INT64, [None]))
    return graph


def _nodes(
    rule: Rule, steps: tuple[Step, ...], score: str, helper: Any, numpy_helper: Any
) -> tuple[list[Any], list[Any]]:
    constants: list[Any] = []

    def constant(name: str, value: Any, kind: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, kind), f"rule_{name}"))
        return f"rule_{name}"

    if isinstance(rule, Cutoff | Bands):
        column = helper.make_node("Gather", [score, constant("column", 1, np.int64)], ["rule_p"], axis=1)
        cut = own_scale(rule.cutoff, steps) if isinstance(rule, Cutoff) else own_bands(rule, steps).upper
        above = helper.make_node("Greater", ["rule_p", constant("cutoff", cut)], ["rule_above"])
        if isinstance(rule, Cutoff):
            return [column, above, helper.make_node("Cast", ["rule_above"], ["decision"], to=7)], constants
        low = helper.make_node("Greater", ["rule_p", constant("lower", own_bands(rule, steps).lower)], ["rule_mid"])
        one, zero, doubt = (constant(n, v, np.int64) for n, v in (("one", 1), ("zero", 0), ("review", -1)))
        inner = helper.make_node("Where", ["rule_mid", doubt, zero], ["rule_inner"])
        return [
            column,
            above,
            low,
            inner,
            helper.make_node("Where", ["rule_above", one, "rule_inner"], ["decision"]),
        ], constants
    if not isinstance(rule, Weighted) or rule.review_cost is not None or not all(isinstance(s, Reweigh) for s in steps):
        got = type(rule).__name__
        contracts.reject("rule", "be cut-offs, or weights and a cost matrix", got, "Use DecisionRule.predict.")
    weights = np.array(rule.weights)
    for step in steps:
        weights = weights * np.array(step.factors)  # type: ignore[attr-defined]
    matrix = -np.eye(len(weights)) if rule.matrix is None else np.array(rule.matrix)
    # expected costs are linear in the probabilities: one product
    product = helper.make_node("MatMul", [score, constant("costs", weights[:, None] * matrix)], ["rule_cost"])
    return [product, helper.make_node("ArgMin", ["rule_cost"], ["decision"], axis=1, keepdims=0)], constants
