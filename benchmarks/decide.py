"""Decisions: equality with brute force, time beside scikit-learn's threshold tuner, costs beside empulse's learners.

    python benchmarks/decide.py brute --cases 100000
    python benchmarks/decide.py speed --rows 1000000
    python benchmarks/decide.py weights --rows 100000
    python benchmarks/decide.py costs --empulse FOLDER [--creditcard FILE]
    python benchmarks/decide.py calibrate --data FOLDER

FOLDER holds empulse and what it needs (pip install --target FOLDER --no-deps empulse narwhals sympy).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from focalkit.decisions import (
    CaseCost,
    Constraint,
    Cost,
    CostMatrix,
    DecisionClassifier,
    Maximize,
    fit_rule,
    sort_cutoffs,
)

ROOT = Path(__file__).resolve().parents[1]


class Journal:
    """What was found already, by key: in a file where one is given, so that a run that was ended is gone on with."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.found = path, {}
        if path is not None and path.exists():
            for key, value in map(json.loads, path.read_text().splitlines()):
                self.found[tuple(key)] = value

    def get(self, key: tuple, find):
        """The value of a key, found where it is not there."""
        if key not in self.found:
            self.found[key] = find()
            if self.path is not None:
                with self.path.open("a") as file:
                    print(json.dumps([key, self.found[key]]), file=file)
        return self.found[key]


#: Random cases of one kind that are drawn together.
SLICE = 500


