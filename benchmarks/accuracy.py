"""Largest relative error of loss and gradient in float32, ours beside everyone's, against 60-digit arithmetic.

    python benchmarks/accuracy.py [--out benchmarks/results]

One sample at a time has log-odds m of its true class, -1e4 … 1e4, as two logits (m, 0) under the softmax and
as one logit under the sigmoid. Errors are of the results as float32 numbers: where the truth is below the
smallest normal number, nothing is asked. "0 from" is the first m at which a result is 0 though the truth is
not; "NaN at" where it is not a number.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from peers import PEERS, Case

from focalkit import LossSpec, loss_grad_hess

MARGINS = [
    *(s * 10.0**e * d for s in (-1, 1) for e in range(-3, 4) for d in (1, 1.7, 3.1, 5.3)),
    12.0,
    15.0,
    17.0,
    20.0,
]
MARGINS = sorted({*MARGINS, -1e4, 1e4})
GAMMAS = (0.5, 1.0, 2.0, 5.0)
SMALLEST = 2.0**-126


def truth(m: float, gamma: float) -> tuple[Any, Any]:
    """Loss and its derivative in m."""
    with mpmath.workdps(60):
        m, gamma = mpmath.mpf(m), mpmath.mpf(gamma)
        p, q = 1 / (1 + mpmath.exp(-m)), 1 / (1 + mpmath.exp(m))
        nll = mpmath.log1p(mpmath.exp(-m))
        return q**gamma * nll, -(q**gamma) * (q + gamma * p * nll)


def cases(link: str, m: float, gamma: float) -> Case:
    if link == "softmax":
        return Case("", link, np.array([[m, 0.0]], np.float32), np.array([0]), gamma)
    return Case("", link, np.array([[m]], np.float32), np.ones((1, 1), np.float32), gamma)


def ours(case: Case) -> Any:
    return lambda: loss_grad_hess(LossSpec(case.link, case.gamma), case.logits, case.targets, hess=False)[:2]


def ours_on_tensors(case: Case, kernels: bool = True) -> Any:
    import torch

    from focalkit.engines.torch import dispatch as engine

    spec, z = LossSpec(case.link, case.gamma), torch.from_numpy(case.logits).requires_grad_()
    targets = torch.from_numpy(case.targets)

    def run() -> Any:
        value = engine.loss(spec, z, targets, kernels=kernels)
        return value, *torch.autograd.grad(value, z)

    return run


def ours_in_plain_operations(case: Case) -> Any:
    return ours_on_tensors(case, kernels=False)


OURS = {
    "focalkit": ours,
    "focalkit on tensors": ours_on_tensors,
    "focalkit on tensors, plain operations": ours_in_plain_operations,
}


#: Peers whose function under this link is another one.
NO_SOFTMAX = {"smp": "K sigmoids"}


def run_once(name: str, make: Any, case: Case) -> Any:
    if not name.startswith("optax"):
        return make(case)()
    import jax

    with jax.disable_jit():  # one sample is not worth a compilation
        return make(case)()


def judge(name: str, link: str, gamma: float) -> dict[str, Any]:
    make = {**OURS, **PEERS}[name]
    worst = {"loss": 0.0, "gradient": 0.0}
    zeros: dict[str, list[float]] = {"loss": [], "gradient": []}
    nans: dict[str, list[float]] = {"loss": [], "gradient": []}
    for margin in MARGINS:
        m = float(np.float32(margin))
        value, grad = run_once(name, make, cases(link, m, gamma))
        value = value.detach().numpy() if hasattr(value, "detach") else value
        got = {"loss": float(np.asarray(value)), "gradient": float(np.asarray(grad).reshape(-1)[0])}
        for part, want in zip(("loss", "gradient"), truth(m, gamma), strict=True):
            if not np.isfinite(got[part]):
                nans[part].append(m)
            elif abs(want) >= SMALLEST:
                if got[part] == 0:
                    zeros[part].append(m)
                worst[part] = max(worst[part], float(abs((mpmath.mpf(got[part]) - want) / want)))
    return {
        part: {"error": worst[part], "0 from": min(zeros[part], default=None), "NaN at": nans[part][:3]}
        for part in worst
    }


def cell(result: dict[str, Any]) -> str:
    shown = []
    for part in ("loss", "gradient"):
        r = result[part]
        text = f"{r['error']:.1e}"
        text += f", 0 from {r['0 from']:g}" if r["0 from"] is not None else ""
        text += f", NaN at {r['NaN at'][0]:g}" if r["NaN at"] else ""
        shown.append(text)
    return " · ".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    record: dict[str, Any] = {}
    lines = []
    names = [*OURS, *(name for name in PEERS if "compiled" not in name and name != "torch CE / BCE")]
    for link in ("softmax", "sigmoid"):
        lines += [f"| {link}, loss · gradient | " + " | ".join(f"γ = {g:g}" for g in GAMMAS) + " |", "|---" * 5 + "|"]
        for name in names:
            cells = []
            for gamma in GAMMAS:
                if link == "softmax" and name in NO_SOFTMAX:
                    cells.append(NO_SOFTMAX[name])
                    continue
                try:
                    result = judge(name, link, gamma)
                    record[f"{link}, {name}, {gamma:g}"] = result
                    cells.append(cell(result))
                except Exception as problem:  # a peer that is not installed or cannot do it
                    cells.append(type(problem).__name__)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "accuracy.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (arguments.out / "accuracy.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
