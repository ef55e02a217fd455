"""
Churn: a campaign for so many customers
=======================================

The call centre can reach 5 % of all customers. Whom should it call, and what does the cut-off promise on new rows?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from focalkit.decisions import Constraint, decide

rng = np.random.default_rng(1)
X = rng.normal(size=(4000, 4))
p_leaves = 1 / (1 + np.exp(-(X @ [1.2, -0.8, 0.5, 0.0] - 3.2)))
leaves = (rng.random(4000) < p_leaves).astype(int)
p = cross_val_predict(LogisticRegression(), X, leaves, method="predict_proba", cv=5)[:, 1]

# %%
# A capacity is a bound on the share of alerts. Within it the cut-off that finds the most is taken.

rule = decide(p, leaves, Constraint("alerts", 0.05), classes=["stays", "leaves"])
print(rule.sentence)
for name in ("recall", "precision"):
    figure = rule.report.figure(name)
    print(f"{name}: {figure.before.value:.1%} at p > 0.5, {figure.after.value:.1%} with the rule")

# %%
# How much more a larger call centre would find.

shares = np.array([0.02, 0.05, 0.1, 0.2, 0.3])
rules = [decide(p, leaves, Constraint("alerts", s)) for s in shares]
after = [r.report.figure("recall").after for r in rules]
fig, ax = plt.subplots(figsize=(7, 3.6))
low, high = np.array([(a.low, a.high) for a in after]).T
ax.fill_between(100 * shares, 100 * low, 100 * high, alpha=0.2)
ax.plot(100 * shares, [100 * a.value for a in after], "o-", label="the model's order")
ax.plot(100 * shares, 100 * shares, "k:", label="a random order")
ax.set(xlabel="customers called, %", ylabel="leavers reached, %")
ax.legend()
fig.tight_layout()
