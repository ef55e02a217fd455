"""``focalkit predict``: decisions of a saved model for the rows of a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from focalkit._core import contracts
from focalkit.cli.options import (
    STDOUT,
    OneLine,
    check_places,
    language_option,
    place_option,
    reading_options,
    write_out,
)


@click.command(cls=OneLine)
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("file")
@click.option("--trust", is_flag=True, help="Load the model, which runs the code of whoever wrote it.")
@place_option("--out", "out_file", "Write the decisions to this CSV file; default: standard output.")
@click.option("--cost-column", metavar="NAME", help="Column of what missing each case costs, where MODEL goes by that.")
@reading_options
@language_option
def predict(
    model: Path, file: str, trust: bool, cost_column: str | None, out_file: Path | None, language: str, **reading: Any
) -> None:
    """Decide the rows of FILE by MODEL, which focalkit tune --save wrote.

    FILE needs the columns that MODEL was trained on, by name; it needs no target. The answer is a CSV of one line a
    row: the decision, and the probability of each class.
    """
    from focalkit.decisions import CaseCost
    from focalkit.io.encoding import Encoding
    from focalkit.tuning.imported import from_file
    from focalkit.tuning.multilabel import LabelRemedies
    from focalkit.tuning.remedy import TableEncoder

    check_places(out_file)
    if reading["drop"]:
        contracts.reject("--drop", "be left out", list(reading["drop"]), "MODEL takes the columns that it knows.")
    loaded = from_file(str(model), trust)
    steps = getattr(loaded, "steps", [(None, None)])
    if not isinstance(steps[0][1], TableEncoder):
        remedy = "Save one by focalkit tune FILE --save model.joblib."
        contracts.reject("MODEL", "be one that focalkit tune saved", contracts.Words(type(loaded).__name__), remedy)
    options = {name: value for name, value in reading.items() if name != "drop" and value is not None}
    rows = steps[0][1].read(file, **options)
    classifier = steps[-1][1]
    several = isinstance(classifier, LabelRemedies)
    costs = {}
    if cost_column is None and isinstance(getattr(classifier, "goal", None), CaseCost):
        contracts.reject("--cost-column", "name the column of what missing each case costs", None, "MODEL goes by it.")
    if cost_column is not None:
        if several:
            got = contracts.Words(f"{cost_column} beside a model of {len(classifier.labels)} labels")
            contracts.reject("--cost-column", "be left out for several labels", got, "It goes with one target.")
        costs = {"costs": Encoding((cost_column,)).matrix(file, **options)[:, 0]}
    decisions, p = np.asarray(classifier.predict(rows, **costs)), classifier.predict_proba(rows)
    if several:
        head = [f"{what}_{label}" for what in ("decision", "p") for label in classifier.labels]
    else:
        head = ["decision", *(f"p_{label}" for label in classifier.classes_)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for decision, row in zip(decisions.reshape(len(p), -1).tolist(), p.tolist(), strict=True):
        writer.writerow([*decision, *(f"{value:.6g}" for value in row)])
    if write_out(out_file or Path(STDOUT), stream.getvalue()):
        from focalkit.report.messages import word

        click.echo(word("file.decisions", language, path=out_file))
