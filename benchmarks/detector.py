"""The focal paper's tables 1a, 1b and 1d with a small detector: journalled, resumable, any number of processes.

python benchmarks/detector.py run --out benchmarks/results/detector.jsonl      # the cells that are missing
python benchmarks/detector.py table --out benchmarks/results/detector.jsonl    # mean ± standard deviation over seeds
python benchmarks/detector.py compare --out benchmarks/results/detector.jsonl  # beside the paper's figures
python benchmarks/detector.py run --bccd FOLDER --out build/bccd.jsonl
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples.detector.data import Images, Scenes, make_scenes, read_bccd
from examples.detector.losses import Loss
from examples.detector.run import Training, ledger_of, run

from focalkit import Ledger

ALPHAS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
#: Shares of the anchors, easiest first, at which figure 4's curves are kept: finer where the negatives' loss lies.
CURVE = (*np.linspace(0, 0.95, 20).round(2).tolist(), 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
#: By the background anchors per foreground anchor that they come to: larger images, fewer and smaller objects.
RECIPES = {
    "1:200": Scenes(),
    "1:600": Scenes(most_objects=1, smallest=10, largest=24),
    "1:2000": Scenes(side=160, most_objects=1, smallest=8, largest=16, clutter=40),
    "1:6000": Scenes(side=256, most_objects=1, smallest=8, largest=14, clutter=90),
    "1:20000": Scenes(side=448, most_objects=1, smallest=8, largest=14, clutter=250),
}


#: AP that the paper prints (Lin et al. 2017): 1a by α, 1b by γ at its best α, 1d by batch and suppression, at γ = 0.
PAPER_1A = {0.1: 0.0, 0.25: 10.8, 0.5: 30.2, 0.75: 31.1, 0.9: 30.8, 0.99: 28.7, 0.999: 25.1}
PAPER_1B = {0.0: (0.75, 31.1), 0.5: (0.5, 32.9), 1.0: (0.25, 33.7), 2.0: (0.25, 34.0), 5.0: (0.25, 32.2)}
PAPER_1D = {"OHEM, the better suppression": 32.8, "OHEM 1:3": 31.1, "focal loss": 36.0}


def cells() -> list[tuple[str, Loss, float | None]]:
    """Table, loss and π of every cell."""
    table_1a = [("1a", Loss(0.0, alpha), 0.01) for alpha in ALPHAS]
    table_1b = [("1b", Loss(gamma, alpha), 0.01) for gamma in GAMMAS[1:] for alpha in (0.25, 0.5, 0.75)]
    mined = [("1d", Loss(0.0, None, "nms", batch, nms), 0.01) for batch in (32, 128) for nms in (0.5, 0.7)]
    mined += [("1d", Loss(0.0, None, "1:3", batch, 0.5), 0.01) for batch in (32, 128)]
    plain = [
        ("prior", Loss(gamma, alpha), prior) for gamma, alpha in ((0.0, None), (2.0, 0.25)) for prior in (0.01, None)
    ]
    ratio = [("ratio", Loss(gamma, alpha), 0.01) for gamma, alpha in ((0.0, None), (0.0, 0.75), (2.0, 0.25))]
    star = [("3", Loss(gamma, 0.25, star=beta), 0.01) for gamma, beta in ((2.0, 1.0), (4.0, 0.0))]
    adjusted = [("adjusted", Loss(0.0, None, adjustment=-5.3), prior) for prior in (0.01, None)]  # log(1 / 200)
    return table_1a + table_1b + mined + plain + ratio + star + adjusted


def key_of(recipe: str, table: str, loss: Loss, prior: float | None, seed: int) -> str:
    options = {k: v for k, v in asdict(loss).items() if v is not None or k not in ("star", "adjustment")}
    return json.dumps([recipe, table, options, prior, seed])


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Finished cells by key; a line that was cut is no line."""
    done = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        done[record["key"]] = record
    return done


def append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(record) + "\n")


