"""The target: a missing label is no class, a word that plainly is a class is one, and both are said."""

import numpy as np
import pytest

from focalkit.io import read_table

N = 300
RNG = np.random.default_rng(0)
A = RNG.normal(size=N).round(3)
Y = RNG.choice(3, N, p=[0.7, 0.2, 0.1])
GONE = np.arange(N) % 50 == 3


def table_of(tmp_path, labels, **asked):
    path = tmp_path / "t.csv"
    path.write_text(
        "a,b,kind\n" + "".join(f"{a},{i % 7},{y}\n" for i, (a, y) in enumerate(zip(A, labels, strict=True)))
    )
    return read_table(path, "kind", **asked)


def alert_of(table, name):
    return [a.values for a in table.alerts if a.id == name]


@pytest.mark.parametrize("mark", ["NaN", "nan", "NA", "None", "null", "", "<NA>", "#N/A"])
@pytest.mark.parametrize(
    "names", [np.array(["sick", "well", "unsure"]), np.array([0, 1, 2]), np.array([0.0, 1.0, 2.0])]
)
def test_a_few_missing_labels_are_left_out_and_said(tmp_path, mark, names):
    table = table_of(tmp_path, np.where(GONE, mark, names[Y].astype(str)))
    assert len(table.y) == N - GONE.sum()
    assert len(set(table.y.tolist())) == 3
    said = alert_of(table, "missing_label_word") or alert_of(table, "missing_labels")
    assert said[0]["n"] == GONE.sum()
    assert (table.rows == np.flatnonzero(~GONE) + 1).all()


@pytest.mark.parametrize("word", ["None", "NA", "null", "?", "none"])
def test_a_word_in_many_rows_among_words_is_a_class_and_can_be_made_missing(tmp_path, word):
    labels = np.array([word, "Insomnia", "Apnea"])[Y]
    table = table_of(tmp_path, labels)
    assert set(table.y.tolist()) == {word, "Insomnia", "Apnea"}
    assert alert_of(table, "word_as_class") == [{"word": word, "n": int((Y == 0).sum())}]
    assert set(table_of(tmp_path, labels, missing=[word]).y.tolist()) == {"Insomnia", "Apnea"}


def test_a_word_nearly_as_frequent_as_the_other_classes_is_one(tmp_path):
    labels = np.array([*["Apnea"] * 106, *["Insomnia"] * 98, *["None"] * 96])
    assert set(table_of(tmp_path, labels).y.tolist()) == {"Apnea", "Insomnia", "None"}
    labels[204:] = "Apnea"  # and a word that is rarer than half of each other class is none
    labels[:26] = "None"
    assert set(table_of(tmp_path, labels).y.tolist()) == {"Apnea", "Insomnia"}


def test_a_word_of_two_is_a_class_and_a_rare_one_can_be_made_one(tmp_path):
    assert set(table_of(tmp_path, np.where(Y > 0, "Insomnia", "None")).y.tolist()) == {"None", "Insomnia"}
    labels = np.where(GONE, "NA", np.array(["a", "b", "c"])[Y])
    assert "NA" not in table_of(tmp_path, labels).y.tolist()
    assert "NA" in table_of(tmp_path, labels, missing=()).y.tolist()


@pytest.mark.parametrize("kind", ["float", "null", "Int64", "category", "text", "bool"])
def test_missing_labels_of_typed_files_are_left_out(tmp_path, kind):
    import pandas as pd

    y, gone = (Y > 0).astype(int), GONE
    labels = {
        "float": pd.Series(np.where(gone, np.nan, y)),
        "null": pd.Series([None if g else int(v) for g, v in zip(gone, y, strict=True)], dtype=object),
        "Int64": pd.Series(y, dtype="Int64").mask(gone),
        "category": pd.Series(np.where(y, "b", "a")).mask(gone).astype("category"),
        "text": pd.Series(np.where(y, "b", "a"), dtype=object).mask(gone, None),
        "bool": pd.Series(y == 1, dtype="boolean").mask(gone),
    }[kind]
    frame = pd.DataFrame({"a": A, "b": Y % 2, "label": labels})
    for source in (frame, tmp_path / "t.parquet"):
        if source is not frame:
            frame.to_parquet(source)
        table = read_table(source)
        assert len(table.y) == N - GONE.sum()
        assert len(set(table.y.tolist())) == 2
        assert alert_of(table, "missing_labels") == [{"n": int(GONE.sum())}]


def test_labels_are_written_as_in_the_file(tmp_path):
    for words in (["b'false'", "b'true'", "x"], ["007", "008", "010"], ["1.5", "2.5", "3.5"], ["True", "False", "x y"]):
        assert set(table_of(tmp_path, np.array(words)[Y]).y.tolist()) == set(words)
    assert set(table_of(tmp_path, np.array(["1", "2", "-1"])[Y]).y.tolist()) == {1, 2, -1}


def test_labels_that_differ_in_case_and_classes_of_one_row_are_said(tmp_path):
    labels = np.array(["Yes", "YES", "no"], object)[Y]
    labels[5] = "lone"
    table = table_of(tmp_path, labels)
    assert alert_of(table, "near_equal_labels") == [{"labels": ["YES", "Yes"]}]
    assert alert_of(table, "single_row_classes") == [{"n": 1, "labels": ["lone"]}]
    (classes,) = alert_of(table, "classes")
    assert dict(map(tuple, classes["classes"])) == {w: int((labels == w).sum()) for w in set(labels.tolist())}


def test_of_many_classes_the_rarest_are_named_too(tmp_path):
    path = tmp_path / "t.csv"
    sizes = [*range(40, 22, -1), 3, 2]
    rows = [f"{i * k % 7},{i % 5 + k / 10},c{k}" for k, n in enumerate(sizes) for i in range(n)]
    path.write_text("\n".join(["a,b,label", *rows]))
    told = next(a for a in read_table(path).alerts if a.id == "classes").values
    assert told["n"] == 20
    assert told["classes"] == [*((f"c{k}", 40 - k) for k in range(8)), "…", ("c17", 23), ("c18", 3), ("c19", 2)]
