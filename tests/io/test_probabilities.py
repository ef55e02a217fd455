"""Probabilities in the place of logits: recognised, rounded or not, and taken where they are called so."""

import numpy as np
import pytest

from focalkit import InputError
from focalkit.io.columns import Asked
from focalkit.io.predictions import Trouble, batches, open_predictions, tallied

RNG = np.random.default_rng(0)
N, K = 300, 5
Z = RNG.normal(size=(N, K)) * 2
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
Y = RNG.integers(0, K, N)
FOREST = RNG.multinomial(20, P) / 20


def read(tmp_path, p, y=Y, **asked):
    lines = [",".join([*(f"p_{k}" for k in range(p.shape[1])), "label"])]
    lines += [",".join([*(f"{v:.10g}" for v in row), str(label)]) for row, label in zip(p.tolist(), y, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    source = open_predictions([tmp_path / "p.csv"], Asked(**asked))
    trouble = Trouble(asked.pop("leave_out", False))
    parts = [batch for piece in source.pieces for batch in batches(piece, trouble)]
    said = {alert.id: alert.values for alert in tallied(trouble.tallies)}
    return np.concatenate([b.logits for b in parts]), np.concatenate([b.targets for b in parts]), said


@pytest.mark.parametrize("p", [P, P.round(3), P.round(2), P.round(1), FOREST, (100 * P).round(1), (100 * P).round(0)])
def test_probabilities_of_softmax_are_recognised_rounded_or_in_per_cent(tmp_path, p):
    with pytest.raises(InputError, match=r"probabilities.*probabilities=True"):
        read(tmp_path, p)


def test_a_row_that_is_off_hides_no_probabilities(tmp_path):
    p = P.copy()
    p[7] *= 0.9
    with pytest.raises(InputError, match="so probabilities"):
        read(tmp_path, p)
    with pytest.raises(InputError, match=r"sum to 1; got .* in row 8 of"):
        read(tmp_path, p, probabilities=True)


def test_logits_are_no_probabilities(tmp_path):
    for z in (Z, np.abs(Z), RNG.random((N, K)), RNG.integers(0, 2, (N, K)).astype(float)):
        assert len(read(tmp_path, z)[0]) == N


@pytest.mark.parametrize("scale", [1, 100])
@pytest.mark.parametrize("decimals", [2, 3, 8])
def test_probabilities_are_taken_renormalised_and_counted(tmp_path, scale, decimals):
    p = np.maximum(P.round(decimals), 10.0**-decimals)
    p[np.abs(p.sum(axis=1) - 1) > 2 * 10.0**-decimals] = 1 / K
    logits, _, said = read(tmp_path, scale * p, probabilities=True)
    np.testing.assert_allclose(np.exp(logits), p / p.sum(axis=1, keepdims=True), rtol=1e-6)
    assert ("per_cent" in said) == (scale == 100)
    assert said.get("renormalised", {"n": 0})["n"] == (np.abs(p.sum(axis=1) - 1) > 1e-5).sum()


@pytest.mark.parametrize("clip", [None, 1e-4])
def test_zeros_of_forests_are_kept_as_a_stated_floor_and_counted(tmp_path, clip):
    logits, _, said = read(tmp_path, FOREST, probabilities=True, clip=clip)
    floor = 1e-6 if clip is None else clip
    assert len(logits) == N
    assert said["clipped"] == {"n": int((FOREST == 0).sum()), "floor": floor}
    np.testing.assert_allclose(logits[FOREST == 0], np.log(floor))
    with pytest.raises(InputError, match="clip must be a number in"):
        Asked(clip=0.5)


BINARY = RNG.normal(size=(N, 1))
LABEL = RNG.integers(0, 2, N)


@pytest.mark.parametrize(
    "names",
    [(0, 1), (-1, 1), ("False", "True"), ("no", "yes"), ("N", "Y"), ("negative", "positive"), ("0.0", "1.0")],
)
def test_the_two_classes_of_one_logit_have_many_names(tmp_path, names):
    logits, targets, _ = read(tmp_path, BINARY, [names[y] for y in LABEL])
    assert logits.shape == (N, 1)
    assert targets[:, 0].tolist() == LABEL.tolist()


@pytest.mark.parametrize("names", [("0,0", "1,0"), ("-1,0", "1,0")])
def test_targets_may_be_written_with_a_decimal_comma(tmp_path, names):
    rows = [f"{z:.5f};{names[y]}".replace(".", ",") for z, y in zip(BINARY[:, 0], LABEL, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["logit;label", *rows]))
    (piece,) = open_predictions([tmp_path / "p.csv"], Asked()).pieces
    read = [batch.targets[:, 0] for batch in batches(piece, Trouble())]
    assert np.concatenate(read).tolist() == LABEL.tolist()


def test_two_other_names_are_told_by_classes(tmp_path):
    words = [("ham", "spam")[y] for y in LABEL]
    with pytest.raises(InputError, match=r"two names, the negatives. first, given by class_names="):
        read(tmp_path, BINARY, words)
    assert read(tmp_path, BINARY, words, classes=("ham", "spam"))[1][:, 0].tolist() == LABEL.tolist()


def test_zeros_and_ones_of_one_column_are_moved_by_the_floor(tmp_path):
    p = np.clip(RNG.normal(0.5, 0.5, (N, 1)), 0, 1)
    logits, _, said = read(tmp_path, p, LABEL, probabilities=True)
    assert np.isfinite(logits).all()
    assert said["clipped"]["n"] == int(((p == 0) | (p == 1)).sum())
    np.testing.assert_allclose(logits[p == 1], -np.log(1e-6), rtol=1e-6)


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    y = np.where(np.arange(N) % 30 == 4, "", Y.astype(str))
    logits, targets, said = read(tmp_path, Z, y)
    assert said["missing_labels"] == {"n": 10}
    assert targets.tolist() == Y[np.arange(N) % 30 != 4].tolist()
    np.testing.assert_allclose(logits, Z[np.arange(N) % 30 != 4], rtol=1e-8)
