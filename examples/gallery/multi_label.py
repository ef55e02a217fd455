"""
Several labels of one text
==========================

Each label is common or rare in its own way, so each needs a cut-off of its own. With few positives an own cut-off
over-fits. ``decide`` shrinks each towards the common one, and how strongly is chosen by cross-fitting.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.multiclass import OneVsRestClassifier

from focalkit.decisions import decide

rng = np.random.default_rng(4)
names = ["politics", "sports", "science", "arts", "chess"]
X = rng.normal(size=(4000, 12))
logits = X @ rng.normal(size=(12, 5)) * 0.7 - np.array([0.5, 1.5, 2.5, 3.5, 5.0])
labels = (rng.random((4000, 5)) < 1 / (1 + np.exp(-logits))).astype(int)
p = cross_val_predict(OneVsRestClassifier(LogisticRegression()), X, labels, method="predict_proba", cv=5)

# %%
# Macro F1 with one half for all, and with a cut-off for each.

rule = decide(p, labels, "macro_f1", classes=names)
print(rule.sentence)
figure = rule.report.figure("macro_f_beta")
print(f"macro F1 {figure.before.value:.1%} → {figure.after.value:.1%}")

# %%
# The rarer the label, the lower its cut-off.

cutoffs = np.atleast_1d(rule.rule.cutoffs)
fig, ax = plt.subplots(figsize=(7, 3.6))
ax.bar([f"{n}\n{s:.1%}" for n, s in zip(names, labels.mean(axis=0), strict=True)], cutoffs)
ax.axhline(0.5, color="k", linestyle=":")
ax.set(ylabel="cut-off", xlabel="label and its share")
fig.tight_layout()
