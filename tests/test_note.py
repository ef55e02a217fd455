"""The note's printed figures, from our functions."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from focalkit import LossSpec, class_weights, diagnose, softmax_cross_entropy

EXAMPLE = Path(__file__).parents[1] / "examples" / "note.py"
ALPHA = "[0.06257669 0.10306748 0.29202455 0.29202455 0.25030676]"
CE_SUMS = "[52.79996377 38.62728709 12.29027883  6.42584673 13.02320717]"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture(scope="module")
def printed(example):
    import contextlib
    import io

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        example["main"]()
    return stream.getvalue()


def test_the_example_prints_the_notes_figures_in_the_notes_order(printed):
    parts = [
        "样本真实类别:\n [1 4 2 1 0 0 0 3 1 2 0 4 3 0",
        "模型输出logits(只显示前5个):\n [[ 0.34361829 -1.76304016  0.32408397 -0.38508228 -0.676922  ]",
        "[0.33953151 0.04130189 0.33296335 0.16383604 0.12236721]",
        f"类别平衡因子alpha: {ALPHA}",
        f"应用alpha加权之前各类别对CE损失的贡献: {CE_SUMS}",
        "ce_loss: 1.9244778687128465",
        "1.9244778687028559",
        "应用alpha加权之后各类别对CE损失的贡献: [3.3040",
        "weighted ce_loss:",
        "应用alpha加权之前各类别对FL损失的贡献:",
        "fl_loss:",
        "应用alpha加权之后各类别对FL损失的贡献:",
        "weighted fl_loss:",
    ]
    places = [printed.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


def test_mean_cross_entropy_is_exact_without_the_notes_epsilon(example):
    targets, logits = example["data"]()
    assert softmax_cross_entropy(logits, targets) == 1.9244778687128465
    assert example["note_means"](logits, targets)[0] == pytest.approx(1.9244778687028559, abs=2e-16)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_contributions_are_those_of_the_notes_own_formula(example, gamma):
    targets, logits = example["data"]()
    alpha = class_weights(np.bincount(targets, minlength=5), "inverse")
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p_t = p[np.arange(64), targets]
    loss = -np.log(p_t) * (1 - p_t) ** gamma
    by_class = np.array([loss[targets == k].sum() for k in range(5)])
    shares = diagnose(logits, targets, LossSpec(gamma=gamma, alpha=alpha)).shares()
    np.testing.assert_allclose(shares.loss.total, by_class, rtol=1e-13)
    np.testing.assert_allclose(shares.loss.share_alpha, alpha * by_class / (alpha * by_class).sum(), rtol=1e-13)
