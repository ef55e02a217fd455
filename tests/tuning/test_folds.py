import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from focalkit import InputError
from focalkit.io.repeats import duplicate_groups, repeats
from focalkit.tuning import tune
from focalkit.tuning.folds import forward_folds, make_folds


@st.composite
def problems(draw):
    n_classes = draw(st.integers(2, 4))
    sizes = draw(st.lists(st.integers(1, 25), min_size=n_classes, max_size=n_classes))
    sizes[0], sizes[1] = sizes[0] + 2, sizes[1] + 2
    targets = np.repeat(np.arange(n_classes), sizes)
    copies = draw(st.booleans())
    groups = np.arange(len(targets))
    if copies:
        groups = groups // 2 + 1000 * targets
    return targets, groups


@given(problems(), st.integers(2, 6), st.integers(1, 3), st.integers(0, 5))
def test_each_scored_row_is_scored_once_per_repeat_and_never_by_a_model_that_saw_its_copy(problem, k, r, seed):
    targets, groups = problem
    try:
        folds = make_folds(targets, groups, n_splits=k, n_repeats=r, seed=seed)
    except InputError:
        units = [len(np.unique(groups[targets == c])) for c in range(targets.max() + 1)]
        assert sum(u >= 2 for u in units) < 2
        return
    for repeat in range(r):
        tests = [s.test for s in folds.splits if s.repeat == repeat]
        rows, times = np.unique(np.concatenate(tests), return_counts=True)
        assert (times == 1).all()
        single = [c for c in range(targets.max() + 1) if len(np.unique(groups[targets == c])) == 1]
        assert set(rows) == set(np.flatnonzero(~np.isin(targets, single)))
    for split in folds.splits:
        assert not set(groups[split.train]) & set(groups[split.test])
        assert len(split.train) + len(split.test) == len(targets)
        assert set(targets[split.train]) == set(targets)


def test_folds_are_stratified():
    targets = np.repeat([0, 1], [950, 50])
    folds = make_folds(targets, np.arange(1000), n_splits=5, n_repeats=2, seed=0)
    assert {int(targets[s.test].sum()) for s in folds.splits} == {10}


def test_repeats_differ_and_the_seed_decides():
    targets = np.repeat([0, 1], 50)

    def tests(seed):
        folds = make_folds(targets, np.arange(100), n_splits=5, n_repeats=2, seed=seed)
        return [tuple(s.test) for s in folds.splits]

    assert tests(0) == tests(0)
    assert tests(0) != tests(1)
    assert tests(0)[:5] != tests(0)[5:]


def test_what_was_done_is_said():
    targets = np.array([0] * 20 + [1] * 20 + [2] + [3] * 3)
    groups = np.arange(len(targets))
    groups[1] = 0
    notes = " ".join(make_folds(targets, groups, n_splits=5, n_repeats=1, seed=0).notes)
    assert "1 of 44 rows repeat another row" in notes
    assert "1 class(es) have one distinct row, or one group: always trained on, never scored" in notes
    assert "1 class(es) have fewer distinct rows, or groups, than the 5 folds" in notes


def test_copies_are_counted_as_the_reader_counts_them():
    X = np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0], [4.0]])
    targets = np.array([0, 0, 1, 1, 0, 1, 0])
    notes = make_folds(targets, duplicate_groups(X), n_splits=2, n_repeats=1, seed=0).notes
    assert repeats(X, targets)[0] == 1
    assert "1 of 7 rows repeat another row" in notes[0]


def test_groups_that_somebody_named_are_not_called_copies():
    groups = np.repeat(np.arange(10), 4)
    notes = make_folds(np.tile([0, 1], 20), groups, n_splits=2, n_repeats=1, seed=0, grouped=True).notes
    assert notes == ("10 groups of 40 rows: the rows of a group stay in one fold.",)


