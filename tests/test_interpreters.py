"""More than one interpreter in a process: refused in words, and the first one goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

SECOND = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = {path!r}
try:
    import focalkit
except ImportError as error:
    print("refused:", error, flush=True)
else:
    print("imported", flush=True)
"""
FIRST = """
import sys
import focalkit
try:
    import _interpreters as interpreters  # Python 3.13
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
other = interpreters.create()
run(other, sys.argv[1].format(path=sys.path))
interpreters.destroy(other)
print(round(focalkit.softmax_focal_loss([[0.0, 0.0]], [0], gamma=2.0), 6))
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="CPython's own")
def test_a_second_interpreter_is_refused_in_words_and_the_first_one_computes_on():
    command = [sys.executable, "-c", FIRST, SECOND]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("\n")
    assert said[0].startswith("refused:")
    assert said[1] == "0.173287"
