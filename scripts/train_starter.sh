#!/usr/bin/env bash
# Train the starter detector again from a folder of photographs of real faces, on a CPU or a GPU: photographs to frames of video, the full
# FPG step, and temperature and threshold from clips of people it was not trained on.
#   scripts/train_starter.sh PHOTOS OUT [fpg-train options]
#   scripts/train_starter.sh faces.csv starter --nproc 2 --device cpu --threads 1        two CPU cores (a day for the shipped weights)
#   scripts/train_starter.sh faces.csv starter --precision bf16 --workers 12             a GPU
# PHOTOS is a folder, or a CSV path,label[,split]; the CSV can keep the pictures of one person in one split. Stopped in any way, the same
# command goes on where it was. Clips are forged by two tools; the shipped weights were calibrated on swaps alone (docs/results.md).
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; fi
photos=$1 out=$2; shift 2
repo=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$repo/.venv/bin/fpg-train" ] && export PATH="$repo/.venv/bin:$PATH"

label=(--label real)
case $photos in *.csv) label=() ;; esac
fpg-prepare "$photos" "$out/faces" --as-video 4 "${label[@]}"
if [ ! -f "$out/run/model.safetensors" ]; then
  if [ -f "$out/run/config.yaml" ]; then fpg-train --out "$out/run" --resume; else
    fpg-train --config "$repo/configs/starter.yaml" --data "$out/faces" --out "$out/run" "$@"
  fi
fi
if [ ! -d "$out/clips/real" ]; then
  python -m fpg.data.calibration_clips "$out/faces" "$out/clips.part" --split test --tools swap reenact
  mv "$out/clips.part" "$out/clips"
fi
fpg-eval "$out/run/model.safetensors" --data "$out/clips" --split all --calibrate --fpr 0.03 --out "$out/calibration"
echo "The detector is $out/run/model.safetensors, its threshold in the .spec.json next to it. Measure it on other data than $out/clips."
