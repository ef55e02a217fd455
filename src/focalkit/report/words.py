"""A tuning run's findings in plain sentences, in English and Chinese, shared by the terminal and the page."""

from __future__ import annotations

from typing import Any

from focalkit.tuning.result import FAMILIES, TITLES, Cell, TuneResult, alpha_title
from focalkit.tuning.scores import METRICS, Metric
from focalkit.tuning.verdict import LEVEL, Estimate, Verdict

WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "families": {
            "CE": "plain cross-entropy",
            "CE + shift": "plain cross-entropy with shifted decisions",
            "α-CE": "balanced cross-entropy",
            "focal": "focal loss",
            "OHEM": "online hard example mining",
        },
        "cells": TITLES,
        "no_alpha": "none",
        "metrics": {metric.name: metric.title for metric in METRICS},
        "judges": {"decisions": "decisions", "ranking": "ranking", "probabilities": "probabilities"},
        "settled": "For {metric}, plain cross-entropy is as good as anything tried here.",
        "stands": "For {metric}, nothing was shown to beat plain cross-entropy.",
        "use": "For {metric}, use {family}: {cell}.",
        "improves": "It improves {metric} by {gain} over plain cross-entropy ({p} after correction for {n} comparisons).",
        "at_most": "The most that any rival may gain, {family}: {gain}.",
        "not_ruled_out": "But these folds cannot rule it out: {family} differs from it by {gain}, {p} after correction for "
        "{n} comparisons. The rarest class, {rare}, has {rows} rows; more of them would settle it.",
        "shift_is_free": "Shifted decisions need no retraining, so trying them costs nothing.",
        "expect": "Expect {metric} {score} on new data{luck}.",
        "luck": "; its average here, {apparent}, carries the luck of having been chosen",
        "idle": "Nothing costlier ({families}) was shown to be better still.",
        "worse": "{family} is worse than plain cross-entropy here, by {gain}.",
        "looks": "The best average belongs to {cell}; its lead over the recommendation is within the noise, or the luck of "
        "the best of {n} cells.",
        "points": " points",
        "interval": " (95 % interval {low} to {high})",
        "and": " and ",
        "comma": ", ",
        "between": " ",
        "how": "{repeats} × {splits}-fold stratified cross-validation, seed {seed}, the same folds for all {n} cells; ± is "
        "the standard error with the Nadeau–Bengio correction for overlapping training sets. Each remedy is compared as a "
        "procedure: its cell is chosen without the fold that scores it, and p-values are Holm-corrected for the number of "
        "remedies.",
    },
    "zh-CN": {
        "families": {
            "CE": "普通交叉熵",
            "CE + shift": "普通交叉熵加平移决策",
            "α-CE": "加权交叉熵",
            "focal": "focal loss",
            "OHEM": "在线难例挖掘",
        },
        "cells": {
            "plain": "普通 CE",
            "weighted": "CE，{alpha}",
            "focal": "focal γ={gamma}",
            "focal_weighted": "focal γ={gamma}，{alpha}",
            "shifted": "CE 平移决策，τ = {tau}",
            "shift_chosen": "CE 平移决策，τ 由数据选",
            "mined": "OHEM，取最难的 {kept}",
        },
        "no_alpha": "不用",
        "metrics": {
            "balanced_accuracy": "平衡准确率",
            "macro_f1": "宏 F1",
            "mcc": "Matthews 相关系数",
            "average_precision": "平均精度",
            "log_loss": "对数损失",
            "calibration_error": "校准误差",
        },
        "judges": {"decisions": "决策", "ranking": "排序", "probabilities": "概率"},
        "settled": "就{metric}而言，普通交叉熵不输给这里试过的任何方法。",
        "stands": "就{metric}而言，没有证据表明有什么胜过普通交叉熵。",
        "use": "就{metric}而言，请用{family}：{cell}。",
        "improves": "比普通交叉熵的{metric}好 {gain}（{n} 次比较校正后 {p}）。",
        "at_most": "对手最多能带来的改善，{family}：{gain}。",
        "not_ruled_out": "但这些折还不能排除：{family}与它相差 {gain}，{n} 次比较校正后 {p}。最稀有的类别 {rare} 只有 {rows} 行；"
        "再多一些就能见分晓。",
        "shift_is_free": "平移决策不用重新训练，试一试没有任何代价。",
        "expect": "在新数据上，{metric}预期为 {score}{luck}。",
        "luck": "；这里的平均值 {apparent} 含有被选中的运气",
        "idle": "更费事的方法（{families}）都没有表现出更好。",
        "worse": "{family}在这里比普通交叉熵差，差 {gain}。",
        "looks": "平均值最高的是 {cell}；它对推荐方案的领先在噪声之内，或者只是 {n} 格中最好一格的运气。",
        "points": " 个百分点",
        "interval": "（95 % 区间 {low} 到 {high}）",
        "and": "和",
        "comma": "、",
        "between": "",
        "how": "{repeats} × {splits} 折分层交叉验证，种子 {seed}，全部 {n} 格用同样的折；± 为标准误差，按 Nadeau–Bengio 对训练集"
        "重叠作了校正。每种方法按整个流程比较：选格时不看给它评分的那一折；p 值按方法个数作 Holm 校正。",
    },
}


def cell_title(cell: Cell, language: str = "en") -> str:
    """A cell's name in tables."""
    return cell.titled(WORDS[language]["cells"])


def alpha_word(alpha: Any, language: str = "en") -> str:
    """How an alpha is written in tables."""
    return str(WORDS[language]["no_alpha"]) if alpha is None else alpha_title(alpha)


