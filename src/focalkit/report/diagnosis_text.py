"""The ledger in the terminal: tables, and what they say in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from focalkit._spec import PerClass
from focalkit.diagnosis import Ledger, Shares
from focalkit.diagnosis.curves import GAMMAS

TOP = 20


def percent(share: float) -> str:
    """A share as it is printed: one decimal, and never a bare zero for what is there."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return f"{100 * share:.1f}%"


def number(value: float) -> str:
    """A gamma or alpha in four digits at most."""
    return f"{value:.4g}"


def _focal_name(gamma: PerClass) -> str:
    return f"γ={number(gamma)}" if isinstance(gamma, (int, float)) else "focal"


def diagnosis_table(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, *, top: int = TOP) -> Table:
    """One row per class: samples, and shares of loss and gradient before alpha, after alpha, after focal."""
    plain, focal = ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)
    weighted = not np.all(plain.alpha == plain.alpha[0])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title_justify="left", title_style="bold")
    table.title = f"Where the loss goes: α {alpha_words(ledger, alpha)}, {_focal_name(gamma)}"
    table.add_column("class", overflow="fold", min_width=5, max_width=22)
    table.add_column("samples", justify="right", no_wrap=True)
    headers = ["loss\nCE", "\nα·CE", "\n+focal", "gradient\nCE", "\nα·CE", "\n+focal"]
    if weighted:
        table.add_column("α", justify="right", no_wrap=True)
    else:
        headers = [header for header in headers if "α" not in header]
    for header in [*headers, "easy\nCE", "\nfocal"]:
        table.add_column(header, justify="right", no_wrap=True)
    shown = _shown(plain, focal, top)
    for k in shown:
        cells = [escape(plain.class_names[k]), f"{int(plain.count[k]):,}"]
        cells += [number(plain.alpha[k])] if weighted else []
        for before, after in ((plain.loss, focal.loss), (plain.grad, focal.grad)):
            cells.append(percent(before.share[k]))
            cells += [percent(before.share_alpha[k])] if weighted else []
            cells.append(percent(after.share_alpha[k]))
        if plain.weight[k] > 0:
            cells += [percent(plain.loss.easy[k]), percent(focal.loss.easy[k])]
        else:
            cells += ["–", "–"]
        table.add_row(*cells)
    lines = [
        "loss, gradient: the class's share of the sum over all classes. "
        + ("CE before α; α·CE after α; +focal after α and γ." if weighted else "+focal: with γ."),
        "easy: share of the class's own loss from samples with p_t > 0.5.",
    ]
    if len(shown) < len(plain.class_names):
        lines.insert(0, f"The {len(shown)} of {len(plain.class_names)} classes with most of the gradient.")
    table.caption, table.caption_justify, table.caption_style = "\n".join(lines), "left", "dim"
    return table


def _shown(plain: Shares, focal: Shares, top: int) -> list[int]:
    n = len(plain.class_names)
    if n <= top:
        return list(range(n))
    size = np.maximum(plain.grad.share, focal.grad.share_alpha)
    return sorted(np.argsort(-size, kind="stable")[:top].tolist())


