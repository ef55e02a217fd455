"""The example's detector: every path once, its average precision and its loss against known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("faster_coco_eval")

from examples.detector import anchors as a  # noqa: E402
from examples.detector.data import Images, Scenes, make_scenes, read_bccd  # noqa: E402
from examples.detector.losses import Loss, classification_loss, targets_of  # noqa: E402
from examples.detector.run import (  # noqa: E402
    Training,
    average_precision,
    best_cutoffs,
    ledger_of,
    macro_f1,
    predict,
    run,
)

TINY = Scenes(side=32, most_objects=2, smallest=8, largest=16, clutter=3)
BCCD = Path(__file__).parents[2] / "shared" / "data" / "bccd"


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(6, TINY, seed=0)


def test_scenes_are_the_same_for_a_seed_and_their_objects_lie_inside(scenes):
    again = make_scenes(6, TINY, seed=0)
    assert np.array_equal(again.pixels, scenes.pixels)
    for boxes in scenes.boxes:
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert boxes.min() >= 0
        assert boxes[:, :2].max() < 32


def test_decoding_undoes_encoding():
    anchors = a.make_anchors(32, 32, (8, 16))
    assert anchors.shape == (9 * (16 + 4), 4)
    boxes = anchors + torch.tensor([1.0, -2.0, 3.0, 1.0])
    assert torch.allclose(a.decode(a.encode(boxes, anchors), anchors), boxes, atol=1e-4)


def test_assignment_follows_the_paper_s_thresholds_and_leaves_no_object_without_an_anchor():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4.5], [0, 0, 10, 3.9], [50, 50, 60, 60], [90, 90, 99, 99]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [52, 52, 53, 53]])
    assert a.assign(anchors, boxes).tolist() == [0, a.IGNORED_ID, a.BACKGROUND_ID, 1, a.BACKGROUND_ID]
    assert a.assign(anchors, boxes[:0]).tolist() == [a.BACKGROUND_ID] * 5


def test_suppression_keeps_the_best_of_what_overlaps():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]])
    assert a.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]


def _one(boxes, labels):
    return Images(np.zeros((1, 1, 100, 100), np.float32), [np.array(boxes, np.float32)], [np.array(labels)], ("a", "b"))


@pytest.mark.parametrize(
    ("box", "score", "expected"),
    [
        ([10, 10, 20, 20], 0.9, (100.0, 100.0, 100.0)),
        ([10, 10, 20, 14], 0.9, (50.0, 100.0, 0.0)),  # IoU 0.7: five of the ten thresholds
        ([60, 60, 20, 20], 0.9, (0.0, 0.0, 0.0)),
    ],
)
def test_average_precision_gives_known_answers(box, score, expected):
    truth = _one([[10, 10, 30, 30]], [0])
    got = average_precision(truth, [{"image_id": 0, "category_id": 0, "bbox": box, "score": score}])
    assert got[:3] == pytest.approx(expected, abs=1e-6)
    assert got[3] == pytest.approx({"a": expected[0]}, abs=1e-6)  # there is no "b" to be found


def test_a_false_alarm_above_the_hit_halves_precision():
    truth = _one([[10, 10, 30, 30]], [0])
    hit = {"image_id": 0, "category_id": 0, "bbox": [10, 10, 20, 20], "score": 0.5}
    alarm = hit | {"bbox": [60, 60, 20, 20], "score": 0.9}
    assert average_precision(truth, [hit, alarm])[0] == pytest.approx(50.0)


def test_average_precision_is_the_mean_of_the_classes_that_have_objects():
    truth = _one([[10, 10, 30, 30], [50, 50, 70, 70]], [0, 1])
    hit = {"image_id": 0, "category_id": 0, "bbox": [10, 10, 20, 20], "score": 0.5}
    ap, _, _, of = average_precision(truth, [hit])
    assert of == pytest.approx({"a": 100.0, "b": 0.0})
    assert ap == pytest.approx(50.0)


def test_a_cut_off_is_chosen_where_the_f1_of_detections_is_best():
    truth = _one([[10, 10, 30, 30], [50, 50, 70, 70]], [0, 0])
    hit = {"image_id": 0, "category_id": 0, "bbox": [10, 10, 20, 20], "score": 0.3}
    other = hit | {"bbox": [50, 50, 20, 20], "score": 0.2}
    alarms = [hit | {"bbox": [80, 80, 5, 5], "score": s} for s in (0.1, 0.05, 0.04)]
    again = hit | {"score": 0.15}  # the same object a second time is an alarm
    records = [hit, other, again, *alarms]
    cutoffs = best_cutoffs(truth, records)
    assert cutoffs[0] == 0.2
    assert np.isinf(cutoffs[1])
    assert macro_f1(truth, records, cutoffs) == pytest.approx(50.0)  # 1 for the first class, 0 for the second
    assert macro_f1(truth, records, 0.5) == 0.0
    assert macro_f1(truth, records, 0.0) == pytest.approx(100 * (4 / 8) / 2)


def test_the_loss_is_that_of_a_retinanet_head():
    """The reference form of torchvision's ``sigmoid_focal_loss``, written out in float64."""
    torch.manual_seed(0)
    logits = torch.randn(2, 40, 3, dtype=torch.float64, requires_grad=True)
    assigned = torch.full((2, 40), a.BACKGROUND_ID)
    assigned[0, :3], assigned[1, 5], assigned[1, 7:9] = 0, 1, a.IGNORED_ID
    targets = torch.stack([targets_of(row, torch.tensor([2, 0]), 3) for row in assigned])
    got = classification_loss(Loss(2.0, 0.25), logits, targets, assigned, torch.zeros(2, 40, 4), torch.zeros(40, 4))
    p, y = torch.sigmoid(logits), targets.clamp(min=0).double()
    ce = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    p_t, alpha_t = p * y + (1 - p) * (1 - y), 0.25 * y + 0.75 * (1 - y)
    expected = (alpha_t * (1 - p_t) ** 2 * ce)[targets >= 0].sum() / 4
    assert torch.allclose(got, expected)
    assert torch.allclose(*(torch.autograd.grad(x, logits, retain_graph=True)[0] for x in (got, expected)))


