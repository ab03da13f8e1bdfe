#!/usr/bin/env bash
# The whole path on a handful of real faces, on a CPU: sample data, preparation, training with FPG, evaluation, export. Then the starter, which
# was trained on thousands of people, judges a real clip and a forged one.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=demo
started=$SECONDS
step() { printf '\n\033[1m[%3d s] %s\033[0m\n' "$((SECONDS - started))" "$*"; }

rm -rf "$out"/{data,prepared,run,engine,metrics.json,eval.html,detect.json,detect.html}
step "1/6 Sample set: real faces that packages carry"
python -m fpg.data.sample "$out/data"
step "2/6 fpg-prepare: frames, faces, landmarks, lossless crops"
fpg-prepare "$out/data/faces" "$out/prepared" --frames 16
step "3/6 fpg-train: a small pretrained backbone with the full FPG step"
fpg-train --config configs/demo.yaml --data "$out/prepared" --out "$out/run"
step "4/6 fpg-eval: people it did not train on"
fpg-eval --model "$out/run/model.safetensors" --data "$out/prepared" --split test --json "$out/metrics.json" --report "$out/eval.html"
step "5/6 fpg-export: OpenVINO, checked against torch"
fpg-export --model "$out/run/model.safetensors" --to openvino -o "$out/engine" --check "$out/prepared"
step "6/6 fpg-detect: the starter on a real video and on two copies of it that show other people's faces"
fpg-detect "$out"/data/detect/{real,forged,forged2}.mp4 --json "$out/detect.json" --report "$out/detect.html"
echo
python scripts/demo_words.py "$out/detect.json"

cat <<EOF

Done in $((SECONDS - started)) s. Look at:
  $out/detect.html           the findings on a real video and on its forged copies
  $out/eval.html             the evaluation on people the model never saw
  $out/run/pictures/         what training looked like: real, source, mask, forgery, response map, refined
  $out/run/model.safetensors, $out/engine/   the demo's weights and engine, each with its .spec.json

The demo's weights know a handful of people: they show that everything works, and are no detector. What judged above is the starter.
EOF
