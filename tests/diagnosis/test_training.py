"""The ledger beside a training loop: added at once or in parts, drawn, and cheap."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from focalkit import InputError, Ledger, LossSpec, diagnose
from tests.diagnosis.test_ledger import predictions, same

EXAMPLE = Path(__file__).parents[2] / "examples" / "training_ledger.py"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [2.0, 0.7, (0.0, 1.0, 2.0, 3.0)])
def test_a_small_batch_at_once_gives_the_bits_of_the_long_way(dtype, gamma):
    logits, targets = predictions(n=700)
    quick, slow = (Ledger(LossSpec(gamma=gamma), 4) for _ in range(2))
    quick.update(logits.astype(dtype), targets)
    for _ in slow.take(logits.astype(dtype), targets):
        pass
    same(quick, slow)
    assert quick.n_samples == 700


@pytest.mark.parametrize("order", ["C", "F"])
def test_strides_do_not_matter(order):
    logits, targets = predictions(n=300)
    wide = np.zeros((300, 8), order=order)
    wide[:, ::2] = logits
    same(diagnose(wide[:, ::2], targets), diagnose(logits, targets))


@pytest.mark.parametrize("n_classes", [1, 2, 3, 63, 64, 65, 5000])
def test_any_number_of_classes_gives_the_reference_s_log_odds(n_classes):
    from focalkit._core import links
    from focalkit.engines.cpu.ledger import log_odds

    rng = np.random.default_rng(n_classes)
    z, ids = rng.normal(size=(37, n_classes)) * 5, rng.integers(0, n_classes, 37)
    m, refused = log_odds(z, ids, -100)
    with np.errstate(all="ignore"):
        want, _, _ = links.softmax_log_odds(z, ids, np)
    assert np.allclose(m, want, rtol=1e-13, atol=1e-14)
    assert refused == 0


def test_a_refused_small_batch_leaves_the_ledger_as_it_was():
    logits, targets = predictions(n=100)
    ledger = diagnose(logits, targets)
    before = ledger.to_json()
    for z, y in ((np.where(logits > 5, np.nan, logits), targets), (logits, targets + 1)):
        with pytest.raises(InputError):
            ledger.update(z, y)
    assert ledger.to_json() == before


def test_ignored_targets_of_a_small_batch_are_counted_as_such():
    logits, targets = predictions(n=100)
    ledger = diagnose(logits, np.where(np.arange(100) < 30, -100, targets))
    assert (ledger.n_samples, ledger.n_ignored) == (70, 30)


def test_each_epoch_of_the_example_has_its_ledger_and_easy_samples_become_more():
    train = runpy.run_path(str(EXAMPLE))["train"]
    ledgers = train(epochs=3)
    assert len(ledgers) == 3
    assert all(ledger.n_samples == 6000 for ledger in ledgers)
    easy = [float((s.easy_samples * s.sample_share).sum()) for s in (ledger.shares() for ledger in ledgers)]
    assert easy[-1] > easy[0]


def test_the_example_s_picture_is_drawn(tmp_path):
    example = runpy.run_path(str(EXAMPLE))
    example["draw"](example["train"](epochs=2), tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("gamma", [None, 0.0, [0.0, 1.0, 2.0, 3.0]])
def test_a_ledger_draws_itself_whatever_its_classes_are_called(gamma, tmp_path):
    names = ["$x^", "<b>", "类别", "\\frac{"]
    figure = diagnose(*predictions(n=500), class_names=names).plot(gamma, "inverse")
    assert len(figure.axes) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # a font may lack the Chinese name
        figure.savefig(tmp_path / "f.png")
    assert [t.get_text().replace(r"\$", "$") for t in figure.axes[1].get_yticklabels()][::-1] == names