@pytest.mark.parametrize("mining", ["nms", "1:3"])
def test_mining_keeps_the_hardest_anchors_and_at_most_three_negatives_a_positive(scenes, mining):
    torch.manual_seed(0)
    anchors = a.make_anchors(32, 32, (4, 8, 16))
    assigned = torch.stack([a.assign(anchors, torch.from_numpy(b)) for b in scenes.boxes])
    rows = zip(assigned, scenes.labels, strict=True)
    targets = torch.stack([targets_of(row, torch.from_numpy(k), 3) for row, k in rows])
    logits = torch.randn(*assigned.shape, 3, requires_grad=True)
    loss = Loss(0.0, None, mining, batch=16, nms=0.7)
    classification_loss(loss, logits, targets, assigned, torch.zeros(*assigned.shape, 4), anchors).backward()
    kept = (logits.grad != 0).any(-1)
    assert 0 < kept.sum() <= 16 * len(assigned)
    assert not kept[assigned == a.IGNORED_ID].any()
    every = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.detach(), targets.clamp(min=0).float(), reduction="none"
    ).sum(-1)
    for row, mask, truth in zip(every, kept, assigned, strict=True):
        if mining == "nms" and mask.any():  # the hardest anchor of an image is never suppressed
            row = row.masked_fill(truth == a.IGNORED_ID, -1)
            assert mask[row.argmax()] or row.max() < every[kept].min()
    if mining == "1:3":
        positives = int((kept & (assigned >= 0)).sum())
        assert int((kept & (assigned == a.BACKGROUND_ID)).sum()) <= 3 * max(positives, 1)


@pytest.mark.parametrize("mining", [None, "nms", "1:3"])
def test_a_tiny_run_of_every_path(scenes, mining):
    loss = Loss(0.0 if mining else 2.0, None if mining else 0.25, mining, batch=16)
    outcome = run(loss, Training(steps=2, batch=2, width=8), scenes, scenes, seed=0)
    assert 0 <= outcome.ap <= outcome.ap50 <= 100
    assert outcome.ratio > 10
    again = run(loss, Training(steps=2, batch=2, width=8), scenes, scenes, seed=0)
    assert again.ap == outcome.ap
    assert len(predict(outcome.detector, scenes, shift=torch.ones(3))) > 0


@pytest.mark.parametrize("prior", [0.01, None])
@pytest.mark.parametrize("loss", [Loss(2.0, 0.25, star=1.0), Loss(0.0, None, adjustment=-5.3), Loss(0.0, 0.75)])
def test_a_tiny_run_of_the_neighbours_with_and_without_the_prior(scenes, loss, prior):
    outcome = run(loss, Training(steps=2, batch=2, width=8, prior=prior), scenes, scenes, seed=0)
    assert 0 <= outcome.ap <= 100
    assert 0 <= outcome.f1_plain <= 100
    assert 0 <= outcome.f1_chosen <= 100


