"""Input contracts: what is accepted, what is refused, and that every refusal says what to do."""

from __future__ import annotations

import math
import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focalkit import InputError, LossSpec, softmax_focal_loss
from focalkit._core import contracts
from focalkit._core.contracts import Interval

FORM = re.compile(r"^[a-z_]+ must [^;]+; got .+\. [A-Z].*\.$", re.DOTALL)
DOMAINS = [value for value in vars(contracts).values() if isinstance(value, Interval)]


def refused(function, *args, match):
    with pytest.raises(InputError, match=match) as caught:
        function(*args)
    assert FORM.match(str(caught.value)), str(caught.value)


# intervals


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@given(value=st.floats())
def test_membership_of_a_number_and_of_an_array_agree(domain, value):
    assert (value in domain) == domain.holds(np.array([value]))


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_ends_belong_as_declared_and_nan_and_infinity_never(domain):
    assert (domain.low in domain) == domain.low_inclusive
    assert (domain.high in domain) == (domain.high_inclusive and math.isfinite(domain.high))
    for alien in (math.nan, math.inf, -math.inf, True, "1", None, 1j):
        assert alien not in domain


def test_intervals_print_as_in_mathematics():
    assert str(Interval(0, 1)) == "[0, 1]"
    assert str(Interval(0, 1, low_inclusive=False, high_inclusive=False)) == "(0, 1)"
    assert str(Interval(0, math.inf)) == "[0, inf)"


# the form of a refusal


def test_a_refusal_names_the_argument_the_contract_the_value_and_the_remedy():
    refused(contracts.reject, "gamma", "be a number", -1, "Try 2.", match=r"^gamma must be a number; got -1\. Try 2\.$")


def test_a_long_value_is_shortened():
    with pytest.raises(InputError) as caught:
        contracts.reject("alpha", "be short", list(range(1000)), "Shorten it.")
    assert len(str(caught.value)) < 200
    assert "…" in str(caught.value)


# numbers


def test_scalars_become_floats():
    for value in (2, 2.0, np.float32(2), np.int8(2), np.array(2.0)):
        got = contracts.number("gamma", value, contracts.GAMMA, "Try 2.")
        assert type(got) is float
        assert got == 2.0


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf, True, "2", None, [2.0]])
def test_a_scalar_outside_its_domain_is_refused(value):
    refused(
        contracts.number, "gamma", value, contracts.GAMMA, "Try 2.", match=r"^gamma must be a number in \[0, inf\); got"
    )


def test_vectors_become_tuples_of_floats():
    for value in ([0, 1], (0.0, 1.0), np.array([0, 1], np.float32), np.array([0, 1])):
        assert contracts.number_or_vector("alpha", value, contracts.GAMMA, "Try 1.") == (0.0, 1.0)


@pytest.mark.parametrize(
    "value", [[], [[1.0]], [1.0, -1.0], [1.0, math.nan], "12", ["a"], None, {1: 2}, True, np.ones((2, 1))]
)
def test_what_is_no_vector_of_the_domain_is_refused(value):
    refused(contracts.number_or_vector, "alpha", value, contracts.GAMMA, "Try 1.", match=r"^alpha must be a number")


# logits


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_logits_keep_their_floating_dtype_and_are_not_copied(dtype):
    z = np.zeros((2, 3), dtype)
    assert contracts.logits_array(z) is z


def test_lists_of_floats_are_float64_logits():
    assert contracts.logits_array([[0.0, 1.0]]).dtype == np.float64


@pytest.mark.parametrize("value", [np.zeros((2, 3), int), np.zeros((2, 3), bool), [["a"]], np.zeros(2, complex), None])
def test_logits_that_are_not_floating_are_refused(value):
    refused(contracts.logits_array, value, match="^logits must be a floating array")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (0, 3), (2, 3, 4, 5)])
def test_the_class_axis_is_one_unless_told(shape):
    assert contracts.logits_shape("softmax", shape, 1) == 1
    assert contracts.logits_shape("softmax", shape, -1) == len(shape) - 1


@pytest.mark.parametrize(
    ("link", "shape", "axis", "match"),
    [
        ("softmax", (4,), 1, r"^logits must have shape \(n, n_classes\).* use the sigmoid link"),
        ("softmax", (), 1, "^logits must have shape"),
        ("sigmoid", (), 1, r"^logits must have shape \(n,\), \(n, n_classes\)"),
        ("softmax", (4, 0), 1, "^logits must have at least one class"),
        ("softmax", (4, 3), 2, r"^class_axis must name an axis of logits of shape \(4, 3\); got 2"),
        ("sigmoid", (4, 3), -3, "^class_axis must name an axis"),
    ],
)
def test_ambiguous_shapes_are_refused_and_never_guessed(link, shape, axis, match):
    refused(contracts.logits_shape, link, shape, axis, match=match)


