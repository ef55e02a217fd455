"""Pictures of a verdict: gains with their intervals as a forest plot, and how the gain settles with more repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from focalkit.report import format as write
from focalkit.report.messages import LANGUAGES, word
from focalkit.report.page.render import worded
from focalkit.tuning.findings import gain as written
from focalkit.tuning.verdict import Estimate, Verdict, estimate

ROW = 48


def forest(verdict: Verdict) -> str:
    """Each rival's expected gain over plain cross-entropy with its 95 % interval; once in each language."""
    return _in_each(lambda language: _forest(verdict, language)) + _note("page.forest_note")


def settling(verdict: Verdict) -> str:
    """The recommendation's gain after each repeat (where plain stands, its best rival's); nothing for one repeat."""
    steps = after_repeats(verdict)
    if len(steps) < 2:
        return ""
    return _in_each(lambda language: _settling(verdict, steps, language)) + _note("page.repeats_note")


def after_repeats(verdict: Verdict) -> list[Estimate]:
    """The gain by the first repeat, the first two, and so on."""
    result = verdict.result
    family = verdict.recommended
    if family is verdict.families[0]:
        if len(verdict.families) == 1:
            return []
        family = verdict.best_rival
    values, folds = result.gain(verdict.metric.name), np.arange(result.scores.shape[1])
    difference = values[list(family.picks), folds] - values[list(verdict.families[0].picks), folds]
    repeats = np.unique(result.repeat_of_fold)
    return [estimate(difference[result.repeat_of_fold <= r], result.folds.n_splits) for r in repeats]


def _in_each(picture: Callable[[str], str]) -> str:
    return "".join(f'<div class="said" lang="{language}">{picture(language)}</div>' for language in LANGUAGES)


def _note(key: str) -> str:
    return f'<div class="soft">{worded(key, "p")}</div>'


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _label(x: float, y: float, text: str, kind: str = "tick", anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _point(x: float, y: float, fill: str) -> str:
    return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="var(--ink)"/>'


def _scale(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.04 * (high - low or 1.0)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round figures between the ends, five or so."""
    step = 10.0 ** np.floor(np.log10((high - low) / 4))
    step *= min((m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 6), default=10)
    return [float(k * step) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _tick(value: float, judges: str) -> str:
    scale = 1 if judges == "probabilities" else 100
    return f"{scale * value:+.3g}" if value else "0"


def _forest(verdict: Verdict, language: str) -> str:
    judges, rivals = verdict.metric.shown_as, verdict.families[1:]
    width, height = 600, ROW * len(rivals) + 44
    ends = [bound for f in rivals for bound in (f.gain.low, f.gain.high) if np.isfinite(bound)]
    low, high = _scale(ends)

    def x(value: float) -> float:
        return 12 + (width - 24) * (value - low) / (high - low)

    parts = [_line("axis", x(0), 4, x(0), height - 26)]
    for tick in _ticks(low, high):
        parts.append(_label(x(tick), height - 8, _tick(tick, judges)))
        parts.append(_line("grid", x(tick), 4, x(tick), height - 26))
    for row, family in enumerate(rivals):
        y, gain = 32 + ROW * row, family.gain
        name = write.visible(verdict.result.cells[family.cell].said(language))
        of = written(gain, judges, verdict.families[0].expected.mean, family.expected.mean)
        figure = write.interval(of["mean"], of["low"], of["high"], judges)
        chosen = family is verdict.recommended
        parts.append(_label(12, y - 12, name, "chosen" if chosen else "name", "start"))
        parts.append(_label(width - 12, y - 12, figure, "value", "end"))
        if np.isfinite(gain.low):
            parts.append(_line("mark", x(gain.low), y, x(gain.high), y))
        fill = "var(--accent)" if chosen else "var(--card)"
        parts.append(
            f'<circle class="point" cx="{x(gain.mean):.1f}" cy="{y}" r="6" fill="{fill}" stroke="var(--ink)"/>'
        )
    return _svg(width, height, word("section.forest", language, metric=verdict.metric.name), parts)


def _settling(verdict: Verdict, steps: Sequence[Estimate], language: str) -> str:
    judges = verdict.metric.shown_as
    width, height, left, bottom = 600, 230, 56, 40
    ends = [bound for step in steps for bound in (step.low, step.high, step.mean) if np.isfinite(bound)]
    low, high = _scale(ends)

    def y(value: float) -> float:
        return 10 + (height - bottom - 10) * (high - value) / (high - low)

    def x(at: int) -> float:
        return left + (width - left - 16) * (at + 0.5) / len(steps)

    parts = []
    for tick in _ticks(low, high):
        parts.append(_line("axis" if tick == 0 else "grid", left, y(tick), width - 12, y(tick)))
        parts.append(_label(left - 6, y(tick) + 4, _tick(tick, judges), anchor="end"))
    for at, step in enumerate(steps):
        if np.isfinite(step.low):
            parts.append(_line("mark", x(at), y(step.low), x(at), y(step.high)))
        parts.append(_point(x(at), y(step.mean), "var(--accent)"))
        parts.append(_label(x(at), height - 22, str(at + 1)))
    parts.append(_label(left + (width - left) / 2, height - 4, word("page.repeats_axis", language), "faint"))
    return _svg(width, height, word("section.repeats", language), parts)
