#!/usr/bin/env bash
# The whole path on a handful of real faces, on a CPU: sample data, preparation, training with FPG, evaluation, export, detection.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=demo
started=$SECONDS
step() { printf '\n\033[1m[%3d s] %s\033[0m\n' "$((SECONDS - started))" "$*"; }

rm -rf "$out"
step "1/6 Sample set: real faces that packages carry"
python -m fpg.data.sample "$out/data"
step "2/6 fpg-prepare: frames, faces, landmarks, lossless crops"
fpg-prepare "$out/data/faces" "$out/prepared" --frames 16
step "3/6 fpg-train: a small pretrained backbone with the full FPG step"
fpg-train --config configs/demo.yaml --data "$out/prepared" --out "$out/run"
step "4/6 fpg-eval: people it did not train on"
fpg-eval "$out/run/model.safetensors" --data "$out/prepared" --split test --json "$out/metrics.json" --report "$out/eval.html"
step "5/6 fpg-export: OpenVINO, checked against torch"
fpg-export "$out/run/model.safetensors" --to openvino -o "$out/engine" --check "$out/prepared"
step "6/6 fpg-detect: a real video and a forged copy of it"
fpg-detect "$out"/engine/*.xml "$out"/data/detect/real.mp4 "$out"/data/detect/forged.mp4 --json "$out/detect.json" --report "$out/detect.html"

cat <<EOF

Done in $((SECONDS - started)) s. Look at:
  $out/detect.html           the verdict on a real video and on its forged copy
  $out/eval.html             the evaluation on people the model never saw
  $out/run/pictures/         what training looked like: real, source, mask, forgery, response map, refined
  $out/run/model.safetensors, $out/engine/   the weights and the engine, each with its .spec.json

These weights know a handful of people: they show that everything works, and are no detector.
EOF
