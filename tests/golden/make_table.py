"""Make ``table.json``: losses to 32 digits, with the condition number that each one's error budget needs.

    python -m tests.golden.make_table

Every input is exact in float32, and those in reach of float16 are exact there too. Columns of the
margins and entries of a softmax case come as decimal strings beside their conditions (``truth.py`` says
what these are). ``null`` among the logits is a masked class, -inf. A value v computed in a type with
machine epsilon eps and smallest normal number tiny is right when

    |v - value| <= 8 eps (2 + gamma + log2(K + 1) + condition) |value| + tiny * max(1, weight)
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpmath import mp, nstr

from tests.golden import truth

TABLE = Path(__file__).with_name("table.json")
GAMMAS = [0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0]
SIZES = [
    2**-20,
    2**-10,
    0.0625,
    0.25,
    0.5,
    0.75,
    1,
    1.5,
    2,
    2.5,
    2.75,
    2.8125,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    14,
    16,
    16.75,
    17,
]
SIZES += [18, 20, 24, 28, 32, 36, 37, 40, 44, 52, 64, 80, 87, 88, 100, 103, 104, 128, 200, 350, 500, 700, 709, 745, 800]
SIZES += [1000, 2000, 10000]


def digits(value: Any) -> str:
    text = nstr(value, 32, min_fixed=0, max_fixed=0) if value else "0"
    return text.replace(".0e", "e").removeprefix("+")  # older versions of mpmath write +inf


def written(values: dict[str, list[truth.Value]]) -> dict[str, Any]:
    """Each row of values by its name: their digits, and how much they magnify errors."""
    found: dict[str, Any] = {}
    for name, parts in values.items():
        found[name] = [digits(part.value) for part in parts]
        found[name + "_condition"] = [float(f"{part.condition:.4g}") for part in parts]
    return found


def margins() -> list[dict[str, Any]]:
    blocks = []
    for gamma in GAMMAS:
        at = [-size for size in reversed(SIZES)] + [0.0] + SIZES
        columns: dict[str, Any] = {"gamma": gamma, "m": at}
        rows = [truth.margin_values(m, gamma) for m in at]
        columns |= written({name: [row[name] for row in rows] for name in ("loss", "d1", "d2")})
        blocks.append(columns)
    return blocks


def softmax_case(logits: list[float], target: Any, gamma: Any, alpha: Any) -> dict[str, Any]:
    k = len(logits)
    y = [float(j == target) for j in range(k)] if isinstance(target, int) else target
    alphas = alpha if isinstance(alpha, list) else [1.0 if alpha is None else alpha] * k
    gammas = gamma if isinstance(gamma, list) else [gamma] * k
    with mp.workdps(60):
        values = truth.row_values(logits, [mp.mpf(a) * b for a, b in zip(y, alphas, strict=True)], gammas)
    case = {"logits": [None if z == -math.inf else z for z in logits], "target": target, "gamma": gamma, "alpha": alpha}
    case |= written(values)
    return case


def softmax() -> list[dict[str, Any]]:
    draw = random.Random(20170807)

    def logits(k: int, scale: float) -> list[float]:
        step = 2.0 ** (math.floor(math.log2(scale)) - 9)  # ten bits: exact in float16 as well
        return [round(draw.uniform(-1, 1) * scale / step) * step for _ in range(k)]

    def soft(k: int) -> list[float]:
        cuts = [0, *sorted(draw.randint(0, 64) for _ in range(k - 1)), 64]
        return [(b - a) / 64 for a, b in itertools.pairwise(cuts)]

    cases = [softmax_case([1.5], 0, 2.0, None)]
    for gamma in GAMMAS:
        cases.append(softmax_case([0.0, 0.0, 0.0], 1, gamma, None))
        cases.append(softmax_case([20.0, 0.0, 1.0, -3.0], 0, gamma, None))  # easy: p_t rounds to 1 in float32
        cases.append(softmax_case([20.0, 0.0, 1.0, -3.0], [0.875, 0.0625, 0.0625, 0.0], gamma, None))
        cases.append(softmax_case([40.0, 0.0, 1.0, -3.0], 1, gamma, None))  # hopeless
        cases.append(softmax_case([10000.0, -10000.0, 9992.0], 0, gamma, None))
        cases.append(softmax_case([10000.0, -10000.0, 9992.0], [0.25, 0.25, 0.5], gamma, None))
        cases.append(softmax_case([2.0, -math.inf, 1.0, 0.5], 0, gamma, 0.25))
        cases.append(softmax_case([2.0, -math.inf, 16.0, 0.5], [0.5, 0.0, 0.25, 0.25], gamma, [1.0, 2.0, 0.5, 4.0]))
        for k, scale in ((2, 4.0), (3, 30.0), (5, 1.0), (8, 100.0), (4, 10000.0)):
            alpha = draw.choice([None, 0.75, [draw.randint(1, 64) / 16 for _ in range(k)]])
            cases.append(softmax_case(logits(k, scale), draw.randrange(k), gamma, alpha))
            cases.append(softmax_case(logits(k, scale), soft(k), gamma, alpha))
    cases.append(softmax_case([-math.inf, 1.0, 0.0], 0, 2.0, 0.5))  # a true class that cannot be
    cases.append(softmax_case([-math.inf, 1.0, -math.inf], 1, 2.0, 0.5))  # the only class that can be
    for scale in (3.0, 12.0, 200.0):
        cases.append(softmax_case(logits(50, scale), draw.randrange(50), 2.0, None))
        cases.append(softmax_case(logits(20, scale), soft(20), 1.5, None))
        cases.append(
            softmax_case(logits(6, scale), 4, [0.0, 0.5, 1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 0.5, 4.0, 0.125, 8.0])
        )
        cases.append(softmax_case(logits(6, scale), soft(6), [0.0, 0.5, 1.0, 2.0, 3.0, 5.0], 2.0))
    return cases


#: Every form with gammas and parameters that float32 holds exactly.
FORMS = [
    ("poly", 0.0, 0.75),
    ("poly", 0.0, 8.0),  # symmetric cross-entropy
    ("poly", 2.0, 1.0),
    ("poly", 2.0, -0.5),
    ("poly", 1.5, 0.5),
    ("poly", 0.0, -1.0),  # -log p - q, which is q^2 / 2 where q is small
    ("poly", 2.0, -1.0),
    ("poly", 1.5, -1.0),
    ("star", 2.0, 1.0),
    ("star", 4.0, 0.0),
    ("star", 0.5, -1.0),
    ("dft", 0.0, 1.0),
    ("dft", 0.0, 0.5),
    ("gce", 0.0, 0.75),
    ("gce", 0.0, 0.5),
    ("clipped", 4.0, 0.0625),
    ("clipped", 2.0, 0.25),
    ("clipped", 1.0, 0.0625),
    ("clipped", 0.0, 0.375),
]
FORM_SIZES = [2**-20, 0.25, 0.5, 1, 2, 2.5, 3, 4, 6, 8, 10, 12, 16, 16.75, 20, 32, 44, 80, 100, 200, 700, 1000]


def form_blocks() -> list[dict[str, Any]]:
    """The margins again, one block for each form; those of ``clipped`` are the asymmetric loss's negatives."""
    blocks = []
    for name, gamma, number in FORMS:
        at = [-float(size) for size in reversed(FORM_SIZES)] + [0.0] + [float(size) for size in FORM_SIZES]
        options = {"clip": number, "gamma_negative": gamma} if name == "clipped" else {name: number}
        columns: dict[str, Any] = {"gamma": 0.0 if name == "clipped" else gamma, "options": options, "m": at}
        rows = [truth.form_values(m, gamma, name, number) for m in at]
        columns |= written({name: [row[name] for row in rows] for name in ("loss", "d1", "d2")})
        blocks.append(columns)
    return blocks


