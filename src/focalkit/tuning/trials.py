"""A search beyond the grid: draws of beta, gamma and the estimator's own parameters.

Every draw of the estimator's parameters is a small grid of its own: plain cross-entropy with and
without shift, n^-beta, gamma, both, OHEM. So each family of remedies has seen the same draws, and a
lead is the loss's and not that of a better C.

The draws are a scrambled Sobol sequence (Optuna's QMCSampler) and do not depend on scores. A sampler
that learns from them, like TPE, has seen the fold that then scores its candidates, and a choice made
without that fold would no longer be one. It also makes every fold of every trial independent work,
and the first n of m > n trials the same as n trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.tuning.classifiers import ClassifierTrainer
from focalkit.tuning.grid import Grid
from focalkit.tuning.trainers import EstimatorTrainer, Trainer

Space = Callable[[Any], Mapping[str, Any]]
"""From an Optuna trial to the estimator's parameters, by ``trial.suggest_float(…)`` and its kin."""

BETA = (0.0, 1.5)
GAMMA = (0.0, 5.0)


def draw(trainer: Trainer, grid: Grid, n_trials: int, space: Space | None, seed: int) -> list[Grid]:
    """One small grid for each trial."""
    if not n_trials:
        return []
    with need("optuna", "tune(n_trials=…)", "optuna"):
        import optuna
    space = space or default_space(trainer)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.QMCSampler(
                scramble=True, seed=seed, warn_asynchronous_seeding=False, warn_independent_sampling=False
            )
        study = optuna.create_study(sampler=sampler)
        grids = []
        for _ in range(n_trials):
            trial = study.ask()
            grids.append(_small_grid(trial, grid, trainer, space))
            study.tell(trial, 0.0)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return grids


def _small_grid(trial: Any, grid: Grid, trainer: Trainer, space: Space) -> Grid:
    beta = round(trial.suggest_float("focalkit beta", *BETA, step=0.05), 2)
    gamma = round(trial.suggest_float("focalkit gamma", *GAMMA, step=0.05), 2)
    kept = grid.keep_hardest
    mined = (trial.suggest_categorical("focalkit keep_hardest", kept),) if kept else ()
    params = contracts.named("space", space(trial), "Return a dict of parameters.")
    taken = {"alpha", "gamma", "keep_hardest"} & set(params)
    if taken:
        contracts.reject("space", "leave alpha, gamma and keep_hardest alone", sorted(taken), "They are drawn already.")
    if isinstance(trainer, EstimatorTrainer | ClassifierTrainer):
        trainer.check_params("space", params)
    alphas = (None, f"power:{beta:g}") if beta else (None,)
    gammas = (0.0, gamma) if gamma else (0.0,)
    return Grid(alphas, gammas, mined, tuple(sorted(params.items())), grid.rivals)


def default_space(trainer: Trainer) -> Space:
    """The parameters worth searching, by the estimator's kin; none for what is not known."""
    if not isinstance(trainer, EstimatorTrainer):
        return lambda trial: {}
    kin = {cls.__name__ for cls in type(trainer.model).__mro__}
    for name, space in SPACES.items():
        if name in kin:
            return space
    return lambda trial: {}


def _linear(trial: Any) -> dict[str, Any]:
    return {"C": _three(trial.suggest_float("C", 1e-3, 1e3, log=True))}


def _xgboost(trial: Any) -> dict[str, Any]:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 400, log=True),
        "learning_rate": _three(trial.suggest_float("learning_rate", 0.02, 0.3, log=True)),
        "max_depth": trial.suggest_int("max_depth", 2, 10),
        "min_child_weight": _three(trial.suggest_float("min_child_weight", 0.1, 30, log=True)),
        "reg_lambda": _three(trial.suggest_float("reg_lambda", 0.1, 30, log=True)),
        "colsample_bytree": _three(trial.suggest_float("colsample_bytree", 0.5, 1)),
    }


def _lightgbm(trial: Any) -> dict[str, Any]:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 400, log=True),
        "learning_rate": _three(trial.suggest_float("learning_rate", 0.02, 0.3, log=True)),
        "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 2, 100, log=True),
        "reg_lambda": _three(trial.suggest_float("reg_lambda", 0.1, 30, log=True)),
        "colsample_bytree": _three(trial.suggest_float("colsample_bytree", 0.5, 1)),
    }


def _catboost(trial: Any) -> dict[str, Any]:
    return {
        "iterations": trial.suggest_int("iterations", 50, 400, log=True),
        "learning_rate": _three(trial.suggest_float("learning_rate", 0.02, 0.3, log=True)),
        "depth": trial.suggest_int("depth", 3, 8),
        "l2_leaf_reg": _three(trial.suggest_float("l2_leaf_reg", 1, 30, log=True)),
    }


SPACES: dict[str, Space] = {
    "FocalClassifier": _linear,
    "XGBClassifier": _xgboost,
    "LGBMClassifier": _lightgbm,
    "CatBoostClassifier": _catboost,
}


def _three(value: float) -> float:
    """Three digits: a parameter that can be read, copied and reported."""
    return float(f"{value:.3g}")
