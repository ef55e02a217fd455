"""Frameworks are imported on first use, in their own files, and missed politely."""

import subprocess
import sys

import pytest

FRAMEWORKS = ("xgboost", "lightgbm", "catboost")
ESTIMATORS = {"xgboost": "FocalXGBClassifier", "lightgbm": "FocalLGBMClassifier", "catboost": "FocalCatBoostClassifier"}


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_package_and_its_objective_load_no_framework():
    code = "import sys, focalkit.boosting, focalkit.boosting.metrics; print(*sys.modules)"
    assert not set(FRAMEWORKS) & set(python(code).split())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_estimator_loads_its_own_framework_only(name):
    code = f"import sys; from focalkit.boosting import {ESTIMATORS[name]}; print(*sys.modules)"
    assert set(FRAMEWORKS) & set(python(code).split()) == {name}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_missing_framework_names_the_extra_to_install(name):
    code = f"""
import sys
sys.modules[{name!r}] = None
try:
    from focalkit.boosting import {ESTIMATORS[name]}
except ModuleNotFoundError as error:
    print(error.name, error, sep=": ")
"""
    assert python(code) == f'{name}: {ESTIMATORS[name]} needs {name}; run: pip install "focalkit[{name}]"'


def test_an_unknown_name_is_an_attribute_error():
    import focalkit.boosting

    with pytest.raises(AttributeError, match="no attribute 'FocalForest'"):
        focalkit.boosting.FocalForest  # noqa: B018
