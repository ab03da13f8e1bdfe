#!/usr/bin/env bash
# Says which Debian packages are needed and lacking, and installs them when it may (root or password-less sudo).
#   debian_packages.sh [--missing] [deploy]     for set-up, or for the C++ runtime; --missing only prints their names
set -euo pipefail
only_names=; [ "${1:-}" = --missing ] && only_names=1 && shift

# What needs what: venv and headers to build the environment and _C, a compiler.
packages=(python3-venv python3-dev g++)
# The C++ runtime: FFmpeg (torchcodec wants its libavdevice), libjpeg, libwebp, libtiff, libheif and libavif to decode, a JSON library.
[ "${1:-}" = deploy ] && packages=(pkg-config libavformat-dev libavcodec-dev libavdevice-dev libavutil-dev libswscale-dev libjpeg-dev libwebp-dev libtiff-dev libheif-dev libavif-dev nlohmann-json3-dev)

present() {
  case "$1" in
    python3-venv) "${PYTHON:-python3}" -c 'import ensurepip, venv' ;;
    python3-dev) "${PYTHON:-python3}" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ;;
    g++) command -v "${CXX:-g++}" ;;
    pkg-config) command -v pkg-config ;;
    libav*-dev | libswscale-dev | libjpeg-dev | libheif-dev) pkg-config --exists "${1%-dev}" ;;
    libwebp-dev) pkg-config --exists libwebpdemux ;;
    libtiff-dev) pkg-config --exists libtiff-4 ;;
    nlohmann-json3-dev) [ -e /usr/include/nlohmann/json.hpp ] ;;
  esac >/dev/null 2>&1
}

PATH="$PATH:/sbin:/usr/sbin"
missing=()
for package in "${packages[@]}"; do present "$package" || missing+=("$package"); done
if [ -n "$only_names" ]; then echo "${missing[*]}"; exit 0; fi
[ ${#missing[@]} -eq 0 ] && exit 0

echo "${1:-Set-up} needs these Debian packages, which are not here: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "Install them and call make again:  sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "This is not Debian (no apt-get): install the equivalents with your package manager and call make again." >&2
  exit 1
fi
echo "Installing them with apt-get ..."
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
