#!/usr/bin/env bash
# Builds PyCUDA into .venv for the tests, from the headers that PyTorch brings: no CUDA toolkit, no driver.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pycuda") is None)' && exit 0

pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt)
"${pip[@]}" --no-deps "nvidia-cuda-crt==13.0.*" "nvidia-cuda-profiler-api==13.0.*"  # headers that PyTorch's packages lack
nvidia="$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("nvidia").submodule_search_locations[0])')"
toolkit="$(ls -d "$nvidia"/cu[0-9]* | tail -1)"
libraries="$(mktemp -d)"
trap 'rm -rf "$libraries"' EXIT
ln -s "$toolkit"/lib/libcurand.so.* "$libraries/libcurand.so"
gcc -shared -x c /dev/null -o "$libraries/libcuda.so"  # stands in for the driver's while linking
echo "Building PyCUDA for the tests (two minutes) ..."
CPATH="$toolkit/include" LIBRARY_PATH="$libraries" "${pip[@]}" pycuda
