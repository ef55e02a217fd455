"""A tuning run as one self-contained page: no network, and no script but its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from focalkit import __version__
from focalkit.report import pictures, words
from focalkit.report.files import write_text
from focalkit.report.page import assemble, ledger_data, live
from focalkit.report.words import gain_text
from focalkit.tuning.result import TuneResult, alpha_title
from focalkit.tuning.scores import METRICS, NAMES, metric_named
from focalkit.tuning.verdict import Verdict
from focalkit.weights import alpha_vector


def write_html(
    path: Path, result: TuneResult, verdicts: tuple[Verdict, ...], source: str, notes: Sequence[str] = ()
) -> None:
    """Write the page to ``path``."""
    write_text(path, page(result, verdicts, source, notes))


def page(result: TuneResult, verdicts: tuple[Verdict, ...], source: str, notes: Sequence[str] = ()) -> str:
    """The page as text; ``source`` says what data it is about, ``notes`` what was done to them."""
    main = verdicts[0]
    data = _live_data(result, main)
    sections = [
        f"<h1>Which loss for these data?</h1><p class=soft>{escape(source)}</p>",
        "".join(_verdict(result, verdict) for verdict in verdicts),
        f"<h2>To use it</h2><pre><code>{escape(words.code(result, main))}</code></pre>",
        "<h2>Remedies, the cheapest first</h2>",
        f"<p>Each at the cell chosen for {escape(main.metric.title)}; ▶ marks the recommendation.</p>",
        _families(result, main),
        f"<h2>{escape(main.metric.title.capitalize())} over α and γ</h2>",
        _surface(result),
        "<h2>Ablations</h2>",
        _cells(result, "α at γ = 0 (the paper's Table 1a)", result.ablation_alpha()),
        _cells(result, "γ, each at its best α (Table 1b)", result.ablation_gamma()),
        _cells(result, "Focal at its best against OHEM (Table 1d)", result.ablation_mining()),
        "<h2>Where the loss goes</h2>",
        pictures.loss_shares(result, main, drawn=data is None),
        *_moving(data),
        "<h2>Data and method</h2>",
        _classes(result),
        _list([*notes, *result.notes]),
        f"<p class=soft>{escape(words.how_measured(result))} focalkit {__version__}.</p>",
    ]
    return assemble(f"focalkit: {source}", "\n".join(sections), data)


def _live_data(result: TuneResult, verdict: Verdict) -> dict[str, Any] | None:
    """Plain cross-entropy's out-of-fold predictions as the page's ledger, beginning at the recommended loss."""
    ledger = pictures.out_of_fold(result)
    if ledger is None:
        return None
    cell = pictures.compared(result, verdict)
    if isinstance(cell.alpha, str) and cell.alpha.startswith("power:"):
        return ledger_data(ledger, cell.gamma, "none") | {"beta": float(cell.alpha.removeprefix("power:"))}
    alpha = None if cell.alpha is None else alpha_vector(cell.alpha, result.counts)
    return ledger_data(ledger, cell.gamma, "none" if alpha is None else alpha.tolist())


def _moving(data: dict[str, Any] | None) -> list[str]:
    if data is None:
        return ["<h2>The loss</h2>", pictures.figure_1()]
    return ["<h2>Try another loss on the same predictions</h2>", live()]


def _verdict(result: TuneResult, verdict: Verdict) -> str:
    kind = escape(verdict.metric.judges.capitalize())
    rest = " ".join(escape(sentence) for sentence in words.sentences(result, verdict))
    headline = escape(words.headline(result, verdict))
    return f"<div class=verdict><p>{kind}. <strong>{headline}</strong></p><p>{rest}</p></div>"


def _table(head: Iterable[str], rows: Iterable[str], caption: str = "") -> str:
    cells = "".join(f"<th scope=col>{cell}</th>" for cell in head)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f"<div class=scroll><table>{title}<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _metric_heads() -> list[str]:
    return [f"{escape(metric.title)} {'↑' if metric.larger_is_better else '↓'}" for metric in METRICS]


def _metric_cells(result: TuneResult, cell: int) -> str:
    out = []
    for name in NAMES:
        mean, error = result.mean_and_error(name)
        out.append(f"<td>{_figure(float(mean[cell]), float(error[cell]), name)}</td>")
    return "".join(out)


def _figure(mean: float, error: float, name: str) -> str:
    if metric_named(name).judges == "probabilities":
        return f"{mean:.4f} <small>± {error:.4f}</small>"
    return f"{100 * mean:.1f} <small>± {100 * error:.1f}</small>"


def _families(result: TuneResult, verdict: Verdict) -> str:
    rows = []
    for family in verdict.families:
        chosen = family is verdict.recommended
        mark = "▶ " if chosen else ""
        rows.append(
            f"<tr{' class=chosen' if chosen else ''}><td>{mark}{escape(result.cells[family.cell].title)}</td>"
            f"{_metric_cells(result, family.cell)}<td>{gain_text(family.gain, verdict.metric)}</td></tr>"
        )
    return _table(["remedy", *_metric_heads(), "gain over CE (95 % interval)"], rows)


def _cells(result: TuneResult, caption: str, cells: Sequence[int]) -> str:
    if len(cells) < 2:
        return ""
    rows = [f"<tr><td>{escape(result.cells[i].title)}</td>{_metric_cells(result, i)}</tr>" for i in cells]
    return _table(["loss", *_metric_heads()], rows, caption)


def _surface(result: TuneResult) -> str:
    """A heat map that is a table: every figure can be read, colour only helps."""
    surface = result.surface()
    metric = metric_named(surface.metric)
    merit = surface.mean if metric.larger_is_better else -surface.mean
    low, high = float(merit.min()), float(merit.max())
    best = divmod(int(merit.argmax()), merit.shape[1])
    rows = []
    for i, alpha in enumerate(surface.alphas):
        cells = []
        for j in range(len(surface.gammas)):
            heat = 0 if high == low else round(20 * (float(merit[i, j]) - low) / (high - low))
            mark = " best" if (i, j) == best else ""
            text = _figure(float(surface.mean[i, j]), float(surface.standard_error[i, j]), metric.name)
            cells.append(f'<td class="heat-{heat}{mark}">{text}</td>')
        rows.append(f"<tr><th scope=row>α {escape(alpha_title(alpha))}</th>{''.join(cells)}</tr>")
    caption = "Mean ± standard error; darker is better, the frame marks the best average."
    return _table(["", *(f"γ = {gamma:g}" for gamma in surface.gammas)], rows, caption)


def _classes(result: TuneResult) -> str:
    total = int(result.counts.sum())
    order = sorted(range(len(result.classes)), key=lambda k: -int(result.counts[k]))
    rows = [
        f"<tr><td>{escape(str(result.classes[k]))}</td><td>{int(result.counts[k]):,}</td>"
        f"<td>{int(result.counts[k]) / total:.2%}</td></tr>"
        for k in order
    ]
    return _table(["class", "rows", "share"], rows)


def _list(notes: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>" if notes else ""
