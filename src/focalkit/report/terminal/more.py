"""Terminal tables beside the ledger's own: hardest rows, what changed, free remedies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from focalkit.diagnosis.compare import Changes
from focalkit.diagnosis.hardest import HardRow
from focalkit.diagnosis.remedies import Remedies
from focalkit.report.findings import cell, p_text
from focalkit.report.free_remedies import in_words, per_class
from focalkit.report.terminal.diagnose import plain_table


def hardest_table(rows: Sequence[Sequence[HardRow]], names: Sequence[str], files: Sequence[str], top: int) -> Table:
    """The rows with the largest loss of each class."""
    table = plain_table("The hardest rows of each class: the first place to look for wrong labels")
    several = len(set(files)) > 1
    for header in ("class", *(["file"] if several else []), "row", "p of its class", "loss"):
        table.add_column(header, justify="left" if header in ("class", "file") else "right", overflow="fold")
    for k, some in enumerate(rows[:top]):
        for i, hard in enumerate(some):
            place = [escape(files[hard.file])] if several else []
            name = escape(names[k]) if i == 0 else ""
            table.add_row(name, *place, f"{hard.row:,}", p_text(hard.p_t), f"{np.logaddexp(0, -hard.m):.2f}")
    return table


def changes_table(changes: Changes, top: int) -> Table:
    """Before and now, per class; those that changed most first where there are many."""
    table = plain_table("What changed (before → now)")
    for header in ("class", "samples", "mean loss", "gradient, %", "easy samples, %"):
        table.add_column(header, justify="left" if header == "class" else "right")
    moved = np.abs(changes.grad_share[1] - changes.grad_share[0])
    n = len(changes.class_names)
    shown = range(n) if n <= top else sorted(np.argsort(-moved, kind="stable")[:top].tolist())
    for k in shown:
        table.add_row(
            escape(changes.class_names[k]),
            f"{changes.count[0][k]:,} → {changes.count[1][k]:,}",
            f"{changes.mean_loss[0][k]:.3g} → {changes.mean_loss[1][k]:.3g}",
            f"{cell(changes.grad_share[0][k])} → {cell(changes.grad_share[1][k])}",
            f"{cell(changes.easy_samples[0][k])} → {cell(changes.easy_samples[1][k])}",
        )
    return table


def changes_said(changes: Changes) -> list[str]:
    """The main points in words."""
    before, now = changes.total_loss
    change = f" ({100 * (now / before - 1):+.1f} %)" if before > 0 else ""
    out = [f"The mean loss went from {before:.4g} to {now:.4g} nats{change}."]
    delta = changes.grad_share[1] - changes.grad_share[0]
    for k, word in ((int(np.argmax(delta)), "gained"), (int(np.argmin(delta)), "lost")):
        if abs(delta[k]) >= 0.0005:
            out.append(
                f"“{changes.class_names[k]}” {word} most of the gradient: {cell(changes.grad_share[0][k])} % → "
                f"{cell(changes.grad_share[1][k])} %."
            )
    worse = int(np.nanargmax(changes.mean_loss[1] - changes.mean_loss[0])) if len(delta) else 0
    if changes.mean_loss[1][worse] > changes.mean_loss[0][worse]:
        out.append(
            f"“{changes.class_names[worse]}” got worse: its mean loss went from {changes.mean_loss[0][worse]:.4g} to "
            f"{changes.mean_loss[1][worse]:.4g}."
        )
    for names, what in ((changes.only_before, "before"), (changes.only_now, "now")):
        if names:
            out.append(f"Only {what}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}.")
    return out


def print_remedies(console: Console, found: Remedies, names: Sequence[str], top: int) -> None:
    """Free remedies: table, accuracy per class, sentences."""
    words = in_words(found)
    table = plain_table("What costs no retraining")
    for i, header in enumerate(words["head"]):
        table.add_column(header, justify="right" if i else "left", no_wrap=i == 0)
    for row in words["rows"]:
        table.add_row(*row)
    console.print()
    console.print(table)
    if len(words["class_head"]) > 1:
        console.print(_accuracy_table(found, words, names, top))
    for sentence in words["said"]:
        console.print(f"• {sentence}", highlight=False)
    console.print(words["how"], style="dim", highlight=False)


def _accuracy_table(found: Remedies, words: dict[str, Any], names: Sequence[str], top: int) -> Table:
    """Those that the shift changes most, where there are many classes."""
    table = plain_table(words["classes"])
    for header in ("class", *words["class_head"]):
        table.add_column(header, justify="left" if header == "class" else "right")
    moved = np.nan_to_num(np.abs(found.named("shifted").recall - found.found[0].recall))
    shown = range(len(names)) if len(names) <= top else sorted(np.argsort(-moved, kind="stable")[:top].tolist())
    rows = per_class(found)
    for k in shown:
        table.add_row(escape(names[k]), *rows[k])
    return table
