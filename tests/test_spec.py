"""LossSpec: frozen, self-validating, plain."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import focalkit
from focalkit import InputError, LossSpec
from focalkit._core import contracts
from focalkit._core.spec import FAMILY_FIELDS
from tests.laws.strategies import within


def test_the_default_is_plain_softmax_cross_entropy():
    spec = LossSpec()
    assert (spec.link, spec.gamma, spec.alpha, spec.reduction) == ("softmax", 0.0, None, "mean")
    assert (spec.ignore_index, spec.class_axis, spec.label_smoothing) == (-100, 1, 0.0)
    assert spec.keep_hardest is spec.negatives_per_positive is None


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        LossSpec().gamma = 2.0


def test_numbers_and_vectors_are_stored_plainly_so_that_equal_specs_are_equal_and_hashable():
    one = LossSpec(gamma=np.float32(2), alpha=np.array([0.25, 0.75]), ignore_index=np.int64(255), class_axis=np.int8(1))
    other = LossSpec(gamma=2, alpha=[0.25, 0.75], ignore_index=255)
    assert one == other
    assert hash(one) == hash(other)
    assert type(one.gamma) is float
    assert type(one.ignore_index) is int
    assert one.alpha == (0.25, 0.75)


def test_it_survives_copying_pickling_and_replacing():
    spec = LossSpec("sigmoid", [0.5, 2.0], 0.25, keep_hardest=0.5)
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == replace(spec) == spec
    with pytest.raises(InputError, match=r"^gamma must"):
        replace(spec, gamma=-1)


@given(
    link=st.sampled_from(["softmax", "sigmoid"]),
    gamma=within(contracts.GAMMA, 50),
    smoothing=within(contracts.LABEL_SMOOTHING),
    keep=st.one_of(st.none(), st.integers(1), within(contracts.FRACTION)),
    ratio=st.one_of(st.none(), within(contracts.POSITIVE)),
)
def test_everything_inside_the_domains_is_accepted_and_its_repr_makes_it_again(link, gamma, smoothing, keep, ratio):
    spec = LossSpec(link, gamma, 0.5, smoothing, keep_hardest=keep, negatives_per_positive=ratio)
    assert eval(repr(spec)) == spec


def test_the_repr_shows_only_what_differs():
    assert repr(LossSpec()) == "LossSpec()"
    assert repr(LossSpec("sigmoid", 2, keep_hardest=64)) == "LossSpec(link='sigmoid', gamma=2.0, keep_hardest=64)"


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("link", "probit", "link must be one of 'softmax', 'sigmoid'; got 'probit'"),
        ("link", None, "link must be one of"),
        ("reduction", "avg", "reduction must be one of 'none', 'sum', 'mean', 'weighted_mean'; got 'avg'"),
        ("gamma", -1, r"gamma must be a number in \[0, inf\); got -1"),
        ("gamma", None, "gamma must be a number or a vector"),
        ("gamma", [1.0, float("nan")], "gamma must be a number or a vector"),
        ("gamma", True, "gamma must be a number"),
        ("alpha", -0.1, r"alpha must be a number in \[0, inf\).*class_weights"),
        ("alpha", [[1.0]], "alpha must be a number or a vector"),
        ("alpha", [], "alpha must be a number or a vector"),
        ("label_smoothing", 1.1, r"label_smoothing must be a number in \[0, 1\]"),
        ("ignore_index", 1.0, "ignore_index must be an integer"),
        ("ignore_index", None, "ignore_index must be an integer"),
        ("class_axis", True, "class_axis must be an integer"),
        ("keep_hardest", 0, "keep_hardest must be a count of at least 1 or a fraction"),
        ("keep_hardest", -3, "keep_hardest must be a count"),
        ("keep_hardest", 0.0, r"keep_hardest must be a number in \(0, 1\]"),
        ("keep_hardest", 1.5, r"keep_hardest must be a number in \(0, 1\]"),
        ("keep_hardest", True, r"keep_hardest must be a number in \(0, 1\]"),
        ("negatives_per_positive", 0, r"negatives_per_positive must be a number in \(0, inf\)"),
        ("negatives_per_positive", float("inf"), "negatives_per_positive must be"),
    ],
)
def test_a_value_outside_its_domain_is_refused_at_once(field, value, match):
    with pytest.raises(InputError, match=f"^{match}"):
        LossSpec(**{field: value})


@pytest.mark.parametrize("alpha", [1.5, 2.0, [0.5, 1.01]])
def test_sigmoid_alpha_is_a_weight_from_zero_to_one(alpha):
    with pytest.raises(InputError, match=r"^alpha must be a number.*in \[0, 1\].*Negatives get 1 - alpha"):
        LossSpec("sigmoid", alpha=alpha)
    LossSpec("softmax", alpha=alpha)


def test_every_field_is_described():
    for field in fields(LossSpec):
        assert f"\n    {field.name} : " in LossSpec.__doc__


# names


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("weight", "alpha="),
        ("class_weight", "alpha="),
        ("pos_weight", "alpha="),
        ("x", "logits="),
        ("input", "logits="),
        ("target", "targets="),
        ("smoothing", "label_smoothing="),
        ("avg_factor", "normalizer="),
        ("nonsense", "Known are link, gamma, alpha"),
    ],
)
def test_a_name_of_another_library_is_told_what_it_is_here(name, here):
    for call in (
        lambda: LossSpec(**{name: 1}),
        lambda: focalkit.softmax_focal_loss(np.zeros((2, 3)), np.zeros(2, int), **{name: 1}),
        lambda: focalkit.sigmoid_cross_entropy(np.zeros(2), np.zeros(2, int), **{name: 1}),
    ):
        with pytest.raises(InputError, match=rf"^arguments must have .*got '{name}'\. .*{here}") as caught:
            call()
        assert isinstance(caught.value, TypeError)  # as for any argument that does not exist


def test_the_signature_is_that_of_the_fields():
    assert tuple(inspect.signature(LossSpec).parameters) == tuple(LossSpec.__dataclass_fields__)


# what is ignored


def test_nan_is_ignored_among_floats_alone():
    spec = LossSpec("sigmoid", ignore_index=np.float32("nan"))
    assert math.isnan(spec.ignore_index)
    assert spec == LossSpec("sigmoid", ignore_index=float("nan"))
    assert hash(spec) == hash(copy.deepcopy(spec))
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(InputError, match=r"^ignore_index must be an integer for the softmax link"):
        LossSpec(ignore_index=float("nan"))
    with pytest.raises(InputError, match=r"^ignore_index must be an integer"):
        LossSpec("sigmoid", ignore_index=0.5)


def test_every_field_is_one_of_the_focal_loss_or_of_its_family():
    focal = {"link", "gamma", "alpha", "label_smoothing", "ignore_index", "reduction", "class_axis"}
    focal |= {"keep_hardest", "negatives_per_positive"}
    names = {f.name for f in fields(LossSpec)}
    assert not focal & set(FAMILY_FIELDS)
    assert names == focal | set(FAMILY_FIELDS)


def test_the_adjustments_of_a_vocabulary_are_read_in_one_pass():
    """One that looks at all for each of them would take hours."""
    values = np.linspace(-5.0, 1.0, 300_000)
    adjustment, margin = LossSpec(logit_adjustment=values).shift_vectors()
    np.testing.assert_array_equal(adjustment, values - 1.0)
    assert margin is None
