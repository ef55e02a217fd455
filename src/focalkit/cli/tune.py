"""``focalkit tune``: from an imbalanced table to a proven choice of loss."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.cli.options import (
    READING,
    SEED,
    STDOUT,
    Jobs,
    OneLine,
    Progress,
    announced,
    check_places,
    command_line,
    language_option,
    no_file_options,
    number,
    parts,
    place_option,
    reading_options,
    to_stdout,
    write_out,
)
from focalkit.cli.problem import ESTIMATORS
from focalkit.report.messages import say
from focalkit.weights import Scheme, parse_alpha

#: Named here, so that --help needs no scikit-learn; a test holds them equal to the tables'.
NAMES = ("balanced_accuracy", "macro_f1", "mcc", "average_precision", "log_loss", "calibration_error")
RIVALS = ("logit-adjusted", "undersample", "oversample", "smote", "bagging", "self-paced")
HEADS = ("crt", "tau-normalised", "lws", "cosine")
DEMOS = ("rare-digit", "long-tail")


@click.command(cls=OneLine)
@click.argument("file", required=False)
@click.option(
    "--demo",
    type=click.Choice(DEMOS),
    default=DEMOS[0],
    show_default=True,
    help="Without FILE: a table where a remedy clearly wins, or one where plain cross-entropy is about as good.",
)
@click.option(
    "--target",
    metavar="NAME_OR_INDEX",
    help="Column to predict: its name, or its position from 0 (-1: the last); default: one called target, label, class "
    "or y, otherwise the last.",
)
@reading_options
@click.option(
    "--keep",
    "kept",
    metavar="NAME_OR_INDEX",
    multiple=True,
    help="A column to keep though it looks like an index or id.",
)
@click.option("--groups", metavar="NAME_OR_INDEX", help="Rows with equal values of this column stay in one fold.")
@click.option(
    "--weights",
    "--weight",
    "weights",
    metavar="NAME_OR_INDEX",
    help="Column of sample weights, in training and figures.",
)
@click.option("--time", metavar="NAME_OR_INDEX", help="Train on the past: folds follow each other in this column.")
@click.option(
    "--missing", metavar="WORD", multiple=True, help="A label that means that there is none; default: found out."
)
@click.option("--no-missing", is_flag=True, help="Every word of the target is a class, also NA, None and null.")
@click.option("--skip-damaged", is_flag=True, help="Leave out lines of a text that cannot be read, and say how many.")
@click.option(
    "--metric",
    help=f"What the verdict's headline goes by: {', '.join(NAMES)} [default: balanced_accuracy]; "
    "accuracy, g_mean, kappa, youden, macro_f_beta:B; of two classes also f1, f2, f_beta:B, cost:MISS:FALSE_ALARM, "
    "precision:P, recall:R, false_positive_rate:F, alerts:A; a scorer of scikit-learn, e.g. roc_auc; a function "
    "of your own, my_module.profit(y_true, y_pred).",
)
@click.option(
    "--cost", metavar="fn=100,fp=1", help="Go by costs: of a missed positive and a false alarm; also tp=, tn=."
)
@click.option("--costs", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="CSV of a cost matrix.")
@click.option("--cost-column", metavar="NAME", help="Column of what missing each case costs; with --cost fp=….")
@click.option(
    "--positive",
    metavar="CLASS",
    help="Of two classes, the one that a miss, an alarm, precision, recall and F1 are of; default: of numbers the "
    "larger, of texts the rarer.",
)
@click.option(
    "--worth",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the metric that a retraining must promise to be recommended.",
)
@click.option("--proof", is_flag=True, help="Recommend only what was shown to be better at the 5 % level.")
@click.option(
    "--gamma", "gammas", default="0,0.1,0.2,0.5,1,2,5", show_default=True, help="γ to try, separated by commas."
)
@click.option(
    "--alpha",
    "alphas",
    default="none,power:0.25,power:0.5,power:0.75,power:1",
    show_default=True,
    help="Class weights to try: none, balanced, sqrt, median, effective:β, power:β (n^-β); "
    "for two classes also the weight in (0, 1) of the second class.",
)
@click.option(
    "--keep-hardest",
    "keep",
    default="0.5,0.25,0.1",
    show_default=True,
    help="OHEM: fractions or counts to keep; none for no OHEM.",
)
@click.option(
    "--rivals",
    default="none",
    show_default=True,
    help=f"What else is tried: {', '.join(RIVALS)} (smote needs imbalanced-learn); all. "
    f"On features of a network, other heads: {', '.join(HEADS)}; heads.",
)
@click.option(
    "--estimator",
    "name",
    default="linear",
    show_default=True,
    help=f"What is trained: {', '.join(ESTIMATORS)}; a class of classifiers with literal arguments, e.g. "
    "'sklearn.ensemble.RandomForestClassifier(n_estimators=300)'; or a saved model, model.joblib, with --trust.",
)
@click.option("--trust", is_flag=True, help="Load a saved model, which runs the code of whoever wrote it.")
@click.option(
    "--predictions",
    is_flag=True,
    help="FILE holds out-of-fold predictions and true classes, as for decide; what needs no training is compared.",
)
@click.option(
    "--trials",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Draws beyond the grid: n^-β, γ and the estimator's own parameters.",
)
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--every-cell",
    is_flag=True,
    help="Score every α and γ in every repeat. Otherwise those of boosters, and of others with γ, go on after "
    "the first repeat only where they may still win.",
)
@click.option(
    "-C", "strength", type=float, default=1.0, show_default=True, help="Linear: inverse strength of the L2 penalty."
)
@click.option("--jobs", type=Jobs(), default=-1, show_default=True, help="Processes; -1: one per core.")
@click.option("--dask", metavar="ADDRESS", help="Train on a Dask cluster: tcp://HOST:PORT, or local.")
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what is finished in this file; the same command goes on from it, also in a second process at once.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@place_option("--json", "json_file", "Write every figure to this file; -: to standard output.")
@place_option("--html", "html_file", "Write one self-contained page to this file.")
@place_option("--script", "script_file", "Write the Python that does it to this file.")
@place_option("--card", "card_file", "Write a model card (Markdown) to this file.")
@click.option(
    "--save",
    "model_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Train the recommendation on all rows and save it to this file (.joblib), for focalkit predict.",
)
@language_option
@click.option("--verbose", is_flag=True, help="Every table, not the four lines alone.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def tune(
    file: str | None,
    demo: str,
    target: str | None,
    header: bool | None,
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    drop: tuple[str, ...],
    kept: tuple[str, ...],
    groups: str | None,
    weights: str | None,
    time: str | None,
    missing: tuple[str, ...],
    no_missing: bool,
    skip_damaged: bool,
    metric: str | None,
    cost: str | None,
    costs: Path | None,
    cost_column: str | None,
    positive: str | None,
    worth: float,
    proof: bool,
    gammas: str,
    alphas: str,
    keep: str,
    rivals: str,
    name: str,
    trust: bool,
    predictions: bool,
    trials: int,
    folds: int,
    repeats: int,
    every_cell: bool,
    strength: float,
    jobs: int,
    dask: str | None,
    journal: Path | None,
    seed: int,
    json_file: Path | None,
    html_file: Path | None,
    script_file: Path | None,
    card_file: Path | None,
    model_file: Path | None,
    language: str,
    verbose: bool,
    quiet: bool,
) -> None:
    """Find out which α and γ help on the table FILE, and whether anything does.

    FILE is CSV, Parquet, Arrow, JSON, ARFF or Excel, compressed or not, a folder or glob of such, or a URL.
    Without FILE it runs on an embedded data set (scikit-learn's digits: one digit against the others, coarse).
    """
    with need("rich", "the report", "tune"):
        from focalkit.report.terminal.console import Terminal, forgiving
    from focalkit import report
    from focalkit.cli.goals import metric_asked
    from focalkit.cli.problem import from_predictions, from_table, save
    from focalkit.tuning.search import tune as run
    from focalkit.tuning.verdict import check_worth, judge_all

    forgiving(sys.stderr)
    check_worth(worth)
    check_places(json_file, html_file, script_file, card_file, model_file, journal)
    context = click.get_current_context()
    if no_missing and missing:
        contracts.reject("missing", "go without --no-missing", list(missing), "Give one of the two.")
    words = () if no_missing else missing or None
    roles: dict[str, Any] = {
        "target": target,
        "groups": groups,
        "weights": weights,
        "time": time,
        "keep": kept,
        "missing": words,
    }
    roles |= {"skip_damaged": skip_damaged, "costs": cost_column}
    text = {"header": header, "delimiter": delimiter, "decimal": decimal, "encoding": encoding, "drop": drop}
    if file is None:
        no_file_options(
            context,
            (
                "target",
                *READING,
                "kept",
                "groups",
                "weights",
                "time",
                "missing",
                "no_missing",
                "skip_damaged",
                "cost_column",
            ),
        )
    options: dict[str, Any] = dict(
        alphas=[_alpha(part) for part in parts(alphas)],
        gammas=[number("--gamma", part) for part in parts(gammas)],
        keep_hardest=[] if keep.strip() == "none" else [_fraction(part) for part in parts(keep)],
        rivals={"none": (), "all": "all"}.get(rivals.strip(), parts(rivals)),
        metric=metric_asked(metric, cost, costs, cost_column),
        positive=positive,
        n_splits=folds,
        n_repeats=repeats,
        every_cell=every_cell,
        seed=seed,
        n_trials=trials,
        n_jobs=jobs,
        dask=dask,
        journal=journal,
    )
    if target is not None and any(sign in target for sign in "*?") and file is not None:
        if predictions:
            contracts.reject("target", "be one column with --predictions", target, "Judge label by label.")
        from focalkit.cli.labels import show_labels

        places = {
            "json": json_file, "html": html_file, "script": script_file, "card": card_file, "model": model_file,
        }  # fmt: skip
        rule = {"worth": worth, "proof": proof}
        asked = (file, target, {**roles, **text}, (name, strength, trust), options, rule, language)
        if not show_labels(*asked, places, command_line(context), verbose=verbose, quiet=quiet):
            context.exit(130)
        return
    if predictions and cost_column is not None:
        contracts.reject("cost-column", "be left out with --predictions", cost_column, "Use focalkit decide.")
    if predictions:
        problem = from_predictions(file, target, text)
    else:
        problem = from_table(file, {**roles, **text}, name, strength, trust, demo)
    if costs is not None:
        options["metric"] = problem.matrix_goal(costs)
    elif positive is None and problem.classes is not None and len(problem.classes) == 2:
        options["positive"] = problem.classes[1]
    source, notes = problem.source, problem.notes
    if to_stdout(model_file):
        contracts.reject("save", "be a file", STDOUT, "A model is no text: --save model.joblib")
    if model_file is not None and predictions:
        contracts.reject("save", "be left out with --predictions", model_file, "There is no model to train.")
    shown = not to_stdout(json_file, html_file, script_file, card_file)
    terminal = Terminal(language)
    announced(terminal, say(source, terminal.language), notes, shown=shown, language=language)
    with Progress("progress.tune", language, quiet) as bar:
        result = run(
            problem.estimator,
            problem.X,
            problem.y,
            **options,
            progress=bar.of_run,
            **problem.folding,
        )
    result = replace(result, origin=problem.origin)
    # what tells of the result is loaded when there is one
    from focalkit.report.tune import sections

    verdicts = judge_all(result, worth=worth, proof=proof)
    # what was asked for is on disk before anything is said about it
    if json_file is not None:
        from focalkit.report.export import as_json

        write_out(json_file, as_json(result, verdicts, source, notes))
    if script_file is not None:
        from focalkit.report.snippet import code

        write_out(script_file, code(result, verdicts[0]) + "\n")
    if card_file is not None:
        from focalkit.report.card import model_card

        write_out(card_file, model_card(result, verdicts, source, notes, command_line(context)))
    if model_file is not None:
        save(problem, result, verdicts[0], model_file)
    if html_file is not None:
        about: dict[str, Any] = {"source": source, "notes": notes, "command": command_line(context)}
        write_out(html_file, report.to_html(verdicts[0], language=language, **about))
    if shown:
        terminal.line()
        terminal.show(sections(result, verdicts, verbose=verbose))
        terminal.line()
        for key, place in (
            ("file.figures", json_file),
            ("file.page", html_file),
            ("file.script", script_file),
            ("file.card", card_file),
            ("file.model", model_file),
        ):
            if place is not None:
                terminal.word(key, path=place)
    if not result.finished:
        context.exit(130)


def _alpha(text: str) -> Any:
    """One of the alphas to try, as the grid has it."""
    read = parse_alpha(text)
    return text if isinstance(read, Scheme) else read


def _fraction(text: str) -> float | int:
    value = number("--keep-hardest", text)
    return int(value) if value > 1 and value.is_integer() else value
