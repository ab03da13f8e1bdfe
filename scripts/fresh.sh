#!/usr/bin/env bash
# Proves the README's first two commands in a bare Debian 12: debootstrap makes one, which holds nothing but apt and this commit.
#   fresh.sh [DIR]     default: a temporary folder; needs root, debootstrap, and about 12 GB
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
  echo "make fresh needs root and debootstrap (apt-get install debootstrap)" >&2
  exit 2
fi
root=${1:-$(mktemp -d)}
cleanup() {
  umount "$root/proc" "$root/dev" 2>/dev/null || true
  [ $# -gt 0 ] || rm -rf --one-file-system "$root"
}
trap 'cleanup "$@"' EXIT
mirror=$(sed -nE 's/^(deb|URIs:)[^h]*(https?:[^ ]+).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
debootstrap --variant=minbase --include=ca-certificates,git,make bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$root.log" ||
  { tail -5 "$root.log" >&2; exit 1; }
# How this machine reaches the network: names, certificates, pip's settings.
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do [ ! -e "$file" ] || cp -L "$file" "$root$file"; done
[ ! -d /etc/apt/apt.conf.d ] || cp -n /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
git archive --prefix=fpg/ HEAD | tar -x -C "$root/root"
env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  $(env | grep -E '^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|PIP_[A-Z_]+|SSL_CERT_FILE)=' || true) \
  chroot "$root" bash -euc 'apt-get update -qq; apt-get install -y -qq --no-install-recommends python3 >/dev/null; cd /root/fpg
    make
    .venv/bin/fpg-detect demo/data/detect/forged.mp4'
echo "fresh: the README's first two commands work in a bare Debian 12"
