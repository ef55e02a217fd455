"""Numbers with marks: a column that is nearly all numbers is one, whatever people put beside them."""

import numpy as np
import pytest

from focalkit import InputError
from focalkit.io import read_table

N = 240
RNG = np.random.default_rng(0)
V = RNG.normal(size=N).round(3)
B = RNG.normal(size=N).round(3)
GONE = RNG.random(N) < 0.08


def written(tmp_path, columns, sep=",", header=True, name="t.csv", encoding="utf-8"):
    lines = [sep.join(columns)] if header else []
    lines += [sep.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path = tmp_path / name
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def quoted(values):
    return [f'"{v}"' for v in values]


def ids(table):
    return [alert.id for alert in table.alerts]


@pytest.mark.parametrize("mark", ["n/a", "#N/A", "<NA>", "na", "none", "-", ".", "n.d.", "#DIV/0!", "?", "", "NULL"])
def test_a_mark_for_missing_leaves_a_column_of_numbers(tmp_path, mark):
    values = np.where(GONE, mark, V.astype(str))
    table = read_table(written(tmp_path, {"a": values, "b": B, "label": np.arange(N) % 2}))
    assert table.categorical == ()
    np.testing.assert_array_equal(table.X[:, 0], np.where(GONE, np.nan, V))
    assert "missing" in ids(table)


def test_the_word_its_column_and_its_count_are_said(tmp_path):
    values = np.where(np.arange(N) % 60 == 7, "unknown", np.where(np.arange(N) == 3, "see note", V.astype(str)))
    table = read_table(written(tmp_path, {"a": values, "b": B, "label": np.arange(N) % 2}))
    (alert,) = [a for a in table.alerts if a.id == "number_with_gaps"]
    assert alert.values == {"name": "a", "words": [("unknown", 4), ("see note", 1)]}
    assert np.isnan(table.X[:, 0]).sum() == 5


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ([f"{v:,.2f}" for v in 1e4 + 1e3 * V], 1e4 + 1e3 * V),
        ([f"{v:,.2f}".replace(",", " ") for v in 1e4 + 1e3 * V], 1e4 + 1e3 * V),
        ([f"{v:,.2f}".replace(",", "\u00a0") for v in 1e4 + 1e3 * V], 1e4 + 1e3 * V),
        ([f"{v:,.2f}".replace(",", "'") for v in 1e4 + 1e3 * V], 1e4 + 1e3 * V),
        ([f"${v:.2f}" for v in 50 + V], 50 + V),
        ([f"{v:.2f} €" for v in 50 + V], 50 + V),
        ([f"{v:.1f}%" for v in 50 + V], 50 + V),
        ([f"{v:.3f}".replace("-", "\u2212") for v in V], V),
        ([f"\u00a0{v:.3f}" for v in V], V),
        ([f"{v:.3f} kg" for v in V], V),
        ([f"({-v:.3f})" if v < 0 else f"{v:.3f}" for v in V], V),
        ([f"{v:.3f}".replace(".", ",") for v in V], V),
        ([f"{v:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".") for v in 1e4 + 1e3 * V], 1e4 + 1e3 * V),
    ],
)
def test_what_stands_beside_a_number_is_taken_off(tmp_path, cells, value):
    table = read_table(written(tmp_path, {"a": quoted(cells), "b": B, "label": np.arange(N) % 2}))
    assert table.categorical == ()
    np.testing.assert_allclose(table.X[:, 0], value, atol=0.06)


@pytest.mark.parametrize("sep", [";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_decimal_commas_are_read_as_numbers(tmp_path, sep, header):
    comma = {name: [f"{v}".replace(".", ",") for v in values] for name, values in (("a", V), ("b", B))}
    labels = np.where(np.arange(N) % 3 == 0, "bad", "ok")
    table = read_table(written(tmp_path, {**comma, "label": labels}, sep, header), header=None if header else False)
    np.testing.assert_array_equal(table.X, np.stack([V, B], axis=1))
    assert table.categorical == ()
    assert "decimal_comma" in ids(table)


@pytest.mark.parametrize("names", [("0,0", "1,0"), ("-1,00", "1,00")])
def test_labels_with_decimal_commas_are_whole_numbers_too(tmp_path, names):
    comma = [f"{v}".replace(".", ",") for v in V]
    labels = [names[i % 2] for i in range(N)]
    values = [float(name.replace(",", ".")) for name in names]
    path = written(tmp_path, {"a": comma, "b": comma[::-1], "label": labels}, ";")
    assert read_table(path).y.tolist() == [int(values[i % 2]) for i in range(N)]


def test_a_decimal_mark_that_is_named_wins(tmp_path):
    path = written(
        tmp_path,
        {"a": [f"1,{i:03}" for i in range(100, 160)] * 4, "b": np.arange(N) % 9, "label": np.arange(N) % 2},
        ";",
    )
    assert read_table(path).X[0, 0] == 1.1
    assert read_table(path, decimal=".").X[0, 0] == 1100
    with pytest.raises(InputError, match="decimal must be one of"):
        read_table(path, decimal="x")


def test_a_comma_before_three_digits_is_between_thousands_and_said(tmp_path):
    values = quoted(f"{v:,}" for v in range(1000, 1000 + 7 * N, 7))
    table = read_table(written(tmp_path, {"a": values, "b": B, "label": np.arange(N) % 2}), keep=["a"])
    assert table.X[:3, 0].tolist() == [1000, 1007, 1014]
    assert "thousands_or_decimal" in ids(table)


@pytest.mark.parametrize("lead", ["0", "12"])
def test_a_comma_after_a_zero_is_a_decimal_comma(tmp_path, lead):
    values = quoted([f"0,{i:03}" if i % 2 else f"{lead},{i:03}" for i in range(N)])
    table = read_table(written(tmp_path, {"a": values, "b": B, "label": np.arange(N) % 2}))
    assert table.X[1, 0] == 0.001


def test_a_column_of_codes_stays_text_and_half_numbers_are_said(tmp_path):
    codes = [f"A{i % 7}" for i in range(N)]
    half = np.where(np.arange(N) % 3 == 0, "low", (np.arange(N) % 40).astype(str))
    table = read_table(written(tmp_path, {"code": codes, "half": half, "b": B, "label": np.arange(N) % 2}))
    assert table.categorical == (0, 1)
    (alert,) = [a for a in table.alerts if a.id == "partly_numbers"]
    assert alert.values["name"] == "half"
    assert alert.values["words"] == [("low", 80)]


def test_thousands_may_be_grouped_as_in_india(tmp_path):
    cells = [f"{i % 9 + 1},23,456.5" for i in range(N)]
    table = read_table(written(tmp_path, {"a": quoted(cells), "b": B, "label": ["x", "y"] * (N // 2)}))
    assert table.X[:, 0].tolist() == [float(cell.replace(",", "")) for cell in cells]
    assert "number_marks" in ids(table)


@pytest.mark.parametrize("form", ["{0:02d}.01.2024", "{0:02d}/01/2024", "1/{0}/24"])
def test_dates_that_become_categories_are_said_to(tmp_path, form):
    days = [form.format(i % 28 + 1) for i in range(N)]
    table = read_table(written(tmp_path, {"day": days, "b": B, "label": ["x", "y"] * (N // 2)}))
    assert table.categorical == (0,)
    assert [a.values for a in table.alerts if a.id == "dates"] == [{"name": "day"}]
    days = [f"2024-01-{i % 28 + 1:02d}" for i in range(N)]
    plain = read_table(written(tmp_path, {"day": days, "b": B, "label": ["x", "y"] * (N // 2)}))
    assert (plain.categorical, ids(plain)) == ((), ["classes"])


def test_a_target_of_many_whole_numbers_is_asked_about(tmp_path):
    many = read_table(written(tmp_path, {"a": V, "b": B, "height": [i % 55 for i in range(N)]}))
    assert [a.values for a in many.alerts if a.id == "many_classes"] == [{"name": "height", "n": 55}]
    few = read_table(written(tmp_path, {"a": V, "b": B, "height": [i % 50 for i in range(N)]}))
    assert "many_classes" not in ids(few)
