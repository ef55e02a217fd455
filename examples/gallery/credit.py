"""
Credit: a rule that goes into a database
========================================

A default costs twelve times what a refused good customer costs. Between the two a person may decide. The rule is one
sentence, a JSON file, and an expression of SQL.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

from focalkit.decisions import Abstain, Cost, DecisionRule, decide

rng = np.random.default_rng(3)
default = (rng.random(6000) < 0.08).astype(int)
X = rng.normal(size=(6000, 5)) + 0.6 * default[:, None]
model = HistGradientBoostingClassifier(max_iter=30, learning_rate=0.05)
p = cross_val_predict(model, X, default, method="predict_proba", cv=5)[:, 1]

rule = decide(p, default, Cost(fn=12, fp=1), classes=["grant", "refuse"])
print(rule.sentence)
print(rule.to_sql())
assert DecisionRule.from_json(rule.to_json()) == rule

# %%
# With a person for the doubtful tenth there are two cut-offs.

careful = decide(p, default, Abstain(share=0.1, cost=Cost(fn=12, fp=1)), classes=["grant", "refuse"])
print(careful.sentence)

# %%
# The cost over the cut-off. The formula's cut-off, 1/13, lies where the curve is lowest.

cutoffs = np.linspace(0.005, 0.5, 100)
cost = [(12 * (default * (p <= t)) + (1 - default) * (p > t)).mean() * 1000 for t in cutoffs]
fig, ax = plt.subplots(figsize=(7, 3.6))
ax.plot(cutoffs, cost)
ax.axvline(1 / 13, color="C2", label="1 / (12 + 1)")
ax.axvline(0.5, color="0.6", linestyle=":", label="0.5")
ax.set(xlabel="cut-off", ylabel="cost of 1,000 applications")
ax.legend()
fig.tight_layout()
