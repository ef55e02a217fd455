"""A tuning run's findings in plain sentences, shared by the terminal and the page."""

from __future__ import annotations

from typing import Any

from focalkit.tuning.result import FAMILIES, Cell, TuneResult
from focalkit.tuning.scores import Metric
from focalkit.tuning.verdict import LEVEL, Estimate, Verdict

WHAT = {
    "CE": "plain cross-entropy",
    "CE + shift": "plain cross-entropy with shifted decisions",
    "α-CE": "balanced cross-entropy",
    "focal": "focal loss",
    "OHEM": "online hard example mining",
}


def number(value: float, metric: Metric | None = None) -> str:
    """Three significant digits for losses, three decimals for scores in [0, 1]."""
    if metric is not None and metric.judges == "probabilities":
        return f"{value:.3g}"
    return f"{value:.3f}"


def plus_minus(value: float, error: float, metric: Metric | None = None) -> str:
    """``mean ± standard error``."""
    return (
        f"{number(value, metric)} ± {error:.2g}"
        if metric and metric.judges == "probabilities"
        else f"{value:.3f} ± {error:.3f}"
    )


def p_text(p: float) -> str:
    """A p-value as papers print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def gain_text(gain: Estimate, metric: Metric) -> str:
    """Gain with its interval: points for scores, the figure's own unit for probabilities; – for none."""
    scale, form = (1.0, "+.2g") if metric.judges == "probabilities" else (100.0, "+.1f")
    if gain.low == gain.high:
        return "–" if gain.mean == 0 else f"{gain.mean * scale:{form}}"
    return f"{gain.mean * scale:{form}} [{gain.low * scale:{form}}, {gain.high * scale:{form}}]"


def headline(result: TuneResult, verdict: Verdict) -> str:
    """One sentence: what to use."""
    if verdict.settled:
        return f"For {verdict.metric.title}, plain cross-entropy is as good as anything tried here."
    if verdict.plain_stands:
        return f"For {verdict.metric.title}, nothing was shown to beat plain cross-entropy."
    cell = result.cells[verdict.recommended.cell]
    return f"For {verdict.metric.title}, use {WHAT[verdict.recommended.family]}: {cell.title}."


def sentences(result: TuneResult, verdict: Verdict) -> list[str]:
    """How much it helps, how sure that is, what to expect, and what was not worth its price."""
    metric, best = verdict.metric, verdict.recommended
    n_rivals = len(verdict.families) - 1
    near = verdict.nearest
    out = []
    if not verdict.plain_stands:
        out.append(
            f"It improves {metric.title} by {_gain(best.gain, metric)} over plain cross-entropy "
            f"({p_text(best.adjusted_p)} after correction for {n_rivals} comparisons)."
        )
    elif verdict.settled:
        out.append(f"The most that any rival may gain, {WHAT[near.family]}: {_gain(near.gain, metric)}.")
    else:
        k = int(result.counts.argmin())
        out.append(
            f"But these folds cannot rule it out: {WHAT[near.family]} differs from it by {_gain(near.gain, metric)}, "
            f"{p_text(near.adjusted_p)} after correction for {n_rivals} comparisons. The rarest class, "
            f"{str(result.classes[k])!r}, has {int(result.counts[k]):,} rows; more of them would settle it."
        )
        if near.family == "CE + shift":
            out.append("Shifted decisions need no retraining, so trying them costs nothing.")
    expected = best.expected
    optimism = best.apparent - expected.mean
    line = f"Expect {metric.title} {plus_minus(expected.mean, expected.standard_error, metric)} on new data"
    if abs(optimism) > 0.05 * max(expected.standard_error, 1e-12):
        line += f"; its average here, {number(best.apparent, metric)}, carries the luck of having been chosen"
    out.append(line + ".")
    out.extend(_not_worth(result, verdict))
    return out


def _gain(gain: Estimate, metric: Metric) -> str:
    low, high = gain.low, gain.high
    unit = "" if metric.judges == "probabilities" else " points"
    scale = 1.0 if metric.judges == "probabilities" else 100.0
    text = ".3g" if metric.judges == "probabilities" else ".1f"
    if low == high:
        return f"{gain.mean * scale:{text}}{unit}"
    return f"{gain.mean * scale:{text}}{unit} (95 % interval {low * scale:{text}} to {high * scale:{text}})"


def _not_worth(result: TuneResult, verdict: Verdict) -> list[str]:
    """What costs more than the recommendation and was not shown to be better; what is worse."""
    at = FAMILIES.index(verdict.recommended.family)
    idle = [WHAT[f.family] for f in verdict.families if FAMILIES.index(f.family) > at]
    out = []
    if idle and not verdict.plain_stands:
        out.append(f"Nothing costlier ({_listed(idle)}) was shown to be better still.")
    for family in verdict.families:
        gain = family.gain
        if gain.mean < 0 and family.adjusted_p < LEVEL and gain.low < gain.high:
            loss = Estimate(-gain.mean, gain.standard_error, -gain.high, -gain.low, gain.p_value)
            name = WHAT[family.family]
            out.append(
                f"{name[0].upper()}{name[1:]} is worse than plain cross-entropy here, by {_gain(loss, verdict.metric)}."
            )
    looks = result.cells[verdict.best_looking]
    named = {verdict.recommended.family} | ({verdict.nearest.family} if verdict.plain_stands else set())
    if looks.family not in named:
        out.append(
            f"The best average belongs to {looks.title}; its lead over the recommendation is within the noise, "
            f"or the luck of the best of {len(result.cells)} cells."
        )
    return out


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def how_measured(result: TuneResult) -> str:
    """One sentence on the experiment."""
    folds = result.folds
    return (
        f"{folds.n_repeats} × {folds.n_splits}-fold stratified cross-validation, seed {result.seed}, the same folds "
        f"for all {len(result.cells)} cells; ± is the standard error with the Nadeau–Bengio correction for "
        "overlapping training sets. Each remedy is compared as a procedure: its cell is chosen without the fold that "
        "scores it, and p-values are Holm-corrected for the number of remedies."
    )


def code(result: TuneResult, verdict: Verdict) -> str:
    """The lines that use the recommendation."""
    cell = result.cells[verdict.recommended.cell]
    lines = [
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.preprocessing import StandardScaler",
        "from focalkit.estimator import FocalClassifier",
        "",
        f"model = make_pipeline(StandardScaler(), FocalClassifier({_arguments(cell)})).fit(X, y)",
    ]
    if cell.tau is None:
        return "\n".join([*lines, "decisions = model.predict(X_new)"])
    tau = float(result.taus.mean()) if cell.tau == "chosen" else float(cell.tau)
    return "\n".join(
        [
            "import numpy as np",
            "from focalkit import shift_prior",
            *lines,
            "classes, counts = np.unique(y, return_counts=True)",
            f"posterior = shift_prior(model.predict_proba(X_new), counts / counts.sum(), tau={tau:.3g})",
            "decisions = classes[posterior.argmax(axis=1)]",
        ]
    )


def _arguments(cell: Cell) -> str:
    arguments: list[str] = [f"gamma={cell.gamma:g}"]
    if cell.alpha is not None:
        alpha: Any = list(cell.alpha) if isinstance(cell.alpha, tuple) else cell.alpha
        arguments.append(f"alpha={alpha!r}")
    if cell.keep_hardest is not None:
        arguments.append(f"keep_hardest={cell.keep_hardest!r}")
    return ", ".join(arguments)
