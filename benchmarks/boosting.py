"""What one boosting round costs: the focal objective, the library's log loss, and what people paste.

    python benchmarks/boosting.py [--rows 1000000] [--rounds 15] [--threads 2]

Rounds of all contenders alternate; each figure is the median of a round's time divided by that of the
built-in objective. Then the objective alone, against the same pasted code.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import lightgbm
import numpy as np
import xgboost

from focalkit.boosting import FocalObjective
from focalkit.boosting import lightgbm as focal_lightgbm
from focalkit.boosting import xgboost as focal_xgboost
from focalkit.engines.cpu.machine import set_num_threads

GAMMA = 2.0
DEPTH = 6


def numpy_closed_form(scores, y):
    """The gradient and Hessian that circulate as a closed form for two classes, in NumPy."""
    p = 1 / (1 + np.exp(-scores))
    pt = np.where(y == 1, p, 1 - p)
    sign = np.where(y == 1, 1.0, -1.0)
    log_pt = np.log(np.maximum(pt, 1e-15))
    grad = sign * (1 - pt) ** GAMMA * (GAMMA * pt * log_pt + pt - 1)
    du = -GAMMA * (1 - pt) ** (GAMMA - 1)
    v = GAMMA * pt * log_pt + pt - 1
    hess = ((du * v + (1 - pt) ** GAMMA * (GAMMA * log_pt + GAMMA + 1)) * pt) * (1 - pt)
    return grad, np.maximum(hess, 1e-16)


def focal_of(scores, y):
    """The loss that finite differences are taken of."""
    if scores.ndim == 1:
        p = 1 / (1 + np.exp(-scores))
        pt = np.where(y == 1, p, 1 - p)
    else:
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        pt = (e / e.sum(axis=1, keepdims=True))[np.arange(len(y)), y]
    return -((1 - pt) ** GAMMA) * np.log(np.maximum(pt, 1e-15))


def finite_differences(scores, y, step=1e-2):
    """Central differences as scipy.misc.derivative took them in the pasted objectives."""
    scores = np.asarray(scores, np.float64)
    here = focal_of(scores, y)
    columns = [...] if scores.ndim == 1 else [(slice(None), k) for k in range(scores.shape[1])]
    grad, hess = np.empty_like(scores), np.empty_like(scores)
    for column in columns:
        above, below = scores.copy(), scores.copy()
        above[column] += step
        below[column] -= step
        up, down = focal_of(above, y), focal_of(below, y)
        grad[column] = (up - down) / (2 * step)
        hess[column] = (up - 2 * here + down) / step**2
    return grad, np.maximum(hess, 1e-16)


def numpy_softmax(scores, y):
    """A pasted closed form for several classes, with the Hessian of cross-entropy."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    pt = p[rows, y]
    factor = (1 - pt) ** GAMMA - GAMMA * pt * (1 - pt) ** (GAMMA - 1) * np.log(np.maximum(pt, 1e-15))
    grad = p.copy()
    grad[rows, y] -= 1
    return grad * factor[:, None], np.maximum(2 * p * (1 - p) * factor[:, None], 1e-16)


def xgboost_round(X, y, n_classes: int, threads: int) -> dict[str, Callable[[], None]]:
    """Contenders: each call is one more round of training."""
    objective = FocalObjective.from_counts(np.bincount(y), GAMMA)
    common = {"max_depth": DEPTH, "nthread": threads, "tree_method": "hist"}
    closed = numpy_closed_form if n_classes == 2 else numpy_softmax

    def start(obj):
        data = xgboost.QuantileDMatrix(X, y, nthread=threads)
        booster = xgboost.Booster({**common, **focal_xgboost.start_parameters(objective)}, cache=[data])
        count = iter(range(10**6))
        return lambda: booster.update(data, next(count), fobj=obj)

    def pasted(function):
        return lambda predt, data: function(predt, data.get_label().astype(int))

    return {
        "built-in log loss": start(None),
        "focalkit": start(focal_xgboost.native_objective(objective)),
        "pasted, NumPy closed form": start(pasted(closed)),
        "pasted, finite differences": start(pasted(finite_differences)),
    }


