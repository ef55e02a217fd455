"""Keras chooses its backend when it is imported, so the checks of ``checks.py`` run in a process for each backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras")
CHECKS = Path(__file__).with_name("checks.py")


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_the_losses_hold_on_the_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # many programs that run once
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # for one process to show a strategy
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-W", "default", str(CHECKS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]


def test_without_keras_the_message_names_the_extra():
    code = """
import sys
sys.modules["keras"] = None
try:
    import focalkit.keras
except ModuleNotFoundError as error:
    print(error.name, error, sep=": ")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'keras: focalkit.keras needs keras; run: pip install "focalkit[keras]"'
