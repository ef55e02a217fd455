"""Several processes: means over all ranks, and classes in shards."""

from __future__ import annotations

import runpy
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec  # noqa: E402
from focalkit.nn import (  # noqa: E402
    LinearFocalLoss,
    SigmoidFocalLoss,
    SoftmaxFocalLoss,
    global_normalizer,
    parallel_softmax_focal_loss,
)
from tests.budget import DTYPES, assert_within_budget, exact, softmax_cases  # noqa: E402
from tests.torch_adapter import array, tensor  # noqa: E402

#: How many rows, or classes, each rank has.
UNEQUAL = [(5, 2), (0, 7), (3, 1, 3), (4, 0, 3)]


def features():
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.normal(size=(7, 4)) * 2), torch.tensor([0, 2, 1, -100, 0, 1, 2])


def model():
    torch.manual_seed(5)
    return torch.nn.Linear(4, 3).double()


def gradient(layers):
    grads = [getattr(p.grad, "full_tensor", lambda p=p: p.grad)() for p in layers.parameters()]
    return torch.cat([g.flatten() for g in grads]).numpy()


def own(sizes, rank):
    return slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))


# normalizer="global"


def criteria():
    """Every kind of mean, with the targets it takes."""
    x, ids = features()
    soft, bits = torch.softmax(x[:, :3], 1), (x[:, :3] > 0).long()
    bits[2, 1] = -100
    weight = torch.linspace(0.5, 2, 7).double()
    alpha = [0.2, 1.0, 3.0]
    for reduction in ("mean", "weighted_mean"):
        for a in (None, 0.3, alpha):
            yield SoftmaxFocalLoss(2.0, a, reduction=reduction), ids, weight
        yield SoftmaxFocalLoss([0.5, 1, 2], alpha, reduction=reduction, label_smoothing=0.1), ids, None
        yield SoftmaxFocalLoss(2.0, alpha, reduction=reduction), soft, weight
        for a in (None, 0.3, [0.2, 0.5, 0.9]):
            yield SigmoidFocalLoss(2.0, a, reduction=reduction), bits, weight
        yield SigmoidFocalLoss(1.0, 0.3, reduction=reduction), soft, weight[:, None].expand(7, 3)
        shift = {"logit_adjustment": [0.0, -1.0, -3.0], "margin": [0.1, 0.2, 0.5], "scale": 2.0}
        yield SoftmaxFocalLoss(2.0, alpha, reduction=reduction, poly=1.0, **shift), ids, weight
        yield SigmoidFocalLoss(1.0, 0.3, reduction=reduction, gamma_negative=4.0, clip=0.05), bits, weight


def global_means(rank, sizes, wrap):
    x, mine, results = features()[0], own(sizes, rank), []
    for criterion, targets, weight in criteria():
        layers = wrap(model())
        loss = criterion(layers(x[mine]), targets[mine], None if weight is None else weight[mine], "global")
        loss.backward()
        results.append((loss.item(), gradient(layers)))
    return results


