"""What the report on a tuning run consists of, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from focalkit._core.message import Message
from focalkit.report import format as write
from focalkit.report.sections import Brief, Code, Column, Lines, Section, Table, Text, message
from focalkit.report.sections import Verdict as Said
from focalkit.report.snippet import code
from focalkit.tuning import findings as found
from focalkit.tuning.result import FAMILIES, Cell, TuneResult, alpha_title, corrected_error
from focalkit.tuning.scores import METRICS
from focalkit.tuning.verdict import Verdict

#: What stands before the recommended candidate in a table.
MARK = "▶"
#: Classes in a terminal's table.
MOST_CLASSES = 12


def brief(verdict: Verdict, name: str = "brief") -> Section:
    """The verdict in four lines: do, expect, how sure, what it costs."""
    lines = found.brief(verdict)._asdict().items()
    return Section(name, "", [Brief([(message(f"brief.{key}"), texts) for key, texts in lines])])


def sections(result: TuneResult, verdicts: Sequence[Verdict], *, verbose: bool = True) -> list[Section]:
    """What is said of a run, in the order of the terminal: four lines first and last, ``verbose``: all in between."""
    main = verdicts[0]
    if not verbose:
        return [brief(main), Section("more", "", [Lines([*_notes(result), "", message("brief.more")], False, True)])]
    return [
        brief(main),
        Section(
            "classes", message("section.classes"), [classes(result, MOST_CLASSES), Lines(_notes(result), bullets=False)]
        ),
        Section("surface", "", [surface(result, main)]),
        ablations(result),
        Section("families", "", [every_figure(result, main), families(result, main)]),
        verdict(result, verdicts),
        Section("use", message("section.use"), [Lines([""], bullets=False), Code(code(result, main))]),
        brief(main, "last"),
    ]


def _notes(result: TuneResult) -> list[Text]:
    return [message("note", note=note) for note in result.notes]


def verdict(result: TuneResult, verdicts: Sequence[Verdict]) -> Section:
    """Decisions, ranking and probabilities, in words, and how it was measured."""
    parts: list[Said | Lines] = [said(result, one) for one in verdicts]
    return Section("verdict", message("section.verdict"), [*parts, Lines([how_measured(result)], False, True)])


def said(result: TuneResult, verdict: Verdict) -> Said:
    """One verdict in words."""
    about = message(f"judges.{verdict.metric.judges}")
    return Said(about, found.headline(verdict), found.findings(verdict))


def how_measured(result: TuneResult) -> Message:
    """One sentence on the experiment."""
    folds = result.folds
    folded = {"repeats": folds.n_repeats, "splits": folds.n_splits, "seed": result.seed}
    return message("tune.how", **folded, n=len(result.cells), left=bool(result.left))


def classes(result: TuneResult, most: int) -> Table:
    """Classes and their sizes; of many the largest and the smallest."""
    columns = [Column(message("head.class"), figure=False), Column(message("head.rows")), Column(message("head.share"))]
    total = int(result.counts.sum())
    order = sorted(range(len(result.classes)), key=lambda k: -int(result.counts[k]))
    shown = order if len(order) <= most else [*order[: most - 4], -1, *order[-3:]]
    rows: list[list[Text]] = []
    for k in shown:
        if k < 0:
            rows.append([message("cell.class_more", n=len(order) - most + 1), "", ""])
        else:
            n = int(result.counts[k])
            rows.append([str(result.classes[k]), write.count(n), f"{n / total:.2%}"])
    return Table(columns, rows)


def surface(result: TuneResult, verdict: Verdict) -> Table:
    """The alpha x gamma surface of the run's metric; the best cell is marked, the recommended one bears a sign."""
    surface = result.surface()
    metric = result.metric_called(surface.metric)
    merit = surface.mean if metric.larger_is_better else -surface.mean
    low, high = float(merit.min()), float(merit.max())
    within = within_noise(result)  # where the best of those is that went on to the last repeat
    row, column = divmod(int(np.where(within, merit, -np.inf).argmax()), merit.shape[1])
    use = result.cells[verdict.recommended.cell]
    rows, heat = [], []
    for i, alpha in enumerate(surface.alphas):
        cells: list[Text] = [alpha_of(alpha)]
        for j, gamma in enumerate(surface.gammas):
            here = use.family in ("CE", "α-CE", "focal") and not use.params and (use.alpha, use.gamma) == (alpha, gamma)
            text = write.score(float(surface.mean[i, j]), float(surface.standard_error[i, j]), metric.shown_as)
            cells.append(f"{MARK} {text}" if here else text)
        rows.append(cells)
        heat.append([0 if high == low else round(20 * (float(m) - low) / (high - low)) for m in merit[i]])
    columns = [Column(message("head.alpha"), figure=False)]
    columns += [Column(message("head.gamma_is", gamma=f"{gamma:g}")) for gamma in surface.gammas]
    title = message("section.surface", metric=metric.name)
    return Table(columns, rows, title, best=(row, column + 1), blocks=True, heat=heat, outlined=within)


