import numpy as np
import pytest

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.tuning import tune_labels

SMALL = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}


def test_each_label_gets_a_verdict_with_its_n_and_the_mean_gain_is_that_of_the_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    labels = {name: (X[:, k] + rng.normal(size=300) > 1.6).astype(int) for k, name in enumerate("abc")}
    found = tune_labels(FocalClassifier(), X, labels, **SMALL)
    assert list(found.verdicts) == list("abc")
    assert found.positives == {name: int(y.sum()) for name, y in labels.items()}
    gains = [verdict.recommended.gain.mean for verdict in found.verdicts.values()]
    assert found.together.mean == pytest.approx(np.mean(gains))
    assert found.together.low <= found.together.mean <= found.together.high


def test_what_is_no_label_is_refused():
    with pytest.raises(InputError, match="be 0 or 1 in every row"):
        tune_labels(FocalClassifier(), np.ones((4, 1)), {"a": [0, 1, 2, 0]}, **SMALL)