def metric_title(metric: Metric, language: str = "en") -> str:
    """A metric's name in a sentence."""
    return str(WORDS[language]["metrics"][metric.name])


def judged(metric: Metric, language: str = "en") -> str:
    """What a metric judges, as the beginning of a line."""
    return capital(WORDS[language]["judges"][metric.judges])


def number(value: float, metric: Metric | None = None) -> str:
    """Three significant digits for losses, three decimals for scores in [0, 1]."""
    if metric is not None and metric.judges == "probabilities":
        return f"{value:.3g}"
    return f"{value:.3f}"


def plus_minus(value: float, error: float, metric: Metric | None = None) -> str:
    """``mean ± standard error``."""
    return (
        f"{number(value, metric)} ± {error:.2g}"
        if metric and metric.judges == "probabilities"
        else f"{value:.3f} ± {error:.3f}"
    )


def p_text(p: float) -> str:
    """A p-value as papers print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def gain_text(gain: Estimate, metric: Metric) -> str:
    """Gain with its interval: points for scores, the figure's own unit for probabilities; – for none."""
    scale, form = (1.0, "+.2g") if metric.judges == "probabilities" else (100.0, "+.1f")
    if gain.low == gain.high:
        return "–" if gain.mean == 0 else f"{gain.mean * scale:{form}}"
    return f"{gain.mean * scale:{form}} [{gain.low * scale:{form}}, {gain.high * scale:{form}}]"


def headline(result: TuneResult, verdict: Verdict, language: str = "en") -> str:
    """One sentence: what to use."""
    words = WORDS[language]
    key = "settled" if verdict.settled else "stands" if verdict.plain_stands else "use"
    cell = cell_title(result.cells[verdict.recommended.cell], language)
    family = words["families"][verdict.recommended.family]
    return str(words[key].format(metric=metric_title(verdict.metric, language), family=family, cell=cell))


def sentences(result: TuneResult, verdict: Verdict, language: str = "en") -> list[str]:
    """How much it helps, how sure that is, what to expect, and what was not worth its price."""
    words, metric, best, near = WORDS[language], verdict.metric, verdict.recommended, verdict.nearest
    title, rival = metric_title(metric, language), words["families"][near.family]
    n = len(verdict.families) - 1
    out = []
    if not verdict.plain_stands:
        gain = _gain(best.gain, metric, words)
        out.append(words["improves"].format(metric=title, gain=gain, p=p_text(best.adjusted_p), n=n))
    elif verdict.settled:
        out.append(words["at_most"].format(family=rival, gain=_gain(near.gain, metric, words)))
    else:
        k = int(result.counts.argmin())
        rare, rows = repr(str(result.classes[k])), f"{int(result.counts[k]):,}"
        gain, p = _gain(near.gain, metric, words), p_text(near.adjusted_p)
        out.append(words["not_ruled_out"].format(family=rival, gain=gain, p=p, n=n, rare=rare, rows=rows))
        if near.family == "CE + shift":
            out.append(words["shift_is_free"])
    expected = best.expected
    lucky = abs(best.apparent - expected.mean) > 0.05 * max(expected.standard_error, 1e-12)
    luck = words["luck"].format(apparent=number(best.apparent, metric)) if lucky else ""
    score = plus_minus(expected.mean, expected.standard_error, metric)
    out.append(words["expect"].format(metric=title, score=score, luck=luck))
    out.extend(_not_worth(result, verdict, language))
    return out


def _gain(gain: Estimate, metric: Metric, words: dict[str, Any]) -> str:
    low, high = gain.low, gain.high
    unit = "" if metric.judges == "probabilities" else words["points"]
    scale = 1.0 if metric.judges == "probabilities" else 100.0
    text = ".3g" if metric.judges == "probabilities" else ".1f"
    mean = f"{gain.mean * scale:{text}}{unit}"
    if low == high:
        return mean
    return mean + str(words["interval"].format(low=f"{low * scale:{text}}", high=f"{high * scale:{text}}"))


def _not_worth(result: TuneResult, verdict: Verdict, language: str) -> list[str]:
    """What costs more than the recommendation and was not shown to be better; what is worse."""
    words = WORDS[language]
    at = FAMILIES.index(verdict.recommended.family)
    idle = [words["families"][f.family] for f in verdict.families if FAMILIES.index(f.family) > at]
    out = []
    if idle and not verdict.plain_stands:
        out.append(words["idle"].format(families=_listed(idle, words)))
    for family in verdict.families:
        gain = family.gain
        if gain.mean < 0 and family.adjusted_p < LEVEL and gain.low < gain.high:
            loss = Estimate(-gain.mean, gain.standard_error, -gain.high, -gain.low, gain.p_value)
            name = capital(words["families"][family.family])
            out.append(words["worse"].format(family=name, gain=_gain(loss, verdict.metric, words)))
    looks = result.cells[verdict.best_looking]
    named = {verdict.recommended.family} | ({verdict.nearest.family} if verdict.plain_stands else set())
    if looks.family not in named:
        out.append(words["looks"].format(cell=cell_title(looks, language), n=len(result.cells)))
    return out


def capital(text: str) -> str:
    """``text`` as the beginning of a sentence."""
    return text[0].upper() + text[1:]


def _listed(items: list[str], words: dict[str, Any]) -> str:
    return items[0] if len(items) == 1 else str(words["comma"]).join(items[:-1]) + str(words["and"]) + items[-1]


def how_measured(result: TuneResult, language: str = "en") -> str:
    """One sentence on the experiment."""
    folds = result.folds
    values = {"repeats": folds.n_repeats, "splits": folds.n_splits, "seed": result.seed, "n": len(result.cells)}
    return str(WORDS[language]["how"].format(**values))