def sharded_model(layers):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    fully_shard(layers, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    return layers


@pytest.mark.parametrize("sizes", UNEQUAL, ids=str)
@pytest.mark.parametrize("wrap", [DistributedDataParallel, sharded_model], ids=["DDP", "FSDP"])
def test_a_global_mean_has_the_gradient_of_the_whole_batch(ranks, sizes, wrap):
    x, _ = features()
    results = ranks(len(sizes), global_means, sizes, wrap)
    for case, (criterion, targets, weight) in enumerate(criteria()):
        layers = model()
        loss = criterion(layers(x), targets, weight)
        loss.backward()
        for rank in results:
            np.testing.assert_allclose(rank[case][1], gradient(layers), rtol=1e-12, atol=1e-14)
        assert np.mean([rank[case][0] for rank in results]) == pytest.approx(loss.item(), rel=1e-12)


def counted_positives(rank, sizes, threshold):
    x, mine = features()[0], own(sizes, rank)
    bits = (x[mine, :3] > threshold).long()
    layers, criterion = DistributedDataParallel(model()), SigmoidFocalLoss(2.0, 0.25)
    criterion(layers(x[mine]), bits, normalizer=global_normalizer(bits.sum())).backward()
    return gradient(layers)


@pytest.mark.parametrize("threshold", [0, 1e9], ids=["positives", "no positives"])
def test_the_positives_of_all_ranks_are_the_normalizer(ranks, threshold):
    x, _ = features()
    bits, layers = (x[:, :3] > threshold).long(), model()
    SigmoidFocalLoss(2.0, 0.25)(layers(x), bits, normalizer=max(1, int(bits.sum()))).backward()
    for sizes in ((5, 2), (4, 0, 3)):
        for got in ranks(len(sizes), counted_positives, sizes, threshold):
            np.testing.assert_allclose(got, gradient(layers), rtol=1e-12, atol=1e-14)


def accumulated(rank, sizes):
    (x, ids), mine = features(), own(sizes, rank)
    layers, criterion = DistributedDataParallel(model()), SoftmaxFocalLoss(2.0, [0.2, 1.0, 3.0], reduction="sum")
    batches = list(zip(x[mine].split(2), ids[mine].split(2), strict=True))
    normalizer = global_normalizer(sum((criterion.total_weight(t) for _, t in batches), torch.zeros(())))
    for step, (features_, targets) in enumerate(batches):
        with nullcontext() if step + 1 == len(batches) else layers.no_sync():
            criterion(layers(features_), targets, normalizer=normalizer).backward()
    return gradient(layers)


def test_accumulated_weighted_means_equal_the_whole_batch(ranks):
    (x, ids), layers = features(), model()
    SoftmaxFocalLoss(2.0, [0.2, 1.0, 3.0], reduction="weighted_mean")(layers(x), ids).backward()
    for sizes in ((5, 2), (3, 1, 3)):
        for got in ranks(len(sizes), accumulated, sizes):
            np.testing.assert_allclose(got, gradient(layers), rtol=1e-12, atol=1e-14)


def heads():
    """A last layer and its loss in one, with every kind of mean."""
    ids, weight = features()[1], torch.linspace(0.5, 2, 7).double()
    soft = torch.softmax(features()[0][:, :3], 1)
    for reduction in ("mean", "weighted_mean"):
        for targets, alpha in ((ids, None), (ids, [0.2, 1.0, 3.0]), (soft, [0.2, 1.0, 3.0])):
            torch.manual_seed(5)
            head = LinearFocalLoss(4, 3, bias=True, gamma=2.0, alpha=alpha, reduction=reduction, dtype=torch.float64)
            yield head, targets, weight


def means_of_heads(rank, sizes):
    x, mine, results = features()[0], own(sizes, rank), []
    for head, targets, weight in heads():
        layers = DistributedDataParallel(head)  # which must outlive the backward pass
        layers(x[mine], targets[mine], weight[mine], "global").backward()
        results.append(gradient(head))
    return results


@pytest.mark.parametrize("sizes", [(5, 2), (4, 0, 3)], ids=str)
def test_linear_and_loss_have_the_gradient_of_the_whole_batch(ranks, sizes):
    results = ranks(len(sizes), means_of_heads, sizes)
    for case, (head, targets, weight) in enumerate(heads()):
        head(features()[0], targets, weight).backward()
        for rank in results:
            np.testing.assert_allclose(rank[case], gradient(head), rtol=1e-12, atol=1e-14)


def head_refused(rank):
    head, x, ids = next(iter(heads()))[0], features()[0], features()[1]
    messages = []
    for targets in (ids + 9 * rank, ids[rank:], ids):
        try:
            messages.append(DistributedDataParallel(head)(x, targets, normalizer="global").item())
        except InputError as error:
            messages.append(str(error))
    return messages


def test_what_a_head_refuses_on_one_rank_is_an_error_on_all(ranks):
    first, culprit = ranks(2, head_refused)
    assert all("all ranks' arguments are right" in message for message in first[:2])
    assert "targets must lie in [0, 3)" in culprit[0]
    assert "targets must have shape (7,)" in culprit[1]
    assert first[2] == culprit[2] > 0


def nothing_counted(rank):
    layers = DistributedDataParallel(model())
    loss = SoftmaxFocalLoss()(layers(features()[0]), torch.full((7,), -100), normalizer="global")
    loss.backward()
    return loss.item(), gradient(layers)


def test_a_global_mean_over_nothing_is_zero(ranks):
    for value, grad in ranks(2, nothing_counted):
        assert value == 0
        assert not grad.any()


def nothing_over_zero(rank, kind):
    """A loss and its gradient where no rank counts a target and the normalizer, their number, is 0."""
    x, _ = features()
    if kind == "linear":
        criterion = DistributedDataParallel(LinearFocalLoss(4, 3).double())
        ignored = torch.full((7,), -100)
        loss = criterion(x, ignored, normalizer=dist_sum((ignored != -100).sum()))
        loss.backward()
        return loss.item(), gradient(criterion)
    layers = DistributedDataParallel(model())
    criterion = (SoftmaxFocalLoss if kind == "softmax" else SigmoidFocalLoss)(2.0, 0.5)
    ignored = torch.full((7,) if kind == "softmax" else (7, 3), -100)
    loss = criterion(layers(x), ignored, normalizer=dist_sum((ignored != -100).sum()))
    loss.backward()
    return loss.item(), gradient(layers)


def dist_sum(count):
    dist.all_reduce(count)
    return count


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "linear"])
def test_over_nothing_on_any_rank_a_normalizer_of_zero_gives_zero(ranks, kind):
    for value, grad in ranks(2, nothing_over_zero, kind):
        assert value == 0
        assert not grad.any()


