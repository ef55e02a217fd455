"""Prediction files: what is read, and what is refused in one line."""

import os

import numpy as np
import pytest

from focalkit import InputError, LossSpec
from focalkit.diagnosis.scan import Job, scan
from focalkit.io import records, text_batches
from focalkit.io.columns import Asked
from focalkit.io.predictions import Trouble, batches, open_predictions


def read(path, targets=(), link=None, header=None):
    source = open_predictions([path], Asked(targets=tuple(targets), link=link, header=header))
    found = scan(source, Job(LossSpec(source.link), source.n_classes), workers=1)
    parts = [batch for piece in source.pieces for batch in batches(piece, Trouble())]
    logits, ids = np.concatenate([b.logits for b in parts]), np.concatenate([b.targets for b in parts])
    return source, logits, ids, found.said


def write(tmp_path, text, name="p.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_named_columns_gives_names_and_ids(tmp_path, delimiter, mark, eol):
    rows = ["logit_cat,logit_dog,y", "1.5,-2,0", "0,1e3,1"]
    path = write(tmp_path, mark + eol.join(rows).replace(",", delimiter) + eol)
    opened, logits, targets, _ = read(path)
    assert (opened.link, opened.class_names, opened.target) == ("softmax", ("cat", "dog"), "y")
    assert logits.tolist() == [[1.5, -2], [0, 1000]]
    assert targets.tolist() == [0, 1]


def test_targets_may_be_names_of_logit_columns(tmp_path):
    _, _, targets, _ = read(write(tmp_path, "y,cat,dog\n dog ,1,2\nlogit,3,4\n".replace("logit", "cat")), ["y"])
    assert targets.tolist() == [1, 0]


def test_numeric_names_of_logit_columns_are_the_class_ids(tmp_path):
    _, _, targets, _ = read(write(tmp_path, "logit_1,logit_2,logit_3,y\n0,1,2,1\n0,1,2,3.0\n0,1,2,-100\n"))
    assert targets.tolist() == [0, 2, -100]


@pytest.mark.parametrize(("target", "ids"), [("0", [1, 0]), ("-1", [1, 1]), ((), [1, 1])])
def test_without_a_header_columns_go_by_position(tmp_path, target, ids):
    opened, logits, targets, _ = read(write(tmp_path, "1,5,1\n0,6,1\n"), [target] if target else ())
    assert opened.class_names == ("0", "1")
    assert targets.tolist() == ids
    assert logits.shape == (2, 2)


def test_one_logit_column_is_binary(tmp_path):
    opened, logits, targets, _ = read(write(tmp_path, "z,y\n-1.5,0\n2,1\n"))
    assert opened.link == "sigmoid"
    assert logits.tolist() == [[-1.5], [2]]
    assert targets.tolist() == [[0], [1]]


def test_independent_logits_take_one_target_column_each(tmp_path):
    opened, logits, targets, _ = read(write(tmp_path, "a,b,ya,yb\n1,2,0,1\n3,4,1,-100\n"), ["ya", "yb"])
    assert (opened.link, logits.tolist(), targets.tolist()) == ("sigmoid", [[1, 2], [3, 4]], [[0, 1], [1, -100]])


def test_large_files_come_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(text_batches, "BLOCK", 256)
    monkeypatch.setattr(records, "BLOCK", 256)
    path = write(tmp_path, "a,b,y\n" + "1,2,1\n" * 500)
    parts = list(batches(open_predictions([path]).pieces[0], Trouble()))
    assert len(parts) > 3
    assert sum(len(b.targets) for b in parts) == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b,y\n", "at least one row"),
        ("y\n1\n", "hold logit columns"),
        ("a,a,y\n1,2,0\n", "each column once"),
        ("a,b,y\n1,2,0\n1,two,1\n", r"column 'b'.*two"),
        ("a,b,y\n1,2,0\n1,,1\n", r"no number in row 2, column 'b' of p.csv"),
        ("a,b,y\n1,2,0\n1,nan,1\n", r"no number in row 2, column 'b'"),
        ("a,b,y\n1,inf,0\n", r"inf in row 1, column 'b'"),
        ("a,b,y\n1,2,0\n1,2,2\n", r"class ids 0 to 1.*'2' in row 2"),
        ("a,b,y\n1,2,-1\n", "class ids 0 to 1"),
        ("a,b,y\n1,2,0.5\n", "class ids 0 to 1"),
        ("a,b,y\n1,2,\n", "at least one row"),
        ("a,b,y\n1,2,cow\n", "'cow' in row 1"),
        ("a,b,y\n1,2,0\n1,2\n", "Expected 3 columns, got 2"),
        ("z,y\n1,2\n", "class ids 0 to 1"),
        (b"\xff\xfe\x00\x01,\x80", "logit columns"),
        (b"a,b,y\n1,2,\x00\xff\n", "be text"),
        (b"a,b,y\n1,2,\xff\n", "'ÿ' in row 1"),
        ("a,b,y\n" + "0.25,0.75,1\n" * 5, r"probabilities.*log\(p\)"),
    ],
)
def test_hostile_csv_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read(write(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["z", "7", "-4"])
def test_a_missing_target_column_is_refused_with_the_columns_there_are(tmp_path, target):
    with pytest.raises(InputError, match=r"target must be a column of p.csv.*a, b, y"):
        read(write(tmp_path, "a,b,y\n1,2,0\n"), [target])


@pytest.mark.parametrize(("targets", "link"), [(["a", "y"], "softmax"), (["y"], "sigmoid"), (["y", "y"], "sigmoid")])
def test_target_columns_that_do_not_fit_the_link_are_refused(tmp_path, targets, link):
    with pytest.raises(InputError, match="target must name one column"):
        read(write(tmp_path, "a,b,y\n1,2,0\n"), targets, link)


def test_sigmoid_logits_that_look_like_probabilities_are_warned_about(tmp_path):
    said = read(write(tmp_path, "z,y\n" + "0.3,0\n" * 5))[3]
    assert len(said) == 1
    assert "log(p / (1 - p))" in said[0]


def test_a_few_small_logits_are_no_probabilities(tmp_path):
    assert read(write(tmp_path, "a,b,y\n0,1,1\n1,0,0\n"))[3] == []


def test_npz_is_read_with_its_names_and_weights(tmp_path):
    z, y = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32), np.arange(9) % 3
    np.savez(tmp_path / "p.npz", logits=z, targets=y, sample_weight=np.ones(9), class_names=["a", "b", "c"])
    opened, logits, targets, _ = read(tmp_path / "p.npz")
    assert (opened.link, opened.class_names, opened.n_classes) == ("softmax", ("a", "b", "c"), 3)
    assert logits.dtype == np.float32
    assert targets.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"logits": np.zeros((2, 2))}, "array named targets"),
        ({"targets": np.zeros(2, int)}, "array named logits"),
        ({"logits": np.zeros((2, 2)), "targets": np.zeros(3, int)}, "one entry for each of the 2 rows"),
        ({"logits": np.array([{}, None]), "targets": np.zeros(2, int)}, "plain arrays"),
        ({"logits": np.zeros((0, 2)), "targets": np.zeros(0, int)}, "at least one row"),
    ],
)
def test_hostile_npz_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "p.npz")


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    for content in (b"", b"PK\x03\x04broken", b"\x93NUMPY"):
        with pytest.raises(InputError, match=r"be a (whole )?\.npz file"):
            read(write(tmp_path, content, "p.npz"))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="existing file"):
        open_predictions([tmp_path / "none.csv"])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", "/dev/null", "-"):
        with pytest.raises(InputError, match=r"no pipe and no device; got .*write what the pipe gives to a file first"):
            open_predictions([place])


