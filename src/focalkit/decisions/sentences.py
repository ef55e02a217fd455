"""What a rule says in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from focalkit._core.message import Sentence
from focalkit.decisions.rules import Bands, Cutoff, Cutoffs, PerCase, Weighted

if TYPE_CHECKING:
    from focalkit.decisions.rule import DecisionRule

#: Classes that a sentence names at most.
MOST_NAMED = 6


def short(value: float) -> str:
    """A number in four significant digits; near 1, of what is missing to it."""
    if 0.99 < value < 1:
        return f"{value:.{min(max(int(-math.log10(1 - value)) + 3, 4), 17)}f}".rstrip("0")
    return f"{value:.4g}"


def rule_sentence(made: DecisionRule) -> Sentence:
    """The rule in words, about the model's own probabilities where that is possible."""
    from focalkit.decisions.rule import own_bands, own_scale

    rule, names = made.rule, [str(c) for c in made.classes]
    if isinstance(rule, Cutoff):
        cut = own_scale(rule.cutoff, made.steps)
        if cut < 0:
            return Sentence("Decide “{yes}” always.", yes=names[1])
        if cut >= 1:
            return Sentence("Decide “{no}” always.", no=names[0])
        return Sentence("Decide “{yes}” when p > {cut}, otherwise “{no}”.", yes=names[1], no=names[0], cut=short(cut))
    if isinstance(rule, Bands):
        own = own_bands(rule, made.steps)
        form = "Decide “{yes}” when p > {upper} and “{no}” when p ≤ {lower}; between them a person decides."
        values = {"lower": short(max(own.lower, 0.0)), "upper": short(min(own.upper, 1.0))}
        return Sentence(form, yes=names[1], no=names[0], **values)
    if isinstance(rule, Cutoffs):
        form = "Each of {n} labels where its p is above its own cut-off, from {low} to {high}."
        return Sentence(form, n=len(names), low=short(min(rule.cutoffs)), high=short(max(rule.cutoffs)))
    if isinstance(rule, PerCase):
        return Sentence("Of each case the decision with the least expected cost at that case's own costs.")
    assert isinstance(rule, Weighted)
    return _weighted(rule, names)


def _weighted(rule: Weighted, names: list[str]) -> Sentence:
    equal = max(rule.weights) - min(rule.weights) < 1e-12 * max(rule.weights)
    top = max(rule.weights)
    pairs = [f"{name} {short(w / top)}" for name, w in zip(names, rule.weights, strict=True)]
    listed = ", ".join(pairs[:MOST_NAMED]) + (", …" if len(pairs) > MOST_NAMED else "")
    values: dict[str, Any] = {} if equal else {"weights": listed}
    if rule.matrix is None and rule.review_cost is None:
        if equal:
            return Sentence("Decide the class with the largest p.")
        return Sentence("Decide the class with the largest weight × p; weights: {weights}.", **values)
    form = "Decide the class with the least expected cost"
    if not equal:
        form += ", each p times its weight ({weights})"
    if rule.review_cost is not None:
        form += "; a person decides where that cost is above {review}"
        values["review"] = short(rule.review_cost)
    return Sentence(form + ".", **values)
