"""The C++ below the kernels: exp, log, log1p and powers on every instruction set; and hot loops are vector code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from focalkit.engines.cpu import machine

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "cpp" / "include"
COMPILER = shutil.which("g++")
FLAGS = {
    "baseline": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "portable": ["-DFOCALKIT_PORTABLE_SIMD=1"],
}
RUNS_HERE = [*(name for name in FLAGS if name in machine.instruction_sets()), "portable"]
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs g++")


def compile_cpp(name: str, isa: str, output: Path, *more: str) -> None:
    isa_flags = [f"-DFOCALKIT_ISA={isa}", *FLAGS[isa]]
    always = ["-std=c++20", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi", "-Wno-ignored-attributes"]
    command = [str(COMPILER), *always, *isa_flags, f"-I{INCLUDE}", str(HERE / name), "-o", str(output), *more]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("isa", [*RUNS_HERE[:-1], pytest.param("portable", marks=pytest.mark.slow)])
def test_exp_log_log1p_and_powers_are_good_to_about_an_ulp(isa, tmp_path):
    """Under the sanitizers, so that no lane is read beside a vector."""
    program = tmp_path / "vector_math"
    compile_cpp("vector_math.cpp", isa, program, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover")
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["float", "double"]
    for line in lines:
        found = {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+|nan)", line)}
        assert found.pop("broken") == 0, line
        assert set(found) == {"exp", "log", "log_near_one", "log1p", "more", "power"}
        assert found.pop("more") < 3, line  # of 1 + w, which is rounded
        assert max(found.values()) < 2, line


@pytest.mark.slow
@pytest.mark.skipif(not {"avx2", "avx512"} & set(RUNS_HERE), reason="knows the assembly of x86-64")
def test_hot_loops_are_vector_code(tmp_path):
    """Fused products are packed but for a few of the tails, and in the widest registers there are."""
    isa = "avx512" if "avx512" in RUNS_HERE else "avx2"
    assembly = tmp_path / "hot_loops.s"
    compile_cpp("hot_loops.cpp", isa, assembly, "-O3", "-S", "-fno-exceptions", "-fno-rtti")
    text = assembly.read_text()
    packed = re.findall(r"\tvfn?m(?:add|sub)\d+ps\t.*", text)
    scalar = re.findall(r"\tvfn?m(?:add|sub)\d+ss\t", text)
    assert len(packed) > 400
    assert len(scalar) < len(packed) / 20
    widest = "%zmm" if isa == "avx512" else "%ymm"
    assert sum(widest not in line for line in packed) < len(packed) / 100
    assert not re.search(r"call\s+(expf?|logf?|log1pf?|powf?)\b", text)
