"""``focalkit decide``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from focalkit import report
from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Message
from focalkit.cli.goals import cost_goal, matrix_goal
from focalkit.cli.options import (
    SEED,
    OneLine,
    check_places,
    command_line,
    language_option,
    number,
    one_or_more,
    parts,
    place_option,
    reading_options,
    to_stdout,
    write_out,
)
from focalkit.decisions.goals import SHARE, Abstain, CaseCost, Constraint, Cost, CostMatrix, Goal, Maximize
from focalkit.report.messages import say, word

GOAL_FLAGS = "--cost, --costs, --cost-column, --metric, --fbeta, --precision, --recall, --fpr, --alerts, --abstain"


@click.command(cls=OneLine)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--cost", metavar="fn=100,fp=1", help="Costs of a missed positive and a false alarm; also tp=, tn=.")
@click.option("--costs", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="CSV of a cost matrix.")
@click.option("--cost-column", metavar="NAME", help="Column of what missing each case costs; with --cost fp=….")
@click.option("--metric", metavar="NAME", help="Raise a metric: f1, macro_f1, mcc, kappa, balanced_accuracy, ….")
@click.option("--fbeta", type=float, metavar="β", help="Raise F_β of the positives.")
@click.option("--precision", type=float, help="The highest recall at this precision.")
@click.option("--recall", type=float, help="The highest precision at this recall.")
@click.option("--fpr", type=float, help="The highest recall at this false positive rate.")
@click.option("--alerts", metavar="N/M", help="The highest recall with at most N alerts in M cases.")
@click.option("--abstain", type=float, metavar="SHARE", help="At most this share of the cases goes to a person.")
@click.option("--review-cost", type=float, metavar="COST", help="A person decides a case at this cost.")
@click.option("--prior", metavar="p,…", help="Class frequencies where the rule will be used (two classes: of the 2nd).")
@click.option("--prior-from", metavar="FILE", help="Predictions from there; the frequencies are estimated.")
@click.option("--learned", is_flag=True, help="Search the data instead of the closed form (goals of costs).")
@click.option(
    "--calibrate",
    type=click.Choice(["auto", "none", "temperature", "focal_temperature", "isotonic", "beta"]),
    default="auto",
    show_default=True,
    help="Calibrate the probabilities first; auto: where that helps.",
)
@click.option("--train-gamma", metavar="γ", help="γ of the loss the model was trained with: undone first.")
@click.option("--train-alpha", metavar="α,…", help="α of that loss: undone first.")
@click.option("--train-keep-hardest", type=float, metavar="SHARE", help="Share that hard example mining kept.")
@click.option("--sampling-rate", metavar="r,…", help="Share of each class that training kept: undone first.")
@click.option("--target", "targets", metavar="NAME_OR_INDEX", multiple=True, help="Column of the true class.")
@click.option("--logits", metavar="NAME", help="Columns of the predictions, as for diagnose.")
@click.option("--weight", metavar="NAME_OR_INDEX", help="Column of sample weights.")
@click.option("--group", metavar="NAME", help="Column of groups: their rows stay in one fold.")
@click.option("--classes", metavar="A,B,…", help="Names of the classes, in the order of the columns.")
@click.option(
    "--from", "kind", type=click.Choice(["auto", "probabilities", "logits"]), default="auto", show_default=True
)
@reading_options
@click.option(
    "--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds that figures are fitted over."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of folds and bootstrap.")
@place_option("--rule", "rule_file", "Write the rule as JSON to this file; -: to standard output.")
@place_option("--html", "html_file", "Write a page with a threshold slider to this file.")
@click.option("--sql", "sql", is_flag=True, help="Print the rule as an SQL expression.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Classes shown.")
@language_option
def decide(files: tuple[str, ...], **given: Any) -> None:
    """Turn the predictions in FILE into decisions at your costs, metric or bound, and say what that does.

    FILE is anything that diagnose reads: probabilities or logits of rows that the model was not trained on, with their
    true classes. Figures are per 1,000 cases, before (the largest probability decides) and after.
    """
    from focalkit.decisions.decide import decide as make
    from focalkit.decisions.files import read_predictions

    check_places(given["rule_file"], given["html_file"])
    with need("rich", "the report", "tune"):
        from focalkit.report.terminal.console import Terminal, forgiving
    forgiving(sys.stderr)
    more = tuple(name for name in (given["cost_column"], given["group"]) if name)
    keys = ("targets", "logits", "weight", "header", "delimiter", "decimal", "encoding")
    asked: dict[str, Any] = {key: given[key] for key in keys}
    asked |= {"drop": tuple(given["drop"]), "classes": tuple(parts(given["classes"])) if given["classes"] else ()}
    _one_goal(given)
    found = read_predictions(files, kind=given["kind"], more=more, **asked)
    language = given["language"]
    for alert in found.alerts:
        click.echo(word("warning", language, warning=say(alert, language)), err=True)
    new = None
    if given["prior_from"]:
        from focalkit.decisions.files import read_unlabelled

        new = read_unlabelled([given["prior_from"]], found, **asked)
    rule = make(
        found.probabilities,
        found.targets,
        _goal(given, found.classes),
        sample_weight=found.sample_weight,
        costs=_amounts(found.columns.get(given["cost_column"] or "")),
        classes=found.classes,
        groups=found.columns.get(given["group"] or ""),
        cv=given["folds"],
        learned=True if given["learned"] else None,
        gamma=one_or_more("train_gamma", given["train_gamma"]),
        alpha=one_or_more("train_alpha", given["train_alpha"]),
        keep_hardest=given["train_keep_hardest"],
        sampling_rate=one_or_more("sampling_rate", given["sampling_rate"]),
        calibrate=None if given["calibrate"] == "none" else given["calibrate"],
        prior=one_or_more("prior", given["prior"]),
        unlabelled=new,
        random_state=given["seed"],
    )
    source = Message("decide.source", name=found.name, n=len(found.targets), target=found.target)
    if given["rule_file"] is not None:
        write_out(given["rule_file"], rule.to_json())
    if given["html_file"] is not None:
        page = report.to_html(rule, language=language, source=source, command=command_line(click.get_current_context()))
        write_out(given["html_file"], page)
    if to_stdout(given["rule_file"], given["html_file"]):
        return
    from focalkit.report.decide import sections

    terminal = Terminal(language)
    terminal.line(f"focalkit decide · {say(source, terminal.language)}", "bold")
    terminal.show([section for section in sections(rule, given["top"]) if section.terminal])
    terminal.line()
    if given["sql"]:
        terminal.line(rule.to_sql())
    for key, place in (("file.rule", given["rule_file"]), ("file.page", given["html_file"])):
        if place is not None:
            terminal.word(key, path=place)


def _one_goal(given: dict[str, Any]) -> None:
    """Refuse goals that contradict each other, before anything is read."""
    flags = ("costs", "metric", "fbeta", "precision", "recall", "fpr", "alerts")
    words = contracts.Words
    named = [f"--{name}" for name in flags if given[name] is not None]
    if given["sql"] and to_stdout(given["rule_file"], given["html_file"]):
        contracts.reject(
            "--sql", "be left out", words("a file on standard output"), "Name a file, or ask for SQL alone."
        )
    doubt = [f"--{name.replace('_', '-')}" for name in ("abstain", "review_cost") if given[name] is not None]
    of_cost = [f"--{n.replace('_', '-')}" for n in ("cost", "cost_column") if given[n] is not None]
    if len(doubt) > 1:
        got = words(" and ".join(doubt))
        contracts.reject("goal", "hand cases over by a share or at a cost", got, "Drop one of the two.")
    goals = named + of_cost[:1]
    allowed = {"--cost", "--costs"} if doubt else set(goals)
    if len(goals) > 1 or not set(goals) <= allowed or (doubt and "--cost-column" in of_cost):
        contracts.reject("goal", "be one", words(" and ".join([*goals, *doubt])), "Drop the others.")
    if not goals and not doubt:
        contracts.reject("goal", f"be given by one of {GOAL_FLAGS}", None, "E.g. --cost fn=100,fp=1")
    if given["prior"] is not None and given["prior_from"] is not None:
        contracts.reject("prior", "be given or estimated, not both", contracts.Words("both"), "Drop one of the two.")


def _goal(given: dict[str, Any], classes: Any) -> Goal:
    cost: Cost | CaseCost | CostMatrix | None = cost_goal(given["cost"], per_case=given["cost_column"] is not None)
    if given["costs"] is not None:
        cost = matrix_goal(given["costs"], classes)
    if given["abstain"] is not None:
        contracts.number("abstain", given["abstain"], SHARE, "E.g. 0.1 for at most a tenth of the cases.")
    if given["fbeta"] is not None:
        contracts.number("fbeta", given["fbeta"], contracts.POSITIVE, "1 is F1; 2 counts recall twice.")
    if given["abstain"] is not None or given["review_cost"] is not None:
        assert not isinstance(cost, CaseCost)  # _one_goal has refused it
        return Abstain(given["review_cost"], given["abstain"], cost)
    if cost is not None:
        return cost
    if given["metric"] is not None:
        return Maximize(given["metric"])
    if given["fbeta"] is not None:
        return Maximize("f_beta", given["fbeta"])
    if given["alerts"] is not None:
        return Constraint("alerts", _share(given["alerts"]))
    for flag, kind in (("precision", "precision"), ("recall", "recall"), ("fpr", "false_positive_rate")):
        if given[flag] is not None:
            return Constraint(kind, given[flag])
    raise AssertionError


def _share(text: str) -> float:
    top, slash, below = text.partition("/")
    if not slash:
        return number("alerts", text)
    try:
        n, m = float(top), float(below)
    except ValueError:
        n = m = np.nan
    if not 0 < n < m:
        contracts.reject("alerts", "be N/M with 0 < N < M", text, "E.g. --alerts 100/10000")
    return n / m


def _amounts(column: Any) -> Any:
    if column is None:
        return None
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError):
        contracts.reject(
            "cost column", "hold numbers", contracts.Words(f"dtype {column.dtype}"), "What missing each case costs."
        )
