"""Labels that can hold at once: training undone, probabilities made true, another prior, cross-fitted."""

import numpy as np
import pytest

from focalkit import InputError, recover_posterior
from focalkit.decisions import Cost, DecisionRule, decide, label_rules
from focalkit.decisions.steps import EachLabel


def labels(n=6000, seed=0):
    """True probabilities of three labels (n, 3), and which held."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal([-2.0, -1.0, 0.0], 1.5, (n, 3))))
    return p, (rng.random(p.shape) < p).astype(int)


def sharpened(p):
    return 1 / (1 + ((1 - p) / p) ** 3)


def test_what_training_did_to_each_label_is_undone():
    p, y = labels()
    fine = np.linspace(1e-5, 1 - 1e-5, 200_001)
    gamma, alpha = 2.0, (0.25, 0.5, 0.75)
    given = np.column_stack([np.interp(p[:, k], recover_posterior(fine, gamma, a), fine) for k, a in enumerate(alpha)])
    rule = decide(given, y, Cost(fn=9), gamma=gamma, alpha=alpha)
    assert (rule.decide(given) == (p > 0.1)).mean() > 0.999


def test_a_label_is_calibrated_where_that_surely_helps():
    p, y = labels()
    assert decide(p, y, Cost(fn=9)).steps == ()
    given = p.copy()
    given[:, 1] = sharpened(p[:, 1])
    rule = decide(given, y, Cost(fn=9))
    (step,) = rule.steps
    assert isinstance(step, EachLabel)
    assert [len(each) for each in step.labels] == [0, 1, 0]
    assert (rule.decide(given) == (p > 0.1)).mean() > 0.97
    assert any("1 labels calibrated" in note for note in rule.report.notes)


def test_the_cut_off_of_another_prior_is_bayes_for_each_label():
    p, y = labels()
    prior, have = np.array([0.01, 0.3, 0.9]), y.mean(axis=0)
    rule = decide(p, y, Cost(fn=9), prior=prior.tolist(), calibrate=None)
    odds = 1 / 9 * have / (1 - have) / (prior / (1 - prior))
    assert (rule.decide(p) == (p / (1 - p) > odds)).all()
    caught, missed = (rule.report.figure(name).after.value for name in ("caught", "missed"))
    assert caught + missed == pytest.approx(1000 * prior.sum())


def test_a_prior_is_estimated_for_each_label():
    p, y = labels(20_000)
    kept = np.random.default_rng(1).random(len(y)) < np.where(y[:, 0] == 1, 1.0, 0.3)
    rule = decide(p, y, Cost(fn=9), unlabelled=p[kept], calibrate=None)
    found = rule.report.prior
    assert found.prior[0] == pytest.approx(y[kept, 0].mean(), abs=4 * found.error[0])
    assert found.prior[0] > y[:, 0].mean() + 4 * found.error[0]


@pytest.mark.parametrize("goal", [Cost(fn=9), "f1"], ids=str)
def test_a_rule_of_labels_travels_with_its_steps(goal, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    p, y = labels(1500)
    rule = decide(sharpened(p), y, goal, gamma=1.0, calibrate="temperature", prior=[0.1, 0.2, 0.5])
    assert rule.steps
    assert DecisionRule.from_json(rule.to_json(tmp_path / "rule.json")) == rule
    fresh = sharpened(labels(200, 3)[0])
    want = rule.decide(fresh)
    names = {}
    exec(rule.to_numpy(), names)
    assert np.array_equal(names["decide"](fresh), want)
    db = duckdb.connect()
    db.execute("create table t (i integer, p_0 double, p_1 double, p_2 double)")
    db.executemany("insert into t values (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(fresh.tolist())])
    said = db.execute(f"select {rule.to_sql()} from t order by i").fetchall()
    assert np.array_equal(np.array(said), want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling_rate": [0.1, 1, 1]}, "sampling_rate must be of classes"),
        ({"prior": 0.1}, "prior must be 3 frequencies"),
        ({"prior": [0.1, 0.2]}, "prior must be 3 frequencies"),
        ({"prior": [0.1, 0.2, 0.3], "unlabelled": labels(20)[0]}, "given or estimated"),
        ({"gamma": [1.0, 2.0]}, "gamma must be one number or 3"),
        ({"calibrate": "platt"}, "calibrate must be one of"),
        ({"cv": 1}, "cv must be an integer of at least 2"),
        ({"cv": "five"}, "cv must be an integer of at least 2"),
        ({"groups": np.arange(200) % 3}, "groups must be at least 5 for 5 folds"),
        ({"groups": np.arange(4)}, "groups must have one entry for each of the 200 rows"),
        ({"costs": np.ones(200)}, "costs must be left out for several labels"),
    ],
    ids=str,
)
def test_what_does_not_suit_labels_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        decide(*labels(200), Cost(fn=9), **options)


def test_rows_of_a_group_stay_in_one_fold_of_labels_too(monkeypatch):
    p, y = labels(400)
    groups, seen = np.repeat(np.arange(100), 4), []
    monkeypatch.setattr(label_rules.Recipe, "fit", spied(label_rules.Recipe.fit, seen))
    decide(p, y, "f1", groups=groups, cv=4)
    of_row = {row.tobytes(): group for row, group in zip(p, groups, strict=True)}
    assert len(seen) == 5
    for rows in seen[1:]:
        inside = [of_row[row.tobytes()] for row in rows]
        assert {inside.count(group) for group in set(inside)} == {4}


def spied(fit, seen):
    def told(self, p, y, w):
        seen.append(p)
        return fit(self, p, y, w)

    return told
