"""What a run's results depend on, as names and short texts: two runs with equal ones have equal bits."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from focalkit.tuning.data import Trainer
from focalkit.tuning.grid import Plan
from focalkit.tuning.linear import LinearTrainer

LIBRARIES = ("focalkit", "numpy", "scipy", "scikit-learn", "xgboost", "lightgbm", "catboost")


def identity(trainer: Trainer, data: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Names and texts of the trainer, the data (by their hash), the options and the libraries."""
    out = {f"the data's {name}": _digest(value) for name, value in data.items()}
    out.update({name: _text(value) for name, value in options.items()})
    out["estimator"] = trainer.name
    modules = {"sklearn"}
    if isinstance(trainer, LinearTrainer):
        out.update({f"estimator's {name}": _text(value) for name, value in trainer.parameters.items()})
    else:
        modules |= _identity_of(trainer, out)
    out["python"] = ".".join(map(str, sys.version_info[:2]))
    for library in LIBRARIES:
        if library in ("focalkit", "numpy", "scipy", "scikit-learn") or library in modules:
            out[library] = _version(library)
    return out


def _identity_of(trainer: Trainer, out: dict[str, str]) -> set[str]:
    """Add what is the trainer's own; returns the packages that its classifier comes from."""
    from focalkit.tuning.classifiers import ClassifierTrainer, OutOfFold
    from focalkit.tuning.trainers import EstimatorTrainer, FunctionTrainer

    if isinstance(trainer, EstimatorTrainer | ClassifierTrainer):
        steps = trainer.estimator.get_params(deep=True)
        simple = {name: value for name, value in steps.items() if not _is_part(value)}
        out.update({f"estimator's {name}": _text(value) for name, value in simple.items()})
        return {cls.__module__.partition(".")[0] for cls in type(trainer.model).__mro__}
    if isinstance(trainer, FunctionTrainer):
        out["fit_score's source"] = source(trainer.fit_score)
    elif isinstance(trainer, OutOfFold):
        out["predictions"] = _digest(trainer.probabilities)
    return set()


def fingerprint(plan: Plan) -> str:
    """A short text that tells plans with different cells apart."""
    return hashlib.sha256(repr(plan).encode()).hexdigest()[:16]


def source(function: Any) -> str:
    """A hash of a function's source, or its name where there is none; what it calls is not seen."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        return str(getattr(function, "__qualname__", type(function).__qualname__))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def worker_versions(names: Iterable[str] = LIBRARIES[:4]) -> dict[str, str]:
    """Versions of the libraries that results depend on, where this runs."""
    return {name: _version(name) for name in names}


def _is_part(value: Any) -> bool:
    """Whether a parameter holds estimators, whose own parameters are listed beside it."""
    if isinstance(value, (list, tuple)):
        return any(_is_part(entry) for entry in value)
    return hasattr(value, "get_params")


def _text(value: Any) -> str:
    """What an option is, or a hash where that is long or names an address in memory."""
    text = repr(value)
    return text if len(text) <= 100 and " at 0x" not in text else _digest(value)


def _digest(value: Any) -> str:
    import joblib

    return str(joblib.hash(value, hash_name="sha1", coerce_mmap=True))


def _version(library: str) -> str:
    for name in (library, f"{library}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "none"
