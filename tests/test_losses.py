"""The doors: the four losses are one, and what no engine serves is refused."""

from __future__ import annotations

import numpy as np
import pytest

import focalkit
from focalkit import InputError, LossSpec

Z = np.random.default_rng(1).normal(size=(6, 3)) * 4
IDS, BITS = np.arange(6) % 3, (Z > 0).astype(int)
OPTIONS = [
    {},
    {"reduction": "none"},
    {"reduction": "sum", "label_smoothing": 0.1},
    {"keep_hardest": 0.5},
    {"negatives_per_positive": 1.0},
    {"ignore_index": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_cross_entropy_is_the_focal_loss_at_gamma_zero_and_both_are_the_spec(link, options):
    t, w = (IDS if link == "softmax" else BITS), np.linspace(0.5, 2, 6)
    entropy = getattr(focalkit, f"{link}_cross_entropy")(Z, t, 0.25, sample_weight=w, **options)
    focal = getattr(focalkit, f"{link}_focal_loss")(Z, t, 0.0, 0.25, sample_weight=w, **options)
    spec = LossSpec(link, 0.0, 0.25, **options)
    np.testing.assert_array_equal(entropy, focal)
    np.testing.assert_array_equal(entropy, focalkit.loss_grad_hess(spec, Z, t, sample_weight=w).loss)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_gamma_is_two_unless_told(link):
    t, focal = (IDS if link == "softmax" else BITS), getattr(focalkit, f"{link}_focal_loss")
    assert focal(Z, t) == focal(Z, t, 2.0) != focal(Z, t, 1.0)


def test_options_reach_the_spec_and_unknown_ones_are_refused():
    assert focalkit.softmax_focal_loss(Z, IDS, normalizer=1.0) == focalkit.softmax_focal_loss(Z, IDS, reduction="sum")
    assert focalkit.softmax_focal_loss(Z.T, IDS, class_axis=0) == pytest.approx(focalkit.softmax_focal_loss(Z, IDS))
    with pytest.raises(TypeError, match="pos_weight"):
        focalkit.softmax_focal_loss(Z, IDS, pos_weight=2.0)
    with pytest.raises(InputError, match="logits must be free of NaN"):
        focalkit.softmax_focal_loss(Z * np.nan, IDS, check_finite=True)


def test_logits_and_targets_may_be_lists():
    assert focalkit.softmax_focal_loss(Z.tolist(), IDS.tolist()) == focalkit.softmax_focal_loss(Z, IDS)


def test_the_result_has_names():
    result = focalkit.loss_grad_hess(LossSpec(), Z, IDS, hess=False)
    assert result._fields == ("loss", "grad", "hess")
    assert result.hess is None


@pytest.mark.parametrize("spec", [None, "softmax", {"gamma": 2.0}, LossSpec])
def test_a_spec_that_is_none_is_refused(spec):
    with pytest.raises(InputError, match=r"^spec must be a LossSpec; got"):
        focalkit.loss_grad_hess(spec, Z, IDS)


@pytest.mark.parametrize("library", ["cupy", "tensorflow"])
def test_arrays_of_a_library_without_engine_are_refused_and_not_converted(library):
    foreign = type("Tensor", (), {"__module__": f"{library}.core", "__array__": lambda self: Z})()
    with pytest.raises(InputError, match=f"^logits must be an array of NumPy, PyTorch or JAX; got a {library} array"):
        focalkit.softmax_focal_loss(foreign, IDS)


def test_a_vector_of_another_length_than_the_classes_is_refused():
    for name in ("alpha", "gamma"):
        with pytest.raises(InputError, match=f"^{name} must be a number or have one entry for each of the 3 classes"):
            focalkit.softmax_focal_loss(Z, IDS, **{name: [0.5, 0.5]})
        with pytest.raises(InputError, match=f"^{name} must"):
            focalkit.sigmoid_focal_loss(Z[:, 0], BITS[:, 0], **{name: [0.5, 0.5]})


#: What each library is called by, and its way of changing a dtype.
NAMES = {"numpy": ("numpy.",), "torch": ("torch.", ".long()", ".float()"), "jax": ("jax.",)}
MISTAKES = {
    "logits of integers": {"logits": IDS[:, None] + np.zeros((6, 3), int)},
    "class ids that are floats": {"targets": IDS.astype("f4")},
    "class ids for a sigmoid": {"link": "sigmoid"},
    "class ids of images for a sigmoid": {
        "link": "sigmoid",
        "logits": np.zeros((2, 3, 4), "f4"),
        "targets": np.zeros((2, 4), int),
    },
    "weights of another shape": {"sample_weight": np.ones(4)},
    "a normalizer of a shape": {"normalizer": np.ones(1, "f4")},
    "ids out of range": {"targets": IDS + 3},
}


@pytest.mark.parametrize("library", NAMES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_error_names_no_library_but_the_users(library, mistake):
    module = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    of = module.as_tensor if library == "torch" else module.asarray
    call = {"logits": Z.astype("f4"), "targets": IDS, "link": "softmax", **MISTAKES[mistake]}
    loss = getattr(focalkit, f"{call.pop('link')}_focal_loss")
    with pytest.raises(InputError) as refused:
        loss(**{name: of(value) for name, value in call.items()})
    others = [name for other, names in NAMES.items() if other != library for name in names]
    assert not [name for name in others if name in str(refused.value).replace("jax.numpy.", "jax.")]
