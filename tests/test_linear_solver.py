import os
import sys

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.datasets import make_classification

from focalkit import LossSpec, loss_grad_hess
from focalkit.estimator import FocalClassifier, fit_together
from focalkit.linear_solver import Candidate, minimise, products
from focalkit.linear_solver.rows import Rows


def table(n_classes, n=600, d=6, seed=0):
    weights = {2: [0.9], 3: [0.75, 0.2], 5: [0.5, 0.25, 0.15, 0.06]}[n_classes]
    return make_classification(
        n, d, n_informative=d - 1, n_redundant=0, n_classes=n_classes, weights=weights, class_sep=0.7, random_state=seed
    )


def risk(X, y, candidate, solution):
    """The documented risk, by the loss functions alone."""
    logits = X @ solution.coef.T + solution.intercept
    spec = LossSpec("sigmoid" if logits.shape[1] == 1 else "softmax", candidate.gamma, reduction="none")
    logits = logits[:, 0] if logits.shape[1] == 1 else logits
    weight = candidate.class_weight[y]
    losses = loss_grad_hess(spec, logits, y, sample_weight=weight, hess=False).loss
    if candidate.keep_hardest is not None:
        kept = np.argsort(-losses)[: int(np.ceil(candidate.keep_hardest * len(y)))]
        losses, weight = losses[kept], weight[kept]
    return losses.sum() / weight.sum() + 0.5 * candidate.penalty * (solution.coef**2).sum()


def fitted(X, y, candidates, **options):
    settings = {"n_classes": y.max() + 1, "fit_intercept": True, "tol": 1e-4, "max_iter": 500, **options}
    return minimise(X, y, None, candidates, **settings)


def surface(n_classes, n):
    weights = [np.ones(n_classes), np.geomspace(0.3, 3, n_classes)]
    return [Candidate(g, w, 1 / n) for w in weights for g in (0.0, 0.5, 2.0, 5.0)]


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_risk_is_at_its_minimum_to_1e_7(n_classes):
    X, y = table(n_classes)
    candidates = surface(n_classes, len(y))
    close, exact = fitted(X, y, candidates), fitted(X, y, candidates, tol=1e-9, max_iter=3000)
    for candidate, found, best in zip(candidates, close, exact, strict=True):
        assert found.converged
        assert risk(X, y, candidate, found) <= risk(X, y, candidate, best) * (1 + 1e-7)


def test_scipy_finds_no_lower_risk():
    X, y = table(3, n=300)
    candidate = Candidate(2.0, np.array([0.5, 1.0, 4.0]), 1 / len(y))
    (found,) = fitted(X, y, [candidate])

    def of(flat):
        coef, intercept = flat[:18].reshape(3, 6), flat[18:]
        return risk(X, y, candidate, found._replace(coef=coef, intercept=intercept))

    start = np.concatenate([found.coef.ravel(), found.intercept])
    assert minimize(of, start, options={"gtol": 1e-9}).fun >= of(start) * (1 - 1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_models_fitted_together_are_those_fitted_one_by_one(n_classes):
    X, y = table(n_classes)
    candidates = surface(n_classes, len(y))
    together = fitted(X, y, candidates, tol=1e-8)
    for candidate, found in zip(candidates, together, strict=True):
        (single,) = fitted(X, y, [candidate], tol=1e-8)
        np.testing.assert_allclose(found.coef, single.coef, atol=2e-5)


def test_many_parameters_and_float32_rows_reach_the_same_minimum(monkeypatch):
    X, y = table(3, n=2000)
    candidates = surface(3, len(y))
    plain = fitted(X, y, candidates)
    monkeypatch.setattr("focalkit.linear_solver.metric.NEWTON_PARAMETERS", 1)
    monkeypatch.setattr("focalkit.linear_solver.rows.CURVATURE_ROWS", 200)
    monkeypatch.setattr("focalkit.linear_solver.descent.SMALL", 1)
    monkeypatch.setattr(Rows, "keeps", lambda rows, dtype: False)
    blocks = fitted(X.astype(np.float32), y, candidates)
    monkeypatch.setattr("focalkit.linear_solver.metric.BLOCK_FEATURES", 1)
    diagonal = fitted(X, y, candidates)
    for candidate, *found in zip(candidates, plain, blocks, diagonal, strict=True):
        values = [risk(X, y, candidate, one) for one in found]
        assert max(values) <= min(values) * (1 + 2e-7)


@pytest.mark.parametrize("kept", [0.5, 0.2])
def test_the_mean_of_the_hardest_losses_is_not_above_what_a_search_from_there_finds(kept):
    X, y = table(2, n=400)
    candidate = Candidate(0.0, np.ones(2), 1 / len(y), kept)
    (found,) = fitted(X, y, [candidate])
    assert found.converged

    def of(flat):
        return risk(X, y, candidate, found._replace(coef=flat[None, :-1], intercept=flat[-1:]))

    start = np.concatenate([found.coef[0], found.intercept])
    searched = minimize(of, start, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-10}).fun
    assert of(start) <= searched * (1 + 2e-3)


