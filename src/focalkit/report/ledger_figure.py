"""A ledger, or the shares of one, as a figure, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from focalkit._core.extras import need
from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger, Shares
from focalkit.diagnosis.bins import EDGES
from focalkit.report.figures import FAINT, INK
from focalkit.report.format import alpha as alpha_words
from focalkit.report.format import focal_name, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER, SAMPLES = "#6a7684", "#D55E00", "#b9d3e6"


def draw_ledger(ledger: Ledger, gamma: PerClass | None, alpha: PerClass | str | None, top: int = 20) -> Figure:
    """Three panels: samples by p_t, each class's share of the gradient, and Figure 4 of Lin et al. 2017."""
    with need("matplotlib", "drawing", "plot"):
        from matplotlib.figure import Figure
    gamma = ledger.spec.gamma if gamma is None else gamma
    chosen = ledger.spec.alpha if alpha is None else alpha
    plain, focal = ledger.shares(0.0, "none"), ledger.shares(gamma, alpha)
    size = np.maximum(plain.grad.share, focal.grad.share_alpha)
    shown = np.sort(np.argsort(-size, kind="stable")[:top])[::-1]
    figure = Figure(figsize=(12.5, max(3.8, 0.8 + 0.28 * len(shown))), layout="constrained", facecolor="white")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1))
    _samples(left, ledger)
    _classes(middle, plain, focal, shown)
    _cumulative(right, ledger, gamma)
    figure.suptitle(f"Where the loss goes: α {alpha_words(chosen)}, {focal_name(gamma)}", x=0.01, ha="left")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, color="#999999", labelsize=9)
    return figure


def _samples(axes: Any, ledger: Ledger) -> None:
    mass = ledger.weight.sum(axis=0)
    edges = np.linspace(0, 1, 26)
    inner = np.log(edges[1:-1]) - np.log1p(-edges[1:-1])
    # a bin of log-odds is spread evenly over its width
    below = np.interp(inner, EDGES, np.cumsum(mass)[:-1])
    share = np.diff([0.0, *below, mass.sum()]) / max(float(mass.sum()), 1e-300)
    axes.bar(edges[:-1], share, width=1 / 25, align="edge", color=SAMPLES)
    axes.axvspan(0.5, 1, color="#000000", alpha=0.04, lw=0)
    axes.set(xlabel="probability of the true class, $p_t$", xlim=(0, 1))
    axes.set_title("share of the samples", fontsize=10, loc="left", color=FAINT)


def _classes(axes: Any, plain: Any, focal: Any, shown: Any) -> None:
    at = np.arange(len(shown))
    axes.barh(at, 100 * focal.grad.share_alpha[shown], color=AFTER, height=0.62, label="as asked")
    axes.plot(100 * plain.grad.share[shown], at, "o", mfc="white", mec=BEFORE, mew=2, ms=6.5, label="cross-entropy")
    axes.plot(100 * plain.sample_share[shown], at, "|", color=INK, ms=13, mew=2, label="samples")
    # a name is text, never mathematics
    axes.set_yticks(at, [visible(plain.class_names[k]).replace("$", r"\$") for k in shown])
    axes.set_title("share of the gradient, %", fontsize=10, loc="left", color=FAINT)
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=3, columnspacing=1.0)


def _cumulative(axes: Any, ledger: Ledger, gamma: PerClass) -> None:
    one = isinstance(gamma, (int, float))
    for g, colour, style in ((0.0, BEFORE, "--"), (gamma, AFTER, "-")):
        if g == 0.0 or one:
            curves = ledger.cumulative(g, by="all")
            axes.plot(curves.sample_share[0], curves.loss_share[0], color=colour, ls=style, lw=2, label=focal_name(g))
    axes.set(xlabel="share of the samples, easiest first", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("share of the loss", fontsize=10, loc="left", color=FAINT)
    axes.legend(frameon=False, fontsize=9)


def draw_shares(shares: Shares, top: int = 20) -> Figure:
    """Each class's share of the gradient beside its share of the loss and of the samples."""
    with need("matplotlib", "drawing", "plot"):
        from matplotlib.figure import Figure
    shown = np.sort(np.argsort(-shares.grad.share_alpha, kind="stable")[:top])[::-1]
    figure = Figure(figsize=(7.2, max(3.0, 1.0 + 0.28 * len(shown))), layout="constrained", facecolor="white")
    axes, at = figure.add_subplot(), np.arange(len(shown))
    axes.barh(at, 100 * shares.grad.share_alpha[shown], color=AFTER, height=0.62, label="gradient")
    axes.plot(100 * shares.loss.share_alpha[shown], at, "o", mfc="white", mec=BEFORE, mew=2, ms=6.5, label="loss")
    axes.plot(100 * shares.sample_share[shown], at, "|", color=INK, ms=13, mew=2, label="samples")
    axes.set_yticks(at, [visible(shares.class_names[k]).replace("$", r"\$") for k in shown])
    axes.set_title("share, %", fontsize=10, loc="left", color=FAINT)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
