"""A tuning run as one self-contained page: no network, no script but its own, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from focalkit import __version__
from focalkit.io.atomic import write_text
from focalkit.report import words
from focalkit.report.chinese import said
from focalkit.report.page import svg as pictures
from focalkit.report.page.assemble import LANGUAGES, assemble, both, ledger_data, live, table
from focalkit.report.snippet import code
from focalkit.report.words import capital, cell_title, gain_text, metric_title
from focalkit.tuning.result import TuneResult
from focalkit.tuning.scores import METRICS, NAMES, metric_named
from focalkit.tuning.verdict import Verdict
from focalkit.weights import alpha_vector

WORDS = {
    "en": {
        "title": "Which loss for these data?",
        "use": "To use it",
        "remedies": "Remedies, the cheapest first",
        "at": "Each at the cell chosen for {metric}; ▶ marks the recommendation.",
        "remedy": "remedy",
        "gain": "gain over CE (95 % interval)",
        "surface": "{metric} over α and γ",
        "surface_note": "Mean ± standard error; darker is better, the frame marks the best average, ▶ the "
        "recommendation.",
        "ablations": "Ablations",
        "by_alpha": "α at γ = 0 (the paper's Table 1a)",
        "by_gamma": "γ, each at its best α (Table 1b)",
        "by_mining": "Focal at its best against OHEM (Table 1d)",
        "cell": "loss",
        "where": "Where the loss goes",
        "no_logits": "The estimator gives no logits.",
        "easy": "Out-of-fold predictions of plain cross-entropy. Samples already on the right side (p_t > 0.5) are "
        "{rows} of all and carry {before} of its loss; under {cell} they would carry {after}.",
        "figure_1": "The loss",
        "try": "Try another loss on the same predictions",
        "data": "Data and method",
        "class": "class",
        "rows": "rows",
        "share": "share",
    },
    "zh-CN": {
        "title": "这份数据该用哪种损失？",
        "use": "用法",
        "remedies": "各种方法，最省事的在前",
        "at": "每种方法取按{metric}选定的那一格；▶ 为推荐。",
        "remedy": "方法",
        "gain": "相对 CE 的收益（95 % 区间）",
        "surface": "{metric}随 α 和 γ 的变化",
        "surface_note": "均值 ± 标准误差；颜色越深越好，加框者平均最好，▶ 为推荐。",
        "ablations": "消融",
        "by_alpha": "γ = 0 时的 α（论文表 1a）",
        "by_gamma": "各 γ 取其最佳 α（表 1b）",
        "by_mining": "最佳 focal 与 OHEM（表 1d）",
        "cell": "损失",
        "where": "损失花在了哪里",
        "no_logits": "该估计器不给出 logits。",
        "easy": "以下用普通交叉熵的折外预测。已在正确一侧的样本（p_t > 0.5）占全部的 {rows}，占其损失的 {before}；"
        "换成 {cell} 则占 {after}。",
        "figure_1": "损失函数",
        "try": "在同一批预测上换一种损失试试",
        "data": "数据与方法",
        "class": "类别",
        "rows": "行数",
        "share": "占比",
    },
}


def write_html(
    path: Path,
    result: TuneResult,
    verdicts: tuple[Verdict, ...],
    source: str,
    notes: Sequence[str] = (),
    language: str = "en",
) -> None:
    """Write the page to ``path``."""
    write_text(path, page(result, verdicts, source, notes, language))


def page(
    result: TuneResult, verdicts: tuple[Verdict, ...], source: str, notes: Sequence[str] = (), language: str = "en"
) -> str:
    """The page as text; ``source`` says what data it is about, ``notes`` what was done to them."""
    main = verdicts[0]
    data = _live_data(result, main)
    metric = _both(lambda spoken: metric_title(main.metric, spoken))
    how = both(lambda spoken: words.how_measured(result, spoken), "p")
    sections = [
        "".join(_verdict(result, verdict) for verdict in verdicts),
        f"<h2>{_word('use')}</h2><pre><code>{escape(code(result, main))}</code></pre>",
        f"<h2>{_word('remedies')}</h2>{_word('at', 'p', metric=metric)}",
        _families(result, main),
        f"<h2>{_word('surface', metric=_both(lambda spoken: capital(metric_title(main.metric, spoken))))}</h2>",
        _surface(result, main),
        f"<h2>{_word('ablations')}</h2>",
        _cells(result, "by_alpha", result.ablation_alpha()),
        _cells(result, "by_gamma", result.ablation_gamma()),
        _cells(result, "by_mining", result.ablation_mining()),
        f"<h2>{_word('where')}</h2>",
        _easy(result, main),
        f"<h2>{_word('figure_1' if data is None else 'try')}</h2>",
        pictures.figure_1() if data is None else live(),
        f"<h2>{_word('data')}</h2>",
        _classes(result),
        _list([*notes, *result.notes]),
        f'<div class="soft">{how}<p>focalkit {__version__}</p></div>',
    ]
    return assemble(lambda spoken: WORDS[spoken]["title"], source, "\n".join(sections), data, language)


Said = dict[str, str]


def _both(say: Callable[[str], str]) -> Said:
    return {language: say(language) for language in LANGUAGES}


def _word(key: str, tag: str = "span", **values: Said) -> str:
    """A text of :data:`WORDS` in both languages, its fields filled in each."""
    return both(lambda spoken: WORDS[spoken][key].format(**{name: v[spoken] for name, v in values.items()}), tag)


def _title(result: TuneResult, cell: int) -> str:
    return both(lambda spoken: cell_title(result.cells[cell], spoken))


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


def _easy(result: TuneResult, verdict: Verdict) -> str:
    """What easy samples carry, under plain cross-entropy and under another loss."""
    ledger = pictures.out_of_fold(result)
    if ledger is None:
        return _word("no_logits", "p")
    cell = pictures.compared(result, verdict)
    plain, changed = ledger.shares(0.0), ledger.shares(cell.gamma, alpha_vector(cell.alpha, result.counts).tolist())
    shares = {
        "rows": float(np.average(plain.easy_samples, weights=plain.sample_share)),
        "before": plain.loss.easy_overall,
        "after": changed.loss.easy_overall_alpha,
    }
    values = {name: _both(lambda _, share=share: f"{share:.1%}") for name, share in shares.items()}  # type: ignore[misc]
    return _word("easy", "p", cell=_both(lambda spoken: cell_title(cell, spoken)), **values)


def _verdict(result: TuneResult, verdict: Verdict) -> str:
    parts = []
    for language in LANGUAGES:
        between = words.WORDS[language]["between"]
        rest = between.join(escape(sentence) for sentence in words.sentences(result, verdict, language))
        kind = escape(words.judged(verdict.metric, language))
        headline = escape(words.headline(result, verdict, language))
        begin = f"{kind}. " if language == "en" else f"{kind}："
        parts.append(
            f'<div class="said" lang="{language}"><p>{begin}<strong>{headline}</strong></p><p>{rest}</p></div>'
        )
    return f'<div class="verdict">{"".join(parts)}</div>'


def _metric_heads() -> list[str]:
    arrows = [(metric, "↑" if metric.larger_is_better else "↓") for metric in METRICS]
    return [both(lambda spoken, m=m, a=a: f"{metric_title(m, spoken)} {a}") for m, a in arrows]  # type: ignore[misc]


def _metric_cells(result: TuneResult, cell: int) -> list[str]:
    out = []
    for name in NAMES:
        mean, error = result.mean_and_error(name)
        out.append(_figure(float(mean[cell]), float(error[cell]), name))
    return out


def _figure(mean: float, error: float, name: str) -> str:
    if metric_named(name).judges == "probabilities":
        return f"{mean:.4f} <small>± {error:.4f}</small>"
    return f"{100 * mean:.1f} <small>± {100 * error:.1f}</small>"


def _families(result: TuneResult, verdict: Verdict) -> str:
    rows, chosen = [], []
    for family in verdict.families:
        chosen.append(family is verdict.recommended)
        mark = "▶ " if chosen[-1] else ""
        gain = gain_text(family.gain, verdict.metric)
        rows.append([mark + _title(result, family.cell), *_metric_cells(result, family.cell), gain])
    return table([_word("remedy"), *_metric_heads(), _word("gain")], rows, chosen=chosen)


def _cells(result: TuneResult, caption: str, cells: Sequence[int]) -> str:
    if len(cells) < 2:
        return ""
    rows = [[_title(result, i), *_metric_cells(result, i)] for i in cells]
    return table([_word("cell"), *_metric_heads()], rows, _word(caption))


def _surface(result: TuneResult, verdict: Verdict) -> str:
    """A heat map that is a table: every figure can be read, colour only helps."""
    surface = result.surface()
    metric = metric_named(surface.metric)
    merit = surface.mean if metric.larger_is_better else -surface.mean
    low, high = float(merit.min()), float(merit.max())
    best = divmod(int(merit.argmax()), merit.shape[1])
    use = result.cells[verdict.recommended.cell]
    rows = []
    for i, alpha in enumerate(surface.alphas):
        cells = []
        for j, gamma in enumerate(surface.gammas):
            heat = 0 if high == low else round(20 * (float(merit[i, j]) - low) / (high - low))
            frame = " best" if (i, j) == best else ""
            here = use.family in ("CE", "α-CE", "focal") and not use.params and (use.alpha, use.gamma) == (alpha, gamma)
            text = _figure(float(surface.mean[i, j]), float(surface.standard_error[i, j]), metric.name)
            cells.append(f'<td class="heat-{heat}{frame}">{"▶ " if here else ""}{text}</td>')
        head = both(lambda spoken, alpha=alpha: f"α {words.alpha_word(alpha, spoken)}")  # type: ignore[misc]
        rows.append([head, *cells])
    note = f'<div class="soft">{_word("surface_note", "p")}</div>'
    return note + table(["", *(f"γ = {gamma:g}" for gamma in surface.gammas)], rows)


def _classes(result: TuneResult) -> str:
    total = int(result.counts.sum())
    order = sorted(range(len(result.classes)), key=lambda k: -int(result.counts[k]))
    rows = [
        [escape(str(result.classes[k])), f"{int(result.counts[k]):,}", f"{int(result.counts[k]) / total:.2%}"]
        for k in order
    ]
    return table([_word("class"), _word("rows"), _word("share")], rows)


def _list(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{both(lambda spoken, note=note: said(note, spoken))}</li>" for note in notes)  # type: ignore[misc]
    return f"<ul>{items}</ul>" if items else ""
