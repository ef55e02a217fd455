"""Hand-written SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from focalkit._core.spec import LossSpec
from focalkit.diagnosis import Ledger, diagnose
from focalkit.diagnosis.curves import GAMMAS, loss_curves
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.verdict import Verdict

COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")


def figure_1(gammas: Sequence[float] = GAMMAS) -> str:
    """Figure 1 of the paper: loss against p_t, the well-classified region shaded."""
    width, height, left, bottom, top = 560, 330, 44, 40, 12
    across, down = width - left - 12, height - bottom - top
    curves = loss_curves(gammas, n_points=250)
    parts = [_rect(left + across / 2, top, across / 2, down, "currentColor", 'opacity=".06"')]
    parts.append(_text(left + across * 0.75, top + 16, "well classified", "middle"))
    for value in range(6):
        y = top + down * (1 - value / 5)
        parts.append(f'<line x1="{left}" x2="{left + across}" y1="{y}" y2="{y}" stroke="var(--line)"/>')
        parts.append(_text(left - 8, y + 4, str(value), "end"))
        parts.append(_text(left + across * value / 5, height - bottom + 18, f"{value / 5:g}", "middle"))
    for i, (gamma, losses) in enumerate(zip(curves.gammas, curves.loss, strict=True)):
        style = f'fill="none" stroke="{COLOURS[i % 5]}" stroke-width="2" stroke-dasharray="{DASHES[i % 5]}"'
        points = " ".join(
            f"{left + across * p:.1f},{top + down * (1 - value / 5):.1f}"
            for p, value in zip(curves.p_t, losses, strict=True)
            if value <= 5
        )
        parts.append(f'<polyline points="{points}" {style}/>')
        y = top + 40 + 19 * i
        parts.append(f'<line x1="{left + across - 104}" x2="{left + across - 70}" y1="{y}" y2="{y}" {style}/>')
        parts.append(_text(left + across - 62, y + 4, f"γ = {gamma:g}"))
    parts.append(_text(left + across / 2, height - 4, "p_t, probability of the true class", "middle"))
    label = "Loss against the probability of the true class, for γ = " + ", ".join(f"{g:g}" for g in curves.gammas)
    note = "<p class=soft>Loss in nats: (1 − p_t)^γ (−log p_t); γ = 0 is cross-entropy.</p>"
    return _svg(width, height, label, parts) + note


def out_of_fold(result: TuneResult) -> Ledger | None:
    """The ledger of plain cross-entropy's out-of-fold predictions, where there are logits."""
    if not len(result.ce_rows):
        return None
    logits = result.ce_logits
    if logits.shape[1] == 1:
        # one logit z of two classes is the softmax over (0, z)
        logits = np.column_stack([np.zeros(len(logits)), logits])
    names = [str(name) for name in result.classes]
    different = names if len(set(names)) == len(names) else None
    return diagnose(logits, result.targets[result.ce_rows], LossSpec(), class_names=different)


def compared(result: TuneResult, verdict: Verdict) -> Cell:
    """The recommended loss where it is another than plain CE, otherwise the focal cell with the best average."""
    cell = result.cells[verdict.recommended.cell]
    if cell.family in ("α-CE", "focal"):
        return cell
    others = result.of_family("focal") or result.of_family("α-CE")
    merit = result.gain(result.metric).mean(axis=1)
    return result.cells[max(others, key=lambda i: merit[i])] if others else cell


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _text(x: float, y: float, text: str, anchor: str = "start", *, hint: str = "", kind: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}{title}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {more}/>'
