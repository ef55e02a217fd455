"""Estimators by name: the linear model and the three boosters, with what each needs before it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.estimator import FocalClassifier

BOOSTERS = {"xgboost": "FocalXGBClassifier", "lightgbm": "FocalLGBMClassifier", "catboost": "FocalCatBoostClassifier"}
NAMES = ("linear", *BOOSTERS)


def named_estimator(
    name: str, n_features: int, categorical: Sequence[int] = (), *, missing: bool = True, C: float = 1.0
) -> Any:
    """The estimator called ``name`` for a numeric matrix (n, n_features) with NaN where a value is missing.

    Parameters
    ----------
    name : {"linear", "xgboost", "lightgbm", "catboost"}
        The boosters run on one thread, since folds run in parallel, and keep missing values and
        categories as they are; the linear model imputes, scales and encodes inside the folds.
    n_features : int
    categorical : sequence of int
        Columns that hold codes 0, 1, … of categories.
    missing : bool
        Whether values may be missing.
    C : float > 0
        Inverse strength of the linear model's penalty.

    Returns
    -------
    classifier or Pipeline

    Raises
    ------
    InputError
        Where the name is not known.
    ModuleNotFoundError
        Where its library is not installed.
    """
    contracts.one_of("estimator", name, NAMES)
    contracts.whole("n_features", n_features, 1)
    columns = contracts.several("categorical", categorical, "be a sequence of columns", "Pass their positions.")
    for column in columns:
        contracts.whole("categorical", column, 0, "Pass positions of columns.", most=n_features - 1)
    categorical = [int(column) for column in columns]
    contracts.flag("missing", missing)
    if name == "linear":
        return prepared(FocalClassifier(C=C), n_features, categorical, missing=missing)
    make = getattr(import_module("focalkit.boosting"), BOOSTERS[name])
    options: dict[str, dict[str, Any]] = {
        "xgboost": {"n_jobs": 1, "enable_categorical": bool(categorical)},
        "lightgbm": {"n_jobs": 1, "verbose": -1},
        "catboost": {
            "thread_count": 1,
            "verbose": False,
            "allow_writing_files": False,
            "cat_features": categorical or None,
        },
    }
    model = make(**options[name])
    if not categorical:
        return model
    return Pipeline([("prepare", Categories(tuple(categorical), as_integers=name == "catboost")), ("model", model)])


def prepared(model: Any, n_features: int, categorical: Sequence[int] = (), *, missing: bool = True) -> Pipeline:
    """A classifier of numbers behind the preparation of a :class:`focalkit.io.features.Table`."""
    return Pipeline([("prepare", preparation(n_features, categorical, missing=missing)), ("model", model)])


class Categories(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A data frame of a matrix, in which coded columns are categories, as boosters want them.

    XGBoost and LightGBM take pandas' categories; CatBoost takes integers, with missing ones as -1.
    """

    def __init__(self, categorical: Sequence[int], *, as_integers: bool = False) -> None:
        self.categorical = categorical
        self.as_integers = as_integers

    def fit(self, X: Any, y: Any = None) -> Categories:
        """Note how many codes each column has."""
        self.n_codes_ = [int(np.nanmax(X[:, k], initial=-1)) + 1 for k in self.categorical]
        return self

    def transform(self, X: Any) -> Any:
        """The data frame; codes that were not there in fit are missing."""
        with need("pandas", "a booster with text columns", None):
            import pandas
        columns = {f"f{k}": X[:, k] for k in range(X.shape[1])}
        for k, n_codes in zip(self.categorical, self.n_codes_, strict=True):
            codes = np.where(np.isnan(X[:, k]) | (X[:, k] >= n_codes), -1, X[:, k]).astype(np.int64)
            frame = codes if self.as_integers else pandas.Categorical.from_codes(codes, categories=range(n_codes))
            columns[f"f{k}"] = frame
        return pandas.DataFrame(columns)

    def __sklearn_is_fitted__(self) -> bool:
        """Scikit-learn asks before transform."""
        return hasattr(self, "n_codes_")


def preparation(n_features: int, categorical: Sequence[int] = (), *, missing: bool = True) -> Any:
    """What makes numbers of a :class:`focalkit.io.features.Table`, to be fitted inside the folds.

    Numbers: the median for what is missing, then scaled to unit variance. Text: one-hot, rare and
    unseen texts together, missing as a text of its own. Where nothing is ``missing``, nothing is
    sought to be imputed, which spares a copy and a sort of every column.
    """
    # what loads many modules of scikit-learn is loaded where it is needed
    if missing:
        from sklearn.impute import SimpleImputer

        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        # behind a step that copies, scaling may be done where the values are
        numbers: Any = make_pipeline(impute, StandardScaler(copy=False))
    else:
        numbers = StandardScaler(copy=not categorical)
    if categorical:
        from sklearn.compose import ColumnTransformer

        numeric = sorted(set(range(n_features)) - set(categorical))
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64, sparse_output=False)
        parts: list[Any] = [("numbers", numbers, numeric)] if numeric else []
        return ColumnTransformer([*parts, ("texts", encoder, list(categorical))])
    return numbers
