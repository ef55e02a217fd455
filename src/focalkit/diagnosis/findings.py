"""What the figures say, as data: each finding has a stable id and its raw values; no words here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from focalkit._core.message import Finding, Message
from focalkit._metrics import MERITS

if TYPE_CHECKING:
    from focalkit.diagnosis.compare import Changes
    from focalkit.diagnosis.remedies import Remedies, Remedy, Score
    from focalkit.diagnosis.result import Diagnosis

#: Classes that are named as probably mislabelled; of more there is only the number.
MOST_NOISY = 3

#: A change of a share below this is none.
LEAST_CHANGE = 0.0005


def of_diagnosis(found: Diagnosis) -> tuple[Finding, ...]:
    """Where the loss goes, what is easy, which labels look wrong, and a starting point for alpha and gamma."""
    ledger = found.ledger
    if ledger.n_samples == 0:
        return (Finding("nothing"),)
    out = []
    absent = [ledger.class_names[k] for k in np.flatnonzero(found.plain.weight == 0)]
    if absent:
        out.append(Finding("absent", {"names": absent}))
    several = len(ledger.class_names) - len(absent) > 1
    out += _on_classes(found) if several else []
    out.append(_on_easy(found))
    out += _on_labels(found)
    return (*out, _on_start(found)) if several else tuple(out)


def _on_classes(found: Diagnosis) -> list[Finding]:
    plain, focal, names = found.plain, found.focal, found.ledger.class_names
    top, rare, most = int(plain.grad.share.argmax()), found.rarest, int(focal.grad.share_alpha.argmax())
    figures = {"loss": plain.loss.share[top], "grad": plain.grad.share[top], "samples": plain.sample_share[top]}
    out = [Finding("top", {"name": names[top], **_floats(figures)})]
    if rare != top:
        figures = {"samples": plain.sample_share[rare], "grad": plain.grad.share[rare]}
        values = {"name": names[rare], "n": int(plain.count[rare]), **_floats(figures), "gamma": found.gamma}
        values["after"] = float(focal.grad.share_alpha[rare])
        if found.weighted:
            values["by_alpha"] = float(plain.grad.share_alpha[rare])
        out.append(Finding("rarest_weighted" if found.weighted else "rarest", values))
    if most != top:
        figures = {"share": focal.grad.share_alpha[most], "samples": focal.sample_share[most]}
        out.append(Finding("moved", {"name": names[most], **_floats(figures)}))
    return out


def _on_easy(found: Diagnosis) -> Finding:
    plain, before = found.plain, found.plain.loss.easy_overall
    easy = float((plain.easy_samples * plain.sample_share).sum())
    values = {"easy": easy, "before": before, "after": found.focal.loss.easy_overall, "gamma": found.gamma}
    return Finding("easy_little" if before < 0.1 else "easy", values)


def _on_labels(found: Diagnosis) -> list[Finding]:
    hard = found.contradicted
    noisy = sorted(np.flatnonzero(hard.suspicious).tolist(), key=lambda k: -hard.loss[k])
    out = []
    for k in noisy[:MOST_NOISY]:
        figures = {"share": hard.share[k], "easy": found.focal.very_easy_samples[k], "loss": hard.loss[k]}
        out.append(Finding("noise", {"name": found.ledger.class_names[k], **_floats(figures), "gamma": found.gamma}))
    return out if len(noisy) <= MOST_NOISY else [*out, Finding("noise_more", {"n": len(noisy) - MOST_NOISY})]


def _on_start(found: Diagnosis) -> Finding:
    start = found.start
    values = {"beta": start.beta, "gamma": found.gamma, "link": found.ledger.spec.link}
    if start.one_gamma == 0 or start.spread_at_gamma > 0.9 * start.spread:
        return Finding("start", values)
    alone = {"alone": start.one_gamma, "before": start.spread, "after": start.spread_at_gamma}
    return Finding("start_gamma", {**values, **alone})


def of_changes(changes: Changes) -> tuple[Finding, ...]:
    """What moved between two ledgers."""
    before, now = changes.total_loss
    change = Message("change.percent", change=100 * (now / before - 1)) if before > 0 else ""
    out = [Finding("mean_loss", {"before": before, "now": now, "change": change})]
    old, new = changes.grad_share
    delta = new - old
    for id, k in (("gained", int(np.argmax(delta))), ("lost", int(np.argmin(delta)))):
        if abs(delta[k]) >= LEAST_CHANGE:
            figures = {"before": float(old[k]), "now": float(new[k])}
            out.append(Finding(id, {"name": changes.class_names[k], **figures}))
    old, new = changes.mean_loss
    rise = np.nan_to_num(new - old, nan=-np.inf)
    worst = int(np.argmax(rise))
    if rise[worst] > 0:
        figures = {"before": float(old[worst]), "now": float(new[worst])}
        out.append(Finding("worse", {"name": changes.class_names[worst], **figures}))
    for id, names in (("only_before", changes.only_before), ("only_now", changes.only_now)):
        if names:
            out.append(Finding(id, {"names": list(names)}))
    return tuple(out)


def of_remedies(found: Remedies) -> tuple[Finding, ...]:
    """What each post-hoc correction gains, and whether that is more than its noise."""
    return tuple(_on_remedy(way) for way in found.found[1:])


def _on_remedy(way: Remedy) -> Finding:
    if way.name == "decided":
        f1 = way.scores["macro_f1"]
        return Finding("decided", {"gain": _gain(f1, 100, 1), "verdict": sure(f1)})
    if way.name != "shifted":
        score = way.scores["log_loss"]
        sign = 1 if MERITS["log_loss"].larger_is_better else -1
        values = {"t": way.setting or 1.0, "gain": _gain(score, 1, 3), "verdict": sure(score, sign)}
        return Finding(way.name, values)
    if not way.setting:
        return Finding("no_shift")
    score, f1 = way.scores["balanced_accuracy"], way.scores["macro_f1"]
    values = {"tau": way.setting, "gain": _gain(score, 100, 1), "verdict": sure(score)}
    return Finding("shift", {**values, "f1": _gain(f1, 100, 1), "f1_verdict": sure(f1)})


def _gain(score: Score, scale: float, digits: int) -> dict[str, float]:
    return {"value": score.gain, "error": score.gain_error, "scale": scale, "digits": digits}


def sure(score: Score, sign: int = 1) -> str:
    """In which direction a gain goes, where that is clear; ``sign`` -1: less is better."""
    if not abs(score.gain) > 2 * score.gain_error:
        return "noise"
    return "better" if sign * score.gain > 0 else "worse"


def _floats(values: dict[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}  # type: ignore[arg-type]
