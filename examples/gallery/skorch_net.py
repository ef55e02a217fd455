"""
skorch: a network as a scikit-learn classifier
==============================================

skorch takes the loss as its ``criterion``. The wrapped network then works with scikit-learn's tools and with
``DecisionClassifier``, which learns the cut-off on rows that the network did not see.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier

from focalkit import recover_posterior
from focalkit.decisions import DecisionClassifier
from focalkit.nn import SoftmaxFocalLoss

X, y = make_classification(2000, 8, n_informative=5, weights=[0.93], flip_y=0.01, random_state=0)
X = X.astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)


class Net(torch.nn.Sequential):
    """Logits (n, 2)."""

    def __init__(self):
        super().__init__(torch.nn.Linear(8, 24), torch.nn.ReLU(), torch.nn.Linear(24, 2))


class FocalNet(NeuralNetClassifier):
    """A network with focal loss, whose probabilities are the recovered posterior."""

    def predict_proba(self, X):
        q = torch.softmax(self.forward(X), dim=1).numpy()
        return recover_posterior(q, self.criterion_.spec.gamma)


torch.manual_seed(0)
net = FocalNet(
    Net, criterion=SoftmaxFocalLoss, criterion__gamma=2.0, max_epochs=12, lr=0.02, optimizer=torch.optim.Adam,
    train_split=None, verbose=0, iterator_train__shuffle=True,
)  # fmt: skip
decided = DecisionClassifier(net, "balanced_accuracy", cv=3).fit(X_train, y_train.astype(np.int64))
print(decided.rule_.sentence)

# %%
# The network stays, its decisions change.

p = decided.predict_proba(X_test)[:, 1]
for name, said in (("p > 0.5", p > 0.5), ("the rule", decided.predict(X_test))):
    print(f"{name}: balanced accuracy {balanced_accuracy_score(y_test, said):.1%}")
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.hist([p[y_test == 0], p[y_test == 1]], bins=25, label=["negative", "positive"], log=True)
ax.axvline(decided.rule_.rule.cutoff, color="k", label="the cut-off")
ax.set(xlabel="recovered posterior", ylabel="test rows")
ax.legend()
fig.tight_layout()
