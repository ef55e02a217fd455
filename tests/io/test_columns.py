"""Columns that are no data: indices, counters, ids, constants; and what is taken as logits."""

import json

import numpy as np
import pytest

from focalkit import InputError
from focalkit.io import read_table
from focalkit.io.columns import Asked
from focalkit.io.predictions import Trouble, batches, open_predictions

pd = pytest.importorskip("pandas")
N = 400
RNG = np.random.default_rng(0)
NOISE = pd.DataFrame(RNG.normal(size=(N, 3)), columns=list("abc")).assign(label=(np.arange(N) > 350).astype(int))


def ids(table):
    return {alert.id: alert.values.get("name") for alert in table.alerts}


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.csv"])
def test_the_row_index_that_pandas_writes_is_no_feature(tmp_path, name):
    shuffled = NOISE.sample(frac=1, random_state=0)
    write = {"parquet": shuffled.to_parquet, "feather": shuffled.to_feather, "csv": shuffled.to_csv}
    write[name[2:]](tmp_path / name)
    table = read_table(tmp_path / name)
    assert table.target_name == "label"
    assert table.feature_names == ("a", "b", "c")
    assert "pandas_index" in ids(table)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("n", [N, 40])
def test_a_row_index_of_several_tables_of_some_rows_or_beside_missing_labels_is_none_either(tmp_path, name, n):
    frame = NOISE.assign(label=np.where(np.arange(N) % 2, "x", "y"))[:n]
    some = frame.assign(label=frame["label"].where(np.arange(n) % 5 > 0))
    parts = pd.concat([frame[: n // 4], frame[: n // 4], frame[: n // 2]])
    for table in (some, parts, frame.sample(n // 2, random_state=0)):
        table.to_csv(tmp_path / "t.csv", index_label=name or None)
        read = read_table(tmp_path / "t.csv")
        assert read.feature_names == ("a", "b", "c")
        assert "pandas_index" in ids(read)
    frame.assign(a=RNG.integers(20, 80, n)).to_csv(tmp_path / "t.csv", index=False, header=["", "b", "c", "label"])
    assert len(read_table(tmp_path / "t.csv").feature_names) == 3  # ages


def test_a_counter_is_one_beside_missing_labels_too(tmp_path):
    kinds = np.where(np.arange(N) % 5 > 0, np.where(np.arange(N) % 2, "x", "y"), "")
    NOISE.assign(position=np.arange(N), label=kinds)[["position", "a", "label"]].to_csv(tmp_path / "t.csv", index=False)
    assert ids(read_table(tmp_path / "t.csv"))["row_counter"] == "position"


@pytest.mark.parametrize(
    ("name", "values", "alert"),
    [
        ("position", np.arange(N), "row_counter"),
        ("position", np.random.default_rng(1).permutation(N) + 1, "row_counter"),
        ("begin", np.cumsum(np.random.default_rng(1).integers(1, 9, N)), "identifier"),
        ("patient_id", np.random.default_rng(1).integers(0, 300, N), "identifier"),
        ("GameID", np.random.default_rng(1).integers(0, 10**9, N), "identifier"),
        ("uuid", [f"{i * 7919 % 1009:08x}-x" for i in range(N)], "row_name"),
        ("user_id", [f"u{i % 200}" for i in range(N)], "identifier"),
        ("unit", ["cm"] * N, "constant"),
        ("scale", [1.5] * N, "constant"),
    ],
)
def test_counters_ids_and_constants_are_left_out_said_and_kept_on_request(tmp_path, name, values, alert):
    frame = NOISE.assign(**{name: values})[[name, "a", "b", "c", "label"]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    assert table.feature_names == ("a", "b", "c")
    assert ids(table)[alert] == name
    assert read_table(tmp_path / "t.csv", keep=[name]).feature_names == (name, "a", "b", "c")


def test_measurements_are_no_ids(tmp_path):
    frame = NOISE.assign(
        age=RNG.integers(18, 90, N), income=RNG.integers(10**4, 10**6, N), year=2000 + np.arange(N) % 20
    )
    frame[["age", "income", "year", "a", "label"]].to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv").feature_names == ("age", "income", "year", "a")


def test_a_feature_that_knows_the_answer_is_said_and_one_that_helps_is_not(tmp_path):
    y = NOISE["label"]
    frame = NOISE.assign(leak=y * 2 + RNG.random(N), code=np.where(y, "p", "q"), helps=y + RNG.normal(size=N))
    frame = frame[["leak", "code", "helps", "a", "label"]]
    table = read_table(frame)
    assert {a.values["name"] for a in table.alerts if a.id == "leak"} == {"leak", "code"}
    assert table.feature_names == ("leak", "code", "helps", "a")


def test_a_class_of_one_row_hides_no_feature_that_knows_the_answer():
    y = NOISE["label"].astype(str)
    y[7] = "lone"
    frame = NOISE.assign(leak=NOISE["label"] + 0.1 * RNG.random(N), label=y)
    assert [a.values["name"] for a in read_table(frame, "label").alerts if a.id == "leak"] == ["leak"]


def test_columns_are_dropped_and_roles_are_no_features():
    frame = NOISE.assign(group=np.arange(N) // 4, weight=RNG.random(N), day=pd.date_range("2020-01-01", periods=N))
    table = read_table(frame, "label", groups="group", weights="weight", time="day", drop=["b"])
    assert table.feature_names == ("a", "c")
    assert len(set(table.groups.tolist())) == 100
    np.testing.assert_array_equal(table.sample_weight, frame["weight"])
    assert (np.diff(table.time) > 0).all()
    with pytest.raises(InputError, match="another column than groups"):
        read_table(frame, "label", groups="label")
    with pytest.raises(InputError, match="weights 'a' must be numbers in"):
        read_table(frame, "label", weights="a")


@pytest.mark.parametrize("role", ["groups", "time", "weights", "costs"])
def test_a_column_that_is_not_there_is_named_by_the_role_it_was_asked_for(tmp_path, role):
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n" + "".join(f"{i},{i % 7}.5,{'xy'[i % 2]}\n" for i in range(60)))
    with pytest.raises(InputError, match=f"^{role} must name a column out of: a, b, label; got 'nosuch'"):
        read_table(path, **{role: "nosuch"})


def test_dates_are_no_weights(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,day,label\n" + "".join(f"{i}.5,2024-01-{i % 28 + 1:02d},{'xy'[i % 2]}\n" for i in range(60)))
    assert read_table(path, time="day").time is not None
    with pytest.raises(InputError, match="weights 'day' must be numbers"):
        read_table(path, weights="day")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d"])
def test_dates_in_usual_forms_are_times(form):
    days = pd.date_range("2020-01-01", periods=N).strftime(form)
    assert (np.diff(read_table(NOISE.assign(day=days), "label", time="day").time) > 0).all()


def test_the_target_is_found_by_its_name_before_its_place():
    assert read_table(NOISE[["a", "label", "b", "c"]]).target_name == "label"
    assert "target_guess" in ids(read_table(NOISE[["a", "label", "b", "c"]]))
    assert read_table(NOISE.rename(columns={"label": "kind"})).target_name == "kind"


def test_a_name_that_stands_twice_is_refused_where_it_is_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text("a,a,t\n" + "1,2,x\n2,1,y\n3,1,y\n" * 3)
    assert read_table(tmp_path / "t.csv").X.shape == (9, 2)
    with pytest.raises(InputError, match="the name of 2 columns"):
        read_table(tmp_path / "t.csv", "a")


# --- predictions

Y = RNG.choice(3, N)
Z = RNG.normal(size=(N, 3)) + 2 * np.eye(3)[Y]
BASE = pd.DataFrame(Z, columns=["logit_cat", "logit_dog", "logit_eel"]).assign(label=Y)


def taken(path, **asked):
    source = open_predictions([path], Asked(**asked))
    parts = [batch for piece in source.pieces for batch in batches(piece, Trouble())]
    return source, np.concatenate([part.logits for part in parts])


@pytest.mark.parametrize("names", ["uvwxyz", ["cat", "label"]])
def test_independent_classes_may_be_called_as_targets_are(tmp_path, names):
    frame = pd.DataFrame({f"logit_{name}": RNG.normal(size=N) for name in names})
    frame = frame.assign(**{name: RNG.integers(0, 2, N) for name in names})
    frame.to_csv(tmp_path / "p.csv", index=False)
    layout = open_predictions([tmp_path / "p.csv"]).pieces[0].layout
    assert (layout.link, layout.targets) == ("sigmoid", tuple(names))


def test_columns_of_texts_are_named_where_there_are_no_logits(tmp_path):
    (tmp_path / "p.csv").write_text("p_a,p_b,label\n" + "12.5%,87.5%,b\n90%,10%,a\n" * 20)
    with pytest.raises(InputError, match=r"p_a, p_b hold texts. Write plain numbers \(0.5, not 50 %\)"):
        open_predictions([tmp_path / "p.csv"])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "extra",
    [{"id": range(N)}, {"epoch": 3}, {"loss": RNG.random(N)}, {"pred": Z.argmax(1)}, {"score": 0.9}, {"text": "x"}],
)
def test_other_columns_beside_named_logits_are_left_aside_and_said(tmp_path, ending, extra):
    frame = BASE.assign(**extra)
    path = tmp_path / f"p.{ending}"
    getattr(frame, f"to_{ending}")(path, index=False)
    source, logits = taken(path)
    assert source.class_names == ("cat", "dog", "eel")
    np.testing.assert_allclose(logits, Z)
    said = [alert for alert in source.alerts if alert.id == "logit_columns"]
    assert bool(said) == (ending == "csv" or extra != {"text": "x"})
    if said:
        assert said[0].values["others"] == list(extra)


def test_two_numbered_rows_of_columns_are_logits_and_others_but_grades_are_classes(tmp_path):
    def opened(*names):
        (tmp_path / "p.csv").write_text("\n".join([",".join([*names, "label"]), *["0.5," * len(names) + "0"] * 9]))
        return open_predictions([tmp_path / "p.csv"], Asked()).class_names

    with pytest.raises(InputError, match=r"told apart.*of which e0, e1, e2 may be none.*logits="):
        opened("l1", "l2", "e0", "e1", "e2")
    grades = ("A1", "A2", "B1", "B2")
    assert opened(*grades) == grades


@pytest.mark.parametrize("name", ["confidence", "loss", "score", "epoch", "entropy"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_cannot_be_told_from_logits_are_refused_with_the_way_out(tmp_path, name, ending):
    frame = BASE.rename(columns=lambda c: c.removeprefix("logit_")).assign(**{name: 0.5})
    path = tmp_path / f"p.{ending}"
    getattr(frame, f"to_{ending}")(path, index=False)
    with pytest.raises(InputError, match=rf"told apart.*{name}.*logits="):
        open_predictions([path], Asked(targets=("label",)))
    for asked in ({"drop": (name,)}, {"logits": "cat,dog,eel"}):
        source, logits = taken(path, targets=("label",), **asked)
        assert source.class_names == ("cat", "dog", "eel")
        np.testing.assert_allclose(logits, Z)


def test_the_row_index_is_no_logit(tmp_path):
    frame = BASE.rename(columns=lambda c: c.removeprefix("logit_"))
    frame.to_csv(tmp_path / "p.csv")
    frame.sample(frac=1, random_state=0).to_parquet(tmp_path / "p.parquet")
    for path in ("p.csv", "p.parquet"):
        assert taken(tmp_path / path)[0].class_names == ("cat", "dog", "eel")


@pytest.mark.parametrize("other", ["embedding", "token_ids", "tags"])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "jsonl"])
def test_another_list_column_does_not_matter(tmp_path, other, ending):
    import pyarrow as pa
    from pyarrow import parquet

    lists = {
        "embedding": RNG.normal(size=(N, 8)).tolist(),
        "token_ids": [[1] * (4 + i % 5) for i in range(N)],
        "tags": [["x", "y"]] * N,
    }
    columns = {other: lists[other], "logits": Z.tolist(), "label": Y.tolist()}
    path = tmp_path / f"p.{ending}"
    if ending == "parquet":
        parquet.write_table(pa.table(columns), path)
    elif ending == "arrow":
        with pa.ipc.new_file(path, pa.table(columns).schema) as writer:
            writer.write_table(pa.table(columns))
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)))
    np.testing.assert_allclose(taken(path)[1], Z)


def test_opening_takes_time_in_proportion_to_the_columns(tmp_path):
    import time

    import pyarrow as pa
    from pyarrow import parquet

    took = {}
    for k in (1000, 4000):
        columns = {f"l{i}": np.zeros(2, "f4") for i in range(k)} | {"target": [0, 1]}
        parquet.write_table(pa.table(columns), tmp_path / f"{k}.parquet")
        start = time.process_time()
        assert open_predictions([tmp_path / f"{k}.parquet"]).n_classes == k
        took[k] = time.process_time() - start
    assert took[4000] < 10 * took[1000] + 0.5


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_names_of_the_classes_in_another_order_than_the_file_s_are_refused(tmp_path, ending):
    path = tmp_path / f"p.{ending}"
    if ending == "csv":
        BASE.to_csv(path, index=False)
    else:
        np.savez(path, logits=Z, targets=np.zeros(len(Z), int), class_names=np.array(["cat", "dog", "eel"]))
    assert open_predictions([path], Asked(classes=("cat", "dog", "eel"))).class_names == ("cat", "dog", "eel")
    assert open_predictions([path], Asked(classes=("a", "b", "c"))).class_names == ("a", "b", "c")
    with pytest.raises(InputError, match="classes must be in the order of the file, cat, dog, eel"):
        open_predictions([path], Asked(classes=("dog", "cat", "eel")))
