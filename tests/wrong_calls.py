"""Public callables with arguments that they take, and what nobody should give them: for the suite and for fuzzing.

A wrong argument is taken for what it is, or refused by an error of this package in one line that any terminal shows;
nothing else comes out.
"""

from __future__ import annotations

import decimal
import fractions
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import focalkit
from focalkit import InputError, LossSpec, decisions

SOURCE = Path(focalkit.__file__).parent


class Odd:
    """Nothing that any argument is."""


#: One of each kind.
KINDS: tuple[Any, ...] = (
    *(None, "abc", 3, -1, float("nan"), float("inf"), True, [], [[1.0, 2.0], [3.0]], np.full((6, 3), np.nan)),
    *(np.zeros((2, 2, 2)), {"a": 1}, {1, 2}, b"abc", 1j, ["a", "b"], np.array(2.0), np.array(["2020-01-01"], "M8[D]")),
    *(Odd(), int),
)
#: And what is rare, or at the ends of the numbers.
HOSTILE: tuple[Any, ...] = (
    *KINDS,
    *(0, 1, 2, 0.5, -0.5, 1e308, 5e-324, 2**31, 2**63, 2**70, 10**400, "", "x", "f1", "\x1b[2J", "\ud800", "9" * 5000),
    *((), {}, set(), [[]], [None], [[1], [1, 2]], object, len, range(3), decimal.Decimal("NaN"), decimal.Decimal(1)),
    *(fractions.Fraction(1, 3), np.float16(2), np.int8(-1), np.array([]), np.zeros((0, 3)), np.zeros((4, 0))),
    *(np.array(["a", "b"]), np.array([1, "b"], object), np.array([1 + 1j] * 3), np.array([1, 2, 3], "M8[s]")),
    *(np.ma.array([1.0, 2, 3], mask=[0, 1, 0]), np.array([(1, 2.0)], "i4,f8"), np.array([2**64 - 1], np.uint64)),
    *(np.array([[np.nan, 1, 2]] * 4), np.full((4, 3), -np.inf), np.array([0, 1, 2, 9]), np.ones(4, bool)),
    *(np.float64("nan"), np.array([1.0, 2.0, 3.0], ">f8"), np.longdouble(1), "balanced_accuracy", LossSpec(), [[0, 1]]),
)

Z = np.array([[1.0, -2, 0.5], [0.1, 0.2, 0.3], [3, 2, 1], [0, 0, 0], [-1, 0.5, 2], [0.3, 1.5, -0.2]])
Y = np.array([0, 1, 2, 0, 1, 2])
BITS = (Z > 0).astype(int)
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
P2, Y2 = np.linspace(0.05, 0.95, 12), (np.arange(12) % 3 == 0).astype(int)
F1 = decisions.Maximize("f1")
LEDGER = focalkit.diagnose(Z, Y)
RULE = decisions.decide(P2, Y2, "f1", cv=2)
OBJECTIVE = focalkit.boosting.FocalObjective.from_counts([9, 4, 1])


class Use(NamedTuple):
    """A callable by its name under ``focalkit``, what it is given, and what is then done with the object it makes."""

    name: str
    given: dict[str, Any]
    method: str = ""
    then: dict[str, Any] = {}  # noqa: RUF012
    #: arguments that stay as they are
    fixed: dict[str, Any] = {}  # noqa: RUF012
    #: of the arguments; a callable that trains is spared the rare ones
    values: tuple[Any, ...] = HOSTILE
    #: arguments that another library checks, in words of its own
    foreign: tuple[str, ...] = ()
    #: what has the method; None: what the callable makes
    of: Any = None

    @property
    def arguments(self) -> list[str]:
        """Those of both steps."""
        return [*self.given, *self.then]

    @property
    def function(self) -> Callable[..., Any]:
        """The callable itself."""
        found: Any = focalkit
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    def __call__(self, **wrong: Any) -> Any:
        """Do it with some arguments replaced."""
        made = self.of
        if made is None:
            made = self.function(**{name: wrong.get(name, value) for name, value in self.given.items()}, **self.fixed)
        if not self.method:
            return made
        return getattr(made, self.method)(**{name: wrong.get(name, value) for name, value in self.then.items()})


