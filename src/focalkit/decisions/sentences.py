"""What a rule says in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from focalkit._core.message import Message
from focalkit.decisions.rules import Bands, Cutoff, Cutoffs, PerCase, Rule, Weighted
from focalkit.decisions.steps import Step, own_bands, own_cutoffs, own_scale

#: Classes that a sentence names at most.
MOST_NAMED = 6


def short(value: float) -> str:
    """A number in four significant digits; near 1, of what is missing to it."""
    if 0.99 < value < 1:
        return f"{value:.{min(max(int(-math.log10(1 - value)) + 3, 4), 17)}f}".rstrip("0")
    return f"{value:.4g}"


def named(names: Sequence[str]) -> list[str]:
    """Names as they stand before numbers: those of digits in quotes, all of them where one is."""
    return [f"“{name}”" for name in names] if any(name[:1].isdigit() or name[:1] == "-" for name in names) else [*names]


def rule_sentence(rule: Rule, steps: tuple[Step, ...], classes: Sequence[Any]) -> Message:
    """The rule behind the steps in words, about the model's own probabilities where that is possible."""
    names = [str(c) for c in classes]
    if isinstance(rule, Cutoff):
        cut = own_scale(rule.cutoff, steps)
        if cut < 0 or cut >= 1:
            return Message("rule.always", name=names[int(cut < 0)])
        return Message("rule.cutoff", yes=names[1], no=names[0], cut=short(cut))
    if isinstance(rule, Bands):
        own = own_bands(rule, steps)
        if own.upper >= 1:
            return Message("rule.band_below", no=names[0], lower=short(max(own.lower, 0.0)))
        if own.lower < 0:
            return Message("rule.band_above", yes=names[1], upper=short(own.upper))
        values = {"lower": short(own.lower), "upper": short(own.upper)}
        return Message("rule.bands", yes=names[1], no=names[0], **values)
    if isinstance(rule, Cutoffs):
        cuts = [min(max(cut, 0.0), 1.0) for cut in own_cutoffs(rule, steps)]
        if len(cuts) <= MOST_NAMED:
            each = ", ".join(f"{name} {short(cut)}" for name, cut in zip(named(names), cuts, strict=True))
            return Message("rule.each_label", cuts=each)
        return Message("rule.labels", n=len(names), low=short(min(cuts)), high=short(max(cuts)))
    if isinstance(rule, PerCase):
        return Message("rule.per_case")
    assert isinstance(rule, Weighted)
    return _weighted(rule, names)


def _weighted(rule: Weighted, names: list[str]) -> Message:
    top = max(rule.weights)
    equal = top - min(rule.weights) < 1e-12 * top
    pairs = [f"{name} {short(w / top)}" for name, w in zip(named(names), rule.weights, strict=True)]
    weights = ", ".join(pairs[:MOST_NAMED]) + (", …" if len(pairs) > MOST_NAMED else "")
    if rule.matrix is None and rule.review_cost is None:
        return Message("rule.largest") if equal else Message("rule.weights", weights=weights)
    parts = Message("rule.costs") if equal else Message("rule.weighted_costs", weights=weights)
    if rule.review_cost is None:
        return parts
    return Message("rule.review", rule=parts, review=short(rule.review_cost))