@pytest.mark.parametrize("asked", [(), ("toxic", "threat", "insult")])
def test_the_labels_of_independent_classes_stand_beside_their_logits(tmp_path, asked):
    rng = np.random.default_rng(0)
    names, y = ["toxic", "threat", "insult"], (rng.random((60, 3)) < 0.4).astype(int)
    z = rng.normal(size=(60, 3))
    head = ",".join(["id", *names, *(f"logit_{name}" for name in names)])
    rows = [",".join(map(str, [f"r{i}", *y[i], *z[i].round(4)])) for i in range(60)]
    (tmp_path / "m.csv").write_text("\n".join([head, *rows]) + "\n")
    opened = open_predictions([tmp_path / "m.csv"], Asked(targets=asked))
    layout = opened.pieces[0].layout
    assert (opened.link, layout.targets, layout.classes) == ("sigmoid", tuple(names), tuple(names))
    assert layout.logits == tuple(f"logit_{name}" for name in names)


def test_a_logit_column_is_never_the_target_because_it_is_the_last(tmp_path):
    (tmp_path / "m.csv").write_text("kind,logit_a,logit_b\n" + "a,0.5,0.1\nb,0.2,1.5\n" * 9)
    assert open_predictions([tmp_path / "m.csv"]).target == "kind"