def of_one_group(rank):
    group = dist.new_group([0, 2])  # every rank takes part in this
    if rank == 1:
        with pytest.raises(InputError, match="group must be one that this rank is in"):
            global_normalizer(3, group)
        return None
    return global_normalizer(torch.tensor(rank), group).item()


def test_a_group_counts_its_own_ranks(ranks):
    assert ranks(3, of_one_group) == [1.0, None, 1.0]


def compiled_mean(rank, reduction):
    torch.compiler.reset()
    (x, ids), criterion = features(), SoftmaxFocalLoss(2.0, [0.2, 1.0, 3.0], reduction=reduction)

    def loss(z, t):
        return criterion(z, t, normalizer="global")

    z, mine = x[:, :3].clone().requires_grad_(), own((5, 2), rank)
    (want,) = torch.autograd.grad(loss(z[mine], ids[mine]), z)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    (got,) = torch.autograd.grad(compiled(z[mine], ids[mine]), z)
    return (got - want).abs().max().item()


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_a_global_mean_compiles_without_a_break(ranks, reduction):
    assert max(ranks(2, compiled_mean, reduction)) < 1e-15


def first_refused(rank, bad):
    (x, ids), errors = features(), []
    for targets in (bad if rank == 1 else ids, ids):
        try:
            focalkit.softmax_focal_loss(x[:, :3], targets, normalizer="global")
            errors.append("")
        except InputError as error:
            errors.append(str(error))
    return errors


@pytest.mark.parametrize("bad", [torch.arange(7), torch.zeros(3, 3).long()], ids=["an id too large", "a wrong shape"])
def test_arguments_refused_on_one_rank_are_an_error_on_all(ranks, bad):
    (first, after), (culprit, after_too) = ranks(2, first_refused, bad)
    assert first.startswith("normalizer must be 'global' where all ranks' arguments are right; got an error on 1")
    assert culprit.startswith("targets must")
    assert after == after_too == ""


def example(_):
    path = Path(__file__).parents[1] / "examples" / "torch_distributed.py"
    return runpy.run_path(str(path))["main"]()