def refused_or_done(use: Use, **wrong: Any) -> None:
    """Raise what may not come of wrong arguments, with a note of what was called."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(**wrong)
    except InputError as error:
        said = str(error)
        assert "\n" not in said.strip(), said
        assert len(said) < 2000, said
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in said), repr(said)
    except (ModuleNotFoundError, MemoryError):
        pass
    except Exception as error:
        of_a_file = isinstance(error, OSError) and error.filename is not None
        elsewhere = SOURCE not in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parents
        if of_a_file or (elsewhere and set(wrong) & set(use.foreign)):
            return
        told = ", ".join(f"{name}={value!r:.60}" for name, value in wrong.items())
        error.add_note(f"{use.name}({told})")
        raise


SOFTMAX = {
    **{"gamma": 2.0, "alpha": [1.0, 2, 3], "label_smoothing": 0.1, "ignore_index": -100, "reduction": "mean"},
    **{"keep_hardest": None, "class_axis": 1, "logit_adjustment": None, "margin": None, "scale": 1.0, "poly": 0.0},
}
SIGMOID = {
    **{"gamma": [1.0, 2, 3], "alpha": 0.3, "reduction": "sum", "gamma_negative": None, "clip": 0.0, "quality": None},
    **{"negatives_per_positive": None},
}
BATCH = {"sample_weight": [1.0] * 6, "normalizer": 3.0}

#: What NumPy serves.
USES = (
    Use("softmax_focal_loss", {"logits": Z, "targets": Y, "inplace": False, **SOFTMAX, **BATCH}),
    Use("softmax_cross_entropy", {"logits": Z, "targets": Y, "alpha": 0.5, "normalizer": 3.0, "label_smoothing": 0.1}),
    Use("sigmoid_focal_loss", {"logits": Z, "targets": BITS, **SIGMOID}),
    Use("sigmoid_cross_entropy", {"logits": Z, "targets": BITS, "alpha": [0.1, 0.2, 0.3], "ignore_index": -1}),
    Use("loss_grad_hess", {"spec": LossSpec(), "logits": Z, "targets": Y, "hess": True, "out": None, **BATCH}),
    Use("linear_softmax_focal_loss", {"hidden": Z, "weight": Z[:3], "targets": Y, "bias": None, "memory_budget": None}),
    Use("LossSpec", {"link": "softmax", **SOFTMAX, "alpha": [0.5, 1], "logit_adjustment": [0.1, 0.2], "scale": 2.0}),
    Use("LossSpec", {"link": "sigmoid", "gamma": 1.0, "gamma_negative": 4.0, "clip": 0.05, "ignore_index": -1}),
    Use("LossSpec", {"gamma": 1.0, "poly": 1.0, "dft": 0.0, "gce": 0.0, "star": 0.0}),
    Use("class_weights", {"counts": [3, 9, 1], "scheme": "power", "beta": 0.5}),
    Use("deferred_weights", {"counts": [3, 9], "epoch": 2, "start": 1, "scheme": "effective", "beta": 0.9}),
    Use("long_tail_counts", {"n_largest": 500, "n_classes": 4, "imbalance": 10.0}),
    Use("prior_bias", {"prior": [0.2, 0.8]}),
    Use("recover_posterior", {"probabilities": P, "gamma": 2.0, "alpha": [1.0, 2, 3]}),
    Use("shift_prior", {"probabilities": P, "prior": [0.2, 0.3, 0.5], "tau": 1.0}),
    Use("set_num_threads", {"threads": 2}),
    Use("diagnose", {"logits": Z, "targets": Y, "spec": None, "sample_weight": None, "class_names": ["a", "b", "c"]}),
    Use("Ledger", {"spec": LossSpec(gamma=2.0), "n_classes": 3, "class_names": ["a", "b", "c"]}),
    Use(
        "Ledger",
        {"spec": LossSpec(), "n_classes": 3},
        "update",
        {"logits": Z, "targets": Y, "sample_weight": None},
    ),
    Use("Ledger", {}, "shares", {"gamma": 1.0, "alpha": "balanced", "form": {"poly": 1.0}}, of=LEDGER),
    Use("Ledger", {}, "cumulative", {"gamma": 1.0, "by": "sign", "form": None}, of=LEDGER),
    Use("Ledger", {}, "sentences", {"language": "en"}, of=LEDGER),
    Use("Ledger", {}, "to_frame", {"library": "pandas"}, of=LEDGER),
    Use("Ledger", {}, "__add__", {"other": LEDGER}, of=LEDGER),
    Use("Ledger.from_json", {"text": LEDGER.to_json()}),
    Use(
        "diagnosis.Diagnosis",
        {"ledger": LEDGER, "gamma": 2.0, "alpha": None},
        "sentences",
        {"language": "en"},
        values=KINDS,
    ),
    Use("diagnosis.Diagnosis", {}, "shares", {"gamma": 2.0}, of=focalkit.diagnosis.Diagnosis(LEDGER)),
    Use("diagnosis.CumulativeCurves", {}, "hardest", {"loss_share": 0.5}, of=LEDGER.cumulative()),
    Use("diagnosis.loss_curves", {"gammas": (0.0, 2.0), "n_points": 20, "form": None}),
    Use(
        "diagnosis.diagnose_files",
        {
            **{"files": "nowhere.csv", "targets": (), "class_names": (), "drop": (), "link": None, "gamma": 2.0},
            **{"alpha": None, "against": ()},
        },
    ),
    Use("decisions.as_goal", {"goal": [[0, 1], [5, 0]]}),
    Use("decisions.Cost", {"fn": 5.0, "fp": 1.0, "tp": 0.0, "tn": 0.0}),
    Use("decisions.CostMatrix", {"matrix": ((0, 1), (5, 0))}),
    Use("decisions.Abstain", {"review_cost": 0.2, "share": None, "cost": decisions.Cost(5.0)}),
    Use("decisions.Constraint", {"kind": "recall", "bound": 0.9}),
    Use("decisions.Maximize", {"metric": "f_beta", "beta": 2.0}),
    Use("decisions.CaseCost", {"fp": 2.0, "tp": 0.0, "tn": 0.0}),
    Use(
        "decisions.decide",
        {
            **{"probabilities": P2, "targets": Y2, "goal": "f1", "sample_weight": np.ones(12), "cv": 3, "costs": None},
            **{"classes": [0, 1], "calibrate": None, "prior": [0.5, 0.5], "learned": True, "random_state": 0},
        },
        values=KINDS,
    ),
    Use(
        "decisions.decide",
        {"gamma": 2.0, "alpha": None},
        fixed={"probabilities": P2[:9], "targets": Y2[:9], "goal": "f1", "cv": 2},
        values=KINDS,
    ),
    Use("decisions.fit_rule", {"goal": F1, "probabilities": P2, "targets": Y2, "sample_weight": None, "cutoffs": None}),
    Use(
        "decisions.score",
        {"goal": F1, "rule": decisions.fit_rule(F1, P2, Y2), "probabilities": P2, "targets": Y2},
    ),
    Use("decisions.sort_cutoffs", {"p": P2, "positive": Y2, "weight": np.ones(12)}),
    Use("decisions.calibration", {"p": P2, "positive": Y2, "weight": np.ones(12), "n_bins": 5}),
    Use("decisions.estimate_prior", {"probabilities": P, "prior": [0.2, 0.3, 0.5], "sample_weight": [1.0] * 6}),
    Use("decisions.CaseCost", {}, "matrices", {"costs": np.ones(4), "n_classes": 2}, of=decisions.CaseCost(1.0)),
    Use("decisions.DecisionRule.from_json", {"text": "{}"}),
    Use("decisions.DecisionRule", {}, "predict", {"probabilities": P2, "costs": None, "review": "?"}, of=RULE),
    Use("decisions.DecisionRule", {}, "to_sql", {"columns": ["p"]}, of=RULE),
    Use("decisions.DecisionReport", {}, "figure", {"name": "f1"}, of=RULE.report),
    Use("tuning.judge", {"result": None}),
    Use("tuning.judge_all", {"result": None}),
    Use(
        "report.write_page",
        {"result": focalkit.diagnose(Z, Y), "language": "en", "source": "", "notes": (), "command": ""},
        fixed={"path": Path("nowhere", "at", "all.html")},
        values=KINDS,
    ),
    Use("boosting.focal_start", {"weights": [1.0, 3.0], "gamma": 2.0}),
    Use(
        "boosting.FocalObjective", {"gamma": 2.0, "alpha": (1.0, 1.0), "start": (0.0, 0.0), "scale": 1.0, "options": {}}
    ),
    Use(
        "boosting.FocalObjective",
        {},
        "grad_hess",
        {"scores": Z, "targets": Y, "sample_weight": None, "diagonal": 1.0},
        of=OBJECTIVE,
    ),
    Use("boosting.FocalObjective", {}, "grad_hess_matrix", {"scores": Z, "target": 1, "weight": 2.0}, of=OBJECTIVE),
    Use("boosting.FocalObjective", {}, "posterior", {"scores": Z}, of=OBJECTIVE),
    Use("boosting.FocalObjective", {}, "population_posterior", {"scores": Z}, of=OBJECTIVE),
    Use(
        "boosting.FocalObjective.from_counts",
        {"counts": [9, 1], "gamma": 2.0, "alpha": "sqrt", "hessian": "exact", "options": {"logit_adjustment": 1.0}},
    ),
)
FEATURES = np.stack([P2, np.cos(7 * P2)], axis=1)
TRAINING = {"X": FEATURES, "y": Y2, "sample_weight": None}
FOCAL = {"gamma": 2.0, "alpha": "balanced", "options": None}


def classifiers() -> Iterator[Use]:
    """In scikit-learn's manner: whose validation, and the boosters', may refuse the training data."""
    from sklearn.linear_model import LogisticRegression

    of = {"method": "fit", "values": KINDS, "foreign": ("X", "y", "sample_weight", "groups", "eval_set")}
    numbers = {"keep_hardest": None, "C": 1.0, "fit_intercept": True, "max_iter": 20, "tol": 1e-3, "warm_start": False}
    yield Use("estimator.FocalClassifier", {**FOCAL, **numbers, "logit_adjustment": None}, then=TRAINING, **of)
    given = {"goal": "accuracy", "cv": 2, "learned": False, "calibrate": None, "prior": None, "random_state": 0}
    of_fit = {**TRAINING, "costs": None, "groups": None, "probabilities": P2}
    yield Use("decisions.DecisionClassifier", {"estimator": LogisticRegression(), **given}, then=of_fit, **of)
    boosters = {
        "XGB": {"n_estimators": 2, "n_jobs": 1},
        "LGBM": {"n_estimators": 2, "n_jobs": 1, "verbose": -1},
        "CatBoost": {"iterations": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False},
    }
    for name, fixed in boosters.items():
        given = {**FOCAL, "hessian": "clipped"}
        yield Use(f"boosting.Focal{name}Classifier", given, then={**TRAINING, "eval_set": None}, fixed=fixed, **of)


#: A few fits on a dozen rows.
SMALL: dict[str, Any] = {
    **{"alphas": (None,), "gammas": (0.0,), "keep_hardest": (), "rivals": (), "metric": "mcc", "n_splits": 2},
    **{"n_repeats": 1, "groups": None, "time": None, "sample_weight": None, "costs": None, "seed": 0},
}


def tuning() -> Iterator[Use]:
    """Tuning runs, and what is asked of them."""
    from sklearn.linear_model import LogisticRegression

    of: dict[str, Any] = {"values": KINDS, "foreign": ("estimator", "X")}
    found = focalkit.tuning.tune("linear", FEATURES, Y2, **SMALL)
    table = {"X": FEATURES, "y": Y2, **SMALL, "n_trials": 0}
    yield Use("tuning.tune", {"estimator": "linear", **table}, **of)
    labels = {"labels": {"a": Y2, "b": 1 - Y2}, "worth": 0.5}
    yield Use("tuning.tune_labels", {"estimator": "linear", "X": FEATURES, **labels}, fixed=SMALL, **of)
    of_rows = {"X": FEATURES, "y": Y2, "groups": None, "time": None, "costs": np.ones(12)}
    others = {name: value for name, value in SMALL.items() if name not in of_rows}
    others |= {"estimator": LogisticRegression(), "metric": decisions.CaseCost(1.0)}
    yield Use("tuning.tune", of_rows, fixed=others, **of)
    sizes = {"name": "linear", "n_features": 2, "categorical": [0], "missing": True, "C": 1.0}
    yield Use("tuning.named_estimator", sizes, values=KINDS)  # sizes are memory
    yield Use("tuning.judge", {"result": found, "metric": "mcc", "worth": 0.5, "proof": False})
    yield Use("tuning.judge_all", {"result": found, "worth": 0.5, "proof": False})
    yield Use("tuning.TuneResult", {}, "surface", {"metric": "mcc"}, of=found)
    yield Use("tuning.TuneResult", {}, "mean_and_error", {"metric": "mcc"}, of=found)
    yield Use("tuning.TuneResult", {}, "sentences", {"language": "en"}, of=found)
    yield Use("tuning.TuneResult", {}, "to_frame", {"library": "pandas"}, of=found)
    remedy = {"alpha": None, "gamma": 0.0, "keep_hardest": None, "logit_adjustment": None, "resample": None}
    remedy |= {"params": None, "tau": 1.0, "cutoff": None, "goal": None, "never": (), "random_state": 0}
    training = {**of, "foreign": ("estimator", "X", "y", "sample_weight")}
    yield Use("tuning.RemedyClassifier", {"estimator": LogisticRegression(), **remedy}, "fit", TRAINING, **training)
    of_own = focalkit.estimator.FocalClassifier(max_iter=20)
    yield Use("tuning.RemedyClassifier", {"estimator": of_own, **remedy}, "fit", TRAINING, **training)
    fitted = focalkit.tuning.RemedyClassifier(of_own, goal=decisions.CaseCost(1.0)).fit(FEATURES, Y2)
    yield Use(
        "tuning.RemedyClassifier", {}, "predict", {"X": FEATURES, "costs": np.ones(12)}, of=fitted, foreign=("X",)
    )


def of_torch() -> Iterator[Use]:
    """Modules, and what takes tensors."""
    import torch

    batch = {"sample_weight": torch.ones(6, dtype=torch.float64), "normalizer": 3.0}
    hard = {"logits": torch.from_numpy(Z), "targets": torch.from_numpy(Y), **batch}
    columns = {"logits": torch.from_numpy(Z), "targets": torch.from_numpy(BITS), **batch}
    flags = {"check_finite": False, "inplace": False}
    yield Use("nn.SoftmaxFocalLoss", {**SOFTMAX, **flags}, "forward", hard)
    yield Use("nn.SigmoidFocalLoss", {**SIGMOID, **flags}, "forward", columns)
    yield Use("nn.SoftmaxCrossEntropy", {"alpha": [1.0, 2, 3], **flags}, "forward", hard)
    yield Use("nn.SigmoidCrossEntropy", {"alpha": 0.3, **flags}, "forward", columns)
    sizes = {"in_features": 3, "n_classes": 4, "bias": False, "logit_softcap": None, "memory_budget": None}
    options = {"gamma": 2.0, "alpha": None, "reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0}
    layer = {"hidden": torch.from_numpy(Z).float(), "targets": hard["targets"], **batch}
    yield Use("nn.LinearFocalLoss", {**sizes, **options}, "forward", layer, values=KINDS)  # sizes are memory
    yield Use("nn.global_normalizer", {"local": 3.0})
    ledger = {"spec": LossSpec(), "n_classes": 3, "class_names": ["a", "b", "c"]}
    rows = {"logits": hard["logits"], "targets": hard["targets"], "sample_weight": batch["sample_weight"]}
    yield Use("nn.LedgerMetric", ledger, "update", rows, values=KINDS)
    yield Use("nn.LedgerCallback", ledger, values=KINDS)
    shares = {"ledger": focalkit.diagnose(Z, Y), "step": 1, "gamma": 2.0, "alpha": None, "prefix": "a"}
    yield Use("nn.write_shares", shares, fixed={"writer": _Writer()})
    yield Use("softmax_focal_loss", {**hard, **SOFTMAX, **flags})
    yield Use("sigmoid_focal_loss", {**columns, **SIGMOID, **flags})
    yield Use("loss_grad_hess", {"spec": LossSpec(), **hard, "hess": True, "out": None, "check_finite": False})
    head = {"hidden": layer["hidden"], "weight": layer["hidden"][:4], "targets": hard["targets"], "bias": None}
    more = {"logit_softcap": None, "memory_budget": None, "gamma": 2.0, "alpha": None}
    yield Use("linear_softmax_focal_loss", {**head, **batch, **more})
    yield Use("recover_posterior", {"probabilities": torch.from_numpy(P), "gamma": 2.0, "alpha": [1.0, 2, 3]})
    yield Use("shift_prior", {"probabilities": torch.from_numpy(P), "prior": [0.2, 0.3, 0.5], "tau": 1.0})
    yield Use("class_weights", {"counts": torch.tensor([3, 9, 1]), "scheme": "power", "beta": 0.5})


class _Writer:
    """Of TensorBoard."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Write nothing."""


