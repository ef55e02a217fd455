"""The one form of error this package has, and the one way to warn."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np

from focalkit._core.printable import visible


class InputError(ValueError):
    """An argument breaks its contract; the message names it, the contract, the value and what to do."""


def reject(name: str, contract: str, value: object, remedy: str) -> NoReturn:
    """Raise the one form of error this package has; ``value`` is what was given, or :class:`Words` of it."""
    raise InputError(visible(f"{name} must {contract}; got {_shown(value)}. {remedy}"))


class Words(str):
    """What was got, described: it stands in an error without the quotes that a given string has."""

    def __repr__(self) -> str:
        return str(self)


def _shown(value: object) -> str:
    text = repr(_as_written(value))
    return text if len(text) <= 120 else text[:100] + "… " + text[-15:]


def _as_written(value: Any) -> Any:
    """Numbers, labels and paths as the user wrote them: ``'a'`` and not ``np.str_('a')``."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):  # as its text
        return str(value)
    if type(value) in (list, tuple):
        return type(value)(_as_written(entry) for entry in value)
    if type(value) is dict:
        return {_as_written(key): _as_written(entry) for key, entry in value.items()}
    return value


class ArgumentNameError(InputError, TypeError):
    """An argument has a name that does not exist here."""


#: What other libraries call what has another name here.
_PEERS_NAMES = {
    "weight": "alpha= (class weights) or sample_weight= (weights of samples)",
    "weights": "alpha= (class weights) or sample_weight= (weights of samples)",
    "class_weight": "alpha=, a number or one per class (class_weights() makes such vectors)",
    "class_weights": "alpha=, a number or one per class",
    "pos_weight": "alpha=: the weight a of positives beside 1 - a of negatives, a = pos_weight / (1 + pos_weight), "
    "times sample_weight=1 + pos_weight",
    "size_average": "reduction=",
    "reduce": "reduction=",
    "smoothing": "label_smoothing=",
    "ignore_class": "ignore_index=",
    "avg_factor": "normalizer=",
    "num_items_in_batch": "normalizer=",
    "axis": "class_axis=",
    "dim": "class_axis=",
    "from_logits": "nothing: logits are what is always taken",
    "apply_class_balancing": "alpha=, which is applied wherever it is given",
    **dict.fromkeys(("x", "z", "input", "inputs", "preds", "pred", "y_pred", "logit", "predictions"), "logits="),
    **dict.fromkeys(("y", "target", "label", "labels", "y_true"), "targets="),
    **dict.fromkeys(("focusing", "focal_gamma", "gamma_f"), "gamma="),
}


def known_names(names: Sequence[str], known: Sequence[str], peers: Mapping[str, str] = _PEERS_NAMES) -> None:
    """Refuse arguments that do not exist, by what they are called here; ``peers`` says it of other libraries' names."""
    for name in names:
        if name in known:
            continue
        from difflib import get_close_matches

        here = peers.get(name)
        near = get_close_matches(name, known, 1, 0.75)
        remedy = f"Use {here}." if here else f"Known are {', '.join(known)}."
        if near and not here:
            remedy = f"Did you mean {near[0]!r}? {remedy}"
        message = f"arguments must have the names that they have here; got {name!r}. {remedy}"
        raise ArgumentNameError(message)


def warn(text: str) -> None:
    """Warn where the user called this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "focalkit":
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level - 1)
