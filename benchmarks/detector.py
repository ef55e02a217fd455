"""The focal paper's tables 1a, 1b and 1d with a small detector: journalled, resumable, any number of processes.

python benchmarks/detector.py run --out benchmarks/results/detector.jsonl      # the cells that are missing
python benchmarks/detector.py table --out benchmarks/results/detector.jsonl    # every cell, mean ± standard deviation
python benchmarks/detector.py compare --out benchmarks/results/detector.jsonl  # the tables of docs/ablation.md
python benchmarks/detector.py figures --out benchmarks/results/detector.jsonl  # its figures
python benchmarks/detector.py run --tables bccd --bccd FOLDER --out benchmarks/results/detector.jsonl
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.detector_cells import (
    FOCAL,
    GAMMAS,
    LONG,
    RECIPES,
    RIVALS,
    STEPS,
    WEIGHTED,
    Cell,
    Results,
    append,
    name_of,
    plan,
    read,
    shown,
)
from examples.detector.data import SHAPES, Images, make_scenes, read_bccd
from examples.detector.losses import Loss
from examples.detector.run import Training, ledger_of, run

from focalkit import Ledger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The γ of the paper's figure 4.
FIGURE_4 = (0.0, 0.5, 1.0, 2.0)
#: Shares of the anchors, easiest first, at which figure 4's curves are kept: finer where the negatives' loss lies.
CURVE = (*np.linspace(0, 0.95, 20).round(2).tolist(), 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
#: AP that the paper prints (Lin et al. 2017): 1a by α, 1b by γ at its best α, 1d by batch and suppression, at γ = 0.
PAPER_1A = {0.1: 0.0, 0.25: 10.8, 0.5: 30.2, 0.75: 31.1, 0.9: 30.8, 0.99: 28.7, 0.999: 25.1}
PAPER_1B = {0.0: (0.75, 31.1), 0.5: (0.5, 32.9), 1.0: (0.25, 33.7), 2.0: (0.25, 34.0), 5.0: (0.25, 32.2)}
PAPER_1D = {"OHEM, the better suppression": 32.8, "OHEM 1:3": 31.1, "focal loss": 36.0}
#: Cross-entropy with and without π, focal loss with π; focal loss without it is not in the paper.
PAPER_PRIOR = (30.2, "diverges", 34.0, "")

#: Cross-entropy grey, then the focal family, light to dark.
COLOURS = ("#888888", "#c77d11", "#3a86c8", "#12355b")


def images_of(recipe: str, bccd: Path | None, n: int, side: int) -> tuple[Images, Images]:
    if recipe == "bccd":
        if bccd is None or not (bccd / "boxes.csv").is_file():
            sys.exit("The table bccd needs --bccd FOLDER, which holds JPEGImages/, ImageSets/Main/ and boxes.csv.")
        return read_bccd(bccd, "trainval", side), read_bccd(bccd, "test", side)
    return make_scenes(n, RECIPES[recipe], 0), make_scenes(n // 2, RECIPES[recipe], 1)


def do(options: argparse.Namespace) -> None:
    images = lru_cache(1)(partial(images_of, bccd=options.bccd, n=options.images, side=options.side))
    tables = options.tables or [table for table in plan() if table != "bccd" or options.bccd]
    cells = dict.fromkeys(cell for table in tables for cell in plan()[table])  # each once, in this order
    left = options.most
    for seed in range(options.seeds):
        for planned in cells:
            cell = replace(planned, steps=min(planned.steps, options.steps))
            loss, key = cell.loss, cell.key(seed)
            asked = not options.only or (loss.mining is None and f"{loss.gamma:g},{loss.alpha}" in options.only)
            asked = asked and (not options.recipes or cell.recipe in options.recipes)
            if not asked or left == 0 or key in read(options.out):
                continue
            train_on, test_on = images(cell.recipe)
            training = Training(steps=cell.steps, prior=cell.prior, paper=cell.paper)
            outcome = run(loss, training, train_on, test_on, seed)
            record = {"key": key, **{k: v for k, v in vars(outcome).items() if k != "detector"}}
            if loss == FOCAL and outcome.detector and outcome.ap is not None:
                ledger = ledger_of(outcome.detector, test_on)
                shares = [hardest_fifth(ledger, gamma) for gamma in FIGURE_4]
                record["hardest_fifth"] = {key: share for row in shares for key, share in row.items()}
                record["curves"] = [curves_of(ledger, gamma) for gamma in FIGURE_4]
            append(options.out, record)
            left -= 1
            print(f"{cell} seed {seed}: AP {outcome.ap} in {outcome.seconds:.0f} s", flush=True)


def hardest_fifth(ledger: Ledger, gamma: float) -> dict[str, float]:
    """Share of the loss that the hardest 20 % of positives, and of negatives, carry (the paper's figure 4)."""
    curves = ledger.cumulative(gamma, by="sign")
    rows = zip(curves.names, curves.sample_share, curves.loss_share, strict=True)
    return {f"{name}, gamma {gamma:g}": round(1 - float(np.interp(0.8, x, y)), 4) for name, x, y in rows}


def curves_of(ledger: Ledger, gamma: float) -> dict[str, Any]:
    """The paper's figure 4: of each sign the share of the loss that the easiest anchors carry, at ``CURVE``."""
    curves = ledger.cumulative(gamma, by="sign")
    rows = zip(curves.names, curves.sample_share, curves.loss_share, strict=True)
    return {"gamma": gamma} | {name: np.interp(CURVE, x, y).round(5).tolist() for name, x, y in rows}


def rows_of(head: str, rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


#: The words of the tables in Chinese, longer ones first where one holds another.
CHINESE = {
    "OHEM, the better suppression": "OHEM，较好的抑制阈值",
    "of it the best": "其中最好的设置",
    "1d, each setting": "1d：各个设置",
    " an image, suppression at ": " 个/图，抑制阈值 ",
    "logits adjusted by ": "训练时 logit 调整 ",
    " in training": "",
    "cross-entropy": "交叉熵",
    "focal loss": "focal loss",
    "F1 of detections at ½": "检测的 F1：阈值 ½",
    "at cut-offs chosen on training images": "在训练图像上选定的阈值",
    "less that of 交叉熵 with α = 0.75, paired": "减去 α = 0.75 的交叉熵（配对）",
    "1b less 交叉熵 with α = 0.75, paired: γ": "1b 减去 α = 0.75 的交叉熵（配对）：γ",
    "focal with γ = 2 less 交叉熵 with α = 0.75, paired": "γ = 2 的 focal 减去 α = 0.75 的交叉熵（配对）",
    "less that of focal loss with γ = 2, paired": "减去 γ = 2 的 focal loss（配对）",
    "less that with π, paired": "减去有 π 时（配对）",
    "loss, 400 steps": "损失，400 步",
    "loss, 1,600 steps": "损失，1,600 步",
    "background for one foreground anchor": "每个前景锚框的背景锚框",
    "AP of a class, share of the objects": "各类的 AP 与物体占比",
    "disc, 60 % | square, 30 % | cross, 10 %": "圆，60% | 方块，30% | 十字，10%",
    "blood cells": "血细胞",
    "paper's best α": "论文最好的 α",
    "AP, paper": "AP，论文",
    "AP here: ": "这里的 AP：",
    "AP here": "这里的 AP",
    "| loss |": "| 损失 |",
    "| none |": "| 无 |",
    "trained as the paper, with SGD": "照论文训练：SGD",
    "diverges": "发散",
    "diverged": "发散",
    "1a: ": "1a：",
    "1b: ": "1b：",
    "3: ": "3：",
    ", α": "，α",
    ", β": "，β",
    ", γ": "，γ",
    ", 训练": "，训练",
    "OHEM, ": "OHEM，",
    "OHEM 1:3, ": "OHEM 1:3，",
}


def compare(options: argparse.Namespace) -> None:
    """The tables of docs/ablation.md. The paper's column is of COCO, ours of small scenes: compare the order."""
    text = "\n\n".join(tables_of(Results(options.out)))
    for english, chinese in CHINESE.items() if options.chinese else ():
        text = text.replace(english, chinese)
    print(text)


def tables_of(found: Results) -> Iterator[str]:
    """Each table beside the paper's, then those that the paper does not have."""
    cells = plan()
    small = partial(Cell, "1:200")
    yield rows_of(
        "| 1a: γ = 0, α | AP, paper | AP here | less that of cross-entropy with α = 0.75, paired |",
        (
            (alpha, theirs, found.shown(cell), found.difference(cell, small(WEIGHTED)))
            for alpha, theirs in PAPER_1A.items()
            for cell in [small(Loss(0.0, alpha))]
        ),
    )
    yield rows_of(
        "| 1b: γ | paper's best α | AP, paper | AP here: α = 0.25 | 0.5 | 0.75 |",
        (
            (f"{gamma:g}", best, theirs, *(found.shown(small(Loss(gamma, alpha))) for alpha in (0.25, 0.5, 0.75)))
            for gamma, (best, theirs) in PAPER_1B.items()
        ),
    )
    yield rows_of(
        "| 1b less cross-entropy with α = 0.75, paired: γ | α = 0.25 | 0.5 | 0.75 |",
        (
            (
                f"{gamma:g}",
                *(found.difference(small(Loss(gamma, alpha)), small(WEIGHTED)) for alpha in (0.25, 0.5, 0.75)),
            )
            for gamma in GAMMAS[1:]
        ),
    )
    mined = {
        "OHEM, the better suppression": [cell for cell in cells["1d"] if cell.loss.mining == "nms"],
        "OHEM 1:3": [cell for cell in cells["1d"] if cell.loss.mining == "1:3"],
        "focal loss": [small(FOCAL)],
    }
    best = {name: found.best(group) for name, group in mined.items()}
    yield rows_of(
        "| 1d | AP, paper | AP here | of it the best |",
        (
            (name, PAPER_1D[name], found.shown(cell), name_of(cell.loss)) if cell else (name, PAPER_1D[name], "–", "–")
            for name, cell in best.items()
        ),
    )
    yield rows_of(
        "| 1d, each setting | AP here | less that of focal loss with γ = 2, paired |",
        ((name_of(c.loss), found.shown(c), found.difference(c, small(FOCAL))) for c in cells["1d"]),
    )
    yield rows_of(
        "| loss | π | AP here | less that with π, paired "
        "| F1 of detections at ½ | at cut-offs chosen on training images |",
        (
            (
                *(name_of(c.loss), c.prior or "none", found.shown(c), found.difference(c, replace(c, prior=0.01))),
                *(found.shown(c, field) for field in ("f1_plain", "f1_chosen")),
            )
            for c in cells["prior"] + cells["adjusted"]
        ),
    )
    if any(cell.key(0) in found.done for cell in cells["sgd"]):
        yield rows_of(
            "| trained as the paper, with SGD | π | AP, paper | AP here |",
            (
                (name_of(c.loss), c.prior or "none", theirs, found.shown(c))
                for c, theirs in zip(cells["sgd"], PAPER_PRIOR, strict=True)
            ),
        )
    star = {"cross-entropy, α = 0.75": 31.1, "focal, γ = 2": 34.0, "FL*, γ = 2, β = 1": 33.8, "FL*, γ = 4, β = 0": 33.9}
    yield rows_of(
        "| 3: FL* | AP, paper | AP here |",
        (
            (name, theirs, found.shown(cell))
            for (name, theirs), cell in zip(star.items(), [small(WEIGHTED), small(FOCAL), *cells["3"]], strict=True)
        ),
    )
    for steps in (STEPS, LONG):
        cell = partial(small, steps=steps)
        if any(found.of(cell(loss)) for loss in RIVALS):
            yield rows_of(
                f"| loss, {steps:,} steps | AP here | less that of cross-entropy with α = 0.75, paired |",
                (
                    (name_of(loss), found.shown(cell(loss)), found.difference(cell(loss), cell(WEIGHTED)))
                    for loss in RIVALS
                ),
            )
    by_class = {loss: list(found.of(small(loss), "ap_of").values()) for loss in RIVALS}
    if all(by_class.values()):
        yield rows_of(
            "| AP of a class, share of the objects | disc, 60 % | square, 30 % | cross, 10 % |",
            ((name_of(loss), *(shown([ap[kind] for ap in by_class[loss]]) for kind in SHAPES)) for loss in RIVALS),
        )
    yield rows_of(
        "| background for one foreground anchor | "
        + " | ".join(map(name_of, RIVALS))
        + " | focal with γ = 2 less cross-entropy with α = 0.75, paired |",
        (
            (
                f"{ratio:,.0f}",
                *(found.shown(Cell(recipe, loss)) for loss in RIVALS),
                found.difference(Cell(recipe, FOCAL), Cell(recipe, WEIGHTED)),
            )
            for recipe in RECIPES
            if np.isfinite(ratio := found.mean(Cell(recipe, FOCAL), "ratio"))
        ),
    )
    if any(found.of(cell) for cell in cells["bccd"]):
        yield rows_of(
            "| blood cells | AP | AP50 | AP75 |",
            (
                (name_of(c.loss), *(found.shown(c, field) for field in ("ap", "ap50", "ap75")))
                for c in cells["bccd"]
                if found.of(c)
            ),
        )


def show(options: argparse.Namespace) -> None:
    """Every finished cell: AP, AP50, F1 of detections at one half and at cut-offs, over its seeds."""
    found = Results(options.out)
    cells = dict.fromkeys(map(Cell.of, found.done))
    print(
        rows_of(
            "| images | steps | loss | π | AP | AP50 | AP75 | F1 at ½ | F1 at cut-offs | seconds |",
            (
                (
                    *(cell.recipe, cell.steps, name_of(cell.loss), cell.prior),
                    *(found.shown(cell, field) for field in ("ap", "ap50", "ap75", "f1_plain", "f1_chosen", "seconds")),
                )
                for cell in cells
            ),
        )
    )


def draw(options: argparse.Namespace) -> None:
    """The paper's figure 4 for the detector here, and AP over the ratio of background to foreground."""
    import matplotlib.pyplot as plt

    found = Results(options.out)
    records = [found.done.get(Cell("1:200", FOCAL, steps=steps).key(0), {}) for steps in (LONG, STEPS)]
    curves = next(record["curves"] for record in records if "curves" in record)
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), sharey=True)
    for axis, sign in zip(axes, ("positives", "negatives"), strict=True):
        for curve, colour in zip(curves, COLOURS, strict=True):
            axis.plot(CURVE, curve[sign], color=colour, label=f"γ = {curve['gamma']:g}")
        axis.set(xlabel=f"share of the {sign}, easiest first", xlim=(0, 1), ylim=(0, 1))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of their loss")
    axes[0].legend(frameon=False)
    save(figure, options.figures / "ablation-figure-4.svg")

    figure, axis = plt.subplots(figsize=(6.2, 3.6))
    every: dict[str, float] = {}
    for loss, colour in zip(RIVALS, COLOURS, strict=True):
        cells = [Cell(recipe, loss) for recipe in RECIPES if found.of(Cell(recipe, loss))]
        ratios = [found.mean(cell, "ratio") for cell in cells]
        every |= zip([cell.recipe for cell in cells], ratios, strict=True)
        for cell, ratio in zip(cells, ratios, strict=True):
            values = list(found.of(cell).values())
            axis.plot([ratio] * len(values), values, "o", ms=3, alpha=0.5, color=colour)
        axis.plot(ratios, [found.mean(cell) for cell in cells], color=colour, label=name_of(loss))
    axis.set(xscale="log", xlabel="background anchors for one in the foreground", ylabel="AP", ylim=(0, None))
    axis.set_xticks(list(every.values()), [f"{ratio:,.0f}" for ratio in every.values()])
    axis.set_xticks([], minor=True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    save(figure, options.figures / "ablation-ratio.svg")


def save(figure: Figure, path: Path) -> None:
    """Write a figure whose bytes depend on what it shows alone."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "focalkit"}):
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table", "compare", "figures"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figures", type=Path, default=Path("docs/images"), help="folder of the figures")
    parser.add_argument("--chinese", action="store_true", help="the tables of docs/ablation.zh-CN.md")
    parser.add_argument("--bccd", type=Path, help="folder of the blood cells: JPEGImages/, ImageSets/, boxes.csv")
    parser.add_argument("--tables", nargs="*", choices=list(plan()))
    parser.add_argument("--recipes", nargs="*", choices=[*RECIPES, "bccd"], help="these images only")
    parser.add_argument("--only", nargs="*", metavar="GAMMA,ALPHA", help="these losses only, e.g. 0,0.75 2,0.25")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=-1, help="stop after so many cells; the next run goes on")
    parser.add_argument("--steps", type=int, default=LONG, help="at most so many steps a cell")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--side", type=int, default=128, help="height of a photograph in pixels")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    {"run": do, "table": show, "compare": compare, "figures": draw}[options.what](options)


if __name__ == "__main__":
    main()
