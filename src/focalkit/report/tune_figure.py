"""A tuning run's surface and its verdict as figures, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focalkit._core.extras import need
from focalkit.report import format as write
from focalkit.report.figures import FAINT, INK
from focalkit.tuning.result import TuneResult, alpha_title
from focalkit.tuning.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_surface(result: TuneResult, metric: str | None = None) -> Figure:
    """The alpha x gamma surface of a metric as a heat map with its figures."""
    with need("matplotlib", "drawing", "plot"):
        from matplotlib.figure import Figure
    surface = result.surface(metric)
    of = result.metric_called(surface.metric)
    size = (1.6 + 1.15 * len(surface.gammas), 1.4 + 0.55 * len(surface.alphas))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.imshow(surface.mean if of.larger_is_better else -surface.mean, cmap="Blues", aspect="auto", alpha=0.6)
    for i in range(len(surface.alphas)):
        for j in range(len(surface.gammas)):
            text = write.score(float(surface.mean[i, j]), float(surface.standard_error[i, j]), of.judges)
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color=INK)
    axes.set_xticks(range(len(surface.gammas)), [f"γ = {gamma:g}" for gamma in surface.gammas])
    axes.set_yticks(range(len(surface.alphas)), [f"α {alpha_title(alpha)}" for alpha in surface.alphas])
    axes.set_title(f"{write.capital(of.title)}: mean ± standard error", fontsize=11, loc="left", color=INK)
    axes.tick_params(length=0)
    return figure


def draw_families(verdict: Verdict) -> Figure:
    """Each family's gain over plain cross-entropy with its 95 % interval; the recommendation is filled."""
    with need("matplotlib", "drawing", "plot"):
        from matplotlib.figure import Figure
    rivals = verdict.families[1:]
    scale = 1.0 if verdict.metric.judges == "probabilities" else 100.0
    figure = Figure(figsize=(7.2, 1.4 + 0.45 * len(rivals)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for at, family in enumerate(reversed(rivals)):
        gain, chosen = family.gain, family is verdict.recommended
        axes.plot([scale * gain.low, scale * gain.high], [at, at], color=INK, lw=1.6)
        axes.plot(scale * gain.mean, at, "o", ms=8, mec=INK, mfc="#0072B2" if chosen else "white")
    axes.axvline(0, color=FAINT, lw=1, ls="--")
    axes.set_yticks(range(len(rivals)), [family.family for family in reversed(rivals)])
    unit = "" if scale == 1 else ", points"
    title = f"Gain over plain cross-entropy by {verdict.metric.title}{unit}, 95 % interval"
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