def test_fit_together_is_fit_for_each():
    X, y = table(3)
    models = [FocalClassifier(g, a, tol=1e-8) for g in (0.0, 2.0) for a in (None, "balanced")]
    assert fit_together(models, X, np.array(["a", "b", "c"])[y]) == [None] * 4
    for model in models:
        alone = FocalClassifier(model.gamma, model.alpha, tol=1e-8).fit(X, y)
        np.testing.assert_allclose(model.coef_, alone.coef_, atol=2e-5)
        assert model.classes_.tolist() == ["a", "b", "c"]


def test_all_weight_on_one_class_gives_finite_coefficients():
    X, y = table(3)
    for keep in (0, 2):
        model = FocalClassifier().fit(X, y, sample_weight=(y == keep).astype(float))
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
        assert (model.predict(X) == keep).all()


def test_no_penalty_is_c_infinite():
    X, y = table(2)
    free, weak = FocalClassifier(0.0, C=np.inf).fit(X, y), FocalClassifier(0.0, C=1e9).fit(X, y)
    np.testing.assert_allclose(free.coef_, weak.coef_, rtol=1e-3, atol=1e-4)


def test_separable_classes_without_penalty_end_finite():
    X = np.arange(20.0)[:, None]
    model = FocalClassifier(0.0, C=np.inf).fit(X, (X[:, 0] > 9).astype(int))
    assert np.isfinite(model.coef_).all()
    assert model.score(X, X[:, 0] > 9) == 1


def test_sparse_rows_of_many_features_are_fitted():
    rng = np.random.default_rng(0)
    X = sparse.random(400, 3000, 0.01, format="csr", random_state=0)
    y = rng.integers(0, 3, 400)
    model = FocalClassifier(0.0, C=100).fit(X, y)
    assert model.score(X, y) > 0.95


def wide(n_classes, dense):
    rng = np.random.default_rng(3)
    X = sparse.random(150, 600, 0.05, format="csr", random_state=1)
    y = rng.integers(0, n_classes, 150)
    return (X.toarray() + rng.normal(size=600) if dense else X), y


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("intercept", [True, False])
def test_more_features_than_rows_reach_the_minimum_in_the_span_of_the_rows(monkeypatch, n_classes, dense, intercept):
    X, y = wide(n_classes, dense)
    rows = np.asarray(X.toarray() if sparse.issparse(X) else X)
    weight = np.random.default_rng(5).uniform(0, 2, len(y)) * (np.arange(len(y)) > 5)
    of_class = np.geomspace(0.3, 3, n_classes)
    settings = {"n_classes": n_classes, "fit_intercept": intercept}
    for gamma in (0.0, 2.0):
        candidate = Candidate(gamma, of_class, 0.01 / len(y))
        (found,) = minimise(X, y, weight, [candidate], tol=1e-4, max_iter=50, **settings)
        assert found.converged

        def of(solution, gamma=gamma, candidate=candidate):
            logits = rows @ solution.coef.T + solution.intercept
            spec = LossSpec("sigmoid" if n_classes == 2 else "softmax", gamma, reduction="sum")
            counted = weight * of_class[y]
            logits = logits[:, 0] if n_classes == 2 else logits
            loss = float(loss_grad_hess(spec, logits, y, sample_weight=counted).loss) / counted.sum()
            return loss + 0.5 * candidate.penalty * (solution.coef**2).sum()

        with monkeypatch.context() as patch:
            patch.setattr("focalkit.linear_solver.spans", lambda rows, model: False)
            (other,) = minimise(X, y, weight, [candidate], tol=1e-8, max_iter=3000, **settings)
        assert of(found) <= of(other) * (1 + 1e-7)