def images_of(recipe: str, bccd: Path | None, n: int, side: int) -> tuple[Images, Images]:
    if bccd is not None:
        return read_bccd(bccd, "trainval", side), read_bccd(bccd, "test", side)
    return make_scenes(n, RECIPES[recipe], 0), make_scenes(n // 2, RECIPES[recipe], 1)


def do(options: argparse.Namespace) -> None:
    recipe = "bccd" if options.bccd else options.recipe
    train_on, test_on = images_of(recipe, options.bccd, options.images, options.side)
    training = Training(steps=options.steps, strides=(8, 16) if options.bccd else (4, 8, 16))
    for seed in range(options.seeds):
        for table, loss, prior in cells():
            key = key_of(recipe, table, loss, prior, seed)
            asked = not options.only or (loss.mining is None and f"{loss.gamma:g},{loss.alpha}" in options.only)
            if (options.tables and table not in options.tables) or not asked or key in read(options.out):
                continue
            outcome = run(loss, replace(training, prior=prior), train_on, test_on, seed)
            record = {"key": key, "steps": options.steps, **{k: v for k, v in vars(outcome).items() if k != "detector"}}
            if (
                (loss.gamma, loss.alpha, loss.mining) == (2.0, 0.25, None)
                and outcome.detector
                and outcome.ap is not None
            ):
                ledger = ledger_of(outcome.detector, test_on)
                shares = [hardest_fifth(ledger, gamma) for gamma in (0.0, 0.5, 1.0, 2.0)]
                record["hardest_fifth"] = {key: share for row in shares for key, share in row.items()}
                record["curves"] = [curves_of(ledger, gamma) for gamma in (0.0, 0.5, 1.0, 2.0)]
            append(options.out, record)
            print(f"{table} {loss} π={prior} seed {seed}: AP {outcome.ap} in {outcome.seconds:.0f} s", flush=True)


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


def compare(options: argparse.Namespace) -> None:
    """Tables 1a, 1b and 1d beside the paper's. Its columns are of COCO, ours of small scenes: compare the order."""
    found: dict[tuple[float, float | None, str | None], list[float]] = defaultdict(list)
    for key, record in read(options.out).items():
        recipe, _, loss, prior, seed = json.loads(key)
        plain = "star" not in loss and "adjustment" not in loss
        if recipe == options.recipe and prior == 0.01 and plain and record["ap"] is not None and seed < options.seeds:
            found[loss["gamma"], loss["alpha"], loss["mining"]].append(record["ap"])
    shown = {setting: f"{np.mean(values):.1f}" for setting, values in found.items()}

    def of(gamma: float, alpha: float | None, mining: str | None = None) -> str:
        return shown.get((gamma, alpha, mining), "–")

    print("| 1a: γ = 0, α | AP, paper | AP here |\n|---|---|---|")
    for alpha, theirs in PAPER_1A.items():
        print(f"| {alpha} | {theirs} | {of(0.0, alpha)} |")
    print("\n| 1b: γ | paper's best α | AP, paper | AP here: α = 0.25 | 0.5 | 0.75 |\n|---|---|---|---|---|---|")
    for gamma, (best, theirs) in PAPER_1B.items():
        print(
            f"| {gamma:g} | {best} | {theirs} | " + " | ".join(of(gamma, alpha) for alpha in (0.25, 0.5, 0.75)) + " |"
        )
    print("\n| 1d | AP, paper | AP here |\n|---|---|---|")
    best_of = {
        "OHEM, the better suppression": [v for (_, _, m), values in found.items() if m == "nms" for v in values],
        "OHEM 1:3": [v for (_, _, m), values in found.items() if m == "1:3" for v in values],
        "focal loss": found.get((2.0, 0.25, None), []),
    }
    for name, theirs in PAPER_1D.items():
        print(f"| {name} | {theirs} | " + (f"{max(best_of[name]):.1f}" if best_of[name] else "–") + " |")


def show(options: argparse.Namespace) -> None:
    """Mean and standard deviation of AP over the seeds of each cell; F1 of detections at one half and at cut-offs."""
    groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for key, record in read(options.out).items():
        recipe, table, loss, prior, _ = json.loads(key)
        name = (
            f"γ {loss['gamma']:g}, α {loss['alpha']}"
            + "".join(f", {key} {loss[key]:g}" for key in ("star", "adjustment") if key in loss)
            if not loss["mining"]
            else f"OHEM {loss['mining']}, {loss['batch']}, {loss['nms']}"
        )
        groups[recipe, table, name, str(prior)].append(record)
    print("| images | table | loss | π | seeds | AP | AP50 | F1 at ½ → cut-off | diverged | loss, share of the step |")
    print("|---" * 10 + "|")
    for (recipe, table, name, prior), records in sorted(groups.items()):
        fine = [r for r in records if r["ap"] is not None]
        ap, ap50 = (np.array([r[k] for r in fine]) for k in ("ap", "ap50"))
        spread = f"{ap.mean():.1f} ± {ap.std(ddof=1):.1f}" if len(fine) > 1 else (f"{ap[0]:.1f}" if len(fine) else "–")
        share = np.mean([r["loss_share"] for r in records])
        high = f"{ap50.mean():.1f}" if len(fine) else "–"
        f1 = [np.mean([r[k] for r in fine if r.get(k) is not None] or [np.nan]) for k in ("f1_plain", "f1_chosen")]
        shown = f"{f1[0]:.1f} → {f1[1]:.1f}" if np.isfinite(f1).all() else "–"
        row = (recipe, table, name, prior, len(records), spread, high, shown, len(records) - len(fine), f"{share:.1%}")
        print("| " + " | ".join(map(str, row)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table", "compare"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=list(RECIPES), default="1:200")
    parser.add_argument("--bccd", type=Path)
    parser.add_argument("--tables", nargs="*")
    parser.add_argument("--only", nargs="*", metavar="GAMMA,ALPHA", help="these cells only, e.g. 0,0.75 2,0.25")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--side", type=int, default=128, help="height of a photograph in pixels")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    {"run": do, "table": show, "compare": compare}[options.what](options)


if __name__ == "__main__":
    main()