def lightgbm_round(X, y, n_classes: int, threads: int) -> dict[str, Callable[[], None]]:
    """Contenders: each call is one more round of training."""
    objective = FocalObjective.from_counts(np.bincount(y), GAMMA, hessian="majorizer")
    common = {"num_leaves": 31, "num_threads": threads, "verbose": -1}
    common |= {"num_class": n_classes} if n_classes > 2 else {}
    closed = numpy_closed_form if n_classes == 2 else numpy_softmax

    def start(obj):
        score = None if obj is None else focal_lightgbm.start_scores(objective, len(y))
        plain = "binary" if n_classes == 2 else "multiclass"
        params = {**common, "objective": plain if obj is None else "none"}
        data = lightgbm.Dataset(X, y, init_score=score, params=params)
        booster = lightgbm.Booster(params, data)
        return lambda: booster.update(fobj=obj)

    def pasted(function):
        def call(preds, data):
            grad, hess = function(preds, data.get_label().astype(int))
            return grad, hess

        return call

    return {
        "built-in log loss": start(None),
        "focalkit": start(focal_lightgbm.native_objective(objective)),
        "pasted, NumPy closed form": start(pasted(closed)),
        "pasted, finite differences": start(pasted(finite_differences)),
    }


def alone(scores, y, n_classes: int) -> dict[str, Callable[[], object]]:
    """The objectives without a booster."""
    forms = {h: FocalObjective.from_counts(np.bincount(y), GAMMA, hessian=h) for h in ("clipped", "majorizer")}
    closed = numpy_closed_form if n_classes == 2 else numpy_softmax
    return {
        **{f"focalkit, {h}": lambda o=o: o.grad_hess(scores, y, diagonal=2.0) for h, o in forms.items()},
        "pasted, NumPy closed form": lambda: closed(scores, y),
        "pasted, finite differences": lambda: finite_differences(scores, y),
    }


def timed(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call."""
    begin = clock()
    call()
    return clock() - begin


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--libraries", nargs="+", default=["xgboost", "lightgbm"])
    parser.add_argument("--cpu-time", action="store_true", help="the process's CPU time: for a busy machine")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(options.rows, options.features)).astype(np.float32)
    signal = 2 * X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=options.rows)
    size = f"gamma {GAMMA:g}, {options.rows:,} rows, {options.features} features"
    print(f"{size}, {options.rounds} alternating rounds, {options.threads} thread(s), seconds of {clock.__name__}")
    print("\n| library | classes | objective | round, s | median ratio to built-in | quartiles |")
    print("|---|---|---|---|---|---|")
    makers = {"xgboost": xgboost_round, "lightgbm": lightgbm_round}
    for library in options.libraries:
        for n_classes in (2, 10):
            y = np.searchsorted(np.quantile(signal, np.linspace(0.7, 0.99, n_classes - 1)), signal).astype(np.int32)
            contenders = makers[library](X, y, n_classes, options.threads)
            if n_classes > 2:
                contenders.pop("pasted, finite differences")  # see the objective alone, below
            for call in contenders.values():
                call()
            times = {name: [] for name in contenders}
            for _ in range(options.rounds):
                for name, call in contenders.items():
                    times[name].append(timed(call, clock))
            base = np.array(times["built-in log loss"])
            for name, spent in times.items():
                low, middle, high = np.quantile(np.array(spent) / base, [0.25, 0.5, 0.75])
                figures = f"{np.median(spent):.3f} | {middle:.2f} | {low:.2f} to {high:.2f}"
                print(f"| {library} | {n_classes} | {name} | {figures} |", flush=True)
            del contenders
    print("\n| classes | objective alone | ms, median | ratio to focalkit |")
    print("|---|---|---|---|")
    for n_classes in (2, 10):
        y = np.searchsorted(np.quantile(signal, np.linspace(0.7, 0.99, n_classes - 1)), signal).astype(np.int32)
        shape = options.rows if n_classes == 2 else (options.rows, n_classes)
        scores = rng.normal(size=shape).astype(np.float32)
        calls = alone(scores, y, n_classes)
        times = {name: [] for name in calls}
        for _ in range(options.rounds if n_classes == 2 else 5):
            for name, call in calls.items():
                times[name].append(timed(call, clock))
        first = np.median(times["focalkit, clipped"])
        for name, spent in times.items():
            print(
                f"| {n_classes} | {name} | {1e3 * np.median(spent):.1f} | {np.median(spent) / first:.1f} |", flush=True
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