def test_the_paper_s_training_is_sgd_whose_rate_falls_twice(scenes):
    training = Training(steps=18, batch=2, width=8, paper=True)
    optimizer, schedule = training.optimizer(torch.nn.Linear(1, 1))
    rates = []
    for _ in range(training.steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, [1e-2] * 12 + [1e-3] * 4 + [1e-4] * 2)
    outcome = run(Loss(2.0, 0.25), replace(training, steps=2), scenes, scenes, seed=0)
    assert 0 <= outcome.ap <= 100


def test_a_training_whose_loss_is_no_longer_finite_ends_at_once_and_has_no_average_precision(scenes, monkeypatch):
    from examples.detector import run as module

    monkeypatch.setattr(module, "classification_loss", lambda loss, logits, *_: logits.sum() * float("nan"))
    outcome = run(Loss(), Training(steps=10**6, batch=2, width=8), scenes, scenes, seed=0)
    assert outcome.ap is None
    assert outcome.f1_chosen is None


def test_the_ledger_of_a_detector_counts_every_anchor_that_is_not_ignored(scenes):
    outcome = run(Loss(2.0, 0.25), Training(steps=1, batch=2, width=8), scenes, scenes, seed=0)
    ledger = ledger_of(outcome.detector, scenes)
    anchors = a.make_anchors(32, 32, (4, 8, 16))
    counted = sum(int((a.assign(anchors, torch.from_numpy(b)) != a.IGNORED_ID).sum()) for b in scenes.boxes)
    assert int(sum(ledger.shares().count)) == 3 * counted


