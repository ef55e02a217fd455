#!/bin/sh
# Builds the kernels with the address and undefined-behaviour sanitizers and runs a Python file or pytest on them:
#   tests/fuzz/sanitize.sh -m pytest tests/engines tests/laws
#   tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py --seconds 600
# Needs g++, cmake, ninja, and numpy and nanobind in the python in use (PYTHON names another).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python}
build=$root/build/sanitize
cmake -S "$root" -B "$build" -G Ninja -DFOCALKIT_SANITIZE=ON -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" >>"$build.log" 2>&1 || { tail -50 "$build.log"; exit 1; }
rm -rf "$build/package"
mkdir -p "$build/package"
cp -r "$root/src/focalkit" "$build/package/focalkit"
cp "$build"/_cpu.*.so "$build/package/focalkit/engines/"
cd "$root"
# g++ allocates for exceptions before the sanitizer's interceptors see libstdc++, unless that comes along
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so.6)" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
    PYTHONDONTWRITEBYTECODE=1 FOCALKIT_PACKAGE="$build/package" "$python" tests/fuzz/sanitized.py "$@"
