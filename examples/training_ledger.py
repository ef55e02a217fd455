"""How loss and gradient move between the classes while a model trains: one ledger per epoch, one pass, no extra data.

    python examples/training_ledger.py            # writes training_ledger.png

A softmax regression on an imbalanced problem, trained by gradient descent with focal loss. ``update`` takes the
logits the step has anyway; the ledger then answers for every alpha and gamma, not only the trained one.
"""

import argparse

import numpy as np

from focalkit import Ledger, LossSpec, loss_grad_hess

NAMES = ("common", "uncommon", "rare")


def data(n=6000, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.9, 0.08, 0.02])
    centres = np.array([[0.0, 0.0], [1.8, 0.5], [0.5, 2.2]])
    X = rng.normal(size=(n, 2)) + centres[y]
    return np.column_stack([X, np.ones(n)]), y


def train(epochs=12, batch=200, rate=0.5, gamma=2.0, seed=1):
    """The ledger of each epoch."""
    X, y = data()
    spec, W, rng = LossSpec(gamma=gamma), np.zeros((3, 3)), np.random.default_rng(seed)
    ledgers = []
    for _ in range(epochs):
        ledger = Ledger(spec, 3, NAMES)
        for rows in np.array_split(rng.permutation(len(X)), len(X) // batch):
            logits = X[rows] @ W
            ledger.update(logits, y[rows])
            W -= rate * X[rows].T @ loss_grad_hess(spec, logits, y[rows], hess=False).grad
        ledgers.append(ledger)
    return ledgers


def draw(ledgers, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = np.arange(1, len(ledgers) + 1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, gamma, title in zip(panels, (0.0, 2.0), ("as cross-entropy", "as focal loss, γ = 2"), strict=True):
        shares = np.array([ledger.shares(gamma).grad.share for ledger in ledgers])
        axes.stackplot(epochs, shares.T, labels=NAMES, colors=["#B9D3E6", "#E69F00", "#D55E00"])
        axes.set(title=f"Share of the gradient {title}", xlabel="epoch", xlim=(1, len(ledgers)), ylim=(0, 1))
    panels[1].legend(loc="lower right")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="training_ledger.png")
    ledgers = train()
    for epoch, ledger in enumerate(ledgers, 1):
        shares = ledger.shares().grad.share
        print(f"epoch {epoch:2d}  " + "  ".join(f"{n} {100 * s:4.1f} %" for n, s in zip(NAMES, shares, strict=True)))
    out = parser.parse_args().out
    draw(ledgers, out)
    print(f"figure: {out}")


if __name__ == "__main__":
    main()
