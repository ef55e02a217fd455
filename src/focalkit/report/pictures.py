"""Hand-written SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from focalkit._spec import LossSpec
from focalkit.diagnosis import Ledger, diagnose
from focalkit.diagnosis.curves import GAMMAS, loss_curves
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.verdict import Verdict
from focalkit.weights import alpha_vector

COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")
MOST_CLASSES = 24


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


def loss_shares(result: TuneResult, verdict: Verdict, *, drawn: bool = True) -> str:
    """Per class: share of the rows, of plain CE's loss, and of another loss on the same predictions."""
    ledger = out_of_fold(result)
    if ledger is None:
        return "<p class=soft>The estimator gives no logits.</p>"
    targets = result.targets[result.ce_rows]
    n_classes = len(result.classes)
    cell = compared(result, verdict)
    plain = ledger.shares(gamma=0.0)
    changed = ledger.shares(gamma=cell.gamma, alpha=alpha_vector(cell.alpha, result.counts).tolist())
    rows = np.bincount(targets, minlength=n_classes) / len(targets)
    order = np.argsort(-plain.loss.share)[:MOST_CLASSES]
    names = [str(result.classes[k]) for k in order]
    bars = _bars(
        names,
        ("rows", "loss, plain CE", f"loss, {cell.title}"),
        np.stack([rows[order], plain.loss.share[order], changed.loss.share_alpha[order]]),
    )
    easy = plain.loss.easy_overall
    easy_after = changed.loss.easy_overall_alpha
    of_rows = float(np.average(plain.easy_samples, weights=plain.sample_share))
    text = (
        f"Out-of-fold predictions of plain cross-entropy. Samples already on the right side (p_t > 0.5) are "
        f"{of_rows:.1%} of all and carry {easy:.1%} of its loss; under {cell.title} they would carry {easy_after:.1%}."
    )
    if not drawn:
        return f"<p>{escape(text)}</p>"
    more = "" if len(order) == n_classes else f" The {len(order)} classes with the most loss of {n_classes} are shown."
    return f"<p>{escape(text + more)}</p>{bars}"


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


def _bars(names: Sequence[str], legend: Sequence[str], shares: NDArray[np.float64]) -> str:
    """Grouped horizontal bars; ``shares`` is (n_series, n_names)."""
    thick, gap, left, width = 11, 10, 120, 640
    step = thick * len(legend) + gap
    scale = (width - left - 64) / max(float(shares.max()), 1e-12)
    parts = []
    x = left
    for i, label in enumerate(legend):
        parts += [_rect(x, 4, 12, 12, COLOURS[i]), _text(x + 17, 14, label)]
        x += 40 + 7 * len(label)
    for k, name in enumerate(names):
        y = 28 + k * step
        parts.append(_text(left - 8, y + step / 2 - 2, name if len(name) <= 16 else name[:15] + "…", "end", hint=name))
        for i in range(len(legend)):
            share, top = float(shares[i, k]), y + i * thick
            parts.append(_rect(left, top, max(share * scale, 0.5), thick - 2, COLOURS[i]))
            parts.append(_text(left + share * scale + 5, top + 9, f"{share:.1%}", kind="small"))
    return _svg(width, step * len(names) + 34, "Shares per class: " + ", ".join(legend), parts)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _text(x: float, y: float, text: str, anchor: str = "start", *, hint: str = "", kind: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}{title}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {more}/>'
