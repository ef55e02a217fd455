"""Compile every kernel as the launcher would launch it, for GPUs that need not be here: a program, run on its own.

The launches are recorded from calls on tensors in host memory; a launch's arguments say what Triton would
specialise on (None and 1 are constants, multiples of 16 are known to be). Prints one line of JSON for each build.
"""

from __future__ import annotations

import json
import re
import sys
import time

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from focalkit import LossSpec
from focalkit._core.call import Call
from focalkit.engines.triton import evaluate as engine
from focalkit.engines.triton import launch as triton_launch

TARGETS = {"sm80": ("cuda", 80, 32), "sm90": ("cuda", 90, 32), "gfx942": ("hip", "gfx942", 64)}
POINTERS = {torch.float64: "*fp64", torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
POINTERS |= {torch.int64: "*i64", torch.int32: "*i32", torch.uint8: "*u8"}
LAUNCHES = []


class Recorder:
    """Stands for a kernel, and keeps what it is launched with."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return lambda *arguments, **options: LAUNCHES.append((self.kernel, arguments, options))


def build(kernel, arguments, options, target):
    names = kernel.arg_names
    options = dict(options)
    warps, fused = options.pop("num_warps"), options.pop("enable_fp_fusion")
    given = dict(zip(names, arguments, strict=False)) | options
    fixed = {p.name for p in kernel.params if p.is_constexpr}
    free = {p.name for p in kernel.params if p.do_not_specialize}
    signature, constants, attributes = {}, {}, {}
    for i, name in enumerate(names):
        value = given[name]
        if name in fixed or value is None or (isinstance(value, int) and value == 1 and name not in free):
            signature[name], constants[name] = "constexpr", value
            continue
        signature[name] = POINTERS[value.dtype] if isinstance(value, torch.Tensor) else "i32"
        if name not in free and (isinstance(value, torch.Tensor) or value % 16 == 0):
            attributes[(i,)] = [["tt.divisibility", 16]]
    warps = warps // 2 if target[0] == "hip" else warps
    start = time.perf_counter()
    source = ASTSource(kernel, signature, constants, attributes)
    built = triton.compile(
        source, target=GPUTarget(*target), options={"num_warps": max(1, warps), "enable_fp_fusion": fused}
    )
    return built, time.perf_counter() - start


def record():
    torch.manual_seed(0)

    def call(name, spec, shape, targets, dtype=torch.bfloat16, weight=None, order=1, **made):
        del LAUNCHES[:]
        logits = made.get("logits", torch.randn(shape).to(dtype))
        engine.evaluate(Call(spec, logits, targets, weight, out_dtype=torch.float32), order)
        return [(name, *launch) for launch in LAUNCHES]

    def ids(*shape, k=5):
        return torch.randint(k, shape)

    focal, entropy = LossSpec(gamma=2.0), LossSpec(gamma=0.0)
    smooth = LossSpec(gamma=0.0, label_smoothing=0.1)
    general = LossSpec(gamma=(0.5,) * 100, alpha=(1.0,) * 100, reduction="none")
    yield from call("rows", focal, (64, 1000), ids(64))
    yield from call("rows of 100 in float32", general, (64, 100), ids(64), torch.float32, torch.rand(64))
    yield from call("rows in float64", focal, (64, 10), ids(64), torch.float64)
    yield from call("long rows", entropy, (4, 32000), ids(4))
    yield from call("mined rows", LossSpec(gamma=2.0, keep_hardest=0.5), (64, 16), ids(64), torch.float16)[1:]
    yield from call("pixels", focal, (2, 21, 32, 32), ids(2, 32, 32))
    yield from call("pixels of many classes", focal, (1, 1100, 8, 8), ids(1, 8, 8), torch.float32)
    yield from call("smoothed rows", smooth, (64, 1000), ids(64))
    yield from call("smoothed long rows", smooth, (4, 32000), ids(4))
    yield from call("soft pixels", focal, (2, 21, 32, 32), torch.full((2, 21, 32, 32), 1 / 21))
    sigmoid = LossSpec("sigmoid", 2.0, 0.25)
    yield from call("sigmoid", sigmoid, (4096, 80), torch.ones(4096, 80, dtype=torch.uint8))
    column = LossSpec("sigmoid", (1.5,) * 80, (0.25,) * 80, label_smoothing=0.1)
    yield from call("sigmoid by column", column, (512, 80), torch.rand(512, 80), torch.float32, torch.rand(512))
    del LAUNCHES[:]
    grad = torch.zeros(4096)
    engine.scale(grad, torch.ones(()), grad.dtype, inplace=True)
    engine.scale(grad, torch.ones(()), torch.float16, inplace=False)
    yield from [("scaling", *launch) for launch in LAUNCHES]


def main():
    for module, names in (
        (triton_launch, ("hard_rows", "soft_rows", "sigmoid_elements")),
        (engine, ("scaled",)),
    ):
        for name in names:
            setattr(module, name, Recorder(getattr(module, name)))
    seen = set()
    for name, kernel, arguments, options in list(record()):
        key = kernel.__name__, str(options), tuple(type(a).__name__ for a in arguments)
        if key in seen:
            continue
        seen.add(key)
        for target in sys.argv[1:] or TARGETS:
            built, seconds = build(kernel, arguments, options, TARGETS[target])
            text = built.asm.get("ptx") or built.asm["amdgcn"]
            vectors = len(re.findall(r"(?:ld|st)\.global[^;]*v4\.b32|global_(?:load|store)_dwordx4", text))
            line = {"case": name, "kernel": kernel.__name__, "target": target, "bytes": len(text)}
            line |= {"vectors": vectors, "shared": built.metadata.shared, "seconds": round(seconds, 2)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
