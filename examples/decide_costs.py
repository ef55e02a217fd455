"""What a missed case costs, turned into decisions: a classifier, its rule, and what it does per 1,000 cases."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from focalkit.decisions import CaseCost, Cost, DecisionClassifier

rng = np.random.default_rng(0)
y = (rng.random(4000) < 0.04).astype(int)
X = rng.normal(size=(4000, 5)) + 0.9 * y[:, None]
amounts = rng.lognormal(4, 1, 4000)

model = HistGradientBoostingClassifier(max_iter=30)
fixed = DecisionClassifier(model, Cost(fn=100, fp=2)).fit(X, y)
print(fixed.rule_.sentence)
by_case = DecisionClassifier(model, CaseCost(fp=2)).fit(X, y, costs=amounts)
print(by_case.rule_.sentence)

for name, made in (("the same for all", fixed), ("each its own amount", by_case)):
    cost = made.decision_report_.figure("cost")
    print(f"{name}: {cost.before.value:.0f} before, {cost.after.value:.0f} after, per 1,000 cases")

print(fixed.rule_.to_sql(["probability"]))
