"""Terminal tables of a tuning run."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from focalkit.report import words
from focalkit.report.snippet import code
from focalkit.tuning.result import FAMILIES, TuneResult, alpha_title
from focalkit.tuning.scores import METRICS, NAMES, metric_named
from focalkit.tuning.verdict import Verdict

SHORT = {
    "balanced_accuracy": "balanced\naccuracy",
    "macro_f1": "macro\nF1",
    "mcc": "MCC",
    "average_precision": "average\nprecision",
    "log_loss": "log\nloss",
    "calibration_error": "calibr.\nerror",
}


def print_result(console: Console, result: TuneResult, verdicts: tuple[Verdict, ...]) -> None:
    """The whole report: data, surface, ablations, remedies, verdict, code."""
    main = verdicts[0]
    console.print(class_table(result))
    for note in result.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print()
    console.print(surface_table(result))
    ablations = (
        ("α at γ = 0 (the paper's Table 1a)", result.ablation_alpha()),
        ("γ, each at its best α (Table 1b)", result.ablation_gamma()),
        ("focal at its best against OHEM (Table 1d)", result.ablation_mining()),
    )
    for title, cells in ablations:
        if len(cells) > 1:
            console.print(cell_table(result, title, cells))
    console.print(cell_table(result, "Each remedy's cell on every figure", [f.cell for f in main.families]))
    console.print(family_table(result, main))
    console.print(verdict_panel(result, verdicts))
    console.print("To use it:\n")
    console.print(Text(code(result, main), style="cyan"), soft_wrap=True)


def class_table(result: TuneResult, most: int = 12) -> Group:
    """Classes and their sizes; of many the largest and the smallest."""
    table = _table()
    table.add_column("class")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    total = int(result.counts.sum())
    order = sorted(range(len(result.classes)), key=lambda k: -int(result.counts[k]))
    shown = order if len(order) <= most else [*order[: most - 4], -1, *order[-3:]]
    for k in shown:
        if k < 0:
            table.add_row(f"… {len(order) - most + 1} more …", "", "")
        else:
            n = int(result.counts[k])
            table.add_row(escape(str(result.classes[k])), f"{n:,}", f"{n / total:.2%}")
    return _titled("Classes", table)


def surface_table(result: TuneResult) -> Group:
    """The alpha x gamma surface of the run's metric; the best cell is marked."""
    surface = result.surface()
    metric = metric_named(surface.metric)
    better = surface.mean if metric.larger_is_better else -surface.mean
    best = divmod(int(better.argmax()), better.shape[1])
    table = _table()
    table.add_column("α")
    for gamma in surface.gammas:
        table.add_column(f"γ = {gamma:g}", justify="right", no_wrap=True)
    for i, alpha in enumerate(surface.alphas):
        row = []
        for j in range(len(surface.gammas)):
            text = figure(float(surface.mean[i, j]), float(surface.standard_error[i, j]), metric.name)
            row.append(Text(text, style="bold green" if (i, j) == best else ""))
        table.add_row(alpha_title(alpha), *row)
    return _titled(f"{metric.title.capitalize()}: α (down) × γ (across), mean ± standard error", table)


def cell_table(result: TuneResult, title: str, cells: Iterable[int]) -> Group:
    """Every metric of some cells."""
    table = _table()
    table.add_column("loss")
    _metric_columns(table, result.metric)
    for i in cells:
        table.add_row(result.cells[i].title, *_metric_cells(result, i))
    return _titled(title, table)


def family_table(result: TuneResult, verdict: Verdict) -> Group:
    """Each remedy, the cheapest first, at the cell chosen for it, with its gain over plain cross-entropy."""
    metric = verdict.metric
    table = _table()
    table.add_column("remedy, at the cell chosen for it")
    table.add_column("average", justify="right", no_wrap=True)
    table.add_column("gain over CE [95 %]", justify="right", no_wrap=True)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    mean, error = result.mean_and_error(metric.name)
    for family in verdict.families:
        chosen = family is verdict.recommended
        title = ("▶ " if chosen else "  ") + result.cells[family.cell].title
        average = figure(float(mean[family.cell]), float(error[family.cell]), metric.name)
        p = (
            ""
            if family.family == FAMILIES[0]
            else words.p_text(family.adjusted_p).removeprefix("p ").removeprefix("= ")
        )
        style = "bold green" if chosen else ""
        table.add_row(title, average, words.gain_text(family.gain, metric), p, style=style)
    return _titled(f"Remedies, the cheapest first, by {metric.title}", table)


def verdict_panel(result: TuneResult, verdicts: tuple[Verdict, ...]) -> Panel:
    """Decisions, ranking and probabilities, in words."""
    parts: list[Text] = []
    for verdict in verdicts:
        parts.append(
            Text.assemble(
                (f"{verdict.metric.judges.capitalize()}. ", "bold"), (words.headline(result, verdict), "bold green")
            )
        )
        parts.extend(Text(sentence) for sentence in words.sentences(result, verdict))
        parts.append(Text())
    parts.append(Text(words.how_measured(result), style="dim"))
    return Panel(Group(*parts), title="Verdict", title_align="left", border_style="green")


def _titled(title: str, table: Table) -> Group:
    return Group(Text(f"\n{title}", style="bold"), table)


def _table() -> Table:
    return Table(header_style="dim", box=None, pad_edge=False)


def _metric_columns(table: Table, headline: str) -> None:
    for metric in METRICS:
        style = "bold" if metric.name == headline else ""
        arrow = "↑" if metric.larger_is_better else "↓"
        table.add_column(f"{SHORT[metric.name]} {arrow}", justify="right", style=style, no_wrap=True)


def _metric_cells(result: TuneResult, cell: int) -> list[str]:
    out = []
    for name in NAMES:
        mean, error = result.mean_and_error(name)
        out.append(figure(float(mean[cell]), float(error[cell]), name))
    return out


def figure(mean: float, error: float, metric: str) -> str:
    """Scores in percent, probabilities' figures as they are; the error in the same unit."""
    if metric_named(metric).judges == "probabilities":
        return f"{mean:.3f}±{error:.3f}".replace("0.", ".")
    return f"{100 * mean:.1f}±{100 * error:.1f}"
