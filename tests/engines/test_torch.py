"""What is special to PyTorch's engine; its laws are those of every engine."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

import focalkit  # noqa: E402

torch.manual_seed(0)


def leaf(*shape, dtype=torch.float64, scale=3.0):
    return (torch.randn(*shape, dtype=dtype) * scale).requires_grad_()


def value_and_grad(function, z):
    z = z.detach().requires_grad_()
    value = function(z)
    upstream = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    (grad,) = torch.autograd.grad(value, z, upstream)
    return value.detach(), grad


# F.cross_entropy at gamma = 0, over everything that it takes

SHAPES = [(6, 4), (3, 4, 5), (2, 4, 3, 2), (1, 1), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_is_torchs_over_all_it_accepts(shape, reduction, dtype):
    k = shape[1]
    weights = (None, torch.linspace(0.5, 2, k, dtype=dtype))
    for weight, smoothing, soft, ignore in itertools.product(weights, (0.0, 0.2), (False, True), (-100, 0)):
        z = leaf(*shape, dtype=dtype)
        if soft:
            t = torch.softmax(torch.randn(shape, dtype=dtype), 1)
            if ignore != -100:
                continue  # torch refuses it
        else:
            t = torch.randint(k, (shape[0], *shape[2:]))
            t[torch.rand(t.shape) < 0.2] = ignore
        theirs_nan = reduction == "mean" and not soft and bool((t == ignore).all())

        def theirs(z, weight=weight, smoothing=smoothing, t=t, ignore=ignore):
            return F.cross_entropy(z, t, weight, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing)

        ours_reduction = reduction
        if reduction == "mean" and weight is not None and not soft:
            ours_reduction = "weighted_mean"

        def ours(z, weight=weight, smoothing=smoothing, t=t, ignore=ignore, reduction=ours_reduction):
            options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore}
            return focalkit.softmax_cross_entropy(z, t, weight, **options)

        got, want = value_and_grad(ours, z), value_and_grad(theirs, z)
        if theirs_nan or z.numel() == 0:
            assert all(bool((part == 0).all()) for part in got)
            continue
        torch.testing.assert_close(got, want)
