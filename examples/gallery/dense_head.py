"""
A dense detection head: 1 positive in 1,000 anchors
===================================================

What the focal loss was made for. The last layer starts at the prior, the sum over all anchors is divided by the number
of positives, anchors in doubt are ignored. The ledger shows where the loss lies for every γ.
"""

import matplotlib.pyplot as plt
import torch

from focalkit import LossSpec, diagnose, prior_bias
from focalkit.nn import SigmoidFocalLoss

IGNORED = -1
torch.manual_seed(0)
features = torch.randn(20_000, 8)
score = features[:, 0] + 0.5 * features[:, 1] + 0.3 * torch.randn(20_000)
targets = (score > 3.3).long()
targets[(score > 3.1) & (score <= 3.3)] = IGNORED
n_positive = (targets == 1).sum()
print(f"{n_positive.item()} positives, {(targets == 0).sum().item()} negatives")

# %%
# Without the prior's bias the first steps are spent on telling 20,000 negatives that they are negative.


def train(gamma, alpha, prior, steps=60):
    """Loss of every step, and the trained logits."""
    torch.manual_seed(1)
    head = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    if prior:
        torch.nn.init.constant_(head[2].bias, prior_bias(prior))
    criterion = SigmoidFocalLoss(gamma, alpha, ignore_index=IGNORED, reduction="sum")
    optimizer, losses = torch.optim.Adam(head.parameters(), lr=0.02), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(head(features)[:, 0], targets, normalizer=n_positive)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, head(features)[:, 0].detach()


focal, logits = train(2.0, 0.25, 0.01)
without, _ = train(2.0, 0.25, None)
print(f"first loss {focal[0]:.2f} with π = 0.01, {without[0]:.0f} without")

# %%
# Left: training. Right: the paper's figure 4 for the negatives. At γ = 2 nearly all of their loss lies in the hardest.

counted = targets != IGNORED
ledger = diagnose(logits[counted], targets[counted], LossSpec("sigmoid"))
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6))
axes[0].semilogy(focal, label="π = 0.01")
axes[0].semilogy(without, label="no prior")
axes[0].set(xlabel="step", ylabel="focal loss")
axes[0].legend()
for gamma in (0.0, 0.5, 1.0, 2.0):
    curve = ledger.cumulative(gamma, by="sign")
    at = list(curve.names).index("negatives")
    axes[1].plot(curve.sample_share[at], curve.loss_share[at], label=f"γ = {gamma:g}")
    print(f"γ = {gamma:g}: half of the negatives' loss lies in the hardest {curve.hardest(0.5)[at]:.2%} of them")
axes[1].set(xlabel="share of negatives, easiest first", ylabel="share of their loss")
axes[1].legend()
fig.tight_layout()