def test_one_scorable_class_is_refused():
    with pytest.raises(InputError, match="two classes of two different rows"):
        make_folds(np.array([0, 0, 0, 1]), np.arange(4), n_splits=2, n_repeats=1, seed=0)


def test_equal_rows_share_a_group_whatever_their_zero_sign_or_nan_bits():
    other_nan = np.frombuffer(np.int64(0x7FF8000000000001).tobytes(), np.float64)[0]
    X = np.array([[0.0, np.nan], [-0.0, other_nan], [1.0, 2.0], [0.0, 1.0]])
    groups = duplicate_groups(X)
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    texts = duplicate_groups(np.array([["a", 1], ["a", 1], ["b", 1]], object))
    assert texts[0] == texts[1] != texts[2]


def test_groups_that_span_all_time_are_named_where_nothing_is_left_to_train_on():
    with pytest.raises(InputError, match=r"without 10 of groups that it tests on. Leave out groups="):
        forward_folds(np.arange(40) % 2, np.arange(40) % 4, np.arange(40), n_splits=3)


def test_folds_in_time_train_on_the_past_alone_and_part_no_moment():
    rng = np.random.default_rng(0)
    time, targets = rng.integers(0, 40, 500), rng.integers(0, 3, 500)
    folds = forward_folds(targets, np.arange(500), time, n_splits=4)
    assert len(folds.splits) == 4
    for split in folds.splits:
        assert time[split.train].max() < time[split.test].min()
        assert len(split.train) == (time < time[split.test].min()).sum()
    tested = np.concatenate([split.test for split in folds.splits])
    assert len(np.unique(tested)) == len(tested)
    assert set(np.flatnonzero(time >= time[folds.splits[0].test].min())) == set(tested.tolist())


def test_a_group_of_a_fold_is_not_trained_on_before_it():
    rng = np.random.default_rng(1)
    groups, targets = rng.integers(0, 60, 300), rng.integers(0, 2, 300)
    for split in forward_folds(targets, groups, np.arange(300), n_splits=3).splits:
        assert not set(groups[split.train].tolist()) & set(groups[split.test].tolist())


@pytest.mark.parametrize(
    ("time", "targets", "message"),
    [(np.zeros(20), np.arange(20) % 2, "more times than folds"), (np.arange(20), np.arange(20) > 12, "two classes")],
)
def test_times_that_make_no_folds_are_refused(time, targets, message):
    with pytest.raises(InputError, match=message):
        forward_folds(targets.astype(int), np.arange(20), time, n_splits=3)


@pytest.mark.parametrize(
    ("targets", "groups", "said"),
    [
        ([0] * 3 + [1], range(4), "class 'ill' with 1 row; class 'well' with 3 rows. A class of one row"),
        (
            [0] * 5 + [1] * 4,
            [0] * 5 + [1] * 4,
            "class 'ill' with 4 rows, 1 of them different; class 'well' with 5 rows",
        ),
    ],
)
def test_the_refusal_counts_the_file_s_rows_and_tells_equal_rows_from_too_few(targets, groups, said):
    with pytest.raises(InputError) as refused:
        make_folds(np.array(targets), np.array(groups), n_splits=2, n_repeats=1, seed=0, names=["well", "ill"])
    assert said in str(refused.value)
    assert ("Equal rows, and rows of one group" in str(refused.value)) == ("different" in said)


def test_folds_are_the_same_for_every_container_and_every_set_of_features():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.arange(120) % 4 == 0
    X[60:80] = X[20:40]  # rows that repeat
    small = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}

    def tests_of(features):
        return [split.test.tolist() for split in tune(LogisticRegression(), features, y, **small).folds.splits]

    frame = pd.DataFrame(X)
    kinds = [
        X,
        X.astype(np.float32),
        X.astype(object),
        frame,
        2 * X + 1,
        X[:, :2],
        sparse.csr_array(X),
        np.asfortranarray(X),
    ]
    assert len({str(tests_of(kind)) for kind in kinds}) == 1
