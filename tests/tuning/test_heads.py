"""Other heads on frozen features: what each of them minimises, and what it is good for."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from focalkit import InputError, long_tail_counts
from focalkit.cli.tune import HEADS as NAMED
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, RemedyClassifier, tune
from focalkit.tuning.heads import BALANCED, HEADS, TAUS, fit_head
from focalkit.tuning.resampling import fit_rival

SMALL = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}


def long_tail(n_classes=8, n_largest=300, imbalance=40, seed=0):
    """Features of a network, as it were: clouds around directions, by a long tail; and as many fresh rows of each."""
    rng = np.random.default_rng(seed)
    counts = long_tail_counts(n_largest, n_classes, imbalance)
    centres = rng.normal(size=(n_classes, 16))
    y, fresh = np.repeat(np.arange(n_classes), counts), np.repeat(np.arange(n_classes), 100)
    return [*((centres[t] + 1.4 * rng.normal(size=(len(t), 16)), t) for t in (y, fresh))]


def fit(X, y, weight):
    return FocalClassifier(gamma=0.0).fit(X, y, sample_weight=weight)


def head(name, X, y, weight=None):
    return fit_head(fit, name, X, y, weight, np.random.default_rng(0))


def risk_of(logits, y, weight):
    return -(weight * log_softmax(logits, axis=1)[np.arange(len(y)), y]).sum() / weight.sum()


def test_the_command_names_every_head():
    assert NAMED == HEADS


@pytest.mark.parametrize("name", ["crt", "tau-normalised", "lws"])
def test_a_head_for_the_tail_recalls_the_classes_more_evenly(name):
    (X, y), (new, truth) = long_tail()
    plain = balanced_accuracy_score(truth, fit(X, y, None).predict(new))
    found = head(name, X, y)
    decided = np.asarray(found.classes_)[found.predict_proba(new).argmax(axis=1)]
    assert balanced_accuracy_score(truth, decided) > plain + 0.03


def test_a_tau_normalised_head_has_the_linear_weights_of_other_lengths_and_no_bias():
    (X, y), _ = long_tail()
    linear, found = fit(X, y, None), head("tau-normalised", X, y)
    lengths = [np.linalg.norm(of, axis=1) for of in (linear.coef_, found.coef)]
    np.testing.assert_allclose(found.coef / lengths[1][:, None], linear.coef_ / lengths[0][:, None])
    taus = 1 - np.log(lengths[1]) / np.log(lengths[0])
    np.testing.assert_allclose(taus, taus[0])
    assert np.abs(TAUS - taus[0]).min() < 1e-9
    assert not found.bias.any()


@pytest.mark.parametrize("n_classes", [2, 5])
def test_learned_scales_minimise_the_risk_of_classes_drawn_alike(n_classes):
    (X, y), _ = long_tail(n_classes)
    linear, found = fit(X, y, None), head("lws", X, y)
    balanced = 1 / np.bincount(y)[y]
    logits = linear.decision_function(X)
    logits = np.column_stack([-logits, logits]) / 2 if logits.ndim == 1 else logits
    at = np.median(found.logits(X) / logits, axis=0)
    np.testing.assert_allclose(found.logits(X), logits * at, rtol=1e-9)
    least = risk_of(logits * at, y, balanced)
    for k in range(n_classes):
        for step in (-0.02, 0.02):
            assert risk_of(logits * (at + step * np.eye(n_classes)[k]), y, balanced) >= least - 1e-6


def test_a_cosine_head_sees_no_length_and_is_a_minimum():
    (X, y), _ = long_tail()
    rng = np.random.default_rng(1)
    found = head("cosine", X, y)
    np.testing.assert_allclose(found.logits(X * rng.uniform(0.1, 9, (len(X), 1))), found.logits(X))
    lengths = np.linalg.norm(found.coef, axis=1)
    np.testing.assert_allclose(lengths, lengths[0])

    def risk(coef):
        unit, s = coef / np.linalg.norm(coef, axis=1, keepdims=True), np.linalg.norm(coef, axis=1).mean()
        return risk_of(s * normalize(X) @ unit.T, y, np.ones(len(y))) + len(coef) * s**2 / (2 * len(y))

    least = risk(found.coef)
    for _ in range(20):
        assert risk(found.coef * np.exp(0.02 * rng.normal())) >= least - 1e-6
        assert risk(found.coef + 0.02 * rng.normal(size=found.coef.shape)) >= least - 1e-6


@pytest.mark.parametrize("name", [name for name in HEADS if name != "tau-normalised"])  # which draws rows to choose tau
def test_weights_count_as_copies_do(name):
    (X, y), _ = long_tail(3, 60, 4)
    copies = 1 + (np.arange(len(y)) % 2)
    one, two = head(name, X, y, copies.astype(float)), head(name, np.repeat(X, copies, axis=0), np.repeat(y, copies))
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=2e-3)


def test_probabilities_of_balanced_heads_are_undone():
    (X, y), _ = long_tail(3, 60, 4)
    for name in HEADS:
        _, tilt = fit_rival(fit, name, X, y, None, 4, 0)  # the fourth class has no row
        expected = [1, 1, 1, 1] if name not in BALANCED else [*(len(y) / (3 * np.bincount(y))), 1]
        np.testing.assert_allclose(tilt, expected)


def test_heads_are_families_of_a_run_and_the_recommended_one_is_fitted_the_same():
    (X, y), _ = long_tail(4, 60, 6)
    model = make_pipeline(StandardScaler(), FocalClassifier())
    found = tune(model, X, y, **SMALL, rivals="heads")
    assert {cell.family for cell in found.cells} == {"CE", "CE + shift", *HEADS}
    assert np.isfinite(found.scores).all()
    assert (tune(model, X, y, **SMALL, rivals="heads", n_jobs=2).scores == found.scores).all()
    remedy = RemedyClassifier(model, resample="cosine").fit(X, y)
    np.testing.assert_allclose(remedy.predict_proba(X).sum(axis=1), 1)
    assert tune(LogisticRegression(), X, y, **SMALL, rivals=["lws"]).index(Cell(resample="lws"))


def test_a_model_without_a_last_layer_has_no_other_head():
    (X, y), _ = long_tail(3, 60, 4)
    with pytest.raises(InputError, match="leave other heads out where the model has none; got RandomForest"):
        tune(RandomForestClassifier(3, random_state=0), X, y, **SMALL, rivals=["lws"])
