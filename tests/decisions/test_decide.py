"""decide(): what training did is undone, figures are of rows not learned on, and the rule travels."""

import re
import sqlite3

import numpy as np
import pytest

from focalkit import InputError
from focalkit.decisions import (
    Abstain,
    CaseCost,
    Constraint,
    Cost,
    CostMatrix,
    DecisionRule,
    Maximize,
    calibration,
    decide,
    estimate_prior,
)
from focalkit.decisions.rules import Cutoff, Weighted
from focalkit.decisions.steps import Recover, Reweigh, Temperature
from focalkit.report import to_html

MATRIX = [[0.0, 1.0, 4.0], [5.0, 0.0, 1.0], [9.0, 2.0, 0.0]]


def sigma(z):
    return 1 / (1 + np.exp(-z))


def two(n=4000, seed=0, rare=0.1):
    """True probabilities and what came of them."""
    rng = np.random.default_rng(seed)
    p = sigma(rng.normal(np.log(rare / (1 - rare)), 1.5, n))
    return p, (rng.random(n) < p).astype(int)


def three(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([4.0, 1.0, 0.5], n)
    return p, (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)


# --- figures


def test_figures_are_of_rows_the_rule_was_not_learned_on():
    rng = np.random.default_rng(0)
    p, y = rng.random(300), (rng.random(300) < 0.1).astype(int)  # no signal at all
    inside = decide(p, y, "f1", cv=None).report
    outside = decide(p, y, "f1").report
    assert not inside.cross_fitted
    assert outside.cross_fitted
    assert outside.figure("f_beta").after.value < inside.figure("f_beta").after.value


def test_counts_add_up_to_the_thousand_cases():
    p, y = two()
    f = {x.name: x.after.value for x in decide(p, y, Cost(fn=20)).report.figures}
    assert f["caught"] + f["missed"] == pytest.approx(1000 * y.mean())
    assert f["caught"] + f["false_alarms"] == pytest.approx(f["alerts"])
    assert f["cost"] == pytest.approx(20 * f["missed"] + f["false_alarms"])
    assert f["recall"] == pytest.approx(f["caught"] / (f["caught"] + f["missed"]))


def test_intervals_hold_what_comes_on_fresh_rows_about_as_often_as_they_say():
    p, y = two(200_000, seed=9)
    rule = decide(p, y, Cost(fn=20), cv=None)
    truth = rule.report.figure("recall").after.value
    held = []
    for seed in range(100):
        p, y = two(1500, seed=seed)
        recall = decide(p, y, Cost(fn=20), cv=None, calibrate=None).report.figure("recall").after
        held.append(recall.low <= truth <= recall.high)
    assert 0.86 <= np.mean(held) <= 1.0


def test_the_jackknife_and_the_bootstrap_agree():
    p, y = two(20_000)
    w = np.ones(len(y))
    w[0] = 1.0000001
    drawn, left_out = (decide(p, y, Cost(fn=20), sample_weight=v, calibrate=None).report for v in (None, w))
    assert (drawn.interval, left_out.interval) == ("bootstrap", "jackknife")
    for name in ("caught", "false_alarms", "precision", "cost"):
        a, b = drawn.figure(name).after, left_out.figure(name).after
        assert a.value == pytest.approx(b.value, rel=1e-5)
        assert (a.high - a.low) == pytest.approx(b.high - b.low, rel=0.35), name


def test_a_recall_of_all_is_never_certain():
    p = np.concatenate([np.linspace(0.5, 0.9, 20), np.linspace(0.0, 0.4, 500)])
    y = (np.arange(520) < 20).astype(int)
    recall = decide(p, y, "f1").report.figure("recall").after
    assert recall.value == 1
    assert recall.low == pytest.approx(0.025 ** (1 / 20))


def test_a_row_of_weight_two_counts_as_two():
    p, y = two(600)
    w = np.where(np.arange(600) % 3 == 0, 2.0, 1.0)
    weighed = decide(p, y, Cost(fn=9), sample_weight=w, calibrate=None, cv=None).report
    doubled = decide(np.repeat(p, w.astype(int)), np.repeat(y, w.astype(int)), Cost(fn=9), calibrate=None, cv=None)
    for name in ("caught", "false_alarms", "cost"):
        assert weighed.figure(name).after.value == pytest.approx(doubled.report.figure(name).after.value)


def test_rows_of_weight_zero_take_no_part():
    p, y = two(500)
    rng = np.random.default_rng(1)
    more_p, more_y = np.concatenate([p, rng.random(50)]), np.concatenate([y, rng.integers(0, 2, 50)])
    w = np.concatenate([np.ones(500), np.zeros(50)])
    w[0] = 2.0
    with_them = decide(more_p, more_y, "f1", sample_weight=w)
    without = decide(p, y, "f1", sample_weight=w[:500])
    assert with_them.cutoff == without.cutoff
    assert with_them.report.figures == without.report.figures


def test_groups_stay_together():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    y = np.repeat((np.arange(40) % 3 == 0).astype(int), 5)
    p = np.clip(0.3 * y + 0.4 * np.repeat(rng.random(40), 5), 0, 1)
    apart = decide(p, y, "accuracy", groups=groups, cv=4).report.figure("accuracy").after.value
    mixed = decide(p, y, "accuracy", cv=4).report.figure("accuracy").after.value
    assert apart <= mixed


# --- constraints


def test_a_constraint_that_the_data_cannot_promise_is_said():
    rng = np.random.default_rng(5)
    y = np.concatenate([np.ones(37, int), np.zeros(400, int)])
    p = sigma(rng.normal(size=437) + 3.5 * y - 2)
    report = decide(p, y, Constraint("precision", 0.9)).report
    assert not report.promise.kept
    (note,) = report.notes
    assert re.fullmatch(r"With 37 positives a precision of 0\.9 cannot be promised: its lower bound is 0\.\d\d\.", note)
    p, y = two(30_000, rare=0.3)
    kept = decide(p, y, Constraint("recall", 0.5)).report
    assert kept.promise.met
    assert kept.promise.value == pytest.approx(0.5, abs=0.02)


def test_a_bound_that_no_cut_off_reaches_is_said():
    p, y = np.array([0.9, 0.8] * 10 + [0.1] * 40), np.array([0, 1] * 10 + [0] * 40)
    report = decide(p, y, Constraint("precision", 0.9), cv=2).report
    assert not report.promise.met
    assert report.notes[0].startswith(
        "No cut-off reaches a precision of 0.9 on these rows; the nearest, 0.50, is taken"
    )


# --- probabilities first


def test_balanced_weights_are_undone_to_an_intercept_of_nothing():
    """van den Goorbergh et al. 2022: weights move the intercept by log(prior odds); alpha takes it back exactly."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2022)

    def draw(n):
        y = (rng.random(n) < 0.05).astype(int)
        return rng.normal(size=(n, 3)) + 0.8 * y[:, None], y

    X, y = draw(100_000)
    prior = np.bincount(y) / len(y)
    p = LogisticRegression(C=np.inf, class_weight="balanced").fit(X, y).predict_proba(X)
    distorted = calibration(p[:, 1], y)
    assert distorted.intercept == pytest.approx(np.log(prior[1] / prior[0]), abs=0.2)
    rule = decide(p, y, Cost(fn=19), alpha=tuple(1 / (2 * prior)), calibrate=None)
    assert abs(rule.report.calibration.intercept) <= 0.02
    assert rule.report.calibration.slope == pytest.approx(1, abs=0.05)
    assert rule.report.calibration_before.intercept == pytest.approx(distorted.intercept)
    assert rule.cutoff == pytest.approx(sigma(np.log(0.05 / 0.95) + np.log(prior[0] / prior[1])), abs=1e-6)


def test_a_focal_loss_is_undone():
    from focalkit import recover_posterior

    p, y = two(20_000)
    fine = np.linspace(1e-4, 1 - 1e-4, 100_001)
    distorted = np.interp(p, recover_posterior(fine, gamma=2.0), fine)  # what a focal loss makes of p
    rule = decide(distorted, y, Cost(fn=9), gamma=2.0)
    assert np.array_equal(rule.decide(distorted), (p > 0.1).astype(int))
    assert rule.decide(np.array([rule.cutoff, np.nextafter(rule.cutoff, 1)])).tolist() == [0, 1]


def test_undersampling_at_a_known_rate_is_undone():
    p, y = two(50_000)
    kept = (y == 1) | (np.random.default_rng(0).random(len(y)) < 0.1)
    sampled = p / (p + 0.1 * (1 - p))
    rule = decide(sampled[~kept | (y == 1)], y[~kept | (y == 1)], Cost(fn=9), sampling_rate=[0.1, 1.0], calibrate=None)
    assert np.array_equal(rule.decide(sampled), (p > 0.1).astype(int))


def test_what_cannot_be_undone_is_said():
    p, y = two(800)
    report = decide(p, y, Cost(fn=9), keep_hardest=0.25, calibrate="temperature").report
    assert any("cannot be undone" in note for note in report.notes)


def test_calibration_is_taken_where_it_helps_and_left_where_it_does_not():
    p, y = two(6000)
    assert decide(p, y, Cost(fn=9)).steps == ()
    sharp = sigma(3 * np.log(p / (1 - p)))
    rule = decide(sharp, y, Cost(fn=9))
    assert len(rule.steps) == 1
    assert any("Calibrated by" in note for note in rule.report.notes)
    assert rule.report.calibration.slope == pytest.approx(1, abs=0.1)
    assert rule.cutoff == pytest.approx(sigma(3 * np.log(1 / 9)), rel=0.5)


def test_temperatures_are_found():
    p, y = two(10_000)
    logit = np.log(p / (1 - p))
    for method in ("temperature", "isotonic", "beta", "focal_temperature"):
        rule = decide(sigma(2 * logit), y, Cost(fn=9), calibrate=method)
        assert rule.report.calibration.slope == pytest.approx(1, abs=0.15), method
        if method == "temperature":
            assert rule.steps[0].temperature == pytest.approx(2, rel=0.1)


def test_focal_temperature_scaling_finds_the_map():
    from focalkit import recover_posterior
    from focalkit.decisions.calibration import fit_calibration, log_losses

    rng = np.random.default_rng(0)
    p = sigma(rng.normal(-1, 2, 30_000))
    y = (rng.random(len(p)) < p).astype(int)
    fine = sigma(np.linspace(-40, 40, 200_001))
    focal = np.interp(p, recover_posterior(fine, gamma=3.0), fine)
    q = sigma(1.5 * np.log(focal / (1 - focal)))
    step = fit_calibration("focal_temperature", q, y)
    plain = fit_calibration("temperature", q, y)
    truth = Temperature(1.5, 3.0)
    assert np.allclose(truth.apply(q), p, atol=1e-4)
    fitted, true, scaled = (log_losses(s.apply(q), y).mean() for s in (step, truth, plain))
    assert fitted <= true + 1e-7  # gamma and temperature trade off: not themselves, but the map is found
    assert np.abs(step.apply(q) - p).max() < 0.02
    assert fitted < scaled


def test_of_several_classes_focal_temperature_is_taken_where_it_lowers_the_loss_most():
    from focalkit.decisions.calibration import best_calibration

    rng = np.random.default_rng(0)
    q = rng.dirichlet([2.0, 1.0, 0.5], 3000)
    folds = np.arange(3000) % 3
    for map_, best in (
        (Temperature(1.5, 3.0), "focal_temperature"),
        (Temperature(1.0), None),
    ):
        y = (rng.random(3000)[:, None] > map_.apply(q).cumsum(axis=1)).sum(axis=1).clip(0, 2)
        assert best_calibration(q, y, None, folds) == best


def test_a_few_rows_that_are_surely_wrong_do_not_hide_what_a_map_does_for_the_others():
    from focalkit.decisions.calibration import best_calibration

    rng = np.random.default_rng(0)
    p = sigma(rng.normal(-2, 2, 4000))
    y = (rng.random(4000) < p).astype(int)
    far = sigma(2 * np.log(p / (1 - p)))
    far[:3], y[:3] = 0.0, 1
    assert best_calibration(far, y, None, np.arange(4000) % 5) is not None


def test_bands_of_a_true_model_hold_together():
    off = []
    for seed in range(60):
        p, y = two(1000, seed=seed)
        off.append(calibration(p, y).off > 0)
    assert np.mean(off) <= 0.12
    p, y = two(5000)
    assert calibration(sigma(2 * np.log(p / (1 - p))), y).off > 3


# --- another prior


def test_the_cut_off_of_another_prior_is_bayes():
    p, y = two(4000)
    pi = y.mean()
    rule = decide(p, y, Cost(fn=9), prior=0.02, calibrate=None)
    odds = 1 / 9 * (pi / (1 - pi)) / (0.02 / 0.98)
    assert rule.cutoff == pytest.approx(odds / (1 + odds), rel=1e-9)
    caught, missed = (rule.report.figure(name).after.value for name in ("caught", "missed"))
    assert caught + missed == pytest.approx(20)


def test_the_prior_of_unlabelled_rows_is_found_with_its_error():
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.random(3000) < 0.3
        p = sigma(2 * rng.normal(2 * y, 1.0) - 2 + np.log(0.1 / 0.9))  # calibrated at a prior of 0.1
        found = estimate_prior(p, np.array([0.9, 0.1]))
        assert found.identifiable
        z.append((found.prior[1] - y.mean()) / found.error[1])
    assert abs(np.mean(z)) < 0.5
    assert np.std(z) < 1.3


def test_predictions_that_tell_nothing_cannot_tell_the_prior():
    rng = np.random.default_rng(0)
    p = np.clip(0.1 + 1e-4 * rng.normal(size=2000), 0, 1)
    found = estimate_prior(p, np.array([0.9, 0.1]))
    assert not found.identifiable
    y = (rng.random(2000) < 0.1).astype(int)
    notes = decide(p, y, Cost(fn=9), unlabelled=p, calibrate=None).report.notes
    assert any("cannot be told" in note for note in notes)


# --- more classes, labels, costs of each case


def test_costs_of_several_classes_are_lower_after_than_before():
    p, y = three()
    report = decide(p, y, MATRIX).report
    cost = report.figure("cost")
    assert cost.after.value < cost.before.value
    assert cost.change.high < 0


def test_weights_of_several_classes_raise_the_metric():
    p, y = three()
    rule = decide(p, y, "macro_f1")
    figure = rule.report.figure("macro_f_beta")
    assert isinstance(rule.rule, Weighted)
    assert figure.after.value > figure.before.value
    assert {f.name for f in rule.report.figures} >= {"recall:0", "recall:1", "recall:2"}


def test_amounts_decide_case_by_case():
    p, y = two(3000)
    amounts = np.random.default_rng(0).lognormal(3, 1, 3000)
    rule = decide(p, y, CaseCost(fp=5.0), costs=amounts)
    assert rule.report.interval == "jackknife"
    assert np.array_equal(rule.decide(p, amounts), (amounts * p > 5 * (1 - p)).astype(int))
    cost = rule.report.figure("cost").after.value
    said = rule.decide(p, amounts)
    assert cost == pytest.approx(1000 * np.where(y == 1, amounts * (said == 0), 5.0 * (said == 1)).mean())


def test_rare_labels_are_shrunk_to_the_common_cut_off():
    rng = np.random.default_rng(0)
    n, sizes = 2000, [600] * 4 + [8] * 12
    p, y = np.empty((n, 16)), np.zeros((n, 16), int)
    for k, m in enumerate(sizes):
        y[rng.choice(n, m, replace=False), k] = 1
        p[:, k] = sigma(1.2 * rng.normal(size=n) + 2 * y[:, k] - 2)
    rule = decide(p, y, "f1")
    assert rule.report.kappa > 0
    alone = decide(p, y, "f1", cv=None)
    spread = np.ptp(np.log(np.array(rule.rule.cutoffs[4:])))
    from focalkit.decisions.labels import fit_labels

    own = fit_labels(Maximize("f1"), p, y, kappa=0.0)[0]
    assert spread < np.ptp(np.log(np.maximum(own.cutoffs[4:], 1e-9)))
    assert alone.decide(p).shape == y.shape
    fresh = [decide(p, y, goal).report.figure("f_beta").after.value for goal in ("f1",)]
    assert fresh[0] > rule.report.figure("f_beta").before.value


# --- the rule travels


RULES = {
    "cut-off": lambda: decide(*two(800), Cost(fn=9)),
    "cut-off behind steps": lambda: decide(*two(800), Cost(fn=9), gamma=2.0, prior=0.03, calibrate="temperature"),
    "isotonic": lambda: decide(*two(800), Cost(fn=9), calibrate="isotonic"),
    "bands": lambda: decide(*two(800), Abstain(share=0.1, cost=Cost(fn=9)), classes=["no", "yes"]),
    "weights": lambda: decide(*three(), "mcc", classes=["a", "b", "it's"]),
    "matrix": lambda: decide(*three(), MATRIX, prior=[0.5, 0.3, 0.2], calibrate="temperature"),
    "focal matrix": lambda: decide(*three(), MATRIX, gamma=1.0, alpha=[1.0, 2.0, 3.0], calibrate=None),
    "review": lambda: decide(*three(), Abstain(review_cost=0.3)),
    "learned matrix": lambda: decide(*three(), 70 * np.array(MATRIX), learned=True),
    "focal temperature": lambda: decide(*three(), MATRIX, calibrate="focal_temperature", prior=[0.5, 0.3, 0.2], cv=2),
    "focal temperature behind alpha": lambda: decide(
        *three(), MATRIX, gamma=1.0, alpha=[1.0, 2.0, 3.0], calibrate="focal_temperature", cv=2
    ),
    "focal matrix, gamma 2": lambda: decide(*three(), MATRIX, gamma=2.0, calibrate=None),
}


def new_cases(rule):
    """Probabilities that the rule has not seen; of several classes some that are 0 and 1, as wide margins give."""
    if rule.n_classes == 2:
        return two(300, 7)[0]
    return np.concatenate([three(300, 7)[0], np.eye(3), [[0.0, 0.5, 0.5], [1 - 2e-16, 1e-16, 1e-16]]])


@pytest.fixture(scope="module", params=RULES)
def rule(request):
    return RULES[request.param]()


def test_a_saved_rule_decides_the_same(rule, tmp_path):
    again = DecisionRule.from_json(rule.to_json(tmp_path / "rule.json"))
    assert again == rule
    assert again == DecisionRule.from_json(tmp_path / "rule.json")
    p = (two(300, 7) if rule.n_classes == 2 else three(300, 7))[0]
    assert np.array_equal(again.decide(p), rule.decide(p))
    assert again.to_json() != rule.to_json()  # the figures stay behind
    assert repr(again) == repr(rule)


def test_the_numpy_snippet_decides_the_same(rule):
    p, names = new_cases(rule), {}
    exec(rule.to_numpy(), names)
    assert np.array_equal(names["decide"](p), rule.decide(p))


@pytest.mark.parametrize("calibrate", ["temperature", "focal_temperature", "isotonic", "beta"])
def test_the_snippet_of_costs_of_each_case_calibrates_too(calibrate):
    p, y = two(800)
    amounts = np.random.default_rng(0).exponential(30, 800)
    rule, names = decide(p, y, CaseCost(fp=5), costs=amounts, calibrate=calibrate), {}
    exec(rule.to_numpy(), names)
    new = np.append(two(300, 7)[0], [0.0, 1.0])
    of_new = CaseCost(fp=5).matrices(np.linspace(1, 99, len(new)))
    assert np.array_equal(names["decide"](new, of_new), rule.decide(new, of_new))
    assert "the decision with the least expected cost" in to_html(rule)


def duckdb_connection():
    return pytest.importorskip("duckdb").connect()


def sqlite_connection():
    found = sqlite3.connect(":memory:")
    try:
        found.execute("select power(2.0, ln(2.0))")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite was built without mathematical functions")
    return found


@pytest.mark.parametrize("connect", [duckdb_connection, sqlite_connection])
def test_the_sql_snippet_decides_the_same(rule, connect):
    db, p = connect(), new_cases(rule)
    columns = ["p"] if p.ndim == 1 else [f"p_{name}" for name in rule.classes]
    quoted = [f'"{c}"' for c in columns]
    db.execute(f"create table t (i integer, {', '.join(f'{c} double' for c in quoted)})")
    rows = [(i, *np.atleast_1d(row).tolist()) for i, row in enumerate(p)]
    db.executemany(f"insert into t values (?{', ?' * len(columns)})", rows)
    said = [str(row[0]) for row in db.execute(f"select {rule.to_sql()} from t order by i").fetchall()]
    want = [str(name) for name in rule.predict(p)]
    assert said == want


def test_a_rule_takes_tensors_and_frames():
    pd, pl, torch = (pytest.importorskip(name) for name in ("pandas", "polars", "torch"))
    p, y = three()
    rule = decide(p, y, "macro_f1", classes=["a", "b", "c"])
    ids = rule.decide(p)
    tensor = rule.predict(torch.tensor(p, dtype=torch.float32, requires_grad=True))
    assert tensor.dtype == torch.int64
    assert (tensor.numpy() == ids).mean() > 0.999
    frame = pd.DataFrame(p[:, ::-1], columns=["c", "b", "a"], index=np.arange(len(p)) + 5)
    series = rule.predict(frame)
    assert series.index[0] == 5
    assert series.tolist() == np.array(["a", "b", "c"])[ids].tolist()
    assert rule.predict(pl.DataFrame({"a": p[:, 0], "b": p[:, 1], "c": p[:, 2]})).to_list() == series.tolist()
    named = pd.DataFrame(p, columns=["a", "b", "c"])
    assert decide(named, np.array(["a", "b", "c"])[y], "macro_f1").classes == ("a", "b", "c")


def test_sentences_name_the_classes_and_the_cut_off():
    assert str(DecisionRule(Cutoff(1 / 101), Cost(100), ("ok", "fraud")).sentence) == (
        "Decide “fraud” when p > 0.009901, otherwise “ok”."
    )
    assert str(DecisionRule(Cutoff(-1.0), Cost(100), ("ok", "fraud")).sentence) == "Decide “fraud” always."
    near = DecisionRule(Cutoff(1 - 1.3e-9), Cost(100), (0, 1)).sentence
    assert "p > 0.9999999987" in near


def test_steps_that_only_rise_move_the_cut_off_to_the_model_s_scale():
    steps = (Recover(2.0), Reweigh((0.2, 0.8)))
    rule = DecisionRule(Cutoff(0.3), Cost(9), (0, 1), steps)
    cut = rule.cutoff
    assert rule.decide(np.array([cut, np.nextafter(cut, 1)])).tolist() == [0, 1]


# --- bad input


P, Y = two(200)
Q, Z3 = three(200)

BAD = [
    (lambda: decide(P * 3, Y, "f1"), "probabilities must lie in [0, 1]", "logits"),
    (lambda: decide(Q * 0.5, Z3, "mcc"), "sum to 1", "Divide"),
    (lambda: decide(P, np.zeros(200, int), "f1"), "targets must hold every class", "no row of class 1"),
    (lambda: decide(np.full(200, 0.2), Y, "f1"), "probabilities must differ between rows", "0.2 for all"),
    (lambda: decide(P[:50], (np.arange(50) < 4).astype(int), "f1"), "two rows of each class", "cv=2"),
    (lambda: decide(P, Y, CostMatrix(MATRIX)), "cost matrix must have shape (2, 2)", "(3, 3)"),
    (lambda: decide(Q, Z3, Cost(fn=9)), "goal must suit 3 classes", "cost matrix"),
    (lambda: CostMatrix([[5.0, 1.0], [2.0, 0.0]]), "right decisions on the diagonal", "columns the decision"),
    (lambda: CostMatrix([[0.0, np.nan], [2.0, 0.0]]), "cost matrix must be finite", "large cost"),
    (lambda: CostMatrix([[0.0, 1.0]]), "shape (n_classes, n_classes)", "(1, 2)"),
    (lambda: Cost(fn=-1), "fn must be a number in [0, inf)", "negative cost"),
    (lambda: Cost(fn=float("nan")), "fn must be a number", "nan"),
    (lambda: Cost(fn=1, fp=1, tp=2), "each mistake dearer", "mixed up"),
    (lambda: Constraint("precision", 1.0), "precision must be a number in (0, 1)", "0.9"),
    (lambda: Constraint("recal", 0.5), "kind must be one of", "recal"),
    (lambda: Abstain(), "one of the two", "Drop one"),
    (lambda: Abstain(share=0.1, review_cost=1), "one of the two", "Drop one"),
    (lambda: Maximize("auc"), "metric must be one of", "auc"),
    (lambda: decide(P, Y, Cost(9), prior=0.1, unlabelled=P), "given or estimated, not both", "Drop one"),
    (lambda: decide(P, Y, Cost(9), prior=[0.5, 0.6]), "sum to 1", "counts"),
    (lambda: decide(P, Y, Cost(9), costs=np.ones(200)), "go with the goal CaseCost", "Cost"),
    (lambda: decide(P, Y, CaseCost()), "costs must be given", "missing each case"),
    (lambda: decide(P, Y, CaseCost(), costs=np.ones(199)), "costs must have 200 entries", "199"),
    (lambda: decide(P, Y, CaseCost(), costs=np.full(200, np.nan)), "costs must be finite", "NaN"),
    (lambda: decide(P, Y, CaseCost(), costs=-np.ones(200)), "costs must be at least 0", "gain"),
    (lambda: decide(P, Y[:-1], "f1"), "one entry for each row", "199"),
    (lambda: decide(P, Y, "f1", sample_weight=np.zeros(200)), "positive for some row", "equal weights"),
    (lambda: decide(P, Y, "f1", cv=1), "cv must be an integer", "5"),
    (lambda: decide(P, Y, "f1", calibrate="platt"), "calibrate must be one of", "temperature"),
    (lambda: decide(Q, Z3, MATRIX, calibrate="isotonic"), "calibrate must suit", "temperature"),
    (lambda: decide(Q, Z3, "f1"), "metric must suit the number of classes", "macro"),
    (lambda: decide(Q, np.array(["a", "b"])[Z3 % 2], "mcc"), "hold the 3 classes", "a, b"),
    (lambda: decide(P, Y, 3), "goal must be a goal", "mcc"),
    (lambda: DecisionRule.from_json("{}"), "rule must be a focalkit decision rule", "to_json"),
    (lambda: decide(*two(300), "f1").decide(Q), "probabilities must have 2 classes", "3 classes"),
]


@pytest.mark.parametrize(("act", "contract", "more"), BAD, ids=range(len(BAD)))
def test_bad_input_is_one_line_with_what_to_do(act, contract, more):
    with pytest.raises(InputError) as caught:
        act()
    text = str(caught.value)
    assert contract in text
    assert more in text
    assert "\n" not in text
    assert text.count("; got ") == 1


def test_a_rule_is_drawn():
    pytest.importorskip("matplotlib")
    axes = decide(*two(800), Cost(fn=9)).plot()
    assert [line.get_label() for line in axes.get_legend().get_lines()] == ["missed", "false alarms", "cost"]
    assert len(decide(*three(), "macro_f1").plot().get_yticklabels()) == 3
    with pytest.raises(InputError, match="rule must have a report"):
        DecisionRule(Cutoff(0.5), Cost(9), (0, 1)).plot()


def test_probabilities_of_the_other_class_are_told_of():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 6, 400)
    names = np.where(rng.random(400) < p, "bad", "good")  # p is that of "bad", and "good" comes second in order
    told = [note for note in decide(p, names, Cost(fn=20)).report.notes if note.key == "decide.upside_down"]
    assert "The higher the probability of “good”, the rarer “good” is (AUC 0.28)." in str(told[0])
    for rule in (decide(p, names, Cost(fn=20), classes=["good", "bad"]), decide(rng.random(400), names, "f1")):
        assert all(note.key != "decide.upside_down" for note in rule.report.notes)


def test_a_band_that_is_open_to_one_side_is_said_as_one():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 6, 400)
    y = (rng.random(400) < p).astype(int)
    assert decide(p, y, Abstain(share=0.1)).sentence == "Decide “0” when p ≤ 0.3147; otherwise a person decides."
    assert re.fullmatch(
        r"Decide “1” when p > 0.\d+; otherwise a person decides.", decide(1 - p, 1 - y, Abstain(share=0.1)).sentence
    )


def test_a_report_says_its_size_and_not_all_of_its_figures():
    y = np.tile([0, 1, 0, 0], 40)
    rule = decide(np.linspace(0.01, 0.99, 160), y, "f1")
    assert re.fullmatch(r"DecisionReport\(160 rows, \d+ figures, cross-fitted\)", repr(rule.report))


@pytest.mark.parametrize("name", ["prior", "sampling_rate"])
def test_a_mapping_from_the_classes_is_their_vector(name):
    rng = np.random.default_rng(0)
    p = rng.beta(1, 8, 1000)
    y = (rng.random(1000) < p).astype(int)
    for classes, given in ((["ok", "fraud"], {"fraud": 0.3, "ok": 0.7}), (None, {0: 0.7, 1: 0.3})):
        mapped = decide(p, y, Cost(9, 1), classes=classes, **{name: given})
        assert mapped.to_json() == decide(p, y, Cost(9, 1), classes=classes, **{name: [0.7, 0.3]}).to_json()
    for wrong in ({}, {"ok": 1.0}, {0: 0.5, 1: 0.3, 2: 0.2}):
        with pytest.raises(InputError, match=f"{name} must name the classes '0', '1'"):
            decide(p, y, Cost(9, 1), **{name: wrong})


@pytest.mark.parametrize("constant", ["NaN", "Infinity"])
def test_a_rule_s_file_has_no_constants_that_json_has_not(constant):
    rng = np.random.default_rng(0)
    p = rng.beta(1, 8, 1000)
    text = decide(p, rng.random(1000) < p, Cost(9, 1)).to_json()
    with pytest.raises(InputError, match=f"be JSON; got {constant} in it"):
        DecisionRule.from_json(re.sub(r'("cutoff": )[\d.e-]+', rf"\g<1>{constant}", text))