def within_noise(result: TuneResult) -> list[list[bool]]:
    """Which cells of the surface are not behind the best one by more than one corrected standard error."""
    cells = [[Cell(alpha, gamma) for gamma in result.gammas] for alpha in result.alphas]
    place = {cell: i for i, cell in enumerate(result.cells)}
    gain = result.gain(result.metric)
    best = max((place[cell] for row in cells for cell in row if cell in place), key=lambda i: gain[i].mean())
    behind = gain[best] - gain
    near = behind.mean(axis=1) <= np.nan_to_num(corrected_error(behind, result.folds.n_splits))
    return [[cell in place and bool(near[place[cell]]) for cell in row] for row in cells]


def alpha_of(alpha: Any) -> Message:
    """An alpha as a row's name."""
    return message("head.alpha_is", alpha=message("alpha.none") if alpha is None else alpha_title(alpha))


def ablations(result: TuneResult) -> Section:
    """The tables of the paper's ablations, where there is something to compare."""
    of = {"alpha": result.ablation_alpha(), "gamma": result.ablation_gamma(), "mining": result.ablation_mining()}
    tables = [cells(result, message(f"section.by_{name}"), some) for name, some in of.items() if len(some) > 1]
    return Section("ablations", "", tables)


def cells(result: TuneResult, title: Text, some: Sequence[int], chosen: int | None = None) -> Table:
    """Every metric of some cells; the run's own is the last to be dropped."""
    columns = [Column(message("head.cell"), figure=False), *_metric_columns(result)]
    return Table(columns, [[result.cells[i].message, *_figures(result, i)] for i in some], title, chosen=chosen)


def _metric_columns(result: TuneResult) -> list[Column]:
    order = [result.metric, *(metric.name for metric in METRICS if metric.name != result.metric)]
    heads = [("up" if metric.larger_is_better else "down", metric.name) for metric in METRICS]
    return [Column(message(f"metric.{way}", metric=name), drop=order.index(name)) for way, name in heads]


def _figures(result: TuneResult, cell: int) -> list[str]:
    out = []
    for metric in METRICS:
        mean, error = result.mean_and_error(metric.name)
        out.append(write.score(float(mean[cell]), float(error[cell]), metric.shown_as))
    return out


def every_figure(result: TuneResult, verdict: Verdict) -> Table:
    """The cell of each family on every metric."""
    return cells(result, message("section.every_figure"), [f.cell for f in verdict.families], _chosen(verdict))


def _chosen(verdict: Verdict) -> int:
    return [family.family for family in verdict.families].index(verdict.recommended.family)


def families(result: TuneResult, verdict: Verdict) -> Table:
    """Each remedy, the cheapest first, at the cell chosen for it, with its gain over plain cross-entropy."""
    metric = verdict.metric
    columns = [Column(message("head.remedy"), figure=False), Column(message("head.average"), drop=1)]
    columns += [Column(message("head.expected")), Column(message("head.gain"))]
    columns += [Column(message("head.better"), drop=2), Column(message("head.p"), drop=3)]
    plain = verdict.families[0].expected.mean
    mean, error = result.mean_and_error(metric.name)
    rows = []
    for family in verdict.families:
        average = write.score(float(mean[family.cell]), float(error[family.cell]), metric.shown_as)
        expected = write.score(family.expected.mean, family.expected.standard_error, metric.shown_as)
        of = found.gain(family.gain, metric.shown_as, plain, family.expected.mean)
        gain = write.interval(of["mean"], of["low"], of["high"], metric.shown_as)
        better = "" if family.family == FAMILIES[0] else write.likely(family.gain.p_above)
        p = (
            ""
            if family.family == FAMILIES[0]
            else write.p_value(family.adjusted_p).removeprefix("p ").removeprefix("= ")
        )
        mark = MARK if family is verdict.recommended else " "
        rows.append(
            [message("cell.marked", mark=mark, cell=result.cells[family.cell]), average, expected, gain, better, p]
        )
    return Table(columns, rows, message("section.families", metric=metric.name), chosen=_chosen(verdict))
