"""The ledger in the terminal: tables, and what they say in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger, Shares
from focalkit.diagnosis.advice import MOST_GAMMA, starting_point
from focalkit.diagnosis.curves import GAMMAS
from focalkit.report.findings import alpha_words, cell, findings, focal_name, number, rarest

TOP = 20


def plain_table(title: str) -> Table:
    """An empty table in the style of all of them."""
    return Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        title_style="bold",
    )


def diagnosis_table(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, *, top: int = TOP) -> Table:
    """One row per class: samples, and shares of loss and gradient before alpha, after alpha, after focal."""
    plain, focal = ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)
    weighted = not np.all(plain.alpha == plain.alpha[0])
    table = plain_table(f"Where the loss goes: α {alpha_words(ledger, alpha)}, {focal_name(gamma)} (shares in %)")
    table.add_column("class", overflow="fold", min_width=8, max_width=24)
    table.add_column("samples", justify="right", no_wrap=True)
    if weighted:
        table.add_column("α", justify="right", no_wrap=True)
    stages = ["CE", "α·CE", "α·FL"] if weighted else ["CE", "FL"]
    for group in ("loss", "grad"):
        for i, stage in enumerate(stages):
            table.add_column(f"{group if i == 0 else ''}\n{stage}", justify="right", no_wrap=True)
    shown = _shown(plain, focal, top)
    for k in shown:
        cells = [escape(plain.class_names[k]), f"{int(plain.count[k]):,}"]
        cells += [number(plain.alpha[k])] if weighted else []
        for before, after in ((plain.loss, focal.loss), (plain.grad, focal.grad)):
            cells.append(cell(before.share[k]))
            cells += [cell(before.share_alpha[k])] if weighted else []
            cells.append(cell(after.share_alpha[k]))
        table.add_row(*cells)
    return table


def diagnosis_key(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, *, top: int = TOP) -> list[str]:
    """How to read :func:`diagnosis_table`."""
    weights = ledger.alpha_of(alpha)
    after = ", after α, and after α with γ" if not np.all(weights == weights[0]) else " and with γ"
    worst = f"{100 * _worst_error(ledger, gamma, alpha):.1g}"
    lines = [
        f"loss, grad: the class's share of the loss and of the size of its gradient, as cross-entropy{after}.",
        f"Every share is within {worst} percentage points of the sum over samples.",
    ]
    n = len(ledger.class_names)
    return [f"Shown: the {top} of {n} classes with most of the gradient.", *lines] if n > top else lines


def easy_table(ledger: Ledger, gamma: PerClass, *, top: int = TOP) -> Table:
    """One row per class: how many of its samples are easy, and what part of its own loss they carry; alpha cancels."""
    plain, focal = ledger.shares(0.0, "none"), ledger.shares(gamma, "none")
    table = plain_table("Easy samples of each class (in %)")
    table.add_column("class", overflow="fold", min_width=8, max_width=24)
    for group, second in (("samples", ""), ("its loss, CE", ""), (f"its loss, {focal_name(gamma)}", "")):
        for header in (f"{group}\np_t > 0.5", f"{second}\n> 0.9"):
            table.add_column(header, justify="right", no_wrap=True)
    columns = (
        *(plain.easy_samples, plain.very_easy_samples, plain.loss.easy, plain.loss.very_easy),
        *(focal.loss.easy, focal.loss.very_easy),
    )
    for k in _shown(plain, focal, top):
        cells = [cell(values[k]) if plain.weight[k] > 0 else "–" for values in columns]
        table.add_row(escape(plain.class_names[k]), *cells)
    return table


def starting_table(ledger: Ledger, gamma: PerClass, *, top: int = TOP) -> Table:
    """One row per class: the weights, or the gammas, that would equalise the gradient."""
    start, plain = starting_point(ledger, gamma), ledger.shares(0.0, "none")
    now = ledger.shares(gamma, "none")
    per_class = len(start.gamma) < len(plain.class_names)
    table = plain_table("A starting point, not advice: what would equalise the gradient of these predictions")
    table.add_column("class", overflow="fold", min_width=8, max_width=24)
    for header in ("gradient, %\nas CE", f"\n{focal_name(gamma)}", f"α that equalises\nat {focal_name(gamma)}"):
        table.add_column(header, justify="right", no_wrap=True)
    alone = len(start.gamma) > 1
    if alone:
        table.add_column("or γ alone,\nwithout α", justify="right", no_wrap=True)
    for k in _shown(plain, now, top):
        owner = k // 2 if per_class else k
        by_gamma = number(start.gamma[owner]) if start.reached[owner] else f"over {MOST_GAMMA:g}"
        here = plain.weight[k] > 0
        cells = [cell(plain.grad.share[k]), cell(now.grad.share[k]), number(start.alpha[k]) if here else "–"]
        cells += [by_gamma if here else "–"] if alone else []
        table.add_row(escape(plain.class_names[k]), *cells)
    return table


def starting_key(ledger: Ledger) -> str:
    """How to read :func:`starting_table`."""
    only_these = " Predictions change once a model is trained with them."
    if ledger.spec.link == "softmax":
        smallest = f"the smallest gradient under cross-entropy, where a γ up to {MOST_GAMMA:g} can."
        return f"α: relative to the mean of all classes. γ: brings the class down to {smallest}{only_these}"
    gamma = " γ: of each column, to bring its gradient down to the smallest column's."
    alpha = "α: of each column's negatives and positives, which it makes equal."
    return alpha + (gamma if ledger.n_classes > 1 else "") + only_these


GAMMA_KEY = (
    "Over all classes, after α; last column: the share of the samples, the hardest ones, that carries half of the "
    "loss before α."
)


def _shown(plain: Shares, focal: Shares, top: int) -> list[int]:
    n = len(plain.class_names)
    if n <= top:
        return list(range(n))
    size = np.maximum(plain.grad.share, focal.grad.share_alpha)
    return sorted(np.argsort(-size, kind="stable")[:top].tolist())


def gamma_table(ledger: Ledger, alpha: PerClass | str | None, gammas: Sequence[float] = GAMMAS) -> Table:
    """One row per gamma: what easy samples and the rarest class get, from the same pass over the data."""
    rare = rarest(ledger)
    table = plain_table("Other γ, from the same pass (in %)")
    table.add_column("γ", justify="right")
    for header in ("loss from\np_t > 0.5", "\n> 0.9", "grad from\np_t > 0.5", "\n> 0.9"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column(f"grad of\n{escape(ledger.class_names[rare])}", justify="right", overflow="fold", max_width=20)
    table.add_column("half the loss:\nhardest …", justify="right", no_wrap=True)
    for gamma in gammas:
        s = ledger.shares(gamma, alpha)
        overall = (
            s.loss.easy_overall_alpha,
            s.loss.very_easy_overall_alpha,
            s.grad.easy_overall_alpha,
            s.grad.very_easy_overall_alpha,
        )
        hardest = ledger.cumulative(gamma, by="all").hardest(0.5)[0]
        cells = [cell(value) for value in (*overall, s.grad.share_alpha[rare], hardest)]
        table.add_row(number(gamma), *cells)
    return table


def _worst_error(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None) -> float:
    worst = 0.0
    for shares in (ledger.shares(0.0, alpha), ledger.shares(gamma, alpha)):
        for part in (shares.loss, shares.grad):
            worst = max(worst, float(part.share_error.max()), float(part.share_alpha_error.max()))
    return worst


def print_diagnosis(
    console: Console, ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None, *, top: int = TOP
) -> None:
    """Tables first, then findings."""
    console.print(diagnosis_table(ledger, gamma, alpha, top=top))
    for line in diagnosis_key(ledger, gamma, alpha, top=top):
        console.print(line, style="dim", highlight=False)
    if ledger.n_samples:
        console.print()
        console.print(easy_table(ledger, gamma, top=top))
        console.print(gamma_table(ledger, alpha))
        console.print(GAMMA_KEY, style="dim", highlight=False)
        if len(ledger.class_names) > 1:
            console.print()
            console.print(starting_table(ledger, gamma, top=top))
            console.print(starting_key(ledger), style="dim", highlight=False)
    console.print("\n[bold]Findings[/bold]")
    for sentence in findings(ledger, gamma, alpha):
        console.print(f"• {escape(sentence)}", highlight=False)
