"""What a ledger says, one sentence each with its numbers, in English and Chinese."""

from __future__ import annotations

import numpy as np

from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger, Shares
from focalkit.diagnosis.advice import contradicted, starting_point

SAID = {
    "en": {
        "nothing": "No targets count: there is no loss to share.",
        "absent": "Without any sample, so without any loss: {names}{more}.",
        "and_more": " and {n} more",
        "top": "Cross-entropy spends most on {top}: {loss} of the loss and {grad} of the gradient, for {samples} of the "
        "samples.",
        "rare": "The rarest, {rare} ({n} samples, {samples}), gets {grad} of the gradient;{by_alpha} {focal} {then}{after}.",
        "by_alpha": " α makes that {share},",
        "then": "then ",
        "makes": "makes that ",
        "moved": "After α and γ the largest part of the gradient, {share}, goes to {name}, {samples} of the samples.",
        "easy_little": "Easy samples (p_t > 0.5) are {easy} of all and {before} of the cross-entropy loss: little for γ to "
        "take away ({focal} leaves {after}).",
        "easy": "Easy samples (p_t > 0.5) are {easy} of all and {before} of the cross-entropy loss; {focal} leaves them "
        "{after}.",
        "noise": "Probable label noise in {name}: {share} of its samples get p_t < 0.01, though {easy} get more than 0.9; "
        "{focal} still spends {loss} of the class's loss there, and no γ tames it. See the rows by --hardest.",
        "noise_more": "{n} more classes look like that.",
        "within": " within each column",
        "no_alpha": "none",
        "by_scheme": "by “{scheme}”",
        "as_given": "as given",
        "start": "As a starting point, not advice: α = n^{beta} comes nearest to equal shares of the gradient at {focal}{within}.",
        "start_gamma": "As a starting point, not advice: α = n^{beta} comes nearest to equal shares of the gradient at "
        "{focal}{within}; without α, γ = {gamma} evens them out most (spread of the log shares {before} → {after}).",
    },
    "zh-CN": {
        "nothing": "没有计入的目标，也就没有损失可分。",
        "absent": "没有样本，因此没有损失：{names}{more}。",
        "and_more": "，另有 {n} 个",
        "top": "交叉熵在 {top} 上花得最多：{loss} 的损失、{grad} 的梯度，而它只占样本的 {samples}。",
        "rare": "最稀有的 {rare}（{n} 个样本，{samples}）得到 {grad} 的梯度；{by_alpha}{focal} {then}{after}。",
        "by_alpha": "α 使其变为 {share}，",
        "then": "再变为 ",
        "makes": "使其变为 ",
        "moved": "经过 α 和 γ，最大的一份梯度（{share}）归 {name}，它占样本的 {samples}。",
        "easy_little": "易样本（p_t > 0.5）占全部的 {easy}，占交叉熵损失的 {before}：γ 没有多少可以压掉（{focal} 之后剩 {after}）。",
        "easy": "易样本（p_t > 0.5）占全部的 {easy}，占交叉熵损失的 {before}；{focal} 之后剩 {after}。",
        "noise": "{name} 很可能有标错的样本：其中 {share} 的 p_t < 0.01，而 {easy} 的 p_t 超过 0.9；"
        "{focal} 仍把该类 {loss} 的损失花在那里，任何 γ 都压不住。用 --hardest 看具体是哪些行。",
        "noise_more": "另有 {n} 个类别也是如此。",
        "within": "每一列内",
        "no_alpha": "不用",
        "by_scheme": "按“{scheme}”",
        "as_given": "按给定值",
        "start": "只作起点，不是建议：在 {focal} 下，α = n^{beta} 最接近让{within}各类梯度占比相等。",
        "start_gamma": "只作起点，不是建议：在 {focal} 下，α = n^{beta} 最接近让{within}各类梯度占比相等；"
        "不用 α 时，γ = {gamma} 最能拉平（对数占比的标准差 {before} → {after}）。",
    },
}


def percent(share: float) -> str:
    """A share in a sentence: one decimal, and never a bare zero for what is there."""
    return f"{cell(share)} %"


def cell(share: float) -> str:
    """A share in a table, in per cent."""
    return "<0.1" if 0 < share < 0.0005 else f"{100 * share:.1f}"


def number(value: float) -> str:
    """A gamma or alpha in three digits."""
    return f"{value:.3g}"


def p_text(p: float) -> str:
    """A probability that may be tiny."""
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def focal_name(gamma: PerClass) -> str:
    """What the loss of this gamma is called in a heading."""
    return f"γ={number(gamma)}" if isinstance(gamma, (int, float)) else "focal"


