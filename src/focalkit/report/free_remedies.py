"""Remedies that cost no retraining, as words and a table, in English and Chinese."""

from __future__ import annotations

from typing import Any

from focalkit.diagnosis.remedies import METRICS, Remedies, Remedy, Score
from focalkit.report.findings import number

WORDS = {
    "en": {
        "ways": {
            "as they are": "as they are",
            "shifted": "shifted by prior^−τ, τ = {}",
            "temperature": "temperature {}",
            "recovered": "posterior recovered from α and γ",
        },
        "head": ["predictions", "balanced accuracy ↑", "macro F1 ↑", "log loss ↓", "calibration error ↓"],
        "how": "Settings chosen on one half of {rows} rows ({seen} seen), scored on the other; ± is the jackknife error.",
        "shift": "Shifting the decisions by prior^−{tau} changes balanced accuracy by {gain} points, at no cost: {verdict}.",
        "no_shift": "Shifting the decisions by prior^−τ gained nothing on the half that chooses: τ = 0.",
        "clear": "more than the noise",
        "noise": "within the noise",
        "warm": "Temperature {t} changes log loss by {gain}: {verdict}.",
        "recover": "Recovering the posterior changes log loss by {gain}: {verdict}.",
    },
    "zh-CN": {
        "ways": {
            "as they are": "原样",
            "shifted": "按 prior^−τ 平移决策，τ = {}",
            "temperature": "温度 {}",
            "recovered": "由 α 和 γ 还原后验",
        },
        "head": ["预测", "平衡准确率 ↑", "宏 F1 ↑", "对数损失 ↓", "校准误差 ↓"],
        "how": "参数在 {rows} 行（共见 {seen} 行）的一半上选定，在另一半上评分；± 为刀切法误差。",
        "shift": "按 prior^−{tau} 平移决策，平衡准确率变化 {gain} 个百分点，不花任何代价：{verdict}。",
        "no_shift": "按 prior^−τ 平移决策，在选参数的那一半上毫无收益：τ = 0。",
        "clear": "超出噪声",
        "noise": "在噪声之内",
        "warm": "温度 {t} 使对数损失变化 {gain}：{verdict}。",
        "recover": "还原后验使对数损失变化 {gain}：{verdict}。",
    },
}


def in_words(found: Remedies, language: str = "en") -> dict[str, Any]:
    """``said`` sentences, ``head`` and ``rows`` of a table."""
    words: Any = WORDS[language]
    rows = [[_name(way, words), *(_figure(way.scores[m], m) for m in METRICS)] for way in found.found]
    said = []
    for way in found.found:
        if way.name == "shifted":
            score = way.scores["balanced_accuracy"]
            if not way.setting:
                said.append(words["no_shift"])
                continue
            said.append(
                words["shift"].format(
                    tau=number(way.setting or 0.0), gain=_gain(score, 100), verdict=_sure(score, words)
                )
            )
        elif way.name in ("temperature", "recovered"):
            score = way.scores["log_loss"]
            form = words["warm" if way.name == "temperature" else "recover"]
            said.append(form.format(t=number(way.setting or 1.0), gain=_gain(score, 1), verdict=_sure(score, words)))
    said.append(words["how"].format(rows=f"{found.n_rows:,}", seen=f"{found.n_seen:,}"))
    return {"said": said, "head": words["head"], "rows": rows}


def _name(way: Remedy, words: Any) -> str:
    text: str = words["ways"][way.name]
    return text if way.setting is None else text.format(number(way.setting))


def _figure(score: Score, metric: str) -> str:
    if metric in ("balanced_accuracy", "macro_f1"):
        return f"{100 * score.value:.1f} ± {100 * score.error:.1f}"
    return f"{score.value:.3f} ± {score.error:.3f}"


def _gain(score: Score, scale: float) -> str:
    digits = ".1f" if scale > 1 else ".3f"
    return f"{scale * score.gain:+{digits}} ± {scale * score.gain_error:{digits}}"


def _sure(score: Score, words: Any) -> str:
    text: str = words["clear"] if abs(score.gain) > 2 * score.gain_error else words["noise"]
    return text