def test_the_example_has_the_gradient_of_one_process(ranks):
    for result in ranks(3, example):
        assert max(result["ours"], result["sharded"]) < 1e-12
        assert result["naive"] > 1e-2


def test_without_a_process_group_the_world_is_one_rank():
    for criterion, targets, weight in criteria():
        z = features()[0][:, :3]
        assert criterion(z, targets, weight, "global").item() == pytest.approx(criterion(z, targets, weight).item())
    loss = focalkit.loss_grad_hess(LossSpec(gamma=2.0), z, features()[1], normalizer="global")
    want = focalkit.loss_grad_hess(LossSpec(gamma=2.0), z, features()[1])
    for got, expected in zip(loss, want, strict=True):
        torch.testing.assert_close(got, expected)
    assert global_normalizer(7).item() == 7


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"normalizer": "world"}, "normalizer must be a number or 'global'; got 'world'"),
        ({"reduction": "sum"}, "normalizer must go with reduction 'mean' or 'weighted_mean' where it is 'global'"),
        ({"reduction": "none"}, "normalizer must go with reduction 'mean' or 'weighted_mean' where it is 'global'"),
        ({"keep_hardest": 0.5}, "normalizer must be a number where hard examples are mined"),
        (
            {"alpha": torch.ones(3).requires_grad_(), "reduction": "weighted_mean"},
            "normalizer must be a number where weights are differentiated",
        ),
    ],
)
def test_a_global_mean_of_what_no_rank_can_know_is_refused(arguments, text):
    with pytest.raises(InputError, match=text):
        focalkit.softmax_focal_loss(features()[0][:, :3], features()[1], **{"normalizer": "global"} | arguments)


def test_global_is_for_tensors():
    z, t = features()[0][:, :3].numpy(), features()[1].numpy()
    for reduction in ("mean", "weighted_mean"):
        with pytest.raises(
            InputError, match=r"normalizer must be a number; got 'global'\. 'global', the mean over all"
        ):
            focalkit.softmax_focal_loss(z, t, normalizer="global", reduction=reduction)


def test_what_is_no_number_cannot_be_summed():
    with pytest.raises(InputError, match=r"local must be one number; got torch\.float32 of shape"):
        global_normalizer(torch.ones(2))
    with pytest.raises(InputError, match=r"local must be a number in \[0, inf\)"):
        global_normalizer(-1)


def test_a_modules_total_weight_is_the_denominator_of_its_weighted_mean():
    z = features()[0][:, :3]
    for criterion, targets, weight in criteria():
        if criterion.spec.reduction == "weighted_mean":
            total = criterion(z, targets, weight) * criterion.total_weight(targets, weight)
            criterion.spec = LossSpec(**{**vars(criterion.spec), "reduction": "sum"})
            torch.testing.assert_close(total, criterion(z, targets, weight))
    with pytest.raises(InputError, match=r"targets must lie in \[0, 3\)"):
        SoftmaxFocalLoss(2.0, [1, 2, 3]).total_weight(torch.tensor([3]))


# classes in shards


