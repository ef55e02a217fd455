"""A verdict as data: a headline, how much it helps, how sure that is, what to expect, what was not worth its price."""

from __future__ import annotations

from typing import Any

from focalkit._core.message import Finding
from focalkit.tuning.result import FAMILIES, TuneResult
from focalkit.tuning.verdict import LEVEL, Estimate, Verdict


def headline(result: TuneResult, verdict: Verdict) -> Finding:
    """What to use, in one finding."""
    name = "settled" if verdict.settled else "stands" if verdict.plain_stands else "use"
    values: dict[str, Any] = {"metric": verdict.metric.name}
    if name == "use":
        best = verdict.recommended
        values |= {"family": best.family, "cell": result.cells[best.cell]}
    return Finding(name, values)


def findings(result: TuneResult, verdict: Verdict) -> tuple[Finding, ...]:
    """What goes with the headline."""
    return (*_gain(result, verdict), _expect(verdict), *_not_worth(result, verdict))


def _gain(result: TuneResult, verdict: Verdict) -> list[Finding]:
    metric, best, near = verdict.metric, verdict.recommended, verdict.nearest
    n = len(verdict.families) - 1
    if not verdict.plain_stands:
        values = {"metric": metric.name, "gain": gain(best.gain, metric.judges), "p": best.adjusted_p, "n": n}
        return [Finding("improves", values)]
    rival = {"family": near.family, "gain": gain(near.gain, metric.judges)}
    if verdict.settled:
        return [Finding("at_most", rival)]
    k = int(result.counts.argmin())
    rare = {"rare": str(result.classes[k]), "rows": int(result.counts[k])}
    out = [Finding("not_ruled_out", {**rival, "p": near.adjusted_p, "n": n, **rare})]
    return [*out, Finding("shift_is_free")] if near.family == "CE + shift" else out


def _expect(verdict: Verdict) -> Finding:
    best, judges = verdict.recommended, verdict.metric.judges
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
            out.append(Finding("harms", {"family": family.family, "gain": gain(loss, verdict.metric.judges)}))
    looks = result.cells[verdict.best_looking]
    named = {verdict.recommended.family} | ({verdict.nearest.family} if verdict.plain_stands else set())
    if looks.family not in named:
        out.append(Finding("looks", {"cell": looks, "n": len(result.cells)}))
    return out


def gain(of: Estimate, judges: str) -> dict[str, Any]:
    """A gain as the catalogue's format of that name takes it."""
    return {"mean": of.mean, "low": of.low, "high": of.high, "judges": judges}
