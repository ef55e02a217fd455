"""A ledger's JSON that no diagnosis can have written is refused, and every one that a diagnosis wrote is read."""

import json

import numpy as np
import pytest

from focalkit import InputError, Ledger, LossSpec, diagnose

RNG = np.random.default_rng(0)
WRITTEN = diagnose(RNG.normal(size=(300, 3)) * 4, np.arange(300) % 3, LossSpec(gamma=2.0)).to_json()


def put(name, value, at=None):
    def change(document):
        row = document["rows"][1]
        if at is None:
            row[name] = value(row[name]) if callable(value) else value
        else:
            row[name][at] = value(row[name][at]) if callable(value) else value

    return change


def top(name, value):
    return lambda document: document.__setitem__(name, value)


IMPOSSIBLE = {
    "a negative count": put("count", -1, 0),
    "a count of 0": put("count", 0, 0),
    "half a sample": put("count", 0.5, 0),
    "a negative weight": put("weight", -1.0, 0),
    "a weight that is no number": put("weight", float("nan"), 0),
    "an infinite weight": put("weight", float("inf"), 0),
    "log-odds outside their bin": put("s1", 5.0, 3),
    "log-odds that are no number": put("s1", float("nan"), 3),
    "squares outside their bin": put("s2", 9.0, 3),
    "negative squares": put("s2", -1e-3, 3),
    "squares that do not fit": lambda d: (
        put("s1", lambda s: d["rows"][1]["weight"][3] / 17, 3)(d),
        put("s2", 0.0, 3)(d),
    ),
    "a loss that is no number": put("exact_loss", float("nan"), 0),
    "an infinite gradient": put("exact_grad", float("inf"), 0),
    "too few zones": put("exact_loss", lambda zones: zones[:2]),
    "a bin twice": put("bin", lambda at: [at[1], *at[1:]]),
    "a bin from the end": put("bin", -1, 0),
    "a bin too many": put("bin", 10**6, -1),
    "one value for all bins": put("weight", [1.0]),
    "fewer samples than counts": top("n_samples", 10),
    "negative samples": top("n_samples", -300),
    "samples in words": top("n_samples", "300"),
    "negative ignored ones": top("n_ignored", -1),
    "names that are none": top("class_names", [1, None, {}]),
}


@pytest.mark.parametrize("how", IMPOSSIBLE)
def test_what_no_diagnosis_can_have_written_is_refused(how):
    document = json.loads(WRITTEN)
    IMPOSSIBLE[how](document)
    with pytest.raises(InputError, match="be the whole JSON of a ledger"):
        Ledger.from_json(json.dumps(document))


@pytest.mark.parametrize("seed", range(60))
def test_what_a_diagnosis_wrote_is_read(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 400)), int(rng.integers(1, 6))
    link = "sigmoid" if k == 1 else str(rng.choice(["softmax", "sigmoid"]))
    smoothing = float(rng.choice([0.0, 0.1]))
    spec = LossSpec(link, float(rng.choice([0, 0.5, 2, 7])), label_smoothing=smoothing)
    z = rng.normal(size=(n, k)) * rng.choice([1e-3, 1, 8, 200]) + rng.choice([0, 30])
    if rng.random() < 0.3 and link == "softmax":
        z[rng.integers(n), 0] = -np.inf
    targets = rng.integers(int(np.isinf(z).any()), k, n) if link == "softmax" else rng.integers(0, 2, (n, k))
    if rng.random() < 0.3 and smoothing == 0:
        targets.flat[rng.integers(targets.size)] = -100
    weight = rng.choice([None, 1])
    weight = None if weight is None else rng.uniform(0, 2, n) * (rng.random(n) < 0.8) * 10.0 ** rng.integers(-30, 30)
    if np.isinf(z).any() and smoothing:
        z[np.isinf(z)] = -50
    ledger = diagnose(z, targets, spec, sample_weight=weight)
    again = Ledger.from_json(ledger.to_json())
    for name in ("count", "weight", "s1", "s2", "exact_loss", "exact_grad", "n_samples", "n_ignored"):
        np.testing.assert_array_equal(getattr(again, name), getattr(ledger, name))
    both = Ledger.from_json((again + ledger).to_json())
    assert both.n_samples == 2 * ledger.n_samples


def test_a_text_nested_without_end_is_refused():
    for deep in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000):
        with pytest.raises(InputError, match="text must be the JSON of a ledger"):
            Ledger.from_json(deep)
