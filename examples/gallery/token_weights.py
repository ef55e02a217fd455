"""
Language models: weights for single tokens
==========================================

In instruction tuning prompts are not learned, answers are, and some answers count more than others. ``sample_weight``
takes one number a token; one normalizer for all micro-batches makes accumulated gradients those of the whole batch.
"""

import matplotlib.pyplot as plt
import torch

from focalkit.nn import LinearFocalLoss, SoftmaxFocalLoss

PROMPT = -100
torch.manual_seed(0)
hidden = torch.randn(8, 20, 32, dtype=torch.float64)  # what the model makes of 8 sequences of 20 tokens
targets = torch.randint(500, (8, 20))
for row, length in zip(targets, range(2, 18, 2), strict=True):
    row[:length] = PROMPT
weights = torch.ones(8, 20, dtype=torch.float64)
weights[:, -3:] = 4.0  # the final answer
head = torch.nn.Linear(32, 500, bias=False, dtype=torch.float64)

# %%
# The whole batch, and four micro-batches: the denominator is that of all.

criterion = SoftmaxFocalLoss(ignore_index=PROMPT, class_axis=-1, reduction="sum")
normalizer = (weights * (targets != PROMPT)).sum()


def gradient(parts, normalizers):
    """The head's gradient, accumulated over parts of the batch."""
    head.zero_grad()
    for rows, n in zip(parts, normalizers, strict=True):
        loss = criterion(head(hidden[rows]), targets[rows], sample_weight=weights[rows], normalizer=n)
        loss.backward()
    return head.weight.grad.clone()


whole = gradient([slice(None)], [normalizer])
parts = [slice(i, i + 2) for i in range(0, 8, 2)]
right = gradient(parts, [normalizer] * 4)
own = [4 * (weights[p] * (targets[p] != PROMPT)).sum() for p in parts]
naive = gradient(parts, own)
for name, other in (("one normalizer", right), ("a mean for each micro-batch", naive)):
    print(f"{name}: off by {((other - whole).norm() / whole.norm()).item():.1e}")

# %%
# ``LinearFocalLoss`` is the last layer and its loss in one. The logits of a whole vocabulary never exist.

fused = LinearFocalLoss(32, 500, bias=False, ignore_index=PROMPT, reduction="sum", dtype=torch.float64)
fused.weight.data = head.weight.data
together = fused(hidden, targets, sample_weight=weights, normalizer=normalizer)
apart = criterion(head(hidden), targets, sample_weight=weights, normalizer=normalizer)
print(f"fused {together.item():.12f}, logits first {apart.item():.12f}")

fig, ax = plt.subplots(figsize=(7, 3))
image = ax.imshow((weights * (targets != PROMPT)).numpy(), cmap="Blues", aspect="auto")
ax.set(xlabel="token", ylabel="sequence", title="what each token counts: prompt 0, answer 1, final answer 4")
fig.colorbar(image)
fig.tight_layout()
