#!/usr/bin/env bash
# The steps of Containerfile.cpu where there is no container engine: in two bare Debian 12 made by debootstrap, one that builds and one that
# serves. Prints the size of what would be the image, starts fpg-serve in it and has it judge a clip.
#   deploy/container/try.sh CLIP [DIR]     needs root and debootstrap; DIR (default: a temporary folder) gets about 3 GB
set -euo pipefail
clip=$(realpath "${1:?a clip to judge}") root=${2:-$(mktemp -d)}
cd "$(dirname "$0")/../.."
mkdir -p "$root"
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  for stage in build image; do umount "$root/$stage/proc" "$root/$stage/dev" 2>/dev/null || true; done
}
trap cleanup EXIT
mirror=$(sed -nE 's/^(deb|URIs:)[^h]*(https?:[^ ]+).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
debootstrap --variant=minbase bookworm "$root/build" "${mirror:-http://deb.debian.org/debian}" >"$root/debootstrap.log"
# How this machine reaches the network; the image has none of it.
network() {
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || install -D -m 644 "$file" "$root/build$file"
  done
}
inside() { # STAGE COMMAND...
  local stage=$1
  shift
  env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    $(env | grep -E '^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|PIP_[A-Z_]+|SSL_CERT_FILE)=' || true) chroot "$root/$stage" "$@"
}
packages() { # what the n-th apt-get of the Containerfile installs
  sed -nE 's/.*apt-get install -y --no-install-recommends (.*) \\$/\1/p' deploy/container/Containerfile.cpu | sed -n "$1p"
}
cp -a "$root/build" "$root/image"
for stage in build image; do
  [ $stage = build ] && network || { cp -L /etc/resolv.conf /etc/hosts "$root/image/etc/"; }
  mount --bind /dev "$root/$stage/dev"
  mount -t proc proc "$root/$stage/proc"
done
# shellcheck disable=SC2046
inside build sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $(packages 1) >/dev/null"
network # the package ca-certificates has written its own
mkdir "$root/build/src"
git archive HEAD | tar -x -C "$root/build/src"
inside build sh /src/deploy/container/install.sh /src /opt/fpg requirements-cpu.txt >"$root/install.log" 2>&1 || { tail -5 "$root/install.log"; exit 1; }
inside image sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $(packages 2) >/dev/null
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*
  useradd --system --uid 10001 --home-dir /var/lib/fpg --create-home --shell /usr/sbin/nologin fpg"
cp -a "$root/build/opt/fpg" "$root/image/opt/fpg"
echo "the image: $(du -xsm --exclude=proc --exclude=dev "$root/image" | cut -f1) MB, of which /opt/fpg $(du -xsm "$root/image/opt/fpg" | cut -f1) MB"
env -i PATH=/opt/fpg/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp OMP_NUM_THREADS=1 HOME=/var/lib/fpg \
  /usr/sbin/chroot --userspec=10001:10001 "$root/image" fpg-serve --port 8765 --spool /var/lib/fpg/spool >"$root/serve.log" 2>&1 &
server=$!
for _ in $(seq 60); do
  curl -sf http://127.0.0.1:8765/readyz >/dev/null && break
  sleep 1
done
curl -sf -F "file=@$clip" http://127.0.0.1:8765/v1/judge | python3 -c 'import json, sys; r = json.load(sys.stdin)["results"][0]; print("judged there:", r["input"], r["score"], r["error"])'
env -i PATH=/opt/fpg/bin:/usr/bin:/bin /usr/sbin/chroot --userspec=10001:10001 "$root/image" python -m fpg.serve.probe http://127.0.0.1:8765 && echo "health check: passed"
