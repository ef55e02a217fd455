"""A model and its rule as one ONNX graph decide what they decide apart."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from focalkit import InputError
from focalkit.decisions import Abstain, CaseCost, Cost, CostMatrix, Maximize, decide

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the converters
runtime = pytest.importorskip("onnxruntime")
types = pytest.importorskip("skl2onnx.common.data_types")
MATRIX = [[0.0, 1.0, 4.0], [5.0, 0.0, 1.0], [9.0, 2.0, 0.0]]


def fitted(k):
    rng = np.random.default_rng(0)
    y = rng.choice(k, 800, p=[0.8, 0.2] if k == 2 else [0.7, 0.2, 0.1])
    X = (rng.normal(size=(800, 4)) + y[:, None]).astype(np.float32)
    return LogisticRegression().fit(X, y), X, y


@pytest.mark.parametrize(
    ("k", "goal", "options"),
    [
        (2, Cost(9), {}),
        (2, Abstain(share=0.1), {}),
        (2, Cost(9), {"prior": 0.05}),
        (3, Maximize("macro_f1"), {}),
        (3, MATRIX, {"prior": [0.5, 0.3, 0.2]}),
        (3, MATRIX, {"calibrate": "temperature"}),
        (3, MATRIX, {"calibrate": "focal_temperature", "prior": [0.5, 0.3, 0.2]}),
        (3, MATRIX, {"gamma": 2.0, "alpha": [1.0, 2.0, 3.0]}),
        (3, Abstain(review_cost=0.3), {}),
        (3, Abstain(share=0.2, cost=CostMatrix(MATRIX)), {"gamma": 1.0}),
    ],
)
def test_the_graph_decides_as_the_rule_does(k, goal, options):
    model, X, y = fitted(k)
    X = np.concatenate([X, 100 * X[:20]])  # probabilities of 0 and 1
    p = model.predict_proba(X)
    rule = decide(p[:800], y, goal, **{"calibrate": None, **options})
    graph = rule.to_onnx(model, [("x", types.FloatTensorType([None, 4]))])
    (said,) = runtime.InferenceSession(graph.SerializeToString()).run(["decision"], {"x": X})
    assert said.shape == (820,)
    assert (said == rule.decide(p)).mean() > 0.995  # the graph is in float32


def test_a_rule_that_has_no_graph_is_refused():
    model, X, y = fitted(2)
    rule = decide(model.predict_proba(X), y, CaseCost(), costs=np.ones(800))
    with pytest.raises(InputError, match="rule must be cut-offs"):
        rule.to_onnx(model, [("x", types.FloatTensorType([None, 4]))])
