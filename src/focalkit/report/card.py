"""A model card (Mitchell et al. 2019) of what a tuning run recommends, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from focalkit import __version__
from focalkit._core.message import Finding
from focalkit.report import tune
from focalkit.report.format import visible
from focalkit.report.messages import say
from focalkit.report.sections import Table
from focalkit.report.snippet import code
from focalkit.tuning.result import TuneResult
from focalkit.tuning.verdict import Verdict


def model_card(
    result: TuneResult, verdicts: Sequence[Verdict], source: str, notes: Sequence[str] = (), command: str = ""
) -> str:
    """What the model is, what it was trained and judged on, what it does and costs, and what is not known of it."""
    main = verdicts[0]
    lines = tune.brief(main).parts[0].lines  # type: ignore[union-attr]
    parts = [
        "# Model card",
        f"- **Model**: {result.estimator}, {result.cells[main.recommended.cell].title}",
        f"- **Data**: {text(source)}",
        f"- **Made by**: focalkit {__version__}" + (f", {_command(command)}" if command else ""),
        "",
        "## Verdict",
        *(f"- **{say(label)}**: {' '.join(text(line) for line in texts)}" for label, texts in lines),
        "",
        "## Classes",
        _table(tune.classes(result, len(result.classes))),
        "",
        "## Figures of every remedy, at the cell chosen for it",
        _table(tune.every_figure(result, main)),
        "",
        "## Gains over plain cross-entropy",
        _table(tune.families(result, main)),
        "",
        "## Other questions",
        *(f"- **{text(part.about)}**: {text(part.headline)}" for part in (tune.said(result, v) for v in verdicts[1:])),
        "",
        "## How it was measured",
        text(tune.how_measured(result)),
        "",
        *([*(f"- {text(note)}" for note in (*notes, *result.notes)), ""] if notes or result.notes else []),
        "## What is not known",
        "- How it does on data of another kind, place or time than these; fairness between groups was not looked at.",
        "- Whether the classes are as frequent where it will be used; if not, shift the probabilities to that prior.",
        "",
        "## To make it again",
        "```python",
        code(result, main),
        "```",
    ]
    return "\n".join(parts) + "\n"


#: What Markdown would take for markup within a line: emphasis, code, links, cells, entities, and its own escapes.
_MARKUP = re.compile(r"[*`~|]|(?<=\])\(|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|\\(?=[!-/:-@\[-`{-~]|$)")


def text(thing: str | Finding) -> str:
    """A line of Markdown that shows ``thing`` as it is."""
    return _MARKUP.sub(r"\\\g<0>", visible(say(thing))).replace("<", "&lt;")


def _command(words: str) -> str:
    ticks = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{ticks}{' ' * ('`' in words)}{visible(words)}{' ' * ('`' in words)}{ticks}"


def _table(table: Table) -> str:
    rows = [[text(column.head) for column in table.columns], ["---"] * len(table.columns)]
    rows += [[text(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
