"""
Fraud: each case at its own cost
================================

A missed fraud costs its amount, a check costs 2. Which transactions should a person look at? The classifier stays as
it is. Only its decision changes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from focalkit.decisions import CaseCost, Cost, DecisionClassifier

rng = np.random.default_rng(0)
fraud = (rng.random(6_000) < 0.02).astype(int)
X = rng.normal(size=(6_000, 6)) + 0.8 * fraud[:, None] * rng.random((6_000, 1))
amount = rng.lognormal(3.5, 1.2, 6_000)
X_train, X_test, y_train, y_test, cost_train, cost_test = train_test_split(
    X, fraud, amount, test_size=0.5, stratify=fraud, random_state=0
)

# %%
# One cut-off for all cases takes the mean amount. A rule by case weighs each transaction's own amount: it lets a small
# suspicious payment pass and has a large one checked on a slight suspicion.

model = HistGradientBoostingClassifier(max_iter=30, learning_rate=0.07)
mean = DecisionClassifier(model, Cost(fn=float(cost_train.mean()), fp=2)).fit(X_train, y_train)
each = DecisionClassifier(model, CaseCost(fp=2)).fit(X_train, y_train, costs=cost_train)
print(mean.rule_.sentence)
print(each.rule_.sentence)

# %%
# What each rule costs on transactions that neither saw.


def cost(flagged):
    """Mean cost of a transaction: amounts that were missed, and checks."""
    return np.where(flagged, 2.0, y_test * cost_test).mean()


plain = each.estimator_.predict(X_test).astype(bool)
costs = {
    "check nothing": cost(np.zeros(len(y_test), bool)),
    "p > 0.5": cost(plain),
    "one cut-off\nat the mean amount": cost(mean.predict(X_test) == 1),
    "each case\nits own amount": cost(each.predict(X_test, costs=cost_test) == 1),
}
fig, ax = plt.subplots(figsize=(7, 3.6))
bars = ax.bar(list(costs), list(costs.values()), color=["0.7", "0.7", "C0", "C2"])
ax.bar_label(bars, fmt="%.2f")
ax.set_ylabel("mean cost of a transaction")
ax.set_title("3,000 test transactions, 2 % fraud")
fig.tight_layout()
