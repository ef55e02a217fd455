"""Several processes: DDP whose gradient is the whole batch's, and a head whose classes are spread over the ranks.

A mean per rank weighs the samples of a short shard more, and a rank without positives counts as much as one with
many. Run with: torchrun --nproc-per-node 2 examples/torch_distributed.py
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from focalkit.nn import SoftmaxFocalLoss, parallel_softmax_focal_loss

N, FEATURES, CLASSES = 48, 8, 10


def main() -> dict[str, float]:
    """Return the largest differences from the gradient of one process that has everything, on this rank."""
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)  # the same on every rank
    x, targets = torch.randn(N, FEATURES).double(), torch.randint(CLASSES, (N,))
    model = torch.nn.Linear(FEATURES, CLASSES).double()
    criterion = SoftmaxFocalLoss(2.0, [1.0] + [5.0] * (CLASSES - 1), reduction="weighted_mean")

    criterion(model(x), targets).backward()
    whole = model.weight.grad.clone()
    scale = whole.abs().max()

    ends = [N * r * r // size**2 for r in range(size + 1)]  # later ranks have more
    mine, averaged = slice(ends[rank], ends[rank + 1]), DistributedDataParallel(model)

    def difference(**arguments: str) -> float:
        model.zero_grad()
        criterion(averaged(x[mine]), targets[mine], **arguments).backward()
        return float((model.weight.grad - whole).abs().max() / scale)

    ours, naive = difference(normalizer="global"), difference()

    # the classes in shards: each rank has some rows of the head, all samples, and never sees the others' logits
    rows = torch.arange(CLASSES).tensor_split(size)[rank]
    weight, bias = model.weight.detach()[rows].requires_grad_(), model.bias.detach()[rows]
    logits = torch.nn.functional.linear(x, weight, bias)
    spec = criterion.spec
    loss = parallel_softmax_focal_loss(logits, targets, None, spec.gamma, spec.alpha, reduction=spec.reduction)
    loss.backward()
    sharded = float((weight.grad - whole[rows]).abs().max() / scale)
    return {"ours": ours, "naive": naive, "sharded": sharded}


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(f"rank {dist.get_rank()}: {main()}")
    dist.destroy_process_group()
