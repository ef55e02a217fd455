"""
Polars: frames in, frames out
=============================

``decide`` and ``read_table`` take data frames of any library. What comes back goes into a frame without pandas.
"""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from focalkit.decisions import Cost, decide
from focalkit.io import read_table

rng = np.random.default_rng(5)
p = rng.beta(0.4, 8, 5000)
frame = pl.DataFrame({"p_ok": 1 - p, "p_fraud": p, "country": rng.choice(["NL", "DE", "FR"], 5000)}).with_columns(
    label=pl.Series(np.where(rng.random(5000) < p, "fraud", "ok"))
)
truth = (frame["label"] == "fraud").cast(pl.Int8)
rule = decide(frame["p_fraud"], truth, Cost(fn=25, fp=1), classes=["ok", "fraud"])
print(rule.sentence)

# %%
# Decisions as a column, and what they come to for each country.

decided = frame.with_columns(flagged=pl.Series(rule.predict(frame["p_fraud"]) == "fraud"))
table = decided.group_by("country").agg(
    pl.len().alias("cases"),
    pl.col("flagged").mean().alias("share flagged"),
    (pl.col("flagged") & (pl.col("label") == "fraud")).sum().alias("caught"),
)
print(table.sort("country"))

# %%
# A whole table for ``tune``: what each column is understood to be.

read = read_table(frame, target="label")
print(read.X.shape, read.feature_names, "target:", read.target_name)

fig, ax = plt.subplots(figsize=(7, 3.2))
for country in ("NL", "DE", "FR"):
    ax.hist(decided.filter(pl.col("country") == country)["p_fraud"], bins=40, histtype="step", label=country)
ax.axvline(rule.rule.cutoff, color="k", label="the cut-off")
ax.set(xlabel="probability of fraud", ylabel="cases")
ax.legend()
fig.tight_layout()