def gamma_table(ledger: Ledger, alpha: PerClass | str | None, gammas: Sequence[float] = GAMMAS) -> Table:
    """One row per gamma: what easy samples and the rarest class get, from the same pass over the data."""
    rarest = _rarest(ledger)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title_justify="left", title_style="bold")
    table.title = "Other γ, from the same pass"
    table.add_column("γ", justify="right")
    for header in ("loss from\np_t > 0.5", "\np_t > 0.9", "gradient from\np_t > 0.5", "\np_t > 0.9"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column(f"gradient of\n{escape(ledger.class_names[rarest])}", justify="right", overflow="fold")
    table.add_column("half of the loss is in\nthe hardest … of the samples", justify="right")
    for gamma in gammas:
        s = ledger.shares(gamma, alpha)
        overall = (
            s.loss.easy_overall_alpha,
            s.loss.very_easy_overall_alpha,
            s.grad.easy_overall_alpha,
            s.grad.very_easy_overall_alpha,
        )
        hardest = ledger.cumulative(gamma, by="all").hardest(0.5)[0]
        cells = [percent(value) for value in (*overall, s.grad.share_alpha[rarest], hardest)]
        table.add_row(number(gamma), *cells)
    table.caption = "Over all classes, after α; the last column before α."
    table.caption_justify, table.caption_style = "left", "dim"
    return table


def alpha_words(ledger: Ledger, alpha: PerClass | str | None) -> str:
    """What alpha is called in a title."""
    if isinstance(alpha, str):
        return {"none": "none"}.get(alpha, f"by “{alpha}”")
    chosen = ledger.spec.alpha if alpha is None else alpha
    if chosen is None:
        return "none"
    return number(chosen) if isinstance(chosen, (int, float)) else "as given"


def _rarest(ledger: Ledger) -> int:
    mass = ledger.weight.sum(axis=1)
    return int(np.argmin(np.where(mass > 0, mass, np.inf)))


def findings(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None) -> list[str]:
    """What the tables say, one sentence each, every one with its numbers."""
    if ledger.n_samples == 0:
        return ["No targets count: there is no loss to share."]
    plain, focal = ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)
    weighted = not np.all(plain.alpha == plain.alpha[0])
    names = [f"“{name}”" for name in plain.class_names]
    said = []
    absent = [names[k] for k in np.flatnonzero(plain.weight == 0)]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        said.append(f"Without any sample, so without any loss: {', '.join(absent[:5])}{more}.")
    if len(names) - len(absent) > 1:
        top, rare = int(plain.grad.share.argmax()), _rarest(ledger)
        said.append(
            f"Cross-entropy spends most on {names[top]}: {percent(plain.loss.share[top])} of the loss and "
            f"{percent(plain.grad.share[top])} of the gradient, for {percent(plain.sample_share[top])} of the samples."
        )
        if rare != top:
            by_alpha = f" α makes that {percent(plain.grad.share_alpha[rare])}," if weighted else ""
            said.append(
                f"The rarest, {names[rare]} ({int(plain.count[rare]):,} samples, {percent(plain.sample_share[rare])}), "
                f"gets {percent(plain.grad.share[rare])} of the gradient;{by_alpha} "
                f"{_focal_name(gamma)} {'then ' if weighted else 'makes that '}{percent(focal.grad.share_alpha[rare])}."
            )
        most = int(focal.grad.share_alpha.argmax())
        if most != top:
            said.append(
                f"After α and γ the largest part of the gradient, {percent(focal.grad.share_alpha[most])}, goes to "
                f"{names[most]}, {percent(focal.sample_share[most])} of the samples."
            )
    said.append(_on_easy(plain, focal, gamma))
    return said


def _on_easy(plain: Shares, focal: Shares, gamma: PerClass) -> str:
    easy = float((plain.easy_samples * plain.sample_share).sum())
    before, after = plain.loss.easy_overall, focal.loss.easy_overall
    start = f"Easy samples (p_t > 0.5) are {percent(easy)} of all and {percent(before)} of the cross-entropy loss"
    if before < 0.1:
        return f"{start}: little for γ to take away ({_focal_name(gamma)} leaves {percent(after)})."
    return f"{start}; {_focal_name(gamma)} leaves them {percent(after)}."


def error_line(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None) -> str:
    """How far the shares in the table can be off."""
    worst = 0.0
    for shares in (ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)):
        for part in (shares.loss, shares.grad):
            worst = max(worst, float(part.share_error.max()), float(part.share_alpha_error.max()))
    return f"Every share is within {100 * worst:.1g} percentage points of the exact sum over samples (proven bound)."


def print_diagnosis(
    console: Console, ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, *, top: int = TOP
) -> None:
    """Tables first, then findings."""
    console.print(diagnosis_table(ledger, gamma, alpha, top=top))
    if ledger.n_samples:
        console.print(gamma_table(ledger, alpha))
    console.print("[bold]Findings[/bold]")
    for sentence in findings(ledger, gamma, alpha):
        console.print(f"• {escape(sentence)}", highlight=False)
    console.print(error_line(ledger, gamma, alpha), style="dim", highlight=False)
