"""The table of metrics: every row is named, explained, judged and held to a definition of its own."""

import numpy as np
import pytest

from focalkit._metrics import DECISION_METRICS, MERITS
from focalkit.decisions import Maximize, decide
from focalkit.report.messages import en, zh_cn
from tests.decisions import brute


def test_every_metric_of_decisions_has_a_definition_of_its_own_in_the_tests():
    assert set(DECISION_METRICS) == set(brute.METRICS)


@pytest.mark.parametrize("name", DECISION_METRICS)
def test_a_metric_is_whole(name):
    """Shown in both languages, ranked, a goal, and of confusion matrices what its definition gives."""
    assert MERITS[name].judges == "decisions"
    for messages in (en, zh_cn):
        assert f"decide.metric_{name}" in messages.MESSAGES
    rng = np.random.default_rng(0)
    p = rng.random(200)
    y = (rng.random(200) < p).astype(int)
    assert decide(p, y, Maximize(name)).to_dict()["goal"]
    for _ in range(20):
        table = rng.integers(0, 9, (3, 3) if not DECISION_METRICS[name].positive_only else (2, 2)).astype(float)
        table[0, 0] += 1
        got = DECISION_METRICS[name].value(np.diag(table), table.sum(axis=0), table.sum(axis=1), 1.5)
        assert float(got) == pytest.approx(brute.metric(name, table, 1.5), rel=1e-12, abs=1e-12)