@pytest.fixture
def blood_cells(tmp_path):
    """A folder as BCCD's, of two made photographs: 80 × 60 pixels, one box without area."""
    image = pytest.importorskip("PIL.Image")
    for name in ("JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    lines = ["filename,cell_type,xmin,ymin,xmax,ymax"]
    rng = np.random.default_rng(0)
    for i, split in enumerate(("trainval", "test")):
        image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(tmp_path / f"JPEGImages/cell_{i}.jpg")
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text(f"cell_{i}\n")
        lines += [f"cell_{i}.jpg,RBC,0,0,40,30", f"cell_{i}.jpg,Platelets,60,40,80,60", f"cell_{i}.jpg,WBC,5,5,5,9"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_photographs_are_scaled_with_their_boxes_and_boxes_without_area_are_left_out(blood_cells):
    images = read_bccd(blood_cells, "test", side=32)
    assert images.pixels.shape == (1, 3, 32, 48)  # a width of 42.7, rounded to the deepest stride
    assert images.labels[0].tolist() == [0, 2]
    np.testing.assert_allclose(images.boxes[0], [[0, 0, 24, 16], [36, 64 / 3, 48, 32]], rtol=1e-6)


def test_a_folder_of_photographs_is_trained_on_as_the_scenes_are(blood_cells, tmp_path, monkeypatch, capsys):
    from benchmarks import detector

    out = tmp_path / "cells.jsonl"
    command = ["detector.py", "run", "--tables", "bccd", "--only", "2,0.25", "--seeds", "1", "--steps", "1"]
    command += ["--side", "32", "--out", str(out)]
    monkeypatch.setattr("sys.argv", [*command, "--bccd", str(blood_cells)])
    detector.main()
    (record,) = detector.read(out).values()
    assert 0 <= record["ap"] <= 100
    monkeypatch.setattr("sys.argv", [*command, "--seeds", "2", "--bccd", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="FOLDER"):
        detector.main()


@pytest.mark.skipif(not BCCD.exists(), reason="the blood cells are not at hand")
def test_real_images_are_read_with_their_boxes():
    images = read_bccd(BCCD, "test", side=64)
    assert images.pixels.shape[1:] == (3, 64, 80)
    assert images.classes == ("RBC", "WBC", "Platelets")
    assert all((b[:, 2:] > b[:, :2]).all() and b[:, 2].max() <= 80.5 for b in images.boxes if len(b))


@pytest.mark.parametrize(("page", "language"), [("ablation.md", []), ("ablation.zh-CN.md", ["--chinese"])])
def test_the_tables_of_the_page_are_what_the_command_prints(page, language, capsys, monkeypatch):
    from benchmarks import detector

    root = Path(__file__).parents[1]
    results = root / "benchmarks" / "results" / "detector.jsonl"
    monkeypatch.setattr("sys.argv", ["detector.py", "compare", "--out", str(results), *language])
    detector.main()
    text = (root / "docs" / page).read_text(encoding="utf-8")
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert len(tables) >= 8
    assert [table for table in tables if table not in text] == []
    cells = list(detector.read(results).values())
    fourth = next(cell["hardest_fifth"] for cell in cells if "hardest_fifth" in cell)
    for share in fourth.values():
        assert f"{100 * share:.1f}" in text


def test_the_queue_of_cells_goes_on_where_it_stopped_and_takes_those_that_are_asked_for(tmp_path, monkeypatch, capsys):
    from benchmarks import detector

    monkeypatch.setitem(detector.RECIPES, "1:200", TINY)
    out = tmp_path / "cells.jsonl"
    command = ["detector.py", "run", "--out", str(out), "--steps", "1", "--images", "4", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--tables", "1a", "1b", "--only", "0,0.75", "2,0.25", "--most", "1"])
    detector.main()
    assert len(out.read_text().splitlines()) == 1
    detector.main()
    detector.main()
    records = list(detector.read(out).values())
    assert len(records) == len(out.read_text().splitlines()) == 2
    curves = next(record["curves"] for record in records if "curves" in record)
    assert [curve["gamma"] for curve in curves] == [0.0, 0.5, 1.0, 2.0]
    for curve in curves:
        assert curve["positives"][-1] == pytest.approx(1, abs=1e-4)
        assert (np.diff(curve["positives"]) >= 0).all()
    monkeypatch.setattr("sys.argv", ["detector.py", "table", "--out", str(out)])
    detector.main()
    assert capsys.readouterr().out.count("| 1:200 | 1 | ") == 2
    detector.append(
        out, {"key": detector.Cell("1:200", detector.FOCAL).key(0), "ap": 1.0, "ratio": 9.0, "curves": curves}
    )
    monkeypatch.setattr("sys.argv", ["detector.py", "figures", "--out", str(out), "--figures", str(tmp_path)])
    detector.main()
    assert {path.name for path in tmp_path.glob("*.svg")} == {"ablation-figure-4.svg", "ablation-ratio.svg"}


def test_a_cell_of_many_seeds_shows_its_spread_and_differences_are_of_the_same_seed(tmp_path):
    from benchmarks.detector_cells import FOCAL, WEIGHTED, Cell, Results, append

    out = tmp_path / "cells.jsonl"
    ours, theirs = Cell("1:200", FOCAL), Cell("1:200", WEIGHTED)
    for seed, (ap, other) in enumerate([(30.0, 20.0), (50.0, 39.0), (40.0, 28.0)]):
        append(out, {"key": ours.key(seed), "ap": ap})
        append(out, {"key": theirs.key(seed), "ap": other})
    append(out, {"key": ours.key(3), "ap": 99.0})  # its partner is still missing
    append(out, {"key": theirs.key(4), "ap": None})  # it diverged
    found = Results(out)
    assert found.shown(theirs) == "29.0 ± 9.5 (3), diverged (1)"
    assert found.difference(ours, theirs) == "+11.0 ± 1.0 (3) *"
    assert found.difference(theirs, theirs) == ""
    append(out, {"key": Cell("1:600", WEIGHTED).key(0), "ap": 20.0})
    append(out, {"key": Cell("1:600", WEIGHTED).key(1), "ap": 20.0})
    append(out, {"key": Cell("1:600", FOCAL).key(0), "ap": 30.0})
    append(out, {"key": Cell("1:600", FOCAL).key(1), "ap": 32.0})
    # Student's t with one degree of freedom: 11 ± 12.7 × 1
    assert Results(out).difference(Cell("1:600", FOCAL), Cell("1:600", WEIGHTED)) == "+11.0 ± 1.4 (2)"
    assert found.shown(theirs, "ap") == found.shown(Cell.of(theirs.key(7)))
    alone = Cell("1:200", FOCAL, prior=None, paper=True)
    append(out, {"key": alone.key(0), "ap": None})
    assert Results(out).shown(alone) == "diverged (1)"
    assert Cell.of(alone.key(0)) == alone
    assert found.shown(Cell("1:600", FOCAL)) == "–"
    assert found.best([ours, theirs, Cell("1:600", FOCAL)]) == ours


def test_the_example_is_a_command(monkeypatch, capsys):
    from examples.detector import __main__ as command

    monkeypatch.setattr(command, "Scenes", lambda: TINY)
    monkeypatch.setattr("sys.argv", ["detector", "--steps", "1", "--images", "4"])
    command.main()
    said = capsys.readouterr().out
    assert "background anchors for one in the foreground" in said
    assert "AP by class: disc" in said
    assert "at one half" in said
