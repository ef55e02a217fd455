"""Pictures of the numbers in ``focalkit.diagnosis.curves``, by matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from focalkit._core.extras import need
from focalkit.diagnosis.curves import LossCurves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's palette, without its yellow: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
DASHES = ("-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1.2, 1.4)), "-")
INK, FAINT = "#222222", "#6b6b6b"


def draw_loss_curves(curves: LossCurves) -> Figure:
    """Figure 1 of Lin et al. 2017: axes 0 to 1 and 0 to 5, the well-classified region p_t > 0.5 marked."""
    with need("matplotlib", "drawing", "plot"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(7.2, 4.8), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    if "target" in curves.form:
        axes.axvline(curves.form["target"], color=FAINT, lw=1.0, ls=":", zorder=0)
    else:
        _mark_easy(axes)
    for i, (gamma, loss) in enumerate(zip(curves.gammas, curves.loss, strict=True)):
        name = rf"$\gamma = {gamma:g}$" + ("  (cross-entropy)" if gamma == 0 and not curves.form else "")
        axes.plot(
            curves.p_t,
            np.where(np.isinf(loss), np.nan, np.minimum(loss, 10.0)),
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            lw=2.2,
            label=name,
            solid_capstyle="round",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 5)
    axes.set_xticks(np.arange(0, 1.01, 0.2))
    soft = "target" in curves.form
    axis = "probability predicted,  $p$" if soft else "probability of the true class,  $p_t$"
    axes.set_xlabel(axis, fontsize=12, color=INK)
    axes.set_ylabel("loss  (nats)", fontsize=12, color=INK)
    title = r"$\mathrm{FL}(p_t) = -(1 - p_t)^{\gamma}\,\log p_t$"
    if curves.form:
        title = ", ".join(f"{name} = {_said(value)}" for name, value in curves.form.items())
    axes.set_title(title, fontsize=14, color=INK, loc="left", pad=10)
    axes.legend(frameon=False, fontsize=11, loc="upper right", handlelength=2.8, labelspacing=0.55, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(colors=INK, labelsize=10.5, color="#999999")
    axes.grid(True, color="#000000", alpha=0.08, lw=0.8)
    axes.set_axisbelow(True)
    return figure


def _mark_easy(axes: Any) -> None:
    axes.axvspan(0.5, 1.0, color="#e8f1f8", lw=0, zorder=0)
    axes.text(0.75, 1.62, "well-classified\nexamples", ha="center", va="center", color=FAINT, fontsize=11)
    axes.annotate(
        "",
        xy=(0.5, 1.3),
        xytext=(1.0, 1.3),
        arrowprops={"arrowstyle": "<->", "color": FAINT, "lw": 1.0, "shrinkA": 0, "shrinkB": 0},
    )
    axes.text(0.75, 1.22, r"$p_t > 0.5$", ha="center", va="top", color=FAINT, fontsize=10)


def _said(value: Any) -> str:
    """A field of the form: a number, a name, or the rows of a table of gammas."""
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{gamma:g} (p < {p:g})" for p, gamma in value)
    return value if isinstance(value, str) else f"{value:g}"


def render(figure: Figure, form: str) -> bytes:
    """Return the picture as "svg" or "png" (200 dpi), the same bytes each time."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "focalkit", "svg.fonttype": "path", "path.simplify": True}):
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(stream, format=form, dpi=200, metadata=metadata)
    return stream.getvalue()