def sharded(z, targets, sizes, rank, axis=1, **arguments):
    """This rank's loss, and the gradient of its classes under a made-up upstream gradient."""
    local = torch.split(z, sizes, dim=axis)[rank].detach().requires_grad_()
    loss = parallel_softmax_focal_loss(local, targets, class_axis=axis, **arguments)
    upstream = torch.linspace(0.5, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
    loss.backward(upstream)
    return array(loss), array(local.grad)


def shard_cases():
    rng = np.random.default_rng(4)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        for shape, axis in (((6, 7), 1), ((2, 7, 3), 1), ((2, 3, 7), -1), ((0, 7), 1)):
            z = torch.from_numpy(rng.normal(size=shape) * 4).to(dtype)
            rows = list(shape)
            del rows[axis]
            ids = torch.from_numpy(rng.integers(0, 7, rows))
            ids[ids == 6] = -100
            z.movedim(axis, -1)[ids == -100] = torch.nan
            weight = torch.from_numpy(rng.uniform(0, 2, rows))
            for reduction in ("none", "sum", "mean", "weighted_mean"):
                options = {"reduction": reduction, "sample_weight": weight}
                yield z, ids, axis, options | {"gamma": 2.0, "alpha": rng.uniform(size=7).tolist()}
                yield z, ids, axis, options | {"gamma": rng.uniform(0, 3, 7), "sample_weight": None}
            yield z, ids, axis, {"gamma": 0.0, "normalizer": 5}
            shift = {"logit_adjustment": np.linspace(-4, 0, 7), "margin": rng.random(7) * 0.5, "scale": 2.0}
            for gamma, form in ((1.0, {}), (2.0, {"poly": 1.0}), (2.0, {"star": 1.0}), (0.0, {"dft": 1.0})):
                yield z, ids, axis, {"gamma": gamma, **shift, **form}


def all_shard_cases(rank, sizes):
    return [sharded(z, ids, sizes, rank, axis, **arguments) for z, ids, axis, arguments in shard_cases()]


@pytest.mark.parametrize("sizes", UNEQUAL, ids=str)
def test_shards_make_the_loss_of_the_whole_to_rounding_and_to_the_bit_on_all_ranks(ranks, sizes):
    results = ranks(len(sizes), all_shard_cases, sizes)
    for case, (z, ids, axis, arguments) in enumerate(shard_cases()):
        whole = z.double().clone().requires_grad_()
        want = focalkit.softmax_focal_loss(whole, ids, class_axis=axis, **arguments)
        want.backward(torch.linspace(0.5, 2, want.numel(), dtype=z.dtype).double().reshape(want.shape))
        losses = [rank[case][0] for rank in results]
        assert all(loss.tobytes() == losses[0].tobytes() for loss in losses)
        eps = torch.finfo(z.dtype).eps
        scale = 20 * eps
        np.testing.assert_allclose(losses[0].astype(float), want.detach(), rtol=scale, atol=eps)
        grad = np.concatenate([rank[case][1].astype(float) for rank in results], axis)
        np.testing.assert_allclose(grad, whole.grad, rtol=scale, atol=eps)


def golden_cases(rank, sizes):
    seen = 0
    for dtype in DTYPES:
        for case in softmax_cases():
            logits, k = case["logits"], len(case["logits"])
            if not isinstance(case["target"], int) or not exact(logits, dtype):
                continue
            seen += 1
            cuts = np.minimum(np.cumsum([0, *sizes]), k)
            cuts[-1] = k
            here = slice(cuts[rank], cuts[rank + 1])
            parts = np.diff(cuts).tolist()
            z = tensor(logits[None].astype(dtype))
            options = {"gamma": case["gamma"], "alpha": case["alpha"], "reduction": "sum"}
            loss, grad = sharded(z, torch.tensor([case["target"]]), parts, rank, **options)
            weight = np.max(case["alpha"] or 1.0)
            # the upstream gradient of one number is 1/2
            for result, name, at in ((loss[None], "loss", slice(None)), (grad[0] * 2, "grad", here)):
                condition = np.broadcast_to(case[name + "_condition"], case[name].shape)[at]
                result = result.astype(dtype)
                assert_within_budget(result, case[name][at], condition, case["gamma"], k, dtype, weight)
    return seen


@pytest.mark.parametrize("sizes", [(1, 9), (1, 0, 1)], ids=str)
def test_shards_keep_the_golden_tables_budget(ranks, sizes):
    assert min(ranks(len(sizes), golden_cases, sizes)) > 100


def traffic(rank, sizes):
    original, sent = dist.all_reduce, []

    def counting(value, *arguments, **named):
        sent.append((value.numel(), value.element_size()))
        return original(value, *arguments, **named)

    dist.all_reduce = counting
    try:
        z, ids = torch.randn(50, 7, generator=torch.Generator().manual_seed(1)), torch.arange(50) % 7
        local = z.split(sizes, 1)[rank].clone().requires_grad_()
        loss = parallel_softmax_focal_loss(local, ids)
        forward = len(sent)
        loss.backward()
    finally:
        dist.all_reduce = original
    return forward, sent


def test_three_small_all_reduces_forward_and_none_backward(ranks):
    for forward, sent in ranks(2, traffic, (5, 2)):
        assert (forward, len(sent)) == (3, 3)
        assert sent == [(2 * 6, 8), (50, 4), (2 * 50, 4)]


def from_dtensor(rank):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    (x, ids), errors = features(), []
    z = torch.cat([x, x.flip(1)], 1)[:, :7]
    whole = z.clone().requires_grad_()
    want = focalkit.softmax_focal_loss(whole, ids, 2.0)
    want.backward()
    logits = distribute_tensor(z, mesh, [Shard(1)]).requires_grad_()
    loss = parallel_softmax_focal_loss(logits, distribute_tensor(ids, mesh, [Replicate()]))
    loss.backward()
    assert isinstance(logits.grad, DTensor)
    torch.testing.assert_close(logits.grad.full_tensor(), whole.grad)
    torch.testing.assert_close(loss, want)
    for wrong in (
        lambda: parallel_softmax_focal_loss(distribute_tensor(z, mesh, [Shard(0)]), ids),
        lambda: parallel_softmax_focal_loss(distribute_tensor(z, mesh, [Replicate()]), ids),
        lambda: parallel_softmax_focal_loss(logits, distribute_tensor(ids, mesh, [Shard(0)])),
        lambda: parallel_softmax_focal_loss(logits, ids, dist.group.WORLD),
    ):
        with pytest.raises(InputError) as error:
            wrong()
        errors.append(str(error.value).partition(";")[0])
    return errors


@pytest.mark.parametrize("size", [2, 3])
def test_a_dtensor_brings_its_group_along(ranks, size):
    for errors in ranks(size, from_dtensor):
        assert errors == [
            "local_logits must be sharded on their class axis, 1, alone",
            "local_logits must be sharded on their class axis, 1, alone",
            "targets must be replicated",
            "group must be None where the logits are a DTensor",
        ]


def disagreement(rank, name):
    z, ids, arguments = torch.zeros(4, 3), torch.arange(4), {}
    if rank == 1:
        z, ids, arguments = {
            "rows": (z[:3], ids[:3], {}),
            "dtype": (z.double(), ids, {}),
            "gamma": (z, ids, {"gamma": 1.0}),
            "targets": (z, ids.flip(0), {}),
            "weights": (z, ids, {"sample_weight": torch.ones(4)}),
            "an error": (z, ids, {"alpha": -1.0}),
            "no logits": (None, ids, {}),
        }[name]
    errors = []
    for attempt in ((z, ids, arguments), (torch.zeros(4, 3), torch.arange(4), {})):
        try:
            parallel_softmax_focal_loss(*attempt[:2], **attempt[2])
            errors.append("")
        except InputError as error:
            errors.append(str(error).partition(". ")[0])
    return errors


@pytest.mark.parametrize(
    ("name", "here", "there"),
    [
        ("rows", "local_logits must have the same rows on every rank; got (4, 3)", None),
        ("dtype", "options must be the same on every rank; got others than rank 0's on rank 1 of the group", None),
        ("gamma", "options must be the same on every rank; got others than rank 0's on rank 1 of the group", None),
        ("targets", "targets must be the same on every rank; got others than rank 0's on rank 1 of the group", None),
        ("weights", "options must be the same on every rank; got others than rank 0's on rank 1 of the group", None),
        ("an error", "arguments must be right on every rank; got an error on rank 1 of the group", "alpha must be"),
        ("no logits", "arguments must be right on every rank; got an error on rank 1 of the group", "local_logits"),
    ],
)
def test_ranks_that_disagree_get_an_error_and_go_on(ranks, name, here, there):
    (first, after), (culprit, after_too) = ranks(2, disagreement, name)
    assert first == here
    assert culprit.startswith(there or here)
    assert after == after_too == ""


def gone(rank, function):
    dist.barrier()
    if rank == 1:
        time.sleep(0.5)  # until the other has left the barrier, too
        dist.destroy_process_group()  # as a process that has died
        return "gone"
    try:
        function()
    except RuntimeError as error:
        return type(error).__name__
    return "no error"


def meet_in_shards():
    parallel_softmax_focal_loss(torch.zeros(4, 3), torch.arange(4))


def meet_in_a_mean():
    focalkit.softmax_focal_loss(torch.zeros(3, 3), torch.arange(3), normalizer="global")


@pytest.mark.parametrize("function", [meet_in_shards, meet_in_a_mean])
def test_a_rank_that_has_died_is_an_error_on_the_others(ranks, function):
    ranks.part()
    first, _ = ranks(2, gone, function)
    ranks.part()
    assert first in ("RuntimeError", "DistBackendError")


def absent(rank):
    group = dist.new_group(timeout=timedelta(seconds=1))
    if rank == 1:
        return "absent"
    with pytest.raises(RuntimeError, match=r"[Tt]ime"):
        parallel_softmax_focal_loss(torch.zeros(4, 3), torch.arange(4), group)
    return "told"


def test_a_rank_that_does_not_come_is_an_error_after_the_groups_timeout(ranks):
    assert ranks(2, absent) == ["told", "absent"]
    ranks.part()


def nan_somewhere(rank, sizes):
    z, ids = torch.randn(3, 7, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 6])
    z[0, 6], z[1, 1], z[2, 0] = torch.nan, torch.inf, torch.inf
    return sharded(z, ids, sizes, rank, reduction="none")[0].tolist()


