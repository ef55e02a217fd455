#!/usr/bin/env bash
# The wheel for 64-bit ARM Linux, cross-compiled on x86-64.
#
#   packaging/wheel_aarch64.sh HEADERS FOLDER
#
# HEADERS: an include folder with python3.11 of that architecture (Debian: `apt-get download libpython3.11-dev:arm64`,
# `dpkg -x` it; HEADERS is its usr/include). FOLDER: where the wheel goes. Needs g++-aarch64-linux-gnu, and cmake,
# ninja, nanobind and scikit-build-core in the Python that runs it (PYTHON).
set -euo pipefail
headers=$(realpath "$1") folder=$(realpath -m "$2")
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') tag=cpython-${version/./}-aarch64-linux-gnu
test -d "$headers/python$version" || { echo "$headers has no python$version"; exit 2; }
export _PYTHON_HOST_PLATFORM=linux-aarch64 SETUPTOOLS_EXT_SUFFIX=.$tag.so
export CMAKE_TOOLCHAIN_FILE=$PWD/packaging/aarch64.cmake
export CXXFLAGS="-isystem $headers ${CXXFLAGS:-}"
export CMAKE_ARGS="-DPython_INCLUDE_DIR=$headers/python$version -DPython_SOABI=$tag -DFOCALKIT_OPENMP=OFF ${CMAKE_ARGS:-}"
"$python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$folder" .