def test_a_vector_must_be_as_long_as_the_classes():
    contracts.class_vector("alpha", (1.0, 2.0), 2)
    contracts.class_vector("alpha", 1.0, 2)
    refused(
        contracts.class_vector,
        "alpha",
        (1.0, 2.0),
        3,
        match="^alpha must be a number or have one entry for each of the 3",
    )


# targets


@pytest.mark.parametrize(
    ("targets", "match"),
    [
        (np.array([0, 3]), r"^targets must lie in \[0, 3\) or equal ignore_index=-100; got 3"),
        (np.array([0, -1]), r"^targets must lie in \[0, 3\)"),
        (np.array([0]), r"^targets must have shape \(2,\); got shape \(1,\)\."),
        (np.eye(3, dtype=int)[:2], r"^targets must have shape \(2,\).*Integer targets are class ids, not one-hot"),
        (np.array([0.0, 1.0]), r"^targets must be integers of shape \(2,\).*astype\(int\)"),
        (np.ones((2, 2)), "^targets must be integers of shape .*one probability per logit"),
        (np.full((2, 3), 0.5), "^targets must sum to 1 over the class axis; got a sum of 1.5. "),
        (np.array([[1.5, -0.5, 0.0], [1, 0, 0]]), r"^targets must lie in \[0, 1\]; got 1.5"),
        (np.array([[np.nan, 0.5, 0.5], [1, 0, 0]]), r"^targets must lie in \[0, 1\]; got nan"),
        (np.array(["a", "b"]), "^targets must be integers or floating.*Encode class names"),
        (None, "^targets must be integers or floating"),
    ],
)
def test_bad_softmax_targets_are_refused(targets, match):
    refused(contracts.softmax_targets, targets, (2, 3), 1, -100, match=match)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_soft_targets_that_sum_to_one_within_their_dtype_are_accepted(dtype):
    y = np.random.default_rng(0).dirichlet(np.ones(50), 20).astype(dtype)
    assert contracts.softmax_targets(y, (20, 50), 1, -100) is y


@pytest.mark.parametrize(
    ("targets", "match"),
    [
        (
            np.array([0, 2]),
            "^targets must be 0, 1 or ignore_index=-100; got 2.*Class ids go to the softmax loss, or one-hot",
        ),
        (np.array([0, -1]), "^targets must be 0, 1 or"),
        (np.array([[0], [1]]), r"^targets must have the shape of the logits, \(2,\)"),
        (np.array([0.0, 1.01]), r"^targets must lie in \[0, 1\] or equal ignore_index=-100; got 1.01"),
        (
            np.array([0.0, np.nan]),
            r"^targets must lie in \[0, 1\] or equal ignore_index=-100; got nan.*sample_weight 0",
        ),
        (np.array([0.0, -99.0]), r"^targets must lie in \[0, 1\] or equal ignore_index=-100; got -99"),
    ],
)
def test_bad_sigmoid_targets_are_refused(targets, match):
    refused(contracts.sigmoid_targets, targets, (2,), -1, -100, match=match)


# weights and the rest


def test_sample_weights_are_one_per_sample_or_per_target():
    assert contracts.sample_weight_array(None, (2, 3)) is None
    np.testing.assert_array_equal(contracts.sample_weight_array([1, 2], (2, 3)), [[1, 1, 1], [2, 2, 2]])
    np.testing.assert_array_equal(contracts.sample_weight_array(np.eye(2), (2, 2)), np.eye(2))


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        ([1.0, -1.0], r"^sample_weight must lie in \[0, inf\); got -1.0.*Drop samples by weight 0"),
        ([1.0, math.nan], "^sample_weight must lie in"),
        ([1.0, math.inf], "^sample_weight must lie in"),
        ([1.0], r"^sample_weight must have shape \(2,\) or \(2, 3\)"),
        (np.ones((2, 1)), "^sample_weight must have shape"),
        (np.ones((3, 2)), "^sample_weight must have shape"),
        (["a", "b"], "^sample_weight must be numbers"),
    ],
)
def test_bad_sample_weights_are_refused(weight, match):
    refused(contracts.sample_weight_array, weight, (2, 3), match=match)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "3"])
def test_a_normalizer_that_is_not_positive_is_refused_with_advice(value):
    refused(
        contracts.normalizer_number,
        value,
        "sum",
        match=r"^normalizer must be a number in \(0, inf\).*max\(1, n_positives\)",
    )


def test_a_normalizer_of_zero_is_for_nothing_alone():
    assert contracts.normalizer_of_nothing(0.0, 0) == 1.0
    assert contracts.normalizer_of_nothing(2.0, 0) == 2.0
    refused(contracts.normalizer_of_nothing, 0.0, 3, match=r"^normalizer must be a number in \(0, inf\).*3 counted")


