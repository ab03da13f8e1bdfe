#!/usr/bin/env bash
# Builds the wheel, without CUDA, and gives it the widest manylinux tag that its libraries allow; and the sdist.
#   wheel.sh DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: wheel.sh DIR}
export PATH="$PWD/.venv/bin:$PATH"
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
mkdir -p "$out"
python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation -C cmake.define.FPG_CUDA=OFF -w "$built" .
python -m auditwheel repair -w "$out" "$built"/*.whl >"$built/log" 2>&1 || { cat "$built/log" >&2; exit 1; }
python -c 'import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))' "$out" >"$built/log" 2>&1 ||
  { cat "$built/log" >&2; exit 1; }
ls "$out"
