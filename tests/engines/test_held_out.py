"""Figures of held-out rows are scikit-learn's, and posteriors those of the definition, to the last digits."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss

from focalkit._held_out import ranked, recovered
from focalkit.posterior import log_odds_of_logits, recover_from_log_odds
from focalkit.tuning.scores import NAMES, score
from focalkit.tuning.shifts import count_decisions, decisions_at, taus_of


def drawn(n_classes: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    targets = rng.choice(n_classes, 997, p=np.geomspace(1, 0.02, n_classes) / np.geomspace(1, 0.02, n_classes).sum())
    logits = 3 * rng.normal(size=(997, n_classes)) + 2 * np.eye(n_classes)[targets]
    posterior = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return targets, posterior.round(1) if ties else posterior


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_figures_are_scikit_learns_to_1e_12(n_classes: int, ties: bool) -> None:
    targets, posterior = drawn(n_classes, ties)
    figures = dict(zip(NAMES, score(targets, posterior.argmax(1), posterior, np.bincount(targets)), strict=True))
    each = [average_precision_score(targets == k, posterior[:, k]) for k in range(n_classes)]
    expected = each[-1] if n_classes == 2 else np.mean(each)
    assert figures["average_precision"] == pytest.approx(expected, rel=1e-12)
    if not ties:
        assert figures["log_loss"] == pytest.approx(log_loss(targets, posterior), rel=1e-12)


def test_calibration_errors_are_those_of_bins_of_equal_mass() -> None:
    targets, posterior = drawn(4, ties=False)
    _, gaps = ranked(posterior, targets, np.arange(4), 15)
    for k in range(4):
        order = np.argsort(posterior[:, k])
        bins = np.array_split(posterior[order, k] - (targets[order] == k), 15)
        assert gaps[k] == pytest.approx(sum(abs(each.sum()) for each in bins) / len(targets), rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_counts_of_every_strength_are_scikit_learns_confusions(instruction_set: str, n_classes: int) -> None:
    targets, posterior = drawn(n_classes, ties=False)
    prior = np.bincount(targets) / len(targets)
    counts = count_decisions(posterior, posterior.argmax(1), targets, prior)
    for place, said in enumerate(decisions_at(posterior, prior, taus_of(n_classes))):
        table = confusion_matrix(targets, said, labels=np.arange(n_classes))
        np.testing.assert_array_equal(counts[place], [np.diag(table), table.sum(axis=0)])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("n_classes", [1, 3, 8])
@pytest.mark.parametrize("scale", [0.01, 3.0, 300.0, 1e5])
def test_posteriors_are_those_of_the_definition(
    instruction_set: str, n_classes: int, gamma: float, scale: float
) -> None:
    logits = scale * np.random.default_rng(0).normal(size=(200, n_classes))
    logits = logits[:, 0] if n_classes == 1 else logits
    weights = np.geomspace(1, 50, max(2, n_classes))
    expected = recover_from_log_odds(log_odds_of_logits(logits), gamma)
    np.testing.assert_allclose(recovered(logits, gamma), expected, rtol=1e-12 * max(1, scale), atol=1e-300)
    expected = expected / weights
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(recovered(logits, gamma, weights), expected, rtol=1e-12 * max(1, scale), atol=1e-300)


def test_what_is_no_class_or_of_another_shape_is_refused() -> None:
    for classes in (np.array([2]), np.array([-1])):
        with pytest.raises(ValueError, match="class"):
            ranked(np.full((3, 2), 0.5), np.zeros(3, int), classes, 15)
    with pytest.raises(ValueError, match="shapes"):
        ranked(np.full((3, 2), 0.5), np.zeros(2, int), np.array([0]), 15)
