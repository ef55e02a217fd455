"""Hand-written SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from focalkit.diagnosis.curves import GAMMAS, loss_curves
from focalkit.report.messages import LANGUAGES, word
from focalkit.report.page.render import worded

COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")


def figure_1(gammas: Sequence[float] = GAMMAS) -> str:
    """Figure 1 of the paper: loss against p_t, the well-classified region shaded; once in each language."""
    pictures = (f'<div class="said" lang="{language}">{_picture(gammas, language)}</div>' for language in LANGUAGES)
    return "".join(pictures) + f'<div class="soft">{worded("page.curve_note", "p")}</div>'


def _picture(gammas: Sequence[float], language: str) -> str:
    width, height, left, bottom, top = 560, 330, 44, 40, 12
    across, down = width - left - 12, height - bottom - top
    curves = loss_curves(gammas, n_points=250)
    parts = [_rect(left + across / 2, top, across / 2, down, "currentColor", 'opacity=".06"')]
    parts.append(_text(left + across * 0.75, top + 16, word("page.well_classified", language), "middle"))
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
    parts.append(_text(left + across / 2, height - 4, word("page.curve_axis", language), "middle"))
    label = word("page.curve", language, gammas=", ".join(f"{g:g}" for g in curves.gammas))
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {more}/>'
