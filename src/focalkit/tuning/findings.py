"""A verdict as data: a headline, how much it helps, how sure that is, what to expect, what was not worth its price."""

from __future__ import annotations

from typing import Any

from focalkit._core.message import Finding
from focalkit.tuning.result import FAMILIES, Cell, TuneResult
from focalkit.tuning.scores import METRICS
from focalkit.tuning.verdict import LEVEL, Estimate, Verdict


def headline(result: TuneResult, verdict: Verdict) -> Finding:
    """What to do, in one finding."""
    values: dict[str, Any] = {"metric": verdict.metric.name}
    if verdict.plain_stands:
        return Finding("settled" if verdict.settled else "stands" if verdict.proof else "keep", values)
    best = verdict.recommended
    values |= {"family": best.family, "cell": result.cells[best.cell]}
    tau = None if result.final_taus is None else float(result.final_taus[best.cell])
    if result.cells[best.cell].tau == "chosen" and tau is not None:
        return Finding("use_shift", {**values, "tau": f"{tau:g}"})
    return Finding("use", values)


def findings(result: TuneResult, verdict: Verdict) -> tuple[Finding, ...]:
    """What goes with the headline: what to expect, how sure it is, what it costs, and what was not worth its price."""
    if verdict.proof:
        return (*_gain(result, verdict), _expect(verdict), *_not_worth(result, verdict))
    counted = [found] if (found := _per_thousand(result, verdict)) else []
    return (*counted, _expect(verdict), *_sure(result, verdict), *_costs(result, verdict), *_not_worth(result, verdict))


def _per_thousand(result: TuneResult, verdict: Verdict) -> Finding | None:
    """What becomes of a thousand cases, before and after: the rarest class against the others."""
    if verdict.metric.judges != "decisions" or result.decided is None:
        return None
    k = int(result.counts.argmin())
    true = result.counts[k] / result.counts.sum()
    n_scored = result.decided[:, 1].sum(axis=1)
    values: dict[str, Any] = {"rare": str(result.classes[k])}
    plain = result.index(Cell())
    for when, cell in (("before", plain), ("after", verdict.recommended.cell)):
        caught = result.decided[cell, 0, k] / n_scored[cell]
        alarms = (result.decided[cell, 1, k] - result.decided[cell, 0, k]) / n_scored[cell]
        values[when] = {"caught": float(caught), "missed": max(float(true - caught), 0.0), "alarms": float(alarms)}
    values["of"] = float(true)
    if verdict.plain_stands:
        del values["before"]
        return Finding("per_thousand_plain", values)
    return Finding("per_thousand", values)


def _sure(result: TuneResult, verdict: Verdict) -> list[Finding]:
    """How sure the gain is; where nothing is changed, the rival that may help most."""
    best, metric = verdict.recommended, verdict.metric
    n = len(verdict.families) - 1
    if verdict.plain_stands:
        near = verdict.nearest
        return [Finding("at_most", {"family": near.family, "gain": gain(near.gain, metric.shown_as)})]
    values: dict[str, Any] = {"gain": gain(best.gain, metric.shown_as), "better": best.gain.p_above}
    values["worse"] = best.p_worse
    margin = {"mean": verdict.margin, "low": verdict.margin, "high": verdict.margin, "judges": metric.shown_as}
    out = [Finding("sure", {**values, "margin": margin})]
    if best.price == 0 or best.adjusted_p < LEVEL:
        return out
    return [*out, Finding("unproved", {"p": best.adjusted_p, "n": n})]


def _costs(result: TuneResult, verdict: Verdict) -> list[Finding]:
    """A retraining, and the other figures that fall by more than a point."""
    best, out = verdict.recommended, []
    if verdict.plain_stands:
        return []
    out.append(Finding("retrains" if best.price > 0 else "is_free"))
    plain = result.index(Cell())
    for metric in METRICS:
        if metric.judges == verdict.metric.judges or metric.judges != "probabilities":
            figures = [float(result.column(metric.name)[i].mean()) for i in (plain, best.cell)]
            fall = (figures[0] - figures[1]) * (1 if metric.larger_is_better else -1)
            if fall > 0.01 and metric.name != verdict.metric.name:
                before, after = ({"mean": v, "error": float("nan"), "judges": metric.shown_as} for v in figures)
                out.append(Finding("falls", {"metric": metric.name, "before": before, "after": after}))
    return out


def _gain(result: TuneResult, verdict: Verdict) -> list[Finding]:
    metric, best, near = verdict.metric, verdict.recommended, verdict.nearest
    n = len(verdict.families) - 1
    if not verdict.plain_stands:
        values = {"metric": metric.name, "gain": gain(best.gain, metric.shown_as), "p": best.adjusted_p, "n": n}
        return [Finding("improves", values)]
    rival = {"family": near.family, "gain": gain(near.gain, metric.shown_as)}
    if verdict.settled:
        return [Finding("at_most", rival)]
    k = int(result.counts.argmin())
    rare = {"rare": str(result.classes[k]), "rows": int(result.counts[k])}
    out = [Finding("not_ruled_out", {**rival, "p": near.adjusted_p, "n": n, **rare})]
    return [*out, Finding("shift_is_free")] if near.family == "CE + shift" else out


def _expect(verdict: Verdict) -> Finding:
    best, judges = verdict.recommended, verdict.metric.shown_as
    expected = best.expected
    score = {"mean": expected.mean, "error": expected.standard_error, "judges": judges}
    values = {"metric": verdict.metric.name, "score": score}
    if not abs(best.apparent - expected.mean) > 0.05 * max(expected.standard_error, 1e-12):
        return Finding("expect", values)
    apparent = {"mean": best.apparent, "error": float("nan"), "judges": judges}
    return Finding("expect_luck", {**values, "apparent": apparent})


def _not_worth(result: TuneResult, verdict: Verdict) -> list[Finding]:
    """What costs more than the recommendation and was not shown to be better; what is worse."""
    at = FAMILIES.index(verdict.recommended.family)
    idle = [f.family for f in verdict.families if FAMILIES.index(f.family) > at]
    out = [Finding("idle", {"families": idle})] if idle and not verdict.plain_stands else []
    for family in verdict.families:
        of = family.gain
        if of.mean < 0 and family.adjusted_p < LEVEL and of.low < of.high:
            loss = Estimate(-of.mean, of.standard_error, -of.high, -of.low, of.p_value)
            out.append(Finding("harms", {"family": family.family, "gain": gain(loss, verdict.metric.shown_as)}))
    looks = result.cells[verdict.best_looking]
    named = {verdict.recommended.family} | ({verdict.nearest.family} if verdict.plain_stands else set())
    if looks.family not in named:
        out.append(Finding("looks", {"cell": looks, "n": len(result.cells)}))
    return out


def gain(of: Estimate, judges: str) -> dict[str, Any]:
    """A gain as the catalogue's format of that name takes it."""
    return {"mean": of.mean, "low": of.low, "high": of.high, "judges": judges}