def alpha_words(ledger: Ledger, alpha: PerClass | str | None, language: str = "en") -> str:
    """What alpha is called in a title."""
    said = SAID[language]
    chosen = ledger.spec.alpha if alpha is None else alpha
    if chosen is None or chosen == "none":
        return said["no_alpha"]
    if isinstance(chosen, str):
        return said["by_scheme"].format(scheme=chosen)
    return number(chosen) if isinstance(chosen, (int, float)) else said["as_given"]


def rarest(ledger: Ledger) -> int:
    """The row with the smallest weight of those that have any."""
    mass = ledger.weight.sum(axis=1)
    return int(np.argmin(np.where(mass > 0, mass, np.inf)))


def findings(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, language: str = "en") -> list[str]:
    """What the tables say, one sentence each, every one with its numbers."""
    said = SAID[language]
    if ledger.n_samples == 0:
        return [said["nothing"]]
    plain, focal = ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)
    names = [f"“{name}”" for name in plain.class_names]
    out = []
    absent = [names[k] for k in np.flatnonzero(plain.weight == 0)]
    if absent:
        more = said["and_more"].format(n=len(absent) - 5) if len(absent) > 5 else ""
        out.append(said["absent"].format(names=", ".join(absent[:5]), more=more))
    several = len(names) - len(absent) > 1
    if several:
        out += _on_classes(ledger, plain, focal, gamma, names, said)
    out.append(_on_easy(plain, focal, gamma, said))
    out += _on_labels(ledger, focal, gamma, names, said)
    if several:
        out.append(_on_start(ledger, gamma, said))
    return out


def _on_classes(
    ledger: Ledger, plain: Shares, focal: Shares, gamma: PerClass, names: list[str], said: dict[str, str]
) -> list[str]:
    weighted = not np.all(plain.alpha == plain.alpha[0])
    top, rare = int(plain.grad.share.argmax()), rarest(ledger)
    figures = {
        "loss": percent(plain.loss.share[top]),
        "grad": percent(plain.grad.share[top]),
        "samples": percent(plain.sample_share[top]),
    }
    out = [said["top"].format(top=names[top], **figures)]
    if rare != top:
        out.append(
            said["rare"].format(
                rare=names[rare],
                n=f"{int(plain.count[rare]):,}",
                samples=percent(plain.sample_share[rare]),
                grad=percent(plain.grad.share[rare]),
                by_alpha=said["by_alpha"].format(share=percent(plain.grad.share_alpha[rare])) if weighted else "",
                focal=focal_name(gamma),
                then=said["then"] if weighted else said["makes"],
                after=percent(focal.grad.share_alpha[rare]),
            )
        )
    most = int(focal.grad.share_alpha.argmax())
    if most != top:
        share, samples = percent(focal.grad.share_alpha[most]), percent(focal.sample_share[most])
        out.append(said["moved"].format(share=share, name=names[most], samples=samples))
    return out


def _on_easy(plain: Shares, focal: Shares, gamma: PerClass, said: dict[str, str]) -> str:
    easy = float((plain.easy_samples * plain.sample_share).sum())
    before, after = plain.loss.easy_overall, focal.loss.easy_overall
    form = said["easy_little"] if before < 0.1 else said["easy"]
    return form.format(easy=percent(easy), before=percent(before), after=percent(after), focal=focal_name(gamma))


def _on_labels(
    ledger: Ledger, focal: Shares, gamma: PerClass, names: list[str], said: dict[str, str], most: int = 3
) -> list[str]:
    hard = contradicted(ledger, gamma)
    found = sorted(np.flatnonzero(hard.suspicious).tolist(), key=lambda k: -hard.loss[k])
    out = [
        said["noise"].format(
            name=names[k],
            share=percent(hard.share[k]),
            easy=percent(focal.very_easy_samples[k]),
            loss=percent(hard.loss[k]),
            focal=focal_name(gamma),
        )
        for k in found[:most]
    ]
    return out if len(found) <= most else [*out, said["noise_more"].format(n=len(found) - most)]


def _on_start(ledger: Ledger, gamma: PerClass, said: dict[str, str]) -> str:
    start = starting_point(ledger, gamma)
    within = said["within"] if ledger.spec.link == "sigmoid" else ""
    beta = f"{-start.beta:.2f}".replace("-0.00", "0").replace("-", "−")
    if start.one_gamma == 0 or start.spread_at_gamma > 0.9 * start.spread:
        return said["start"].format(beta=beta, focal=focal_name(gamma), within=within)
    figures = {
        "before": f"{start.spread:.2f}",
        "after": f"{start.spread_at_gamma:.2f}",
        "gamma": number(start.one_gamma),
    }
    return said["start_gamma"].format(beta=beta, focal=focal_name(gamma), within=within, **figures)