@pytest.mark.parametrize("value", [np.ones(1), np.ones((2, 2))])
def test_a_normalizer_of_a_shape_is_named_by_its_shape(value):
    remedy = r"Take its entry" if value.size == 1 else "Sum it first"
    refused(contracts.normalizer_number, value, "sum", match=rf"^normalizer must be one number; got shape .*{remedy}")


@pytest.mark.parametrize(
    ("rows", "shapes"), [((32,), r"shape \(32,\); got"), ((32, 4), r"shape \(32,\) or \(32, 4\); got")]
)
def test_a_shape_of_weights_is_named_once(rows, shapes):
    refused(contracts.sample_weight_array, np.ones(7), rows, match=shapes)


@pytest.mark.parametrize(
    ("targets", "logits", "axis", "library", "remedy"),
    [
        ((6,), (6, 1), 1, "numpy", r"targets\[:, None\]"),
        ((6, 1), (6,), -1, "numpy", r"targets\[..., 0\]"),
        ((6,), (6, 4), 1, "numpy", r"one-hot.*numpy.eye\(4\)\[targets\]"),
        ((6,), (6, 4), 1, "torch", r"one-hot.*torch.nn.functional.one_hot\(targets, 4\)\."),
        ((6, 8, 8), (6, 4, 8, 8), 1, "torch", r"one_hot\(targets, 4\).movedim\(-1, 1\)"),
        ((6, 8, 8), (6, 4, 8, 8), 1, "numpy", r"numpy.moveaxis\(numpy.eye\(4\)\[targets\], -1, 1\)"),
        ((5,), (6, 4), 1, "numpy", "0/1 per logit"),
    ],
)
def test_sigmoid_targets_of_another_shape_are_told_the_way_to_it(targets, logits, axis, library, remedy):
    refused(contracts.sigmoid_targets_shape, targets, logits, axis, library, match=remedy)


@pytest.mark.parametrize(("library", "remedy"), [("numpy", r"targets.astype\(int\)"), ("torch", r"targets.long\(\)")])
def test_class_ids_that_are_floats_are_told_how_to_become_integers(library, remedy):
    refused(contracts.softmax_targets_shape, False, "float32", (6,), (6, 4), 1, library, match=remedy)


@pytest.mark.parametrize(
    ("library", "remedy"), [("numpy", r"logits.astype\(numpy.float32\)"), ("torch", r"logits.float\(\)")]
)
def test_logits_that_are_integers_are_told_how_to_become_floats(library, remedy):
    refused(contracts.logits_array, np.zeros((6, 4), int), library, match=remedy)


def test_labels_and_numbers_are_shown_as_they_were_written():
    for value, shown in (
        (np.str_("a"), "'a'"),
        (np.float64(0.5), "0.5"),
        ([np.str_("a"), np.int64(1)], "['a', 1]"),
        ({np.str_("a"): np.float32(2)}, "{'a': 2.0}"),
    ):
        refused(contracts.reject, "name", "be right", value, "Try.", match=re.escape(f"got {shown}. Try."))


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([1.2], r"^probabilities must lie in \[0, 1\]; got 1.2.*These look like logits"),
        ([[0.5, 0.6]], "^probabilities must sum to 1 over the classes; got 1.1"),
        ([[[0.5]]], r"^probabilities must have shape \(n,\) or \(n, n_classes\)"),
        (["a"], "^probabilities must be numbers"),
        ([math.nan], "^probabilities must lie in"),
    ],
)
def test_bad_probabilities_are_refused(value, match):
    refused(contracts.probabilities_array, "probabilities", value, match=match)


def test_a_misspelt_argument_is_told_its_right_name():
    refused(lambda: LossSpec(gama=2.0), match=r"got 'gama'\. Did you mean 'gamma'\? Known are")
    refused(lambda: LossSpec(wholly_other=2.0), match=r"got 'wholly_other'\. Known are")


def test_a_link_beside_a_function_s_own_is_refused_in_words():
    z, t = np.zeros((1, 2)), np.array([0])
    refused(lambda: softmax_focal_loss(z, t, link="sigmoid"), match="link must be given once; got 'sigmoid'")


@pytest.mark.parametrize("mask", [[True, False, True], np.array([True, False, True])], ids=["list", "array"])
def test_a_mask_is_a_weight_of_each_sample(mask):
    z, t = np.arange(6.0).reshape(3, 2) ** 2, np.array([0, 1, 0])
    want = softmax_focal_loss(z, t, sample_weight=[1, 0, 1], reduction="weighted_mean")
    assert softmax_focal_loss(z, t, sample_weight=mask, reduction="weighted_mean") == want


def test_an_open_end_of_a_domain_has_a_round_bracket():
    assert str(contracts.Interval(-np.inf, np.inf)) == "(-inf, inf)"
