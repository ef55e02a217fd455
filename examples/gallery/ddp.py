"""
Several processes: the gradient of the whole batch
==================================================

Ranks with shards of unequal size average their gradients. With a mean for each rank, samples of a short shard weigh
more. ``normalizer="global"`` makes the average over ranks the whole batch's gradient, to rounding. Two processes run
``examples/torch_distributed.py``.
"""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

folder = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "examples" / "torch_distributed.py").exists())
command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
done = subprocess.run(
    [*command, str(folder / "examples" / "torch_distributed.py")], capture_output=True, text=True, check=True
)
found = {name: float(value) for name, value in re.findall(r"'(\w+)': ([\d.e+-]+)", done.stdout)}
names = {"naive": "a mean for each rank", "ours": 'normalizer="global"', "sharded": "classes in shards"}
for name, said in names.items():
    print(f"{said}: {found[name]:.1e}")

# %%
# How far each way is from the gradient of one process that has everything.

fig, ax = plt.subplots(figsize=(7, 2.6))
ax.barh(list(names.values()), [found[name] for name in names])
ax.set(xscale="log", xlabel="largest difference, relative to the largest entry")
fig.tight_layout()