def test_in_the_span_of_the_rows_a_start_outside_of_it_is_left():
    X, y = wide(3, dense=False)
    candidate = Candidate(1.0, np.ones(3), 0.1 / len(y))
    given = {"n_classes": 3, "fit_intercept": True, "max_iter": 50, "tol": 1e-6}
    (plain,) = minimise(X, y, None, [candidate], **given)
    rng = np.random.default_rng(0)
    far = candidate._replace(start=(rng.normal(size=(3, 600)), rng.normal(size=3)))
    near = candidate._replace(start=(plain.coef, plain.intercept))
    for start, most in ((far, 50), (near, 2)):
        (found,) = minimise(X, y, None, [start], **given)
        assert found.converged
        assert found.n_iter <= most
        np.testing.assert_allclose(found.coef, plain.coef, atol=1e-5)


class Blas:
    """A library that keeps its number of threads."""

    threads = 8

    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, threads):
        self.threads = threads


@pytest.fixture
def blas(monkeypatch):
    library = Blas()
    monkeypatch.setattr(products, "_libraries", lambda: [library])
    return library


def test_a_fit_leaves_the_threads_of_blas_as_it_found_them_and_has_one_for_small_products(blas, monkeypatch):
    seen, product_of = set(), products.product_of

    def watched(operations):
        seen.add((operations >= products.LARGE, blas.threads))
        return product_of(operations)

    monkeypatch.setattr("focalkit.linear_solver.risk.product_of", watched)
    FocalClassifier().fit(*table(3, d=70))
    assert seen == {(False, 1)}
    assert blas.threads == 8
    with pytest.raises(KeyboardInterrupt), products.on_one_thread():
        raise KeyboardInterrupt
    assert blas.threads == 8


def test_a_large_product_has_the_threads_that_were_found(blas):
    with products.product_of(products.LARGE):
        assert blas.threads == 8
    with products.on_one_thread():
        with products.product_of(products.LARGE - 1):
            assert blas.threads == 1
        with products.product_of(products.LARGE):
            assert blas.threads == 8
        assert blas.threads == 1


def test_of_several_fits_at_once_the_last_to_end_restores_the_threads(blas):
    first, second = products.on_one_thread(), products.on_one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas.threads == 1
    second.__exit__(None, None, None)
    assert blas.threads == 8


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="copies of a process")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX's, where other tests loaded it
def test_a_copy_of_a_process_with_a_fit_under_way_has_all_threads(blas):
    with products.on_one_thread():
        child = os.fork()
        if not child:
            with products.on_one_thread():
                one = blas.threads == 1
            os._exit(int(not (one and blas.threads == 8)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert blas.threads == 1


@pytest.mark.filterwarnings("error")
def test_data_that_says_nothing_gives_no_coefficients_and_no_warning():
    labels = np.arange(40) % 2
    assert not FocalClassifier(2.0).fit(np.zeros((40, 3)), labels).coef_.any()
    mirrored = np.random.default_rng(0).normal(size=(20, 3))
    assert np.abs(FocalClassifier(2.0).fit(np.repeat(mirrored, 2, axis=0), labels).coef_).max() < 1e-12