#: Targets that float32 and both half types hold exactly, beside logits at which p is not one of them.
SOFT_TARGETS = [0.0, 2**-7, 0.25, 0.5, 0.75, 1.0]
SOFT_SIZES = [2**-10, 0.25, 1, 2.5, 4, 8, 16.75, 32, 80, 100, 200]


def soft_blocks() -> list[dict[str, Any]]:
    """Quality and varifocal losses of logits and soft targets."""
    at = [-float(size) for size in reversed(SOFT_SIZES)] + [float(size) for size in SOFT_SIZES]
    blocks = []
    for name, gamma, y in itertools.product(("quality", "varifocal"), (1.0, 1.5, 2.0, 4.0), SOFT_TARGETS):
        columns: dict[str, Any] = {"gamma": gamma, "quality": name, "target": y, "z": at}
        rows = [truth.soft_values(z, y, gamma, name) for z in at]
        columns |= written({name: [row[name] for row in rows] for name in ("loss", "d1", "d2")})
        blocks.append(columns)
    return blocks


#: FLSD-53's table, and one with three rows.
STEPS = [[[0.2, 5.0], [1.0, 3.0]], [[0.125, 0.5], [0.75, 2.0], [1.0, 0.0]]]


def stepped_blocks() -> list[dict[str, Any]]:
    """The margins once more, with the gamma of a table's row."""
    blocks = []
    for table in STEPS:
        at = [-float(size) for size in reversed(FORM_SIZES)] + [0.0] + [float(size) for size in FORM_SIZES]
        columns: dict[str, Any] = {"gamma_steps": table, "m": at}
        rows = [truth.stepped_values(m, table) for m in at]
        columns |= written({name: [row[name] for row in rows] for name in ("loss", "d1", "d2")})
        blocks.append(columns)
    return blocks