#: Of Keras, which makes tensors of them.
_TENSORS = ("y_true", "y_pred", "sample_weight")


def of_keras() -> Iterator[Use]:
    """Losses of Keras, on whatever backend it has."""
    of = {"method": "__call__", "values": KINDS, "foreign": ("dtype", "name", "reduction", *_TENSORS)}
    batch = {"y_pred": Z.astype("f4"), "sample_weight": None}
    given = {"label_smoothing": 0.1, "reduction": "sum", "from_logits": True, "dtype": None, "name": "a"}
    softmax = {"gamma": 2.0, "alpha": [1.0, 2, 3], "ignore_class": None, "axis": -1, "margin": None, "poly": 0.0}
    sigmoid = {"gamma": 2.0, "alpha": 0.3, "gamma_negative": None, "clip": 0.0, "quality": None}
    yield Use("keras.SoftmaxFocalLoss", {**given, **softmax}, then={"y_true": Y, **batch}, **of)
    yield Use("keras.SigmoidFocalLoss", {**given, **sigmoid}, then={"y_true": BITS, **batch}, **of)
    yield Use("keras.SoftmaxCrossEntropy", {"alpha": 0.5}, then={"y_true": Y, **batch}, **of)
    yield Use("keras.SigmoidCrossEntropy", {"alpha": 0.5}, then={"y_true": BITS, **batch}, **of)
    yield Use("keras.LedgerCallback", {"y": Y, "spec": LossSpec(), "class_names": ["a", "b", "c"]}, fixed={"x": Z})
