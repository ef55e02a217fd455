"""Doctests of files that need a library which is not installed are left out, and waiting threads sleep."""

import importlib.util
import os

NEEDED = {
    "jax": ["src/focalkit/engines/jax/*", "tests/jax_adapter.py"],
    "torch": ["src/focalkit/nn/*", "src/focalkit/engines/torch/*", "src/focalkit/engines/triton/*"],
    "triton": ["src/focalkit/engines/triton/*", "tests/triton_adapter.py", "tests/engines/triton_compile.py"],
    "torchmetrics": ["src/focalkit/nn/metric.py", "src/focalkit/nn/callback.py"],
    "lightning": ["src/focalkit/nn/callback.py"],
    "keras": ["src/focalkit/keras/*"],
}
collect_ignore_glob = [
    path for library, paths in NEEDED.items() if importlib.util.find_spec(library) is None for path in paths
]
if importlib.util.find_spec("tensorflow") is None:  # Keras's own default
    os.environ.setdefault("KERAS_BACKEND", "torch")
# each worker of pytest has OpenMP's threads of its own, which would spin at every barrier while others need the core
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