def shifted_case(logits: list[float], target: Any, gamma: float, options: dict[str, Any]) -> dict[str, Any]:
    k = len(logits)
    y = [float(j == target) for j in range(k)] if isinstance(target, int) else target
    form = next(((name, value) for name, value in options.items() if name in ("poly", "star", "dft", "gce")), None)
    shift = truth.Shift(options.get("logit_adjustment"), options.get("margin"), options.get("scale", 1), form)
    values = truth.row_values(logits, y, [gamma] * k, shift)
    case = {"logits": logits, "target": target, "gamma": gamma, "alpha": None, "options": options}
    case |= written(values)
    return case


def shifted() -> Iterator[dict[str, Any]]:
    """Softmax cases of adjusted and scaled logits, with margins."""
    draw = random.Random(20200714)
    for k, scale in ((2, 4.0), (3, 30.0), (5, 1.0), (8, 100.0), (4, 10000.0), (20, 3.0)):
        logits = [round(draw.uniform(-1, 1) * 512) * scale / 512 for _ in range(k)]
        logits = [float(round(z * 64)) / 64 for z in logits]
        adjustment = [-draw.randint(0, 640) / 64 for _ in range(k)]
        margin = [draw.randint(0, 8) / 16 for _ in range(k)]
        cuts = [0, *sorted(draw.randint(0, 64) for _ in range(k - 1)), 64]
        soft = [(b - a) / 64 for a, b in itertools.pairwise(cuts)]
        hard = draw.randrange(k)
        for gamma, options in (
            (0.0, {"logit_adjustment": adjustment}),
            (2.0, {"logit_adjustment": adjustment}),
            (0.0, {"margin": margin, "scale": 30.0}),
            (1.0, {"logit_adjustment": adjustment, "margin": margin, "scale": 2.0}),
            (2.0, {"logit_adjustment": adjustment, "poly": 1.0}),
        ):
            yield shifted_case(logits, hard, gamma, options)
            if k < 6:
                yield shifted_case(logits, soft, gamma, options)


def main() -> None:
    table = {
        "margins": margins(),
        "softmax": softmax(),
        "forms": form_blocks(),
        "shifted": list(shifted()),
        "soft": soft_blocks(),
        "stepped": stepped_blocks(),
    }
    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(v, separators=(",", ":")) for v in part) + "\n]"
        for name, part in table.items()
    ]
    TABLE.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
