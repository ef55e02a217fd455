"""One self-contained page: a template, its style and scripts by hash, and the ledger as data. No network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit import __version__
from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger
from focalkit.diagnosis.bins import CENTRE, N_BINS, RIGHT, ZONE
from focalkit.report.format import visible
from focalkit.report.messages import LANGUAGES, say, script
from focalkit.report.page.render import said, worded
from focalkit.report.sections import Text

SCRIPTS = (
    *("language.js", "definition.js", "forms.js", "model.js", "charts.js", "classes.js"),
    *("address.js", "page.js", "decide.js", "save.js"),
)
#: Cells of the table that a page carries at most; above, neighbouring bins are joined (p_t = 0.5 and 0.9 stay edges).
MOST_CELLS = 40_000

#: Shades of a heat map: styles in attributes would need a laxer policy.
HEAT = "".join(f".heat-{i} {{ background: rgba(var(--heat), {0.0275 * i:.3f}); }}\n" for i in range(21))


@dataclass(frozen=True)
class Page:
    """A page before it is written: heading, source, body as HTML, the ledger's data, and what the foot says.

    Where there are ``data``, the body has the live section in it (:func:`live`). ``command`` is the line that made it,
    ``seed`` what its random parts began with, ``block`` the name of the data for the script, ``more`` further blocks.
    """

    heading: Text
    source: Text
    body: str
    data: dict[str, Any] | None = None
    command: str = ""
    seed: int | None = None
    block: str = "ledger"
    more: dict[str, dict[str, Any]] = field(default_factory=dict)


def _text(name: str) -> str:
    return files("focalkit.report.page").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def assemble(page: Page, language: str = "en") -> str:
    """The whole page, beginning in ``language``.

    Its policy allows the style and the script it was written with and nothing else.
    """
    style = _text("page.css") + HEAT
    code = "\n".join(_text(name) for name in SCRIPTS)
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    policy += f"; style-src '{_hash(style)}'; script-src '{_hash(code)}'"
    speech = {spoken: script(spoken) for spoken in LANGUAGES}
    blocks = [f'<script type="application/json" id="speech">{as_json(speech)}</script>']
    for name, data in {page.block: page.data, **page.more}.items():
        if data:
            blocks.append(f'<script type="application/json" id="{name}">{as_json(data)}</script>')
    return Template(_text("page.html")).substitute(
        policy=policy,
        language=language,
        title=escape(f"focalkit: {visible(say(page.source, language))}"),
        heading=said(page.heading),
        source=said(page.source),
        style=style,
        body=page.body,
        foot=_foot(page),
        scripts="\n".join([*blocks, f"<script>{code}</script>"]),
    )


def _foot(page: Page) -> str:
    lines = [worded("page.made", date=_now(), version=__version__)]
    lines += [worded("page.seed", seed=page.seed)] if page.seed is not None else []
    if page.command:
        lines.append(f"{worded('page.command')}: <code>{escape(visible(page.command))}</code>")
    return " ".join(lines)


def _now() -> str:
    """The time, or $SOURCE_DATE_EPOCH: then the page is the same each time."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def live(more: str = "") -> str:
    """The section whose figures move, with ``more`` behind it."""
    return Template(_text("live.html")).substitute(more=more)


def as_json(data: dict[str, Any]) -> str:
    """JSON that cannot end its script block, nor begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(mark, code)
    return text


def ledger_data(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None) -> dict[str, Any]:
    """The ledger as the page's script takes it (see model.js), beginning at ``gamma`` and ``alpha``."""
    one = isinstance(gamma, (int, float))
    sides = len(ledger.class_names) // ledger.n_classes
    beta, own = _weights(ledger, alpha)
    group = _joined(ledger)
    return {
        "link": ledger.spec.link,
        "names": [visible(name) for name in ledger.class_names],
        "counts": ledger.count.sum(axis=1).tolist(),
        "soft": not ledger.hard,
        "cells": [_cells(ledger, k, group) for k in range(len(ledger.class_names))],
        "gamma": min(float(np.mean(gamma)), 5.0),
        "gammas": None if one else np.repeat(gamma, sides).tolist(),
        "beta": beta,
        "alpha": own,
    }


def _weights(ledger: Ledger, alpha: PerClass | str | None) -> tuple[float, list[float] | None]:
    """The exponent that ``alpha`` is, where it is a power of the counts; otherwise the weights themselves."""
    named = {"none": 0.0, "inverse": 1.0, "balanced": 1.0, "sqrt": 0.5}
    if isinstance(alpha, str) and alpha in named:
        return named[alpha], None
    weights = ledger.alpha_of(alpha)
    return (0.0, None) if np.all(weights == weights[0]) else (0.0, weights.tolist())


def _joined(ledger: Ledger) -> NDArray[np.intp]:
    """Which bins are one cell of the page."""
    used, width = int(np.count_nonzero(ledger.count)), 1
    group = np.arange(N_BINS)
    while used > MOST_CELLS and width < 64:
        width *= 2
        group = np.unique(ZONE * N_BINS + np.arange(N_BINS) // width, return_inverse=True)[1]
        held = np.zeros((len(ledger.count), group.max() + 1), bool)
        for k, row in enumerate(ledger.count > 0):
            held[k, group[row]] = True
        used = int(held.sum())
    return np.asarray(group, np.intp)


def _cells(ledger: Ledger, k: int, group: NDArray[np.intp]) -> list[float]:
    """Mean log-odds, weight and second moment about the mean of each cell of row ``k``, flat."""
    (used,) = np.nonzero(ledger.weight[k])
    weight, s1, s2 = ledger.weight[k, used], ledger.s1[k, used], ledger.s2[k, used]
    mean = CENTRE[used] + s1 / weight
    about = np.where((used == 0) | (used == RIGHT), 0.0, np.maximum(s2 - s1 * s1 / weight, 0.0))
    out: list[float] = []
    for cell in np.unique(group[used]):
        at = group[used] == cell
        w = float(weight[at].sum())
        m = float((weight[at] * mean[at]).sum() / w)
        v = float((about[at] + weight[at] * (mean[at] - m) ** 2).sum())
        out += [round(m, 7), _short(w, 9), _short(v, 5)]
    return out


def _short(value: float, digits: int) -> float:
    if value == 0 or not math.isfinite(value):
        return 0
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
