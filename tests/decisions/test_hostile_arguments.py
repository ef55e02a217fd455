"""What is no array of numbers here, or none of as many rows, is refused in words."""

import numpy as np
import pytest

from focalkit import InputError, boosting, decisions, diagnosis

P1 = np.array([0.2, 0.4, 0.7])
HOSTILE = {
    "a weight that is no array": lambda: decisions.calibration(P1, P1 > 0.5, 1.0),
    "events of other rows": lambda: decisions.calibration(P1, [True, False]),
    "a bin too many": lambda: decisions.calibration(P1, P1 > 0.5, n_bins=2**63),
    "events of three kinds": lambda: decisions.sort_cutoffs(P1, [0, 1, 2]),
    "scores of objects": lambda: decisions.sort_cutoffs([object()] * 3, [0, 1, 1]),
    "no prior": lambda: decisions.estimate_prior(P1, None),
    "a prior of other classes": lambda: decisions.estimate_prior(P1, [0.2, 0.3, 0.5]),
    "a metric that is an array": lambda: decisions.Maximize(np.array(["f1", "f2"])),
    "a cost that no float holds": lambda: decisions.CostMatrix([[0, 10**400], [1, 0]]),
    "classes that are a number": lambda: decisions.decide(P1, [0, 1, 1], "f1", classes=0.5),
    "ragged targets of decisions": lambda: decisions.decide(P1, [[0], [1, 1], [1]], "f1"),
    "weights of one class": lambda: boosting.focal_start([1.0], 2.0),
    "gamma of a start": lambda: boosting.focal_start([1.0, 2.0], [None]),
    "gammas that are a number": lambda: diagnosis.loss_curves(2.0),
    "points that no memory holds": lambda: diagnosis.loss_curves([2.0], 2**40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_argument_is_refused_in_words(name):
    with pytest.raises(InputError) as refused:
        HOSTILE[name]()
    assert "\n" not in str(refused.value)
