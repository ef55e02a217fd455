"""The ledger as JSON: versioned, sparse (only bins that hold samples), and exact."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.spec import FAMILY_FIELDS, LossSpec
from focalkit.diagnosis import bins

if TYPE_CHECKING:
    from focalkit.diagnosis.ledger import Ledger

FORMAT, VERSION = "focalkit-ledger", 1

#: Every array of a ledger: the tables row × bin, and the exact sums row × zone.
TABLES = ("count", "weight", "s1", "s2")
EXACT = ("exact_loss", "exact_grad")
ARRAYS = (*TABLES, *EXACT)

_SPEC_FIELDS = ("link", "gamma", "alpha", "label_smoothing", "ignore_index", "class_axis")
_BINS = {"low": bins.LOW, "high": bins.HIGH, "per_unit": bins.PER_UNIT, "extra_edges": [bins.LOG9]}


def _others(spec: LossSpec) -> dict[str, Any]:
    """What else makes the log-odds and the loss: only what differs from the default, as older versions wrote it."""
    return {
        f.name: getattr(spec, f.name)
        for f in fields(spec)
        if f.name in FAMILY_FIELDS and getattr(spec, f.name) != f.default
    }


def dumps(ledger: Ledger) -> str:
    """Write a ledger; Python writes floats so that they read back to the same bits."""
    rows = []
    for k in range(len(ledger.class_names)):
        (used,) = np.nonzero(ledger.count[k])
        row: dict[str, Any] = {"bin": used.tolist()}
        row |= {name: getattr(ledger, name)[k, used].tolist() for name in TABLES}
        row |= {name: getattr(ledger, name)[k].tolist() for name in EXACT}
        rows.append(row)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "spec": {name: getattr(ledger.spec, name) for name in _SPEC_FIELDS} | _others(ledger.spec),
        "bins": _BINS,
        "n_classes": ledger.n_classes,
        "n_samples": ledger.n_samples,
        "n_ignored": ledger.n_ignored,
        "class_names": ledger.class_names,
        "rows": rows,
    }
    return json.dumps(document, ensure_ascii=False)


def loads(text: str) -> tuple[LossSpec, int, dict[str, Any]]:
    """Read what :func:`dumps` wrote: the spec, the number of classes and the ledger's attributes."""
    remedy = "Pass what Ledger.to_json() returned."
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        contracts.reject("text", "be the JSON of a ledger", contracts.Words(str(error)), remedy)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        contracts.reject("text", f"be a JSON object of format {FORMAT!r}", document, remedy)
    if document.get("version") != VERSION or document.get("bins") != _BINS:
        contracts.reject(
            "text",
            f"be of version {VERSION} with its bins",
            document.get("version"),
            "It was written by another version of focalkit: read it there, or diagnose again.",
        )
    try:
        spec = LossSpec(**document["spec"])
        rows = document["rows"]
        state: dict[str, Any] = {name: document[name] for name in ("n_samples", "n_ignored")}
        state["class_names"] = tuple(document["class_names"])
        for row in rows:
            _check_row(row)
        for name in TABLES:
            table = np.zeros((len(rows), bins.N_BINS), np.int64 if name == "count" else np.float64)
            for k, row in enumerate(rows):
                table[k, row["bin"]] = row[name]
            state[name] = table
        for name in EXACT:
            state[name] = np.array([row[name] for row in rows], np.float64).reshape(len(rows), bins.N_ZONES)
        n_classes = int(document["n_classes"])
        if not len(rows) == len(state["class_names"]) == n_classes * (2 if spec.link == "sigmoid" else 1):
            message = f"{len(rows)} rows, {len(state['class_names'])} names for {n_classes} classes"
            raise ValueError(message)
        _check_totals(state)
        return spec, n_classes, state
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        contracts.reject(
            "text", "be the whole JSON of a ledger", contracts.Words(f"{type(error).__name__}: {error}"), remedy
        )


#: Share by which sums of very many numbers may be off through rounding.
_SLACK = 1e-6


def _check_row(row: dict[str, Any]) -> None:
    """Raise ValueError where no samples have these sums: counts, weights and moments of a bin, and what lies in it."""
    at, count = (np.array(row[name]) for name in ("bin", "count"))
    weight, s1, s2 = (np.array(row[name], np.float64) for name in ("weight", "s1", "s2"))
    exact = np.array([row[name] for name in EXACT], np.float64)
    for name in TABLES:
        _demand(isinstance(row[name], list) and len(row[name]) == len(at), f"as many entries of {name} as bins")
    if len(at):
        _demand(at.dtype.kind == count.dtype.kind == "i", "whole numbers for bins and counts")
        _demand(bool(at[0] >= 0 and at[-1] < bins.N_BINS and (np.diff(at) > 0).all()), "bins in their order")
        _demand(bool((count > 0).all()), "counts above 0")
    _demand(bool(np.isfinite(weight).all() and (weight > 0).all()), "finite weights above 0")
    at = at.astype(np.intp)
    half, open_ = (bins.UPPER - bins.LOWER)[at] / 2, (at == bins.LEFT) | (at == bins.RIGHT)
    _demand(bool((np.isfinite(s1) | (at == bins.RIGHT)).all()), "finite sums of log-odds")  # logits may be -inf
    _demand(bool(((np.abs(s1) <= half * weight * (1 + _SLACK)) | open_).all()), "log-odds inside their bin")
    _demand(bool((s1[at == bins.LEFT] <= 0).all() and (s1[at == bins.RIGHT] >= 0).all()), "log-odds inside their bin")
    _demand(bool(((s2 <= half**2 * weight * (1 + _SLACK)) | open_).all()), "squares inside their bin")
    with np.errstate(invalid="ignore", over="ignore"):
        least = np.where(np.isfinite(s1), s1 * (s1 / weight), 0)
    _demand(bool(((s2 >= least * (1 - _SLACK) - 1e-300) | open_).all()), "squares that fit the log-odds")
    _demand(exact.shape == (len(EXACT), bins.N_ZONES), f"exact sums of {bins.N_ZONES} zones")
    _demand(bool(np.isfinite(exact).all()), "finite exact sums")
    empty = np.bincount(bins.ZONE[at], minlength=bins.N_ZONES) == 0
    _demand(not exact[:, empty].any(), "no loss where there are no samples")


def _check_totals(state: dict[str, Any]) -> None:
    entries, n, ignored = int(state["count"].sum()), state["n_samples"], state["n_ignored"]
    _demand(type(n) is type(ignored) is int and ignored >= 0, "whole numbers of samples")
    _demand(entries <= n * len(state["count"]), f"counts of {n:,} samples, not {entries:,}")  # some may weigh 0
    _demand(all(isinstance(name, str) for name in state["class_names"]), "names that are texts")


def _demand(holds: bool, what: str) -> None:
    if not holds:
        message = f"no diagnosis has written it: it must have {what}"
        raise ValueError(message)
