"""From the journal to results, and from results to the tables and figures of docs/evidence.md.

python study/analyse.py collect --journal study/journal            # writes study/results.parquet
python study/analyse.py table --outcome mcc --against ce+rule      # one table, as Markdown
python study/analyse.py all --out study/appendix.md                # every outcome against ce and ce+rule, and ranks
python study/analyse.py figure ranks --outcome macro_f1 --learner linear --out docs/images/evidence-ranks.svg
python study/analyse.py figure heterogeneity --outcome balanced_accuracy --out docs/images/evidence-imbalance.svg
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from study.outcomes import OUTCOMES
from study.run import PROCEDURES, finished
from study.statistics import Difference, Posterior, across_families, corrected, ranks, regression

RESULTS = Path(__file__).parent / "results.parquet"
ROPE = 0.5
FEWEST_FOLDS = 4
NAMES = [p.name for p in PROCEDURES]
#: Figures in points; costs in per cent of what the better constant decision costs.
COSTS = {"cost_equal": 0.0, "cost_imbalance": 1.0, "cost_ten": 10.0}


def collect(journal: Path, out: Path) -> None:
    """One row a unit, procedure and outcome; what ``out`` holds stays, units done again replace theirs."""
    rows = []
    for record in finished(journal).values():
        facts = {k: record[k] for k in ("learner", "table", "family", "repeat", "fold", "rows", "classes", "minority")}
        for procedure, values in record["values"].items():
            for outcome, value in values.items():
                chosen = record["chosen"][procedure][outcome].partition(" ")[0]
                point = _points(outcome, value, record)
                rows.append({**facts, "procedure": procedure, "outcome": outcome, "value": point, "chosen": chosen})
        if record["note"]:
            print(f"left out: {record['key']}: {record['note']}")
    frame = pl.DataFrame(rows).with_columns(pl.col("value").cast(pl.Float32))
    if out.exists():
        frame = pl.concat([pl.read_parquet(out), frame])
    where = ["learner", "table", "repeat", "fold", "procedure", "outcome"]
    frame = frame.unique(where, keep="last").sort(where)
    frame.write_parquet(out, compression="zstd", compression_level=19)
    print(f"{len(frame)} rows of {frame['table'].n_unique()} tables to {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _points(outcome: str, value: float, record: dict[str, Any]) -> float:
    """The figure in points, of which more is better: costs and losses change their sign."""
    if outcome in COSTS:
        n, least, most = record["rows"], record["minority"], record["majority"]
        missed = max(COSTS[outcome] * (n - least) / least, 1.0) if COSTS[outcome] else 1.0
        trivial = min((n - least) / n, (n - most - least + missed * least) / n)
        return -100 * value / trivial
    found = next(o for o in OUTCOMES if o.name == outcome)
    return found.scale * value * (1 if found.larger_is_better else -1)


def differences(frame: pl.DataFrame, outcome: str, procedure: str, against: str) -> dict[str, list[Difference]]:
    """Of each table its corrected mean difference, by family; tables with fewer than four folds so far are left out."""
    chosen = frame.filter(pl.col("outcome") == outcome)
    keys = ["family", "table", "repeat", "fold"]
    pairs = chosen.filter(pl.col("procedure") == procedure).join(
        chosen.filter(pl.col("procedure") == against), on=keys, suffix="_against"
    )
    by_family: dict[str, list[Difference]] = defaultdict(list)
    for (family, _), group in pairs.group_by(["family", "table"], maintain_order=True):
        d = (group["value"] - group["value_against"]).to_numpy().astype(np.float64)
        d = d[np.isfinite(d)]
        if len(d) >= FEWEST_FOLDS:
            by_family[str(family)].append(corrected(d, 1.0))
    return dict(by_family)


def compared(frame: pl.DataFrame, outcome: str, procedure: str, against: str) -> tuple[Posterior, int, int] | None:
    """The hierarchical test, and how many families and tables it saw."""
    found = differences(frame, outcome, procedure, against)
    if len(found) < 3:
        return None
    return across_families(found, ROPE), len(found), sum(map(len, found.values()))


def table(frame: pl.DataFrame, outcome: str, against: str) -> str:
    """Every procedure against one, for each learner, as Markdown."""
    lines = [
        "| learner | procedure | families (tables) | points [95 %] | P(worse) | P(equivalent) | P(better) |",
        "|---" * 7 + "|",
    ]
    for learner in frame["learner"].unique(maintain_order=True).sort():
        part = frame.filter(pl.col("learner") == learner)
        for procedure in NAMES:
            found = compared(part, outcome, procedure, against) if procedure != against else None
            if found is None:
                continue
            p, n_families, n_tables = found
            bold = "**" if max(p.worse, p.better) > 0.95 else ""
            lines.append(
                f"| {learner} | {procedure} | {n_families} ({n_tables}) | {bold}{p.mean:+.2f}{bold} "
                f"[{p.low:+.2f}, {p.high:+.2f}] | {p.worse:.2f} | {p.equivalent:.2f} | {p.better:.2f} |"
            )
    return "\n".join(lines)


def family_means(frame: pl.DataFrame, outcome: str) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Mean figure of every family and procedure; families that lack a procedure are left out."""
    means = (
        frame.filter((pl.col("outcome") == outcome) & pl.col("value").is_finite())
        .group_by("family", "table", "procedure")
        .agg(pl.col("value").mean())
        .group_by("family", "procedure")
        .agg(pl.col("value").mean())
        .pivot("procedure", index="family", values="value")
        .sort("family")
    )
    names = [n for n in NAMES if n in means.columns]
    means = means.drop_nulls(names)
    return means["family"].to_list(), names, means.select(names).to_numpy()


