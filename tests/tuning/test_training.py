import numpy as np
import pytest
from sklearn.datasets import make_classification

from focalkit import InputError, softmax_focal_loss
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, tune
from focalkit.tuning.classifiers import trainer_of
from focalkit.tuning.trainers import Data, FunctionTrainer

GRID = {"alphas": ["power:1"], "gammas": [0.0, 2.0], "keep_hardest": [0.5], "n_splits": 3, "n_repeats": 1}
X, y = make_classification(300, 5, n_informative=4, n_redundant=0, n_classes=3, weights=[0.7, 0.2], random_state=0)


def linear(spec, train, test):
    """What a user would write: the rows are looked up, a model is trained with the spec, logits come back."""
    alpha = None if spec.alpha is None else list(spec.alpha)
    model = FocalClassifier(spec.gamma, alpha, keep_hardest=spec.keep_hardest).fit(X[train], y[train])
    return model.decision_function(X[test])


@pytest.fixture(scope="module")
def result():
    return tune(linear, X, y, **GRID)


def test_a_training_function_gives_what_the_classifier_gives(result):
    class Cold(FocalClassifier):
        """Without warm starts, as the function has none."""

        def __init__(self, gamma=2.0, alpha=None, *, keep_hardest=None):
            super().__init__(gamma, alpha, keep_hardest=keep_hardest)

    twin = tune(Cold(), X, y, **GRID)
    assert twin.cells == result.cells
    np.testing.assert_allclose(twin.scores, result.scores, atol=1e-9)
    assert (twin.taus == result.taus).all()
    assert result.estimator == "linear(spec, train, test)"


def test_a_training_function_is_given_the_loss_and_rows_that_it_may_use():
    calls = []

    def spy(spec, train, test):
        calls.append((spec, train, test))
        return np.zeros((len(test), 3))

    found = tune(spy, None, y, **GRID, groups=np.arange(len(y)) // 2)
    assert {spec.link for spec, _, _ in calls} == {"softmax"}
    assert {spec.gamma for spec, _, _ in calls} == {0.0, 2.0}
    assert {spec.keep_hardest for spec, _, _ in calls} == {None, 0.5}
    for spec, train, test in calls:
        assert not set(train // 2) & set(test // 2)
        assert train.dtype.kind == "i"
        if spec.alpha is not None:
            assert np.mean(np.array(spec.alpha)[y[train]]) == pytest.approx(1)
            counts = np.bincount(y[train])
            np.testing.assert_allclose(np.array(spec.alpha) * counts, spec.alpha[0] * counts[0])
    assert np.isfinite(found.scores).all()


def test_the_spec_is_one_that_the_losses_take():
    def fit(spec, train, test):
        assert np.isfinite(softmax_focal_loss(np.zeros((len(train), 3)), y[train], gamma=spec.gamma, alpha=spec.alpha))
        return np.zeros((len(test), 3))

    tune(fit, X, y, **{**GRID, "keep_hardest": []})


@pytest.mark.parametrize("shape", [lambda z: z, lambda z: z[:, None], lambda z: np.column_stack([0 * z, z])])
def test_two_classes_may_have_one_logit_or_two(shape):
    rows = np.flatnonzero(y < 2)

    def fit(spec, train, test):
        return shape(X[rows][test, 0])

    trainer = FunctionTrainer(fit)
    data = Data(X[rows], y[rows], 2)
    train, test = np.arange(100), np.arange(100, len(rows))
    ((_, found),) = trainer.predictions(data, [Cell("power:1", 2.0)], train, test)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert (found.decisions == (X[rows][test, 0] > 0)).all()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda test: np.zeros((len(test), 2)), r"return logits of shape \(100, 3\)"),
        (lambda test: np.zeros(len(test)), "return logits of shape"),
        (lambda test: np.full((len(test), 3), np.nan), "NaN or inf among the logits"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer, message):
    with pytest.raises(InputError, match=message):
        tune(lambda spec, train, test: answer(test), X, y, **GRID)


def test_a_function_cannot_change_the_folds():
    def rude(spec, train, test):
        logits = linear(spec, train, test)
        train[:] = 0
        test[:] = 0
        return logits

    kind = tune(linear, X, y, **GRID)
    assert (tune(rude, X, y, **GRID).scores == kind.scores).all()


@pytest.mark.parametrize("wrong", [3, None, FocalClassifier, object()])
def test_what_cannot_train_is_refused(wrong):
    with pytest.raises(InputError, match="be a classifier, a name, out-of-fold predictions, or a function"):
        trainer_of(wrong)
