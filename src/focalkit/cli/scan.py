"""From the words of a command to ledgers: files, saved ledgers, progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Sentence
from focalkit._core.spec import LossSpec, PerClass

#: Logits in the sample for remedies: bounds its memory where classes are many.
MOST_SAMPLED = 1 << 22


@dataclass
class Diagnosed:
    """What a set of files came to; ``hardest`` and ``sample`` only where predictions were read."""

    ledger: Any
    source: str
    warnings: list[str] = field(default_factory=list)
    hardest: Any = None
    sample: Any = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class How:
    """Options of a pass."""

    asked: Any
    gamma: PerClass = 2.0
    hardest: int = 0
    sample: int = 0
    leave_out: bool = False
    dask: str | None = None
    jobs: int | None = None
    quiet: bool = False


def diagnosed(words: Sequence[str], how: How) -> Diagnosed:
    """Read prediction files, or add up saved ledgers (.json)."""
    saved = [word for word in words if word.lower().endswith(".json")]
    if saved and len(saved) < len(words):
        contracts.reject("FILE", "be all ledgers (.json) or all predictions", list(words), "Diagnose them apart.")
    if saved and how.hardest:
        contracts.reject("hardest", "be asked of predictions", "a saved ledger, which has no rows", "Leave it out.")
    return _loaded(saved) if saved else _read(words, how)


def _loaded(words: Sequence[str]) -> Diagnosed:
    from focalkit.diagnosis import Ledger

    total = None
    for word in words:
        try:
            text = Path(word).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            contracts.reject("FILE", "be a saved ledger", word, "Write one by --json.")
        ledger = Ledger.from_json(text)
        total = ledger if total is None else total + ledger
    assert total is not None
    name = Path(words[0]).name
    if len(words) > 1:
        name = Sentence("{n} ledgers from {name} on", n=len(words), name=name)
    return Diagnosed(total, Sentence("{name}: {size}", name=name, size=_size(total)))


def _read(words: Sequence[str], how: How) -> Diagnosed:
    from focalkit.diagnosis import scan
    from focalkit.io import predictions as reading

    opened = reading.open_predictions(words, how.asked, leave_out=how.leave_out)
    names = opened.class_names if opened.n_classes > 1 else None
    spec = LossSpec(opened.link, gamma=how.gamma)
    sample = _sampled(how.sample, opened.link, opened.n_classes)
    job = scan.Job(spec, opened.n_classes, names, how.hardest, sample, how.leave_out)
    with Bar(scan.total_cost(opened), how.quiet) as bar:
        if how.dask is not None:
            found = scan.scan_dask(opened, job, how.dask, progress=bar.update)
        else:
            found = scan.scan(opened, job, workers=how.jobs, progress=bar.update)
    files = {piece.index: piece.file.name for piece in opened.pieces}
    size = _size(found.ledger)
    source = Sentence("{name}: {size}, target {target}", name=opened.name, size=size, target=opened.target)
    listed = tuple(files.get(i, "") for i in range(max(files) + 1))
    return Diagnosed(found.ledger, source, found.said, found.hardest, found.sample, listed)


def _sampled(rows: int, link: str, n_classes: int) -> int:
    """Entries of the sample: rows of all logits, or of each independent column single logits."""
    if link == "softmax":
        return min(rows, MOST_SAMPLED // n_classes)
    return min(rows * n_classes, MOST_SAMPLED // 32)


def _size(ledger: Any) -> Sentence:
    form = "{n:,} targets{ignored}, {classes} classes (softmax)"
    if ledger.spec.link == "sigmoid":
        form = "{n:,} targets{ignored}, {classes} independent column(s) (sigmoid)"
    ignored = Sentence(", {n:,} ignored", n=ledger.n_ignored) if ledger.n_ignored else ""
    return Sentence(form, n=ledger.n_samples, ignored=ignored, classes=ledger.n_classes)


def made_up(gamma: PerClass, sample: int) -> Diagnosed:
    """The demonstration without a file."""
    from focalkit.diagnosis import Ledger
    from focalkit.diagnosis.demo import NAMES, SEED, made_up_predictions
    from focalkit.diagnosis.sample import Sample
    from focalkit.io.convert import Predicted

    logits, ids = made_up_predictions()
    ledger = Ledger(LossSpec(gamma=gamma), len(NAMES), NAMES)
    ledger.update(logits, ids)
    some = Sample("softmax", len(NAMES), sample)
    some.offer(Predicted(logits, ids, None), 0, -100)
    form = "made-up predictions (seeded noise, seed {seed}; no model behind them): {n:,} rows, 5 classes"
    source = Sentence(form, seed=SEED, n=len(ids))
    return Diagnosed(ledger, source, sample=some)


class Bar:
    """Rows read so far, on the terminal's error stream; a share of all where the sizes are known."""

    def __init__(self, total: float, quiet: bool) -> None:
        with need("rich", "printing tables", "tune"):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        console = Console(stderr=True)
        columns = (TextColumn("reading"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn())
        self.rows, self.total = 0, total
        self.progress = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self.task = self.progress.add_task("reading", total=total or None, rows=0)

    def update(self, rows: int, share: float) -> None:
        """Take note of ``rows`` more."""
        self.rows += rows
        self.progress.update(self.task, advance=share if self.total else 0, rows=self.rows)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def columns_of(words: Sequence[str], classes: str | None, **fields: Any) -> Any:
    """The :class:`Asked` of a command's options."""
    from focalkit.io.columns import Asked

    names = tuple(part.strip() for part in classes.split(",")) if classes else ()
    return Asked(targets=tuple(words), classes=names, **fields)


def no_file_options(context: click.Context, names: Sequence[str]) -> None:
    """Options about files need a file."""
    given = [f"--{n}" for n in names if context.get_parameter_source(n) == click.core.ParameterSource.COMMANDLINE]
    if given:
        contracts.reject("FILE", f"be given with {', '.join(given)}", None, "focalkit diagnose FILE …")