def brute(cases: int, only: str, journal: Journal) -> None:
    """Each check of tests/decisions/test_exact.py on its share of the cases."""
    sys.path.insert(0, str(ROOT))
    from tests.decisions import test_exact

    checks = {check.__name__[6:]: check for check in test_exact.CHECKS if only in check.__name__}

    def seconds(check, i: int) -> float:
        rng, started = np.random.default_rng([2026, i]), time.perf_counter()
        for _ in range(SLICE):
            check(rng)
        return round(time.perf_counter() - started, 2)

    times = {name: [] for name in checks}
    for i in range(-(-cases // (SLICE * len(checks)))):
        for name, check in checks.items():
            times[name].append(journal.get((name, i), partial(seconds, check, i)))
    for name, each in times.items():
        print(f"{name}: {SLICE * len(each):,} cases equal, {sum(each):.0f} s", flush=True)


def predictions(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < 0.01).astype(int)
    return 1 / (1 + np.exp(4 - rng.normal(size=rows) - 2.5 * y)), y


GOALS = {
    "cost": Cost(fn=100, fp=1),
    "balanced accuracy": Maximize("balanced_accuracy"),
    "F1": Maximize("f1"),
    "Matthews": Maximize("mcc"),
    "precision at least 0.5": Constraint("precision", 0.5),
    "1 % alerts": Constraint("alerts", 0.01),
}


def speed(rows: int, repeats: int, only: str) -> None:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.metrics import balanced_accuracy_score, f1_score, make_scorer, matthews_corrcoef
    from sklearn.model_selection import TunedThresholdClassifierCV

    class Given(ClassifierMixin, BaseEstimator):
        """Its one feature is the probability, so that only the search for the threshold is timed."""

        def fit(self, X, y):
            self.classes_ = np.array([0, 1])
            return self

        def predict_proba(self, X):
            return np.column_stack([1 - X[:, 0], X[:, 0]])

    p, y = predictions(rows)
    ours, together, theirs = {name: [] for name in GOALS}, [], {"balanced accuracy": [], "F1": [], "Matthews": []}
    scores = {"balanced accuracy": balanced_accuracy_score, "F1": f1_score, "Matthews": matthews_corrcoef}
    scores = {name: score for name, score in scores.items() if only in name}
    for _ in range(repeats):
        for name, goal in GOALS.items():
            started = time.perf_counter()
            fit_rule(goal, p, y, learned=True if name == "cost" else None)
            ours[name].append(time.perf_counter() - started)
        started = time.perf_counter()
        cutoffs = sort_cutoffs(p, y == 1)
        for name, goal in GOALS.items():
            fit_rule(goal, p, y, learned=True if name == "cost" else None, cutoffs=cutoffs)
        together.append(time.perf_counter() - started)
        for name, score in scores.items():
            tuner = TunedThresholdClassifierCV(
                Given().fit(p[:1, None], y), scoring=make_scorer(score), thresholds=100, cv="prefit", refit=False
            )
            started = time.perf_counter()
            tuner.fit(p[:, None], y)
            theirs[name].append(time.perf_counter() - started)
    print(f"{rows:,} rows, medians of {repeats}; six goals from one sort: {np.median(together):.2f} s")
    print("| goal | ours, all cut-offs, s | TunedThresholdClassifierCV, 100 cut-offs, s | ratio |\n|---|---|---|---|")
    for name, times in ours.items():
        a, b = np.median(times), np.median(theirs[name]) if name in scores else np.nan
        print(f"| {name} | {a:.3f} | {b:.2f} | {b / a:.0f} |")


def weights(rows: int, repeats: int) -> None:
    """Weights of ten classes by coordinate ascent: metrics, and a cost matrix."""
    rng, k = np.random.default_rng(0), 10
    share = np.geomspace(1, 0.01, k)
    y = rng.choice(k, rows, p=share / share.sum())
    z = rng.normal(size=(rows, k)) + np.log(share)
    z[np.arange(rows), y] += 2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    matrix = rng.exponential(size=(k, k)) * (1 - np.eye(k))
    goals = {name: Maximize(name) for name in ("mcc", "balanced_accuracy", "macro_f1")}
    print(f"{rows:,} rows of {k} classes, medians of {repeats}\n| goal | s | of processor time |\n|---|---|---|")
    for name, goal in {**goals, "a cost matrix, learned": CostMatrix(matrix)}.items():
        wall, cpu = [], []
        for _ in range(repeats):
            started, busy = time.perf_counter(), time.process_time()
            fit_rule(goal, p, y, learned=True)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - busy)
        print(f"| {name} | {np.median(wall):.2f} | {np.median(cpu):.2f} |", flush=True)


MODELS = ("logistic", "focal, gamma 2", "naive Bayes", "boosting", "network")


def model_of(name: str):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from focalkit.estimator import FocalClassifier

    models = {
        "logistic": LogisticRegression(max_iter=500),
        "focal, gamma 2": FocalClassifier(gamma=2.0),
        "naive Bayes": GaussianNB(),
        "boosting": HistGradientBoostingClassifier(random_state=0),
        "network": MLPClassifier((64,), max_iter=100, random_state=0),
    }
    return make_pipeline(StandardScaler(), models[name])


def said(model, X, raw: bool) -> np.ndarray:
    """Probabilities (n, n_classes); raw: those that the focal loss learned, as a network gives them."""
    if not raw:
        return np.asarray(model.predict_proba(X), float)
    z = model.decision_function(X)
    z = np.column_stack([np.zeros(len(z)), z]) if z.ndim == 1 else z
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def calibrated(X, y, name: str, seed: int) -> dict:
    """Log loss on a third of the rows; one third trains, on one maps are fitted and chosen."""
    from sklearn.model_selection import StratifiedKFold, train_test_split

    from focalkit.decisions.calibration import METHODS, cross_fitted_losses, fit_calibration, log_losses

    rows = np.arange(len(y))
    train, rest = train_test_split(rows, train_size=1 / 3, stratify=y, random_state=seed)
    fit, test = train_test_split(rest, train_size=1 / 2, stratify=y[rest], random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_of(name).fit(X[train], y[train])
        p, q = (said(model, X[part], raw=name.startswith("focal")) for part in (fit, test))
    two = p.shape[1] == 2
    p, q = (part[:, 1] if two else part for part in (p, q))
    splits = StratifiedKFold(5, shuffle=True, random_state=seed).split(p, y[fit])
    folds = np.empty(len(fit), int)
    for fold, (_, some) in enumerate(splits):
        folds[some] = fold
    methods = METHODS if two else ("temperature", "focal_temperature")
    losses, cross = {"none": log_losses(q, y[test])}, {}
    for method in methods:
        losses[method] = log_losses(fit_calibration(method, p, y[fit]).apply(q), y[test])
        gain = log_losses(p, y[fit]) - cross_fitted_losses(method, p, y[fit], np.ones(len(fit)), folds)
        cross[method] = float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
    mean = {key: float(value.mean()) for key, value in losses.items()}
    error = float((losses["temperature"] - losses["focal_temperature"]).std(ddof=1) / np.sqrt(len(test)))
    return {"losses": mean, "cross": cross, "error": error}


METHODS_SHOWN = ("temperature", "focal_temperature", "beta", "isotonic")
#: How a map is chosen among those that lower the cross-fitted log loss by two standard errors.
CHOICES = {
    "surest": lambda gain, error: gain / error,
    "largest": lambda gain, error: gain,
}


def choose(one: dict, choice: str, focal: bool) -> str:
    """The map that is chosen by what cross-fitting said of each."""
    sure = {m: CHOICES[choice](g, e) for m, (g, e) in one["cross"].items() if e > 0 and g > 2 * e}
    sure = {m: value for m, value in sure.items() if focal or m != "focal_temperature"}
    return max(sure, key=sure.get) if sure else "none"


def calibrate(folder: Path, seeds: int, only: str, journal: Journal) -> None:
    """What "auto" would choose among the maps, with and without focal temperature scaling, and what that is worth."""
    from focalkit.io.features import read_table

    print("| table | classes | model | none | temperature | focal temperature | beta | isotonic |\n" + "|---" * 8 + "|")
    every = []
    for path in sorted(folder.glob("*.csv")):
        if only not in path.stem:
            continue
        table = read_table(path)
        y = np.unique(np.asarray(table.y), return_inverse=True)[1]
        some = np.random.default_rng(0).permutation(len(y))[:6000]
        some = some[np.bincount(y[some], minlength=y.max() + 1)[y[some]] >= 15]
        X, y = np.nan_to_num(np.asarray(table.X, float)[some]), np.unique(y[some], return_inverse=True)[1]
        k = int(y.max()) + 1
        if k < 2:
            continue
        for name in MODELS:
            find = [partial(calibrated, X, y, name, seed) for seed in range(seeds)]
            each = [journal.get(("calibrate", path.stem, name, seed), one) for seed, one in enumerate(find)]
            every += [(k, one) for one in each]
            mean = {key: np.mean([one["losses"][key] for one in each]) for key in each[0]["losses"]}
            cells = [f"{mean[m]:.4f}" if m in mean else "–" for m in ("none", *METHODS_SHOWN)]
            print(f"| {path.stem} | {k} | {name} | {' | '.join(cells)} |", flush=True)
    print("\n| classes | runs | chosen | with focal | log loss | above the best map |\n|---|---|---|---|---|---|")
    for words, among in (("two", lambda k: k == 2), ("more", lambda k: k > 2)):
        part = [one for k, one in every if among(k)]
        for choice in CHOICES:
            for focal in (False, True):
                loss = [one["losses"][choose(one, choice, focal)] for one in part]
                above = [value - min(one["losses"].values()) for value, one in zip(loss, part, strict=True)]
                print(f"| {words} | {len(part)} | {choice} | {focal} | {np.mean(loss):.5f} | {np.mean(above):.5f} |")


def tables(folder: Path, creditcard: Path | None):
    """Name, features, targets, costs (n, 2, 2) of each case."""
    import pandas as pd
    from sympy import lambdify

    sys.path.append(str(folder))
    import empulse.datasets as sets

    for name in ("churn_tv_subscriptions", "upsell_bank_telemarketing", "credit_scoring_pakdd", "vub_credit_scoring"):
        data = getattr(sets, f"load_{name}")(backend="pandas")
        y, matrix, costs = data.target.to_numpy().astype(int), data.cost_matrix, np.zeros((len(data.target), 2, 2))
        known = {**matrix._defaults, **data.instance_costs}
        known |= {str(matrix._aliases[key]): value for key, value in known.items() if key in matrix._aliases}
        for (i, j), part in {(0, 0): "tn", (0, 1): "fp", (1, 0): "fn", (1, 1): "tp"}.items():
            form = getattr(matrix, f"{part}_cost")
            symbols = sorted(form.free_symbols, key=str)
            value = lambdify(symbols, form, "numpy")(*(np.asarray(known[str(s)], float) for s in symbols))
            costs[:, i, j] = value
        yield name, data.data, y, costs
    if creditcard is not None:
        frame = pd.read_csv(creditcard, header=None)
        last = frame.iloc[:, -1]
        costs = np.broadcast_to(np.array([[0.0, 1.0], [100.0, 0.0]]), (len(frame), 2, 2)).copy()
        yield (
            "creditcard_subset",
            frame.iloc[:, :-1],
            (last == last.value_counts().idxmin()).to_numpy().astype(int),
            costs,
        )


def numeric(X):
    """Encoders for any of the tables."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    words = make_column_selector(dtype_exclude="number")
    encoder = OneHotEncoder(min_frequency=50, handle_unknown="infrequent_if_exist", sparse_output=False)
    return make_column_transformer((StandardScaler(), make_column_selector(dtype_include="number")), (encoder, words))


def parts(m: np.ndarray) -> dict[str, np.ndarray]:
    """Cost matrices as empulse takes them."""
    return {"tn_cost": m[:, 0, 0], "fp_cost": m[:, 0, 1], "fn_cost": m[:, 1, 0], "tp_cost": m[:, 1, 1]}


#: Ours that each of empulse's is compared with, paired over folds.
OURS = "ours, boosting"
THEIRS = ("CSThreshold, logistic", "CSThreshold, boosting", "CSLogit", "CSBoost")


def fold_costs(X, y, costs, train, test) -> dict[str, float]:
    """Mean cost of a case of each learner on one fold."""
    from empulse.models import CSBoostClassifier, CSLogitClassifier, CSThresholdClassifier
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    encoder = numeric(X)
    A, B = encoder.fit_transform(X.iloc[train]), encoder.transform(X.iloc[test])
    c, d = costs[train], costs[test]
    small = {"n_estimators": 100, "max_depth": 3, "learning_rate": 0.1, "n_jobs": 1}
    plain = LogisticRegression(max_iter=1000)
    learners = {
        "predict, logistic": (plain, {}, {}),
        "ours, logistic": (DecisionClassifier(plain, CaseCost()), {"costs": c}, {"costs": d}),
        "ours, boosting": (DecisionClassifier(XGBClassifier(**small), CaseCost()), {"costs": c}, {"costs": d}),
        "CSThreshold, logistic": (CSThresholdClassifier(LogisticRegression(max_iter=1000)), {}, parts(d)),
        "CSThreshold, boosting": (CSThresholdClassifier(XGBClassifier(**small)), {}, parts(d)),
        "CSLogit": (CSLogitClassifier(), parts(c), {}),
        "CSBoost": (CSBoostClassifier(XGBClassifier(**small)), parts(c), {}),
    }
    found = {}
    for name, (model, of_fit, of_predict) in learners.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = np.asarray(model.fit(A, y[train], **of_fit).predict(B, **of_predict)).astype(int)
        found[name] = float(d[np.arange(len(test)), y[test], said].mean())
    return found


def paired(gap: np.ndarray) -> str:
    """The mean and its standard error with Nadeau and Bengio's correction for folds that share their training rows."""
    error = np.sqrt(gap.var(ddof=1) * (1 / len(gap) + 1 / 4)) if gap.any() else 0.0
    return f"{gap.mean():+.4f} ± {error:.4f}"


def costs(folder: Path, creditcard: Path | None, seeds: int, only: str, journal: Journal) -> None:
    from sklearn.model_selection import StratifiedKFold

    reached = []
    for name, X, y, c in tables(folder, creditcard):
        if only not in name:
            continue
        by_fold = []
        for seed in range(seeds):
            splits = StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y)
            for fold, (train, test) in enumerate(splits):
                find = partial(fold_costs, X, y, c, train, test)
                by_fold.append(journal.get(("costs", name, seed, fold), find))
        found = {learner: np.array([one[learner] for one in by_fold]) for learner in by_fold[0]}
        print(f"\n{name}: {len(y):,} rows, {y.sum():,} positives; mean cost of a case over {len(by_fold)} folds")
        print("| learner | cost | less ours of the same kind | less ours with boosting |\n|---|---|---|---|")
        for learner, values in found.items():
            like = found["ours, boosting" if "oost" in learner else "ours, logistic"]
            columns = [f"{values.mean():.4f}", paired(values - like), paired(values - found[OURS])]
            print(f"| {learner} | {' | '.join(columns)} |", flush=True)
        reached.append(all(found[OURS].mean() <= found[learner].mean() + 1e-12 for learner in THEIRS))
    print(f"\n{OURS}: a mean cost not above that of any of empulse's on {sum(reached)} of {len(reached)} tables")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["brute", "speed", "weights", "costs", "calibrate"])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--journal", type=Path, help="of brute and costs: a file of what is done, to go on from")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--empulse", type=Path)
    parser.add_argument("--creditcard", type=Path)
    parser.add_argument("--data", type=Path, help="of calibrate: a folder of CSV files, the label last")
    parser.add_argument("--table", default="", help="part of the name of the one table, or check, to run")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    if given.what == "brute":
        brute(given.cases, given.table, Journal(given.journal))
    elif given.what == "speed":
        speed(given.rows, given.repeats, given.table)
    elif given.what == "weights":
        weights(given.rows, given.repeats)
    elif given.what == "calibrate":
        calibrate(given.data, given.seeds, given.table, Journal(given.journal))
    else:
        costs(given.empulse, given.creditcard, given.seeds, given.table, Journal(given.journal))


if __name__ == "__main__":
    main()
