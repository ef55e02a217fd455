"""The page of ``focalkit diagnose``."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from focalkit import __version__
from focalkit._spec import PerClass
from focalkit.diagnosis import Ledger
from focalkit.report.files import write_text
from focalkit.report.findings import findings
from focalkit.report.page import assemble, ledger_data, live


def page(
    ledger: Ledger,
    gamma: PerClass,
    alpha: PerClass | str | None,
    source: str,
    *,
    language: str = "en",
    more: dict[str, Any] | None = None,
) -> str:
    """The page as text; ``more`` adds what only a pass over predictions knows (hardest rows, remedies)."""
    data = ledger_data(ledger, gamma, alpha, language)
    said = {lang: findings(ledger, gamma, alpha, lang) for lang in ("en", "zh-CN")}
    data |= {"findings": said, **(more or {})}
    absent = "".join(f"<li>{escape(sentence)}</li>" for sentence in said["en"])
    body = (
        f'<h1 data-t="title">Where the loss goes</h1><p class="soft">{escape(source)}</p>'
        f"<noscript><ul>{absent}</ul></noscript>{live()}<p class=soft>focalkit {__version__}</p>"
    )
    return assemble(f"focalkit: {source}", body, data)


def write_page(path: Path, *arguments: Any, **options: Any) -> None:
    """Write :func:`page` to ``path``."""
    write_text(path, page(*arguments, **options))