@pytest.mark.parametrize("sizes", [(5, 2), (3, 1, 3)], ids=str)
def test_shards_hide_no_nan(ranks, sizes):
    assert np.isnan(ranks(len(sizes), nan_somewhere, sizes)).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"label_smoothing": 0.1}, "label_smoothing must be 0.0 where the classes are in shards"),
        ({"keep_hardest": 0.5}, "keep_hardest must be None where the classes are in shards"),
        ({"targets": torch.full((2, 3), 1 / 3)}, "targets must be class ids"),
        ({"targets": torch.tensor([0, 2, 1])}, r"targets must have shape \(2,\)"),
        ({"targets": torch.tensor([0, 3])}, r"targets must lie in \[0, 3\)"),
        ({"alpha": [1.0, 2.0]}, "alpha must be a number or have one entry for each of the 3 classes"),
        ({"normalizer": -1}, "normalizer must be a number in"),
        ({"normalizer": "world"}, "normalizer must be a number or 'global'"),
        ({"sample_weight": torch.ones(2).requires_grad_()}, "sample_weight must be without gradient"),
        ({"sample_weight": [-1.0, 1.0]}, "sample_weight must lie in"),
        ({"local_logits": torch.zeros(3)}, "logits must have shape"),
        ({"local_logits": np.zeros((2, 3))}, "local_logits must be a tensor of PyTorch"),
    ],
)
def test_what_shards_cannot_do_is_refused(arguments, text):
    call = {"local_logits": torch.zeros(2, 3), "targets": torch.tensor([0, 2])} | arguments
    with pytest.raises(InputError, match=text):
        parallel_softmax_focal_loss(**call)


def test_one_rank_alone_has_the_whole_and_no_second_derivative():
    z, ids = features()[0][:, :3].clone().requires_grad_(), features()[1]
    loss = parallel_softmax_focal_loss(z, ids, normalizer="global")
    torch.testing.assert_close(loss, focalkit.softmax_focal_loss(z, ids))
    with pytest.raises(InputError, match="create_graph must be False where the classes are in shards"):
        torch.autograd.grad(loss, z, create_graph=True)
    with torch.no_grad():
        assert parallel_softmax_focal_loss(z, ids) == loss
