"""
Medical risk: probabilities that were trained on an evened-out set
==================================================================

One patient in fifty has the complication, so the training set was under-sampled to one in two. The model ranks well and
its risks are far too high. The rate of the sampling is known, so one formula repairs them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

from focalkit import shift_prior
from focalkit.decisions import Cost, calibration, decide

rng = np.random.default_rng(2)
X = rng.normal(size=(60_000, 5))
risk = 1 / (1 + np.exp(-(X @ [1.0, 0.7, -0.5, 0.3, 0.0] - 4.6)))
ill = (rng.random(60_000) < risk).astype(int)
new = np.arange(60_000) >= 30_000
rows = np.flatnonzero(~new)
kept = np.concatenate([rows[ill[rows] == 1], rng.choice(rows[ill[rows] == 0], (ill[rows] == 1).sum(), replace=False)])
raw = LogisticRegression().fit(X[kept], ill[kept]).predict_proba(X[new])
share = ill[~new].mean()
odds = np.array([0.5 / (1 - share), 0.5 / share])  # training's prior over the true one
repaired = shift_prior(raw, odds / odds.sum())
print(f"mean risk: {raw[:, 1].mean():.1%} raw, {repaired[:, 1].mean():.1%} repaired, {ill[new].mean():.1%} observed")

# %%
# Calibration before and after: slope 1 and intercept 0 are right.

for name, p in (("raw", raw), ("repaired", repaired)):
    found = calibration(p[:, 1], ill[new])
    print(f"{name}: intercept {found.intercept:.2f}, slope {found.slope:.2f}")

# %%
# Now a cost has a meaning. ``decide`` undoes the sampling itself when it is told the rate.

kept_share = (ill[kept] == 0).sum() / (ill[rows] == 0).sum()
rule = decide(raw[:, 1], ill[new], Cost(fn=40, fp=1), sampling_rate=[float(kept_share), 1.0])
print(rule.sentence)

bins = np.quantile(repaired[:, 1], np.linspace(0, 1, 11))
group = np.clip(np.searchsorted(bins, repaired[:, 1], side="right") - 1, 0, 9)
observed = [ill[new][group == g].mean() for g in range(10)]
fig, ax = plt.subplots(figsize=(5, 4.4))
for name, p in (("under-sampled, as it came", raw), ("repaired", repaired)):
    ax.loglog([p[group == g, 1].mean() for g in range(10)], observed, "o-", label=name)
ax.loglog([1e-3, 1], [1e-3, 1], "k:", label="right")
ax.set(xlabel="predicted risk", ylabel="observed share", xlim=(1e-3, 1), ylim=(1e-3, 1))
ax.legend()
fig.tight_layout()
