#!/usr/bin/env bash
# A Linux wheel for glibc 2.28 and later, built or cross-compiled on an x86-64 machine whose own glibc may be newer.
#
#   packaging/wheel.sh x86_64 FOLDER
#   packaging/wheel.sh aarch64 FOLDER HEADERS
#
# HEADERS: an include folder with that architecture's Python headers (Debian: `apt-get download libpython3.11-dev:arm64`
# and `dpkg -x` it; HEADERS is its usr/include). Needs unzip, nm and g++ (aarch64: g++-aarch64-linux-gnu); in the Python that runs it
# (PYTHON) scikit-build-core, nanobind, cmake and ninja; ziglang, whose list of old symbols the linker is shown; and
# auditwheel and wheel, which have the last word (TOOLS: a Python that has these three).
#
# The wheel has threads of its own instead of OpenMP's, whose library could not be shipped for an older glibc.
set -euo pipefail
arch=$1 folder=$(realpath -m "$2") headers=${3:-}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} tools=${TOOLS:-$python}
glibc=2.28 stubs=$PWD/build/glibc-$arch
if [ ! -e "$stubs/libc.so" ]; then
  mkdir -p "$stubs/zig" && echo 'int probe(void) { return 0; }' > "$stubs/probe.c"
  ZIG_GLOBAL_CACHE_DIR=$stubs/zig ZIG_LOCAL_CACHE_DIR=$stubs/zig "$tools" -m ziglang cc \
    -target "$arch-linux-gnu.$glibc" -shared -fPIC -o "$stubs/probe.so" "$stubs/probe.c"
  for library in c m pthread dl rt; do
    found=$(find "$stubs/zig" -name "lib$library.so.*" | head -1)
    cp "$found" "$stubs/" && ln -sf "$(basename "$found")" "$stubs/lib$library.so"
  done
  # pthread_atfork is in no shared library, but in the part of glibc that goes into each program
  cp "$(find "$stubs/zig" -name libc_nonshared.a | head -1)" "$stubs/"
  rm "$stubs/libc.so" && echo "GROUP ( $stubs/libc.so.6 $stubs/libc_nonshared.a )" > "$stubs/libc.so"
fi
export CMAKE_ARGS="-DFOCALKIT_OPENMP=OFF -DFOCALKIT_OLD_GLIBC=ON ${CMAKE_ARGS:-}"
# libgcc stays the system's: one of a newer system asks the dynamic linker for what an older one has not
export LDFLAGS="-static-libstdc++ -L$stubs ${LDFLAGS:-}"
if [ "$arch" != "$(uname -m)" ]; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') tag=cpython-${version/./}-$arch-linux-gnu
  test -d "$headers/python$version" || { echo "${headers:-HEADERS} has no python$version"; exit 2; }
  export _PYTHON_HOST_PLATFORM=linux-$arch SETUPTOOLS_EXT_SUFFIX=.$tag.so CMAKE_TOOLCHAIN_FILE=$PWD/packaging/$arch.cmake
  export CXXFLAGS="-isystem $headers ${CXXFLAGS:-}"
  CMAKE_ARGS="-DPython_INCLUDE_DIR=$headers/python$version -DPython_SOABI=$tag $CMAKE_ARGS"
fi
raw=$(mktemp -d)
"$python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$raw" .
# nothing has to be shipped beside it: auditwheel says which glibc it asks for, and the wheel is named after that promise
tag=manylinux_${glibc/./_}_$arch
"$tools" -m auditwheel show "$raw"/*.whl | tee "$raw/said"
least=$(tr '\n' ' ' < "$raw/said" | grep -o 'manylinux_2_[0-9]*' | grep -o '[0-9]*$' | sort -n | tail -1)
[ -n "$least" ] && [ "$least" -le "${glibc#2.}" ] || { echo "the wheel asks for more than glibc $glibc"; exit 1; }
# what no version of glibc is named for would be found out by the one who imports it
nothing=$(unzip -p "$raw"/*.whl '*/_cpu*.so' > "$raw/module" && nm -D --undefined-only "$raw/module" |
  awk '$1 == "U" && $2 !~ /@|^_?Py|^__tls_get_addr$/ { print $2 }')
[ -z "$nothing" ] || { echo "no library has:" $nothing; exit 1; }
"$tools" -m wheel tags --remove --platform-tag "$tag" "$raw"/*.whl
mkdir -p "$folder" && mv "$raw"/*.whl "$folder/"
rm -rf "$raw"
