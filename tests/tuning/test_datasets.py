import numpy as np
from sklearn.datasets import load_digits

from focalkit.tuning import datasets
from focalkit.tuning.datasets import load_long_tail_digits


def test_the_embedded_set_has_a_long_tail_and_is_always_the_same():
    X, y = load_long_tail_digits()
    counts = np.bincount(y)
    assert X.shape == (counts.sum(), 64)
    assert (np.diff(counts) < 0).all()
    assert 18 < counts[0] / counts[-1] < 22
    again, _ = load_long_tail_digits()
    assert (X == again).all()


def test_the_rare_digit_is_a_table_where_a_remedy_clearly_wins():
    from focalkit.tuning import judge, named_estimator, tune
    from focalkit.tuning.datasets import load_rare_digit

    X, y = load_rare_digit()
    assert X.shape == (1743, 16)
    assert (y == "eight").sum() == 120
    small = {"alphas": [None, "power:1"], "gammas": [0.0], "keep_hardest": [], "n_repeats": 1}
    verdict = judge(tune(named_estimator("linear", 16, missing=False), X, y, **small))
    assert not verdict.plain_stands
    assert verdict.recommended.gain.low > 0.15


def test_the_digits_are_scikit_learns(monkeypatch):
    theirs = load_digits(return_X_y=True)
    for ours in (datasets._digits(), _without_the_file(monkeypatch)):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)


def _without_the_file(monkeypatch):
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    return datasets._digits()
