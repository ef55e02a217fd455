"""
LightGBM: gradients and curvature of the focal loss
===================================================

Boosters need second derivatives, and the focal loss's exact one is negative for badly wrong rows. The objective takes a
curvature that is always positive and equals cross-entropy's at γ = 0.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from focalkit import LossSpec, loss_grad_hess
from focalkit.boosting import FocalLGBMClassifier

X, y = make_classification(5000, 10, n_informative=5, weights=[0.95], flip_y=0.02, random_state=1)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=1)
for gamma in (0.0, 1.0, 2.0):
    model = FocalLGBMClassifier(n_estimators=80, learning_rate=0.1, gamma=gamma, n_jobs=1, verbosity=-1)
    p = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]  # the recovered posterior
    print(f"γ = {gamma:g}: average precision {average_precision_score(y_test, p):.1%}, mean p {p.mean():.1%}")

# %%
# First and second derivative in the logit of a positive row.

logits = np.linspace(-8, 6, 300)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4))
for gamma in (0.0, 1.0, 2.0, 5.0):
    spec = LossSpec("sigmoid", gamma, reduction="none")
    _, grad, hess = loss_grad_hess(spec, logits, np.ones(300, int))
    axes[0].plot(logits, grad, label=f"γ = {gamma:g}")
    axes[1].plot(logits, hess)
axes[0].set(xlabel="logit of a positive row", title="first derivative")
axes[1].set(xlabel="logit of a positive row", title="second derivative, exact")
axes[1].axhline(0, color="k", linewidth=0.5)
axes[0].legend()
fig.tight_layout()
