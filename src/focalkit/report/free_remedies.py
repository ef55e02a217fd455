"""Remedies that cost no retraining, as words and tables, in English and Chinese."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit.diagnosis.remedies import METRICS, Remedies, Remedy, Score
from focalkit.report.findings import number

WORDS = {
    "en": {
        "ways": {
            "as they are": "as they are",
            "shifted": "shifted, τ = {}",
            "temperature": "temperature {}",
            "recovered": "posterior recovered",
        },
        "head": ["predictions", "balanced accuracy ↑", "macro F1 ↑", "log loss ↓", "calibration error ↓"],
        "how": "Settings chosen on one half of {entries} {what} ({seen} seen), scored on the other; ± is the jackknife error. "
        "Shifted: decisions by p / prior^τ, with the τ best for balanced accuracy.",
        "what": {"softmax": "rows", "sigmoid": "targets"},
        "shift": "Shifting the decisions by prior^−{tau}, without retraining: balanced accuracy {gain} points ({verdict}), "
        "macro F1 {f1} points ({f1_verdict}).",
        "no_shift": "Shifting the decisions by prior^−τ gained nothing on the half that chooses: τ = 0.",
        "better": "better, more than the noise",
        "worse": "worse, more than the noise",
        "noise": "within the noise",
        "warm": "Temperature {t}: log loss {gain} ({verdict}).",
        "recover": "The posterior recovered from the α and γ of training: log loss {gain} ({verdict}).",
        "classes": "Accuracy per class, %",
        "threshold": "positive from p >",
    },
    "zh-CN": {
        "ways": {
            "as they are": "原样",
            "shifted": "平移决策，τ = {}",
            "temperature": "温度 {}",
            "recovered": "还原后的后验",
        },
        "head": ["预测", "平衡准确率 ↑", "宏 F1 ↑", "对数损失 ↓", "校准误差 ↓"],
        "how": "参数在 {entries} {what}（共见 {seen}）的一半上选定，在另一半上评分；± 为刀切法误差。"
        "平移：按 p / prior^τ 决策，τ 取使平衡准确率最高者。",
        "what": {"softmax": "行", "sigmoid": "个目标"},
        "shift": "按 prior^−{tau} 平移决策，不用重新训练：平衡准确率 {gain} 个百分点（{verdict}），宏 F1 {f1} 个百分点（{f1_verdict}）。",
        "no_shift": "按 prior^−τ 平移决策，在选参数的那一半上毫无收益：τ = 0。",
        "better": "变好，超出噪声",
        "worse": "变差，超出噪声",
        "noise": "在噪声之内",
        "warm": "温度 {t}：对数损失 {gain}（{verdict}）。",
        "recover": "由训练时的 α 和 γ 还原后验：对数损失 {gain}（{verdict}）。",
        "classes": "逐类准确率，%",
        "threshold": "判为正的门槛 p >",
    },
}


def in_words(found: Remedies, language: str = "en") -> dict[str, Any]:
    """``said`` sentences, ``how`` they were found, ``head`` and ``rows`` of a table, ``class_head`` of :func:`per_class`."""
    words: Any = WORDS[language]
    rows = [[_name(way, words), *(_figure(way.scores[m], m) for m in METRICS)] for way in found.found]
    what, seen = words["what"][found.link], f"{found.n_seen:,}"
    how = words["how"].format(entries=f"{found.n_entries:,}", what=what, seen=seen)
    said = [_said(way, words) for way in found.found[1:]]
    class_head = [_name(way, words) for way in _deciding(found)]
    if found.link == "sigmoid" and found.named("shifted").setting:
        class_head.append(words["threshold"])
    title = words["classes"]
    return {"said": said, "how": how, "head": words["head"], "rows": rows, "classes": title, "class_head": class_head}


def _said(way: Remedy, words: Any) -> str:
    if way.name != "shifted":
        score = way.scores["log_loss"]
        form = words["warm" if way.name == "temperature" else "recover"]
        return str(form.format(t=number(way.setting or 1.0), gain=_gain(score, 1), verdict=_sure(score, words, -1)))
    if not way.setting:
        return str(words["no_shift"])
    score, f1 = way.scores["balanced_accuracy"], way.scores["macro_f1"]
    said = {"verdict": _sure(score, words), "f1": _gain(f1, 100), "f1_verdict": _sure(f1, words)}
    return str(words["shift"].format(tau=number(way.setting), gain=_gain(score, 100), **said))


def per_class(found: Remedies) -> list[list[str]]:
    """Accuracy of each row of the ledger under every remedy that changes decisions, and the threshold of a column."""
    ways = _deciding(found)
    rows = [[_fixed(100 * way.recall[k], ".1f") for way in ways] for k in range(len(found.prior))]
    tau = found.named("shifted").setting
    if found.link == "sigmoid" and tau:
        # p / (1 - p) > (prior / (1 - prior))^tau
        with np.errstate(divide="ignore"):
            odds = (found.prior[1::2] / found.prior[::2]) ** tau
        for k, row in enumerate(rows):
            row.append(number(float(odds[k // 2] / (1 + odds[k // 2]))) if k % 2 else "")
    return rows


def _deciding(found: Remedies) -> list[Remedy]:
    """Temperature changes no decision; recovery does where there is an alpha, or a gamma per class."""
    plain = found.found[0].recall
    others = [way for way in found.found[1:] if not np.array_equal(way.recall, plain, equal_nan=True)]
    return [found.found[0], *others]


def _name(way: Remedy, words: Any) -> str:
    text: str = words["ways"][way.name]
    return text if way.setting is None else text.format(number(way.setting))


def _figure(score: Score, metric: str) -> str:
    if metric in ("balanced_accuracy", "macro_f1"):
        return f"{_fixed(100 * score.value, '.1f')} ± {_fixed(100 * score.error, '.1f')}"
    return f"{_fixed(score.value, '.3f')} ± {_fixed(score.error, '.3f')}"


def _gain(score: Score, scale: float) -> str:
    digits = ".1f" if scale > 1 else ".3f"
    return f"{_fixed(scale * score.gain, '+' + digits)} ± {_fixed(scale * score.gain_error, digits)}"


def _fixed(value: float, form: str) -> str:
    """A figure, or a dash where a class that it is of has no rows."""
    return "–" if np.isnan(value) else format(value, form)


def _sure(score: Score, words: Any, sign: int = 1) -> str:
    """In which direction a gain goes, where that is clear; ``sign`` -1: less is better."""
    if not abs(score.gain) > 2 * score.gain_error:
        return str(words["noise"])
    return str(words["better" if sign * score.gain > 0 else "worse"])
