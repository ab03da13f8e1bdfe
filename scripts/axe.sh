#!/usr/bin/env bash
# Fetches axe-core (Deque Systems, MPL-2.0) into build/axe, where the browser tests look for it. It is run there, and is no part of fpg.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.14.1
mkdir -p build/axe
archive=$(cd build/axe && npm pack --silent "axe-core@$version")
tar xzf "build/axe/$archive" -C build/axe
echo "build/axe/package/axe.min.js"
