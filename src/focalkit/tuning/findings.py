"""A verdict as data: what to do, what to expect, how sure that is, what it costs, and what else was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from focalkit._core.message import Finding
from focalkit.decisions import CaseCost, Constraint
from focalkit.tuning.deciding import decision
from focalkit.tuning.result import FREE
from focalkit.tuning.scores import METRICS
from focalkit.tuning.verdict import LEVEL, Estimate, FamilyVerdict, Verdict, estimate, expected_on_new_rows


class Brief(NamedTuple):
    """The verdict in four lines, each of one or more sentences.

    Every figure is that of the remedy as a procedure, whose cell and cut-off are chosen without the fold that scores
    them: what stands before an arrow is plain cross-entropy on the same folds, and a gain is the difference of the two.
    """

    do: tuple[Finding, ...]
    expect: tuple[Finding, ...]
    sure: tuple[Finding, ...]
    costs: tuple[Finding, ...]


def brief(verdict: Verdict) -> Brief:
    """What to do, what to expect, how sure it is, what it costs."""
    return Brief(_do(verdict), _expect(verdict), _sure(verdict), _costs(verdict))


def headline(verdict: Verdict) -> Finding:
    """What to do, in one finding."""
    return _do(verdict)[0]


def findings(verdict: Verdict) -> tuple[Finding, ...]:
    """What goes with the headline: the rest of the four lines, and what was not worth its price."""
    do, *others = brief(verdict)
    return (*do[1:], *(finding for line in others for finding in line), *_not_worth(verdict))


def _do(verdict: Verdict) -> tuple[Finding, ...]:
    result, best = verdict.result, verdict.recommended
    values: dict[str, Any] = {"metric": verdict.metric.name}
    if verdict.plain_stands:
        return (Finding("settled" if verdict.settled else "stands" if verdict.proof else "keep", values),)
    how = decision(result, best.cell, verdict.metric)
    rare = _of(verdict)
    values |= {"family": best.family, "cell": result.cells[best.cell], "rare": str(result.classes[rare])}
    keep, then = "use_use", ""
    if how.cutoff is not None:
        values["cutoff"] = how.cutoff if rare == 1 else 1 - how.cutoff
        keep, then = "use_cutoff", "then_cutoff"
    elif how.by_costs:
        of_case = isinstance(verdict.metric.goal, CaseCost)
        keep, then = ("use_case_costs", "then_case_costs") if of_case else ("use_costs", "then_costs")
    elif how.tau is not None:
        values["tau"] = f"{how.tau:g}"
        keep, then = "use_shift", "then_shift"
    if best.family in FREE:
        return (Finding(keep, values), Finding("why_free"))
    rival = verdict.free_rival
    lead = _difference(best.expected.mean, rival.expected.mean, verdict)
    return (
        Finding("use", values),
        *([Finding(then, values)] if then else []),
        Finding("why_retrain", {"lead": lead, "family": rival.family}),
    )


def _of(verdict: Verdict) -> int:
    """The class that is caught or missed: the positive one, where the metric has one, or the rarest."""
    result = verdict.result
    return 1 if len(result.classes) == 2 and (verdict.metric.directed or result.turned) else result.rarest


def _expect(verdict: Verdict) -> tuple[Finding, ...]:
    """What becomes of a thousand cases and of the metric, before and after."""
    best, plain = verdict.recommended, verdict.families[0]
    judges, result = verdict.metric.shown_as, verdict.result
    new = expected_on_new_rows(verdict)
    low = max(new.low, verdict.metric.least) if new.mean >= verdict.metric.least else new.low
    high = min(new.high, verdict.metric.most) if new.mean <= verdict.metric.most else new.high
    values: dict[str, Any] = {
        "metric": verdict.metric.name,
        "before": _score(plain.expected.mean, judges),
        "after": _score(best.expected.mean, judges),
        "range": {"mean": new.mean, "low": low, "high": high, "judges": judges},
        "n": len(result.targets),
    }
    out = _per_thousand(verdict)
    if verdict.metric.costs:
        values |= {"before_all": 1000 * plain.expected.mean, "after_all": 1000 * best.expected.mean}
        return (*out, Finding("expect_cost_plain" if verdict.plain_stands else "expect_cost", values))
    said = (*out, Finding("expect_plain" if verdict.plain_stands else "expect", values))
    if isinstance(verdict.metric.goal, Constraint) and min(plain.expected.mean, best.expected.mean) < 0:
        return (*said, Finding("bound_missed", {}))
    return said


def _per_thousand(verdict: Verdict) -> list[Finding]:
    """What becomes of a thousand cases: the positive class, or the rarest, against the others."""
    result = verdict.result
    if verdict.metric.judges != "decisions" or result.decided is None:
        return []
    k = _of(verdict)
    values: dict[str, Any] = {"rare": str(result.classes[k])}
    for when, family in (("before", verdict.families[0]), ("after", verdict.recommended)):
        counts = result.decided[list(family.picks), np.arange(result.decided.shape[1])].sum(axis=0)
        n = counts[1].sum()
        true = result.prior[k]
        caught = counts[0, k] / n
        values[when] = {
            "caught": float(caught),
            "missed": max(float(true - caught), 0.0),
            "alarms": float((counts[1, k] - counts[0, k]) / n),
        }
        values["of"] = float(true)
    return [Finding("per_thousand_plain" if verdict.plain_stands else "per_thousand", values)]


def _sure(verdict: Verdict) -> tuple[Finding, ...]:
    """How sure the gain is; where nothing is changed, what the best rival promises."""
    best, metric, plain = verdict.recommended, verdict.metric, verdict.families[0]
    if len(verdict.families) == 1:
        return (Finding("no_rival", {}),)
    n = len(verdict.families) - 1
    of = verdict.best_rival if verdict.plain_stands else best
    values: dict[str, Any] = {"family": of.family, "better": of.gain.p_above, "worse": of.p_worse}
    values["gain"] = gain(of.gain, metric.shown_as, plain.expected.mean, of.expected.mean)
    if verdict.plain_stands:
        out = [Finding("best_rival", values)]
        if not verdict.settled:
            k = verdict.result.rarest
            rare = {"rare": str(verdict.result.classes[k]), "rows": int(verdict.result.counts[k])}
            out.append(Finding("not_ruled_out", {"p": of.adjusted_p, "n": n, **rare}))
        return tuple(out)
    values["margin"] = {
        "mean": verdict.margin,
        "low": verdict.margin,
        "high": verdict.margin,
        "judges": metric.shown_as,
    }
    proved = best.adjusted_p < LEVEL
    return (Finding("sure", values), Finding("proved" if proved else "unproved", {"p": best.adjusted_p, "n": n}))


def _costs(verdict: Verdict) -> tuple[Finding, ...]:
    """A retraining, and the other figures that fall by more than a point."""
    if verdict.plain_stands:
        return (Finding("no_cost", {}),)
    best, result = verdict.recommended, verdict.result
    out = [Finding("retrains" if best.family not in FREE else "is_free")]
    folds = np.arange(result.scores.shape[1])
    fallen = []
    for metric in METRICS:
        if metric.name == verdict.metric.name or (best.family in FREE and metric.goal is None):
            continue
        of = result.column(metric.name)
        before, after = (float(of[list(f.picks), folds].mean()) for f in (verdict.families[0], best))
        fall = (before - after) * (1 if metric.larger_is_better else -1)
        if fall > 0.01:
            pair = {"before": _score(before, metric.shown_as), "after": _score(after, metric.shown_as)}
            fallen.append(Finding("falls", {"metric": metric.name, **pair}))
    return (*out, *(fallen or [Finding("nothing_falls", {})]))


def _not_worth(verdict: Verdict) -> list[Finding]:
    """What costs more than the recommendation and was not shown to be better; what is worse; what looks best."""
    result, judges, plain = verdict.result, verdict.metric.shown_as, verdict.families[0]
    out = [finding for family in verdict.families if (finding := _harm(family, plain, judges))]
    looks, best = verdict.best_looking, verdict.recommended
    if result.cells[looks].family == best.family or looks == best.cell:
        return out
    values: dict[str, Any] = {"cell": result.cells[looks], "n": len(result.cells)}
    sign = 1 if verdict.metric.larger_is_better else -1
    scores = result.column(verdict.metric.name)
    lead = estimate(sign * (scores[looks] - scores[best.cell]), result.folds.n_splits)
    values["gain"] = gain(lead, judges, float(scores[best.cell].mean()), float(scores[looks].mean()))
    values["average"] = _score(float(scores[looks].mean()), judges)
    return [*out, Finding("looks" if lead.low <= 0 else "looks_better", values)]


def _harm(family: FamilyVerdict, plain: FamilyVerdict, judges: str) -> Finding | None:
    of = family.gain
    if not (of.mean < 0 and family.adjusted_p < LEVEL and of.low < of.high):
        return None
    loss = Estimate(-of.mean, of.standard_error, -of.high, -of.low, of.p_value)
    values = {"family": family.family, "gain": gain(loss, judges, plain.expected.mean, family.expected.mean)}
    return Finding("harms", values)


def gain(of: Estimate, judges: str, before: float, after: float) -> dict[str, Any]:
    """A gain as the catalogue's format of that name takes it: the difference of the figures as they are written."""
    digits = 3
    mean = abs(round(after, digits) - round(before, digits))
    return {"mean": float(np.copysign(mean, of.mean)), "low": of.low, "high": of.high, "judges": judges}


def _difference(after: float, before: float, verdict: Verdict) -> dict[str, Any]:
    sign = 1 if verdict.metric.larger_is_better else -1
    value = sign * (round(after, 3) - round(before, 3))
    return {"mean": value, "low": value, "high": value, "judges": verdict.metric.shown_as}


def _score(mean: float, judges: str) -> dict[str, Any]:
    return {"mean": mean, "error": float("nan"), "judges": judges}
