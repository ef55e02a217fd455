#!/bin/sh
# Builds the kernels with sanitizers and runs a Python file or a module (pytest) on them:
#   tests/fuzz/sanitize.sh -m pytest tests/engines tests/laws
#   tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py --seconds 600
#   FOCALKIT_SANITIZER=thread tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py --threads --seconds 60
# FOCALKIT_SANITIZER: address (and undefined behaviour; the default), or thread.
# Needs g++, cmake, ninja, and numpy and nanobind in the python in use (PYTHON names another).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python}
kind=${FOCALKIT_SANITIZER:-address}
build=$root/build/sanitize-$kind
mkdir -p "$root/build"
cmake -S "$root" -B "$build" -G Ninja -DFOCALKIT_SANITIZE="$kind" -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" >>"$build.log" 2>&1 || { tail -50 "$build.log"; exit 1; }
rm -rf "$build/package"
mkdir -p "$build/package"
cp -r "$root/src/focalkit" "$build/package/focalkit"
cp "$build"/_cpu.*.so "$build/package/focalkit/engines/"
cd "$root"
case $kind in
thread) # ends at the first report; threads of others (NumPy's, the interpreter's) are not looked into
    runtime=$(g++ -print-file-name=libtsan.so)
    ;;
*) # g++ allocates for exceptions before the sanitizer's interceptors see libstdc++, unless that comes along
    runtime="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so.6)"
    ;;
esac
LD_PRELOAD=$runtime TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
    PYTHONDONTWRITEBYTECODE=1 FOCALKIT_PACKAGE="$build/package" "$python" tests/fuzz/sanitized.py "$@"
