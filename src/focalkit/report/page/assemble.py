"""One self-contained page: a template, its style and scripts by hash, and the ledger as data. No network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger
from focalkit.diagnosis.bins import CENTRE, N_BINS, RIGHT, ZONE
from focalkit.report.chinese import said

LANGUAGES = ("en", "zh-CN")
SCRIPTS = ("speech.js", "language.js", "definition.js", "model.js", "charts.js", "classes.js", "page.js")
#: Cells of the table that a page carries at most; above, neighbouring bins are joined (p_t = 0.5 and 0.9 stay edges).
MOST_CELLS = 40_000

#: Shades of a heat map: styles in attributes would need a laxer policy.
HEAT = "".join(f".heat-{i} {{ background: rgba(var(--heat), {0.0275 * i:.3f}); }}\n" for i in range(21))


def _text(name: str) -> str:
    return files("focalkit.report.page").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def both(say: Callable[[str], str], tag: str = "span") -> str:
    """What ``say`` says in each language, as HTML of which the page shows one; once where they are the same."""
    texts = [escape(say(language)) for language in LANGUAGES]
    if tag == "span" and len(set(texts)) == 1:
        return texts[0]
    pairs = zip(LANGUAGES, texts, strict=True)
    return "".join(f'<{tag} class="said" lang="{language}">{text}</{tag}>' for language, text in pairs)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str = "", *, chosen: Sequence[bool] = ()) -> str:
    """A table of cells that are HTML already, as contents or as whole ``<td>``; the first of each row heads it."""
    heads = "".join(f"<th scope=col>{cell}</th>" for cell in head)
    lines = []
    for i, (first, *rest) in enumerate(rows):
        cells = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in rest)
        mark = ' class="chosen"' if i < len(chosen) and chosen[i] else ""
        lines.append(f"<tr{mark}><th scope=row>{first}</th>{cells}</tr>")
    title = f"<caption>{caption}</caption>" if caption else ""
    inside = f"{title}<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>{inside}</table></div>'


def assemble(
    heading: Callable[[str], str], source: str, body: str, data: dict[str, Any] | None, language: str = "en"
) -> str:
    """The whole page; where there are ``data``, ``body`` has the live section in it (:func:`live`).

    Its policy allows the style and the script it was written with and nothing else.
    """
    style = _text("page.css") + HEAT
    script = "\n".join(_text(name) for name in SCRIPTS)
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    policy += f"; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    block = f'<script type="application/json" id="ledger">{as_json(data)}</script>\n' if data else ""
    return Template(_text("page.html")).substitute(
        policy=policy,
        language=language,
        title=escape(f"focalkit: {said(source, language)}"),
        heading=both(heading),
        source=both(lambda spoken: said(source, spoken)),
        style=style,
        body=body,
        scripts=f"{block}<script>{script}</script>",
    )


def live(findings: str = "", more: str = "") -> str:
    """The section whose figures move, with findings in its middle and ``more`` behind it."""
    return Template(_text("live.html")).substitute(findings=findings, more=more)


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
        "names": list(ledger.class_names),
        "counts": ledger.count.sum(axis=1).tolist(),
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
