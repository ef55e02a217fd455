"""The cells of the detector's ablation, and their journal: one line a finished cell, any number of processes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from examples.detector.data import Scenes
from examples.detector.losses import Loss
from scipy.stats import sem, t

ALPHAS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
#: By the background anchors per foreground anchor that they come to: larger images, fewer and smaller objects.
RECIPES = {
    "1:200": Scenes(),
    "1:600": Scenes(most_objects=1, smallest=10, largest=24),
    "1:2000": Scenes(side=160, most_objects=1, smallest=8, largest=16, clutter=40),
    "1:6000": Scenes(side=256, most_objects=1, smallest=8, largest=14, clutter=90),
    "1:30000": Scenes(side=272, most_objects=1, smallest=8, largest=9.8, clutter=100),
}


STEPS, LONG = 400, 1600
CE, WEIGHTED, MILD, FOCAL = Loss(0.0, None), Loss(0.0, 0.75), Loss(0.5, 0.25), Loss(2.0, 0.25)
#: The losses that are compared beyond the paper's tables: plain, the best weights, the best γ here, the paper's γ.
RIVALS = (CE, WEIGHTED, MILD, FOCAL)


@dataclass(frozen=True)
class Cell:
    """One detector to train, but for its seed."""

    recipe: str
    loss: Loss
    prior: float | None = 0.01
    steps: int = STEPS
    paper: bool = False  # trained as the paper trains, with SGD and unclipped

    def key(self, seed: int) -> str:
        options = {k: v for k, v in asdict(self.loss).items() if v is not None or k not in ("star", "adjustment")}
        return json.dumps([self.recipe, options, self.prior, self.steps, seed] + ["SGD"] * self.paper)

    @staticmethod
    def of(key: str) -> Cell:
        """The cell of a key of any seed."""
        recipe, loss, prior, steps, _, *rest = json.loads(key)
        return Cell(recipe, Loss(**loss), prior, steps, bool(rest))


def plan() -> dict[str, list[Cell]]:
    """The cells of each table. A cell may stand in several; it is run once."""
    small = partial(Cell, "1:200")
    return {
        "1a": [small(Loss(0.0, alpha)) for alpha in ALPHAS],
        "1b": [small(Loss(gamma, alpha)) for gamma in GAMMAS[1:] for alpha in (0.25, 0.5, 0.75)],
        "1d": [small(Loss(0.0, None, "nms", batch, nms)) for batch in (32, 128) for nms in (0.5, 0.7)]
        + [small(Loss(0.0, None, "1:3", batch, 0.5)) for batch in (32, 128)],
        "prior": [small(loss, prior) for loss in (CE, FOCAL) for prior in (0.01, None)],
        "sgd": [small(loss, prior, paper=True) for loss in (CE, FOCAL) for prior in (0.01, None)],
        "3": [small(Loss(gamma, 0.25, star=beta)) for gamma, beta in ((2.0, 1.0), (4.0, 0.0))],
        "adjusted": [small(Loss(0.0, None, adjustment=-5.3), prior) for prior in (0.01, None)],  # log(1 / 200)
        "rivals": [small(loss) for loss in RIVALS],
        "long": [small(loss, 0.01, LONG) for loss in RIVALS],
        "ratio": [Cell(recipe, loss) for recipe in list(RECIPES)[1:] for loss in RIVALS],
        "bccd": [Cell("bccd", loss) for loss in RIVALS],
    }


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


class Results:
    """What is finished: AP and the rest of a cell over its seeds, and a loss's name."""

    def __init__(self, path: Path) -> None:
        self.done = read(path)

    def of(self, cell: Cell, field: str = "ap") -> dict[int, Any]:
        """The figure of each finished seed; a detector that diverged has none."""
        found = {seed: self.done.get(cell.key(seed), {}).get(field) for seed in range(100)}
        return {seed: value for seed, value in found.items() if value is not None}

    def mean(self, cell: Cell, field: str = "ap") -> float:
        values = list(self.of(cell, field).values())
        return float(np.mean(values)) if values else float("nan")

    def shown(self, cell: Cell, field: str = "ap") -> str:
        lost = sum(self.done.get(cell.key(seed), {}).get("ap", 0.0) is None for seed in range(100))
        values = list(self.of(cell, field).values())
        if not lost:
            return shown(values)
        return ", ".join([shown(values)] * bool(values) + [f"diverged ({lost})"])

    def difference(self, cell: Cell, from_: Cell) -> str:
        """Mean ± standard deviation of the difference of AP, seed by seed: both saw the same images in one order.

        An asterisk where 0 is outside its 95 % interval by Student's t.
        """
        ours, theirs = self.of(cell), self.of(from_)
        apart = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
        clear = len(apart) > 1 and abs(np.mean(apart)) > t.ppf(0.975, len(apart) - 1) * sem(apart)
        return "" if cell == from_ else shown(apart, sign="+") + " *" * bool(clear)

    def best(self, cells: list[Cell]) -> Cell | None:
        finished = [cell for cell in cells if self.of(cell)]
        return max(finished, key=self.mean, default=None)


def shown(values: Sequence[float], sign: str = "") -> str:
    """One seed as it is, more as mean ± standard deviation (their number)."""
    if not values:
        return "–"
    mean = f"{np.mean(values):{sign}.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.1f} ({len(values)})"


def name_of(loss: Loss) -> str:
    if loss.mining:
        ratio = " 1:3" if loss.mining == "1:3" else ""
        return f"OHEM{ratio}, {loss.batch} an image, suppression at {loss.nms:g}"
    if loss.star is not None:
        return f"FL*, γ = {loss.gamma:g}, β = {loss.star:g}"
    if loss.adjustment is not None:
        return f"cross-entropy, logits adjusted by {loss.adjustment:g} in training"
    if loss.gamma:
        return f"focal, γ = {loss.gamma:g}, α = {loss.alpha:g}"
    return "cross-entropy" if loss.alpha is None else f"cross-entropy, α = {loss.alpha:g}"
