"""The learners of the study: every one fits a list of variants of training at a list of its own settings.

A variant says how one trains: its loss (``gamma``, ``alpha``, ``keep_hardest``) or its sample (``resample``). A fitted
model gives two things: ``decide``, the class it would name by itself, and ``posterior``, probabilities with the
distortion of the loss undone, which is exact for class weights and focusing and known for resampling.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Ids = NDArray[np.intp]

BAGS = 10


@dataclass(frozen=True)
class Variant:
    """One way to train; ``name`` is what the journal calls it."""

    name: str
    gamma: float = 0.0
    alpha: str | None = None
    keep_hardest: float | None = None
    resample: str | None = None


@dataclass(frozen=True)
class Model:
    """A fitted model: probabilities as trained, and what divides them to undo the training's tilt."""

    predict: Callable[[Real], Real]
    tilt: Real

    def both(self, X: Real) -> tuple[Real, Real]:
        """Probabilities (n, n_classes) as trained, and those of the population."""
        raw = self.predict(X)
        undone = raw / self.tilt
        return raw, undone / undone.sum(axis=1, keepdims=True)


Fitted = dict[tuple[str, int], Model]


def resampled(kind: str, X: Real, y: Ids, random: np.random.RandomState) -> tuple[Real, Ids]:
    """The training sample after random under- or over-sampling or SMOTE, every class as frequent as another."""
    from imblearn.over_sampling import SMOTE, RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    if kind == "smote":
        sampler: Any = SMOTE(random_state=random, k_neighbors=min(5, int(np.bincount(y).min()) - 1))
    else:
        sampler = {"under": RandomUnderSampler, "over": RandomOverSampler}[kind](random_state=random)
    return sampler.fit_resample(X, y)  # type: ignore[no-any-return]


def samples_of(variant: Variant, X: Real, y: Ids, seed: int) -> list[tuple[Real, Ids]]:
    """The samples that a variant trains on: one, or ten bags."""
    random = np.random.RandomState(seed)
    if variant.resample is None:
        return [(X, y)]
    if variant.resample == "bagging":
        return [resampled("under", X, y, random) for _ in range(BAGS)]
    return [resampled(variant.resample, X, y, random)]


def tilt_of(variant: Variant, y: Ids, alpha: Real | None) -> Real:
    """What training multiplied the classes' frequencies by."""
    frequency = np.bincount(y) / len(y)
    if variant.resample is not None:
        return np.asarray(1 / frequency)
    return np.ones(len(frequency)) if alpha is None else alpha


def mean_of(predictors: Sequence[Callable[[Real], Real]]) -> Callable[[Real], Real]:
    """The mean probabilities of several models."""
    return lambda X: np.mean([predict(X) for predict in predictors], axis=0)


class Linear:
    """``FocalClassifier``, at five strengths of its penalty; models of one sample are fitted together."""

    name = "linear"
    settings = tuple({"C": c} for c in (0.01, 0.1, 1.0, 10.0, 100.0))
    scaled = True
    mines = True

    def fit(self, wanted: Sequence[tuple[Variant, int]], X: Real, y: Ids, seed: int) -> Fitted:
        """Every wanted pair of a variant and a setting."""
        from focalkit.estimator import FocalClassifier, fit_together

        whole = [(v, s) for v, s in wanted if v.resample is None]
        models = [FocalClassifier(v.gamma, v.alpha, keep_hardest=v.keep_hardest, **self.settings[s]) for v, s in whole]
        fitted: Fitted = {}
        if models:
            fit_together(models, X, y)
            for (v, s), model in zip(whole, models, strict=True):
                fitted[v.name, s] = Model(model.predict_proba, tilt_of(v, y, model.alpha_))
        for variant in dict.fromkeys(v for v, _ in wanted if v.resample is not None):
            numbers = [s for v, s in wanted if v == variant]
            bags = []
            for Xs, ys in samples_of(variant, X, y, seed):
                bag = [FocalClassifier(0.0, **self.settings[s]) for s in numbers]
                fit_together(bag, Xs, ys)
                bags.append(bag)
            for i, s in enumerate(numbers):
                fitted[variant.name, s] = Model(mean_of([b[i].predict_proba for b in bags]), tilt_of(variant, y, None))
        return fitted


class Boosted:
    """What LightGBM and XGBoost share: early stopping on a fifth of the training part, which is never resampled."""

    name = ""
    settings: tuple[dict[str, Any], ...] = ()
    scaled = False
    mines = False
    rounds = 400
    patience = 30

    def fit(self, wanted: Sequence[tuple[Variant, int]], X: Real, y: Ids, seed: int) -> Fitted:
        """Every wanted pair of a variant and a setting."""
        from sklearn.model_selection import train_test_split

        inside, held = train_test_split(np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed)
        fitted: Fitted = {}
        for variant in dict.fromkeys(v for v, _ in wanted):
            samples = samples_of(variant, X[inside], y[inside], seed)
            for s in (s for v, s in wanted if v == variant):
                models = [self._one(variant, self.settings[s], Xs, ys, X[held], y[held], seed) for Xs, ys in samples]
                alpha = None if variant.resample else np.asarray(models[0].alpha_)
                predict = mean_of([m.predict_proba for m in models])
                fitted[variant.name, s] = Model(predict, tilt_of(variant, y[inside], alpha))
        return fitted

    def _one(self, v: Variant, setting: dict[str, Any], X: Real, y: Ids, Xh: Real, yh: Ids, seed: int) -> Any:
        raise NotImplementedError


class LightGBM(Boosted):
    """LightGBM at a learning rate of 0.05."""

    name = "lightgbm"
    settings = tuple({"num_leaves": n, "min_child_samples": m} for n in (7, 31) for m in (5, 20))

    def _one(self, v: Variant, setting: dict[str, Any], X: Real, y: Ids, Xh: Real, yh: Ids, seed: int) -> Any:
        import lightgbm

        from focalkit.boosting import FocalLGBMClassifier

        model = FocalLGBMClassifier(
            gamma=v.gamma, alpha=v.alpha, n_estimators=self.rounds, learning_rate=0.05, n_jobs=1, verbose=-1,
            random_state=seed, **setting,
        )  # fmt: skip
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        return model.fit(X, y, eval_set=[(Xh, yh)], callbacks=[stop])


class XGBoost(Boosted):
    """XGBoost at a learning rate of 0.05."""

    name = "xgboost"
    settings = tuple({"max_depth": d, "min_child_weight": w} for d in (3, 6) for w in (1, 5))

    def _one(self, v: Variant, setting: dict[str, Any], X: Real, y: Ids, Xh: Real, yh: Ids, seed: int) -> Any:
        from focalkit.boosting import FocalXGBClassifier

        model = FocalXGBClassifier(
            gamma=v.gamma, alpha=v.alpha, n_estimators=self.rounds, learning_rate=0.05, n_jobs=1, random_state=seed,
            early_stopping_rounds=self.patience, **setting,
        )  # fmt: skip
        return model.fit(X, y, eval_set=[(Xh, yh)], verbose=False)


LEARNERS = {learner.name: learner for learner in (Linear(), LightGBM(), XGBoost())}


def quietly() -> None:
    """Silence what thousands of fits would repeat; a fit that did not converge is still the learner's own."""
    warnings.filterwarnings("ignore", message=".*(feature names|The fit stopped).*")
