"""
The family of losses, as curves
===============================

Every loss of the family is a function of one number: the log-odds of the true class.
"""

import matplotlib.pyplot as plt
import numpy as np

from focalkit import softmax_focal_loss

p = np.linspace(0.005, 0.995, 200)
logits = np.stack([np.log(p / (1 - p)), np.zeros_like(p)], axis=1)
ids = np.zeros(len(p), int)
members = {
    "cross-entropy": {},
    "focal, γ = 2": {"gamma": 2.0},
    "Poly-1, ε = 1": {"poly": 1.0},
    "generalised CE, q = 0.7": {"gce": 0.7},
}
# %%
# The focal loss is far below cross-entropy where the model is right already, and near it where it is wrong.

fig, ax = plt.subplots(figsize=(7, 3.8))
for name, options in members.items():
    values = softmax_focal_loss(logits, ids, **{"gamma": 0.0, **options}, reduction="none")
    ax.plot(p, values, label=name)
    print(f"{name}: {np.interp(0.9, p, values):.4f} at p = 0.9")
ax.set(xlabel="probability of the true class", ylabel="loss", ylim=(0, 5))
ax.legend()
fig.tight_layout()
