"""Arrays of NumPy as tables; JSON as predictions; groups and times of predictions."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit import InputError
from focalkit.cli import main
from focalkit.diagnosis import diagnose_files
from focalkit.io import read_table

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 3))
Y = np.where(X[:, 0] + X[:, 1] > 1, "bad", "ok")


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_features_and_labels_of_an_npz_are_a_table(tmp_path):
    for labels, values in ((Y, Y), (Y.astype("S"), Y), (np.where(Y == "bad", 1, 0), np.where(Y == "bad", 1, 0))):
        for order in ({"X": X, "y": labels}, {"y": labels, "X": X}, {"data": X, "target": labels[:, None]}):
            table = read_table(saved(tmp_path / "t.npz", **order))
            assert np.array_equal(table.X, X)
            assert table.y.tolist() == values.tolist()
    np.savez_compressed(tmp_path / "c.npz", X=X.astype(np.float32), y=Y)
    assert read_table(tmp_path / "c.npz").X.dtype == np.float32


def test_vectors_beside_the_features_are_columns_by_their_names(tmp_path):
    w, clinic = RNG.random(N), RNG.integers(0, 9, N)
    path = saved(tmp_path / "t.npz", X=X, w=w, clinic=clinic, y=Y, feature_names=np.array(["a", "b", "c"]), mean=X[0])
    table = read_table(path, weights="w", groups="clinic")
    assert table.feature_names == ("a", "b", "c")
    assert np.array_equal(table.sample_weight, w)
    assert len(np.unique(table.groups)) == 9
    assert [a.values["names"] for a in table.alerts if a.id == "arrays_beside"] == [["mean"]]


def test_a_pair_of_npy_files_is_a_table(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    table = read_table([tmp_path / "X.npy", tmp_path / "y.npy"])
    assert np.array_equal(table.X, X)
    assert table.y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, "hold arrays of features and labels"),
        ({"X": np.array([{}, 1], object), "y": Y[:2]}, "Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_are_no_table_are_refused_in_one_line(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        read_table(saved(tmp_path / "t.npz", **arrays))


def test_tune_takes_an_npz(tmp_path):
    path = saved(tmp_path / "t.npz", X=X, y=Y)
    quick = [
        "--folds",
        "2",
        "--repeats",
        "1",
        "--gamma",
        "0",
        "--alpha",
        "none",
        "--keep-hardest",
        "none",
        "--jobs",
        "1",
    ]
    done = CliRunner().invoke(main, ["tune", str(path), *quick])
    assert done.exit_code == 0, done.output
    assert "200 rows × 3 features" in done.output


Z = RNG.normal(size=(N, 2)) + 2 * np.eye(2)[(Y == "bad").astype(int)]


def rows():
    return [{"logit_ok": float(a), "logit_bad": float(b), "label": str(c)} for (a, b), c in zip(Z, Y, strict=True)]


@pytest.mark.parametrize("form", ["list", "columns", "data"])
def test_json_rows_are_predictions_and_a_saved_ledger_is_a_ledger(tmp_path, form):
    given = rows()
    if form == "columns":
        given = {name: [row[name] for row in given] for name in given[0]}
    elif form == "data":
        given = {"data": given}
    path = tmp_path / "p.json"
    path.write_text(json.dumps(given))
    found = diagnose_files(path)
    assert found.ledger.class_names == ("ok", "bad")
    assert found.ledger.n_samples == N
    (tmp_path / "ledger.json").write_text(found.ledger.to_json())
    assert diagnose_files(tmp_path / "ledger.json").ledger.n_samples == N
    with pytest.raises(InputError, match="all ledgers"):
        diagnose_files([path, tmp_path / "ledger.json"])


def predictions(tmp_path, kind, n=1200):
    """Logits that are sure of what they say in the second half of the time; clinics of ten rows each."""
    rng = np.random.default_rng(1)
    y = (rng.random(n) < 0.2).astype(int)
    z = rng.normal(size=(n, 2)) + np.eye(2)[y] + np.log([0.8, 0.2])
    day = np.arange(n) // 40
    clinic = np.arange(n) // 10
    if kind == "npz":
        np.savez(tmp_path / "p.npz", logits=z, targets=y, groups=clinic, time=day)
        return tmp_path / "p.npz", {"groups": "groups", "time": "time"}
    dates = [f"2026-{d // 28 + 1:02d}-{d % 28 + 1:02d}" for d in day]
    lines = [f"{a!r},{b!r},{t},c{c},{d}" for (a, b), t, c, d in zip(z.tolist(), y, clinic, dates, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["logit_0,logit_1,label,clinic,day", *lines]) + "\n")
    return tmp_path / "p.csv", {"groups": "clinic", "time": "day"}


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_groups_stay_in_one_half_and_time_chooses_on_the_earlier(tmp_path, kind):
    path, columns = predictions(tmp_path, kind)
    plain = diagnose_files(path, targets="label" if kind == "csv" else (), logits="logit_" if kind == "csv" else None)
    more = {"targets": "label", "logits": "logit_"} if kind == "csv" else {}
    grouped = diagnose_files(path, groups=columns["groups"], **more)
    timed = diagnose_files(path, time=columns["time"], **more)
    both = diagnose_files(path, **columns, **more)
    sample = grouped.sample
    assert len(np.unique(sample.unit)) == 120
    assert timed.remedies.in_time
    assert both.remedies.in_time
    assert not grouped.remedies.in_time
    for found in (grouped, timed, both):
        assert found.ledger == plain.ledger or found.ledger.to_json() == plain.ledger.to_json()
        assert found.remedies.found[0].scores["log_loss"].value != plain.remedies.found[0].scores["log_loss"].value
    assert timed.sample.time.min() < timed.sample.time.max()


def test_what_is_asked_of_columns_that_are_not_there_is_refused(tmp_path):
    path, _ = predictions(tmp_path, "csv")
    with pytest.raises(InputError, match="groups must be a column"):
        diagnose_files(path, groups="ward")
    with pytest.raises(InputError, match="hold numbers or dates"):
        diagnose_files(path, targets="label", logits="logit_", time="clinic")
    path, _ = predictions(tmp_path, "npz")
    with pytest.raises(InputError, match="array called groups"):
        diagnose_files(path, groups="clinic")
