"""
Where the loss goes while a model trains
========================================

One ledger for each epoch answers afterwards for every α and γ, without the data.
"""

import matplotlib.pyplot as plt
import numpy as np

from focalkit import Ledger, LossSpec, loss_grad_hess

rng = np.random.default_rng(0)
y = rng.choice(3, 6000, p=[0.9, 0.08, 0.02])
X = np.column_stack([rng.normal(size=(6000, 2)) + np.array([[0.0, 0.0], [1.8, 0.5], [0.5, 2.2]])[y], np.ones(6000)])
spec, W, ledgers = LossSpec(gamma=2.0), np.zeros((3, 3)), []
for _ in range(12):
    ledger = Ledger(spec, 3, class_names=("common", "uncommon", "rare"))
    for rows in np.array_split(rng.permutation(6000), 30):
        logits = X[rows] @ W
        ledger.update(logits, y[rows])  # the logits that the step has anyway
        _, grad, _ = loss_grad_hess(spec, logits, y[rows])
        W -= 0.5 * X[rows].T @ grad
    ledgers.append(ledger)

# %%
# γ = 0, cross-entropy, and γ = 2, from the same ledgers.

fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for ax, gamma in zip(axes, (0.0, 2.0), strict=True):
    shares = np.array([ledger.shares(gamma=gamma).loss.share for ledger in ledgers])
    ax.stackplot(range(1, 13), 100 * shares.T, labels=ledgers[0].class_names)
    ax.set(xlabel="epoch", title=f"γ = {gamma:g}")
    print(f"γ = {gamma:g}, last epoch: rare carries {shares[-1, 2]:.0%} of the loss")
axes[0].set_ylabel("share of the loss, %")
axes[0].legend(loc="lower left")
fig.tight_layout()
