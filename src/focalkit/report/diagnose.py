"""What the report on a diagnosis consists of, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focalkit._core.message import Finding
from focalkit._core.spec import PerClass
from focalkit._metrics import MERITS
from focalkit.diagnosis.advice import MOST_GAMMA
from focalkit.diagnosis.curves import GAMMAS
from focalkit.diagnosis.remedies import METRICS, Remedies, Remedy, Score
from focalkit.diagnosis.result import Diagnosis
from focalkit.diagnosis.shares import Shares
from focalkit.report import format as write
from focalkit.report.sections import Column, Lines, Part, Section, Table, Text, message

#: Classes in a table, where nothing else is asked for.
TOP = 20

SHOW_ALL = 1000


def sections(found: Diagnosis, top: int = TOP) -> list[Section]:
    """All that is said of ``found``, in the order of the terminal; ``top`` classes in each table."""
    several = len(found.ledger.class_names) > 1
    out: list[Section] = [Section("where", "", [where(found, top)], page=False)]
    if found.ledger.n_samples:
        out.append(Section("easy", "", [easy(found, top), gammas(found)], page=False))
        out += [Section("start", "", [start(found, top)], page=False)] if several else []
    out.append(Section("findings", message("section.findings"), [Lines(found.findings)], page=False))
    if found.changes is not None and found.before is not None:
        source = message("source.against", source=found.before.source)
        parts: list[Part] = [
            changed(found, top),
            Lines([source], bullets=False, soft=True),
            Lines(found.change_findings),
        ]
        out.append(Section("changes", message("section.changes"), parts))
    if found.remedies is not None:
        out.append(remedies(found, top))
    if found.hardest:
        out.append(hardest(found, top))
    return out


def _shown(plain: Shares, focal: Shares, top: int) -> list[int]:
    """Rows of a table: of many those with most of the gradient."""
    n = len(plain.class_names)
    if n <= top:
        return list(range(n))
    size = np.maximum(plain.grad.share, focal.grad.share_alpha)
    return sorted(np.argsort(-size, kind="stable")[:top].tolist())


def where(found: Diagnosis, top: int) -> Table:
    """One row per class: samples, and shares of loss and gradient before alpha, after alpha, after focal."""
    plain, focal, weighted = found.plain, found.focal, found.weighted
    columns = [Column(message("head.class"), figure=False), Column(message("head.samples"), drop=3)]
    columns += [Column(message("head.alpha"), drop=5)] if weighted else []
    # what is dropped first where it is narrow: α, the middle stage, then the loss
    stages = [("CE", 1), ("α·CE", 4), ("α·FL", 0)] if weighted else [("CE", 1), ("FL", 0)]
    for group, less in (("head.loss_of", 2), ("head.grad_of", 0)):
        columns += [Column(message(group, stage=stage), drop=drop and drop + less) for stage, drop in stages[:-1]]
        columns.append(Column(message(group, stage=stages[-1][0]), drop=less))
    rows = []
    for k in _shown(plain, focal, top):
        cells: list[Text] = [plain.class_names[k], write.count(plain.count[k])]
        cells += [write.number(plain.alpha[k])] if weighted else []
        for before, after in ((plain.loss, focal.loss), (plain.grad, focal.grad)):
            cells.append(write.points(before.share[k]))
            cells += [write.points(before.share_alpha[k])] if weighted else []
            cells.append(write.points(after.share_alpha[k]))
        rows.append(cells)
    alpha = found.ledger.spec.alpha if found.alpha is None else found.alpha
    key: list[Text] = []
    if len(plain.class_names) > top:
        key.append(message("key.top", top=top, n=len(plain.class_names)))
    key.append(message("key.where_weighted" if weighted else "key.where"))
    key.append(message("key.error", worst=f"{100 * _worst_error(plain, focal):.1g}"))
    return Table(columns, rows, message("section.where", alpha=alpha, gamma=found.gamma), key)


def _worst_error(*of: Shares) -> float:
    errors = [
        e for shares in of for part in (shares.loss, shares.grad) for e in (part.share_error, part.share_alpha_error)
    ]
    return float(max(error.max() for error in errors))


def easy(found: Diagnosis, top: int) -> Table:
    """One row per class: how many of its samples are easy, and what part of its own loss they carry; alpha cancels."""
    plain, focal = found.plain, found.focal
    columns = [Column(message("head.class"), figure=False)]
    columns += [Column(message("head.easy_samples")), Column(message("head.very_easy_samples"), drop=1)]
    for stage, drop in (("CE", 1), (write.focal_name(found.gamma), 0)):
        columns.append(Column(message("head.easy_loss", stage=stage), drop=drop))
        columns.append(Column(message("head.very_easy_loss", stage=stage), drop=2))
    values = (
        *(plain.easy_samples, plain.very_easy_samples, plain.loss.easy, plain.loss.very_easy),
        *(focal.loss.easy, focal.loss.very_easy),
    )
    rows = []
    for k in _shown(plain, focal, top):
        here = plain.weight[k] > 0
        rows.append([plain.class_names[k], *(write.points(v[k]) if here else write.NONE for v in values)])
    return Table(columns, rows, message("section.easy"))


def gammas(found: Diagnosis, values: Sequence[float] = GAMMAS) -> Table:
    """One row per gamma: what easy samples and the rarest class get, from the same pass over the data."""
    rare = found.rarest
    columns = [Column(message("head.gamma"))]
    heads = ("head.loss_easy", "head.loss_very_easy", "head.grad_easy", "head.grad_very_easy")
    columns += [Column(message(head), drop=drop) for head, drop in zip(heads, (0, 2, 1, 2), strict=True)]
    columns.append(Column(message("head.grad_rare", name=found.ledger.class_names[rare])))
    columns.append(Column(message("head.half"), drop=1))
    rows = []
    for gamma in values:
        s = found.shares(gamma)
        easy_parts = (
            *(s.loss.easy_overall_alpha, s.loss.very_easy_overall_alpha),
            *(s.grad.easy_overall_alpha, s.grad.very_easy_overall_alpha),
        )
        half = float(found.ledger.cumulative(gamma, by="all").hardest(0.5)[0])
        cells = [write.points(value) for value in (*easy_parts, float(s.grad.share_alpha[rare]), half)]
        rows.append([write.number(gamma), *cells])
    return Table(columns, rows, message("section.gammas"), [message("key.gammas")])


def start(found: Diagnosis, top: int) -> Table:
    """One row per class: the weights, or the gammas, that would equalise the gradient."""
    point, plain, now = found.start, found.plain, found.focal
    per_column = len(point.gamma) < len(plain.class_names)
    alone = len(point.gamma) > 1
    columns = [Column(message("head.class"), figure=False), Column(message("head.gradient", stage="CE"), drop=1)]
    columns.append(Column(message("head.gradient", stage=write.focal_name(found.gamma)), drop=2))
    columns.append(Column(message("head.equalising_alpha", gamma=found.gamma)))
    columns += [Column(message("head.equalising_gamma"))] if alone else []
    rows = []
    for k in _shown(plain, now, top):
        owner, here = (k // 2 if per_column else k), plain.weight[k] > 0
        reached = point.reached[owner]
        by_gamma: Text = write.number(point.gamma[owner]) if reached else message("cell.over", most=f"{MOST_GAMMA:g}")
        cells: list[Text] = [plain.class_names[k], write.points(plain.grad.share[k]), write.points(now.grad.share[k])]
        cells.append(write.number(point.alpha[k]) if here else write.NONE)
        cells += [by_gamma if here else write.NONE] if alone else []
        rows.append(cells)
    if found.ledger.spec.link == "softmax":
        key = message("key.start_softmax", most=f"{MOST_GAMMA:g}")
    else:
        key = message("key.start_sigmoid", gamma=message("key.start_columns") if alone else "")
    return Table(columns, rows, message("section.start"), [key])


def changed(found: Diagnosis, top: int) -> Table:
    """Before and now, per class; those that changed most first where there are many."""
    changes = found.changes
    assert changes is not None
    columns = [Column(message("head.class"), figure=False), Column(message("head.samples"), drop=2)]
    columns += [Column(message("head.mean_loss"), drop=1), Column(message("head.gradient_share"))]
    columns.append(Column(message("head.easy_share"), drop=3))
    n = len(changes.class_names)
    moved = np.abs(changes.grad_share[1] - changes.grad_share[0])
    shown = range(n) if n <= top else sorted(np.argsort(-moved, kind="stable")[:top].tolist())
    rows = []
    for k in shown:
        pairs = (
            [write.count(side[k]) for side in changes.count],
            [write.number(side[k]) for side in changes.mean_loss],
            [write.points(side[k]) for side in changes.grad_share],
            [write.points(side[k]) for side in changes.easy_samples],
        )
        rows.append([changes.class_names[k], *(" → ".join(pair) for pair in pairs)])
    return Table(columns, rows)


def hardest(found: Diagnosis, top: int, *, repeat: bool = False) -> Section:
    """The rows with the largest loss of each class, numbered as the file numbers them; ``repeat`` its name in each."""
    several = len(set(found.files)) > 1
    columns = [Column(message("head.class"), figure=False)]
    columns += [Column(message("head.file"), figure=False)] if several else []
    columns += [Column(message("head.row")), Column(message("head.p_t")), Column(message("head.loss"), drop=1)]
    rows, names = [], found.ledger.class_names
    shown = sorted({row.class_index for row in found.hardest})[:top]
    last = -1
    for row in found.hardest:
        if row.class_index in shown:
            cells = [names[row.class_index] if repeat or row.class_index != last else ""]
            cells += [found.files[row.file]] if several else []
            rows.append([*cells, write.count(row.row), write.probability(row.p_t), f"{np.logaddexp(0, -row.m):.2f}"])
            last = row.class_index
    return Section("hardest", message("section.hardest"), [Table(columns, rows)], page=False)


# --- post-hoc corrections


def remedies(found: Diagnosis, top: int) -> Section:
    """What each correction scores, per class too, and what that comes to."""
    free = found.remedies
    assert free is not None
    columns = [Column(message("head.predictions"), figure=False)]
    for drop, metric in enumerate(METRICS):
        # of the largest probability, where tune's calibration error is of every class's
        name = "expected_calibration_error" if metric == "calibration_error" else metric
        columns.append(
            Column(message("metric.up" if MERITS[name].larger_is_better else "metric.down", metric=name), drop=drop)
        )
    rows: list[Sequence[Text]] = [[_name(way), *(_figure(way.scores[m], m) for m in METRICS)] for way in free.found]
    parts: list[Table | Lines] = [Table(columns, rows)]
    heads = accuracy_heads(free)
    if len(heads) > 1:
        names = found.ledger.class_names
        moved = np.nan_to_num(np.abs(free.named("shifted").recall - free.found[0].recall))
        n = len(names)
        shown = range(n) if n <= top else sorted(np.argsort(-moved, kind="stable")[:top].tolist())
        table = accuracy(free)
        columns = [Column(message("head.class"), figure=False), *(Column(head) for head in heads)]
        parts.append(Table(columns, [[names[k], *table[k]] for k in shown], message("section.accuracy")))
    parts.append(Lines(found.remedy_findings))
    what = message("remedy.rows" if free.link == "softmax" else "remedy.targets")
    how = message("remedy.how_time" if free.in_time else "remedy.how", n=free.n_entries, what=what, seen=free.n_seen)
    parts.append(Lines([how], bullets=False, soft=True))
    return Section("remedies", message("section.remedies"), parts)


def accuracy_heads(free: Remedies) -> list[Text]:
    """Columns of :func:`accuracy`."""
    heads: list[Text] = [_name(way) for way in _deciding(free)]
    if free.link == "sigmoid" and free.named("shifted").setting:
        heads.append(message("head.threshold"))
    return heads


def accuracy(free: Remedies) -> list[list[str]]:
    """Accuracy of each row of the ledger under every remedy that changes decisions, and the threshold of a column."""
    ways = _deciding(free)
    rows = [[write.fixed(100 * way.recall[k], 1) for way in ways] for k in range(len(free.prior))]
    tau = free.named("shifted").setting
    if free.link == "sigmoid" and tau:
        # p / (1 - p) > (prior / (1 - prior))^tau
        with np.errstate(divide="ignore"):
            odds = (free.prior[1::2] / free.prior[::2]) ** tau
        for k, row in enumerate(rows):
            row.append(write.number(float(odds[k // 2] / (1 + odds[k // 2]))) if k % 2 else "")
    return rows


def _deciding(free: Remedies) -> list[Remedy]:
    """Temperature changes no decision; recovery does where there is an alpha, or a gamma per class."""
    plain = free.found[0].recall
    others = [way for way in free.found[1:] if not np.array_equal(way.recall, plain, equal_nan=True)]
    return [free.found[0], *others]


def _name(way: Remedy) -> Text:
    return message(f"remedy.{way.name}", **({} if way.setting is None else {"setting": way.setting}))


def _figure(score: Score, metric: str) -> str:
    merit = MERITS[metric]
    return write.score(score.value, score.error, merit.judges if merit.in_points else "probabilities")


def findings(found: Diagnosis) -> tuple[Finding, ...]:
    """Every finding of ``found``."""
    return (*found.findings, *found.change_findings, *found.remedy_findings)


def gamma_of(gamma: PerClass) -> str:
    """What the loss of this gamma is called."""
    return write.focal_name(gamma)
