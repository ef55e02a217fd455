"""Rules of the verdict where the truth is known: every candidate's folds and what it is worth on fresh rows.

python study/rules.py collect RESULTS --sets 1000:1020 [--rare 20 50]      # one file a data set
python study/rules.py judge RESULTS [--lead 0 0.25 0.5]

The designs are those of ``study/verdict.py``, which keeps what one rule recommended; here all that is needed to judge
another rule is kept. ``judge`` compares how far a retraining must lead the best remedy without one, in standard errors.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from focalkit.tuning import judge
from focalkit.tuning import verdict as rule
from focalkit.tuning.result import FREE


def _file(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


designs = _file("study_verdict", Path(__file__).parent / "verdict.py")
halves = _file("benchmarks_verdict", Path(__file__).parents[1] / "benchmarks" / "verdict.py")
FRESH = 30_000


def collect(out: Path, sets: range, minorities: list[int]) -> None:
    """One file for each data set that has none yet."""
    out.mkdir(exist_ok=True)
    for number in sets:
        for minority in minorities:
            for design, drawn in designs.DESIGNS.items():
                target = out / f"{design.replace(' ', '-')}_{minority}_{number}.npz"
                if target.exists():
                    continue
                X, y = designs.draw(design, minority, number)
                fresh_X, fresh_y = drawn(FRESH, np.random.default_rng(7))
                inside = np.arange(len(y) + FRESH) < len(y)
                found = halves.judged(np.concatenate([X, fresh_X]), np.concatenate([y, fresh_y]), inside)
                scrap = target.with_suffix(".part.npz")
                np.savez_compressed(
                    scrap, name=design, family=f"{design}, {minority} rare rows", number=number, **found
                )
                os.replace(scrap, target)


def table(results: Path, leads: list[float]) -> None:
    """How often each rule retrains, how often in vain, and what it gains over the best remedy without a retraining."""
    found: dict[str, dict[float, list[tuple[bool, float]]]] = defaultdict(lambda: defaultdict(list))
    for file in halves.read([results]):
        half = halves.Half.of(file, "balanced_accuracy")
        for lead in leads:
            rule.LEAD = lead
            verdict = judge(half.result)
            gained = 100 * (half.other[verdict.recommended.cell] - half.other[verdict.free_rival.cell])
            found[str(file["family"])][lead].append((verdict.recommended.family not in FREE, gained))
    print("| design | sets | lead | retrained | and worse than the best free one by half a point | gain over it |")
    print("|---" * 6 + "|")
    for design, rules in sorted(found.items()):
        for lead, rows in rules.items():
            costly, gained = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
            cells = [len(rows), f"{lead:g}", costly.sum(), (costly & (gained < -designs.MARGIN)).sum()]
            print("|", " | ".join(map(str, [design, *cells, designs.mean(gained)])), "|")


def main() -> None:
    """Collect or judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["collect", "judge"])
    parser.add_argument("results", type=Path)
    parser.add_argument("--sets", default="1000:1020", help="FIRST:LAST, the last one not included")
    parser.add_argument("--rare", type=int, nargs="+", default=[20, 50, 200])
    parser.add_argument("--lead", type=float, nargs="+", default=[0.0, 0.25])
    options = parser.parse_args()
    if options.what == "collect":
        collect(options.results, range(*map(int, options.sets.split(":"))), options.rare)
    else:
        table(options.results, options.lead)


if __name__ == "__main__":
    sys.exit(main())
