"""The page of ``focalkit diagnose``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from focalkit import __version__
from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger
from focalkit.diagnosis.hardest import HardRow
from focalkit.diagnosis.remedies import Remedies
from focalkit.io.atomic import write_text
from focalkit.report.findings import alpha_words, findings, focal_name, p_text
from focalkit.report.free_remedies import in_words, per_class
from focalkit.report.page.assemble import LANGUAGES, assemble, both, ledger_data, live, table

#: Rows of a table that no search cuts.
MOST_ROWS = 1000

WORDS = {
    "en": {
        "title": "Where the loss goes",
        "findings": "Findings",
        "as_asked": "For α {alpha} and {focal}, as the page was made; they do not follow the sliders.",
        "remedies": "What costs no retraining",
        "hardest": "Rows to look at first",
        "hardest_note": "The largest losses of each class: wrong labels gather here.",
        "class": "class",
        "file": "file",
        "row": "row",
        "p_t": "p of its class",
    },
    "zh-CN": {
        "title": "损失花在了哪里",
        "findings": "结论",
        "as_asked": "针对生成本页时的 α {alpha} 和 {focal}，不随滑块变化。",
        "remedies": "不用重新训练就能做的",
        "hardest": "最该先看的行",
        "hardest_note": "每个类别中损失最大的行：标错的样本往往在这里。",
        "class": "类别",
        "file": "文件",
        "row": "行",
        "p_t": "所标类别的 p",
    },
}


def page(
    ledger: Ledger,
    gamma: PerClass,
    alpha: PerClass | str | None,
    source: str,
    *,
    language: str = "en",
    free: Remedies | None = None,
    hardest: Sequence[HardRow] = (),
    files: Sequence[str] = (),
) -> str:
    """The page as text; ``free`` and ``hardest`` are what only a pass over predictions knows."""
    more = _remedies(free, ledger.class_names) + _hardest(hardest, ledger.class_names, files)
    body = live(_findings(ledger, gamma, alpha), more) + f'<p class="soft">focalkit {__version__}</p>'
    data = ledger_data(ledger, gamma, alpha)
    return assemble(lambda said: WORDS[said]["title"], source, body, data, language)


def write_page(path: Path, *arguments: Any, **options: Any) -> None:
    """Write :func:`page` to ``path``."""
    write_text(path, page(*arguments, **options))


def _word(key: str) -> str:
    return both(lambda language: WORDS[language][key])


def _section(key: str, body: str) -> str:
    return f'<section id="{key}"><h2>{_word(key)}</h2>{body}</section>'


def _findings(ledger: Ledger, gamma: PerClass, alpha: PerClass | str | None) -> str:
    items = []
    for language in LANGUAGES:
        said = findings(ledger, gamma, alpha, language)
        items += [f'<li class="said" lang="{language}">{escape(sentence)}</li>' for sentence in said]
    note = both(
        lambda language: WORDS[language]["as_asked"].format(
            alpha=alpha_words(ledger, alpha, language), focal=focal_name(gamma)
        ),
        "p",
    )
    return (
        f'<section class="verdict"><h2>{_word("findings")}</h2><ul id="findings">{"".join(items)}</ul>'
        f'<div class="soft">{note}</div></section>'
    )


def _remedies(free: Remedies | None, names: Sequence[str]) -> str:
    if free is None:
        return ""
    words = {language: in_words(free, language) for language in LANGUAGES}

    def each(pick: Callable[[dict[str, Any]], Iterable[str]], tag: str = "span") -> list[str]:
        """Texts that the languages have in the same order, each as :func:`both`."""
        texts = zip(*(pick(words[language]) for language in LANGUAGES), strict=True)
        return [both(dict(zip(LANGUAGES, pair, strict=True)).__getitem__, tag) for pair in texts]

    said = "".join(each(lambda w: w["said"], "p"))
    rows = [each(lambda w, i=i: w["rows"][i]) for i in range(len(free.found))]  # type: ignore[misc]
    figures = table(each(lambda w: w["head"]), rows)
    (how,) = each(lambda w: [w["how"]], "p")
    accuracy, (title,) = "", each(lambda w: [w["classes"]])
    head = each(lambda w: w["class_head"])
    if len(head) > 1:
        classes = [[escape(name), *row] for name, row in zip(names, per_class(free), strict=True)]
        accuracy = table([_word("class"), *head], classes[:MOST_ROWS], title)
    tables = f'<div class="columns">{figures}{accuracy}</div>'
    return _section("remedies", f'{said}{tables}<div class="soft">{how}</div>')


def _hardest(rows: Sequence[HardRow], names: Sequence[str], files: Sequence[str]) -> str:
    if not rows:
        return ""
    several = len(set(files)) > 1
    head = [_word(key) for key in ("class", *(["file"] if several else []), "row", "p_t")]
    body = []
    for r in rows[:MOST_ROWS]:
        file = [escape(files[r.file])] if several else []
        body.append([escape(names[r.class_index]), *file, f"{r.row:,}", p_text(r.p_t)])
    note = both(lambda language: WORDS[language]["hardest_note"], "p")
    return _section("hardest", f'<div class="soft">{note}</div>{table(head, body)}')
