"""
Named entities: rare tags, padding, and −100
============================================

Nine of ten tokens are outside every entity, and sentences are padded. Padding carries the tag −100, which the loss
leaves out of sums and means alike. Class weights by the square root of the counts help the rare tags without drowning
the rest.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.metrics import f1_score

from focalkit import class_weights
from focalkit.nn import SoftmaxFocalLoss

TAGS = ["O", "PER", "ORG", "LOC", "MISC"]
PADDING = -100
random = torch.Generator().manual_seed(0)


def sentences(n, length=16):
    """Tokens (n, length) whose tag follows from the token before and the token itself, partly by chance."""
    tokens = torch.randint(60, (n, length), generator=random)
    entity = (tokens % 12 < 4) & (tokens.roll(1, 1) % 3 == 0)
    tags = torch.where(entity, tokens % 12 % 4 + 1, 0)
    tags[(tags == 4) & (torch.rand(n, length, generator=random) < 0.6)] = 0  # MISC is rare and uncertain
    ends = torch.randint(6, length + 1, (n,), generator=random)
    return tokens, tags.masked_fill(torch.arange(length) >= ends[:, None], PADDING)


class Tagger(torch.nn.Module):
    """An embedding, a convolution over three tokens, and a layer of logits (n, length, tags)."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(60, 24)
        self.mix = torch.nn.Conv1d(24, 32, 3, padding=1)
        self.last = torch.nn.Linear(32, len(TAGS))

    def forward(self, tokens):
        return self.last(torch.relu(self.mix(self.embed(tokens).transpose(1, 2))).transpose(1, 2))


(tokens, tags), (test_tokens, test_tags) = sentences(300), sentences(300)
counts = torch.bincount(tags[tags != PADDING], minlength=len(TAGS))
print("tags:", dict(zip(TAGS, counts.tolist(), strict=True)))

# %%
# ``class_axis=-1``: the classes are the last axis of (n, length, tags). Nothing is transposed or copied.

scores = {}
for name, alpha in (("cross-entropy", None), ("α by the square root", class_weights(counts, "sqrt"))):
    torch.manual_seed(0)
    model = Tagger()
    criterion = SoftmaxFocalLoss(0.0, alpha, ignore_index=PADDING, class_axis=-1, reduction="weighted_mean")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        criterion(model(tokens), tags).backward()
        optimizer.step()
    said = model(test_tokens).argmax(-1)[test_tags != PADDING]
    scores[name] = f1_score(test_tags[test_tags != PADDING], said, average=None)
    print(f"{name}: macro F1 {scores[name].mean():.1%}")

fig, ax = plt.subplots(figsize=(7, 3.4))
for i, (name, values) in enumerate(scores.items()):
    ax.bar([x + 0.4 * i - 0.2 for x in range(len(TAGS))], 100 * values, 0.4, label=name)
ax.set(xticks=range(len(TAGS)), xticklabels=TAGS, ylabel="F1, %")
ax.legend()
fig.tight_layout()