def ranking(frame: pl.DataFrame, outcome: str) -> str:
    """Mean ranks over families, and the critical difference."""
    lines = ["| learner | families | critical difference | mean ranks (1 is best) |", "|---|---|---|---|"]
    for learner in frame["learner"].unique(maintain_order=True).sort():
        families, names, values = family_means(frame.filter(pl.col("learner") == learner), outcome)
        if len(families) < 5:
            continue
        found = ranks(values)
        listed = ", ".join(f"{names[i]} {found.mean[i]:.2f}" for i in np.argsort(found.mean))
        lines.append(f"| {learner} | {len(families)} | {found.critical:.2f} | {listed} |")
    return "\n".join(lines)


def heterogeneity(frame: pl.DataFrame, outcome: str, procedure: str, against: str) -> str:
    """The difference over the families' imbalance, minority rows and how well plain training separates them."""
    lines = [
        "| learner | families | per s.d. of log imbalance | of log minority rows | of CE's AP |",
        "|---|---|---|---|---|",
    ]
    for learner in frame["learner"].unique(maintain_order=True).sort():
        part = frame.filter(pl.col("learner") == learner)
        found = differences(part, outcome, procedure, against)
        facts = (
            part.group_by("family", "table")
            .agg(pl.col("rows").first(), pl.col("minority").first())
            .group_by("family")
            .agg((pl.col("rows") / pl.col("minority")).log().mean().alias("imbalance"), pl.col("minority").log().mean())
        )
        ap = part.filter((pl.col("outcome") == "average_precision") & (pl.col("procedure") == "ce"))
        facts = facts.join(ap.group_by("family").agg(pl.col("value").mean().alias("ap")), on="family")
        rows = [r for r in facts.iter_rows(named=True) if r["family"] in found]
        if len(rows) < 10:
            continue
        y = np.array([np.mean([d.mean for d in found[r["family"]]]) for r in rows])
        columns = {c: np.array([r[c] for r in rows]) for c in ("imbalance", "minority", "ap")}
        slopes = regression(y, columns)
        cells = [f"{slopes[c][0]:+.2f} ± {slopes[c][1]:.2f}" for c in columns]
        lines.append(f"| {learner} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def appendix(frame: pl.DataFrame) -> Iterable[str]:
    """Every outcome, nothing picked."""
    yield "# Every outcome of the study\n\nMade by `python study/analyse.py all`; read docs/evidence.md first. Points:"
    yield "per cent of the metric; of costs, per cent of what the better constant decision costs; more is better.\n"
    for outcome in (o.name for o in OUTCOMES):
        if outcome == "slope":
            continue
        yield f"## {outcome}\n"
        for against in ("ce", "ce+rule"):
            if against == "ce+rule" and outcome in ("average_precision", "log_loss"):
                continue
            yield f"Against {against}:\n\n{table(frame, outcome, against)}\n"
        yield f"{ranking(frame, outcome)}\n"
        yield f"alpha+rule against ce+rule:\n\n{heterogeneity(frame, outcome, 'alpha+rule', 'ce+rule')}\n"
    yield "## slope\n\nMedian calibration slope of the rarest class (1 is right):\n"
    yield slopes(frame)


def slopes(frame: pl.DataFrame) -> str:
    """Median calibration slopes, with quartiles over tables."""
    part = frame.filter((pl.col("outcome") == "slope") & pl.col("value").is_finite())
    means = part.group_by("learner", "procedure", "table").agg(pl.col("value").median())
    shown = means.group_by("learner", "procedure").agg(
        pl.col("value").median().alias("median"),
        pl.col("value").quantile(0.25).alias("low"),
        pl.col("value").quantile(0.75).alias("high"),
    )
    rows = {(r["learner"], r["procedure"]): r for r in shown.iter_rows(named=True)}
    lines = ["| learner | procedure | median [quartiles] |", "|---|---|---|"]
    for learner in sorted({key[0] for key in rows}):
        for name in NAMES:
            if (r := rows.get((learner, name))) is not None and "rule" not in name and "shift" not in name:
                lines.append(f"| {learner} | {name} | {r['median']:.2f} [{r['low']:.2f}, {r['high']:.2f}] |")
    return "\n".join(lines)


def draw_ranks(frame: pl.DataFrame, outcome: str, learner: str, out: Path) -> None:
    """Demsar's critical-difference diagram."""
    import matplotlib.pyplot as plt

    families, names, values = family_means(frame.filter(pl.col("learner") == learner), outcome)
    found = ranks(values)
    order = np.argsort(found.mean)
    figure, axis = plt.subplots(figsize=(7, 0.32 * len(names) + 1))
    for y, i in enumerate(order):
        axis.plot(found.mean[i], -y, "o", color="#1f5fa8")
        axis.text(found.mean[i] + 0.15, -y, names[i], va="center", fontsize=9)
    best = found.mean[order[0]]
    axis.axvspan(best, best + found.critical, color="#1f5fa8", alpha=0.12, lw=0)
    axis.set(
        xlabel=f"mean rank over {len(families)} families (shaded: not told apart from the first, Nemenyi 5 %)",
        yticks=[],
    )
    axis.set_title(f"{outcome.replace('_', ' ')}, {learner}", fontsize=10)
    axis.set_xlim(right=max(found.mean) + 2.5)
    axis.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


def draw_differences(frame: pl.DataFrame, outcome: str, against: str, out: Path) -> None:
    """A forest plot: the mean difference of every procedure with its interval."""
    import matplotlib.pyplot as plt

    learners = frame["learner"].unique().sort().to_list()
    figure, axes = plt.subplots(1, len(learners), figsize=(3.6 * len(learners) + 1.5, 4.2), sharey=True, squeeze=False)
    names = [n for n in NAMES if n != against]
    for axis, learner in zip(axes[0], learners, strict=True):
        part = frame.filter(pl.col("learner") == learner)
        for y, name in enumerate(names):
            found = compared(part, outcome, name, against)
            if found is not None:
                p = found[0]
                colour = "#2a7f3f" if p.better > 0.95 else "#b3261e" if p.worse > 0.95 else "#555555"
                axis.plot([p.low, p.high], [-y, -y], color=colour)
                axis.plot(p.mean, -y, "o", color=colour, ms=4)
        axis.axvline(0, color="#999999", lw=0.8)
        axis.axvspan(-ROPE, ROPE, color="#999999", alpha=0.15, lw=0)
        axis.set_title(learner, fontsize=10)
        axis.set_yticks([-y for y in range(len(names))], names, fontsize=8)
    figure.supxlabel(f"{outcome.replace('_', ' ')}: points over {against} (shaded: within half a point)", fontsize=9)
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


def draw_heterogeneity(frame: pl.DataFrame, outcome: str, procedure: str, against: str, out: Path) -> None:
    """The difference of every table over its imbalance."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.6))
    for learner in frame["learner"].unique().sort():
        part = frame.filter((pl.col("learner") == learner) & (pl.col("outcome") == outcome))
        of = {
            name: part.filter(pl.col("procedure") == name).group_by("table").agg(pl.col("value").mean())
            for name in (procedure, against)
        }
        both = of[procedure].join(of[against], on="table", suffix="_against")
        facts = part.group_by("table").agg((pl.col("rows") / pl.col("minority")).first().alias("imbalance"))
        both = both.join(facts, on="table")
        axis.plot(both["imbalance"], both["value"] - both["value_against"], "o", ms=3, alpha=0.6, label=learner)
    axis.axhline(0, color="#999999", lw=0.8)
    axis.set(xscale="log", xlabel="rows per row of the rarest class", ylabel=f"points over {against}")
    axis.set_title(f"{outcome.replace('_', ' ')}: {procedure} against {against}", fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Collect, show or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["collect", "table", "all", "figure"])
    parser.add_argument("kind", nargs="?", choices=["ranks", "differences", "heterogeneity"], default="differences")
    parser.add_argument("--journal", type=Path, default=Path(__file__).parent / "journal")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--outcome", choices=[o.name for o in OUTCOMES], default="balanced_accuracy")
    parser.add_argument("--procedure", choices=NAMES, default="alpha+rule")
    parser.add_argument("--against", choices=NAMES, default="ce")
    parser.add_argument("--learner", default="linear")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "collect":
        collect(options.journal, options.results)
        return
    frame = pl.read_parquet(options.results)
    if options.what == "table":
        print(table(frame, options.outcome, options.against))
    elif options.what == "all":
        text = "\n".join(appendix(frame))
        print(text) if options.out is None else options.out.write_text(text)
    elif options.kind == "ranks":
        draw_ranks(frame, options.outcome, options.learner, options.out)
    elif options.kind == "differences":
        draw_differences(frame, options.outcome, options.against, options.out)
    else:
        draw_heterogeneity(frame, options.outcome, options.procedure, options.against, options.out)


if __name__ == "__main__":
    main()
