"""
A long tail: shift the decisions first
======================================

Ten classes of digits, of which the largest has fifty times as many samples as the smallest. The test set is balanced. A
classifier that was trained with plain cross-entropy has learned the classes' frequencies, too. ``shift_prior`` takes
them out again, without retraining.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score

from focalkit import class_weights, long_tail_counts, shift_prior

X, y = load_digits(return_X_y=True)
X = X / 16
rng = np.random.default_rng(0)
counts = long_tail_counts(100, 10, imbalance=50)  # Cui et al. 2019: the way long-tailed CIFAR sets are made
train = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:n] for k, n in enumerate(counts)])
test = np.setdiff1d(np.arange(len(y)), train)
print("samples of each class:", counts)

# %%
# Three remedies on the same rows.

model = LogisticRegression(max_iter=500).fit(X[train], y[train])
p = model.predict_proba(X[test])
weights = class_weights(counts, "balanced")
weighted = LogisticRegression(max_iter=500, class_weight=dict(enumerate(weights))).fit(X[train], y[train])
decisions = {
    "plain": p.argmax(axis=1),
    "shifted, τ = 1": shift_prior(p, counts / counts.sum()).argmax(axis=1),
    "weighted training": weighted.predict(X[test]),
}
for name, said in decisions.items():
    print(f"{name}: balanced accuracy {balanced_accuracy_score(y[test], said):.1%}")

# %%
# The rare classes gain, and the frequent ones lose little.

fig, ax = plt.subplots(figsize=(7, 3.6))
for name, said in decisions.items():
    ax.plot(100 * recall_score(y[test], said, average=None), "o-", label=name)
ax.set(xlabel="class, from 100 training samples to 2", ylabel="recall, %", xticks=range(10))
ax.legend()
fig.tight_layout()
