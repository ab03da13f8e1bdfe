#!/usr/bin/env bash
# What a GPU is for, in three calls, each below five minutes and useful alone, from a bare image with CUDA's compiler, torch, timm,
# OpenCV, pyarrow, pytest, hypothesis, scipy, pybind11, cmake and ninja; no network.
#
#   benchmarks/gpu_suite.sh [--rehearse] PART ...
#     prove    build the kernels for this GPU; all CUDA tests; compute-sanitizer's memcheck and racecheck of the kernels
#     train    benchmarks/gpu_train.py on FPG_SUITE_FACES (a prepared folder, or a tar of benchmarks/carry_crops.py)
#     measure  training steps, inference of B4 and the starter, a clip decoded on the GPU (FPG_SUITE_CLIP, of benchmarks/clip.py)
#   and, for one thing at a time: build tests sanitize kernels step infer clip video
#
# --rehearse (or FPG_SUITE_DEVICE=cpu): the same on a CPU with tiny sizes, and without the packages that such an image lacks
# (benchmarks/bare). Nothing that it times means anything.
#
# OUT: folder of CSV rows and logs (default build/gpu_suite), few and small enough to be brought back; suite.csv has a row per step as
# soon as it is done. FPG_SUITE_SECONDS: of each part (default 285); what does not fit any more is a row that says so.
# PYTHON: the interpreter with torch (default python3). FPG_ARCHITECTURE: of the kernels (default: the GPU's).
# FPG_SUITE_WEIGHTS, FPG_SUITE_TRAIN: first weights and further options of gpu_train.py.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-$PWD/build/gpu_suite}
PYTHON=${PYTHON:-python3}
DEVICE=${FPG_SUITE_DEVICE:-cuda}
[ "${1:-}" = --rehearse ] && { DEVICE=cpu; shift; }
slower=1; [ "$DEVICE" = cpu ] && slower=8 # limits are those of a GPU's machine, and its cores
BUDGET=${FPG_SUITE_SECONDS:-$((285 * slower))}
if [ $# -eq 0 ]; then sed -n '2,21s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
for name; do
  case $name in prove|train|measure|build|tests|sanitize|kernels|step|infer|clip|video) ;; *) echo "gpu_suite.sh: no part $name" >&2; exit 2 ;; esac
done
LOGS=build/gpu_suite_logs
mkdir -p "$OUT" "$LOGS"
export PYTHONPATH="$PWD/benchmarks/bare:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ "$DEVICE" = cuda ]; then export FPG_REQUIRE_CUDA=1 FPG_BACKEND=native; else export FPG_HIDE_PACKAGES=1; fi
pairs_tests=tests/augment; [ -d tests/pairs ] && pairs_tests=tests/pairs
pytest=("$PYTHON" -m pytest -q -p no:cacheprovider -m cuda)
kernel_tests=("${pytest[@]}" tests/ops "$pairs_tests" -k 'not stream and not captured and not wait and not 70000')
# Without torch's caching allocator every tensor is an allocation of its own, so that an access beyond it is seen.
sanitizer=(env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode 9 --target-processes all)
cuda_tests=() failed=0 part='' began=$SECONDS
[ -e "$OUT/suite.csv" ] || echo 'part,step,result,seconds,detail' >"$OUT/suite.csv"

left() { echo $((BUDGET - (SECONDS - began))); }

# row STEP RESULT SECONDS DETAIL: kept at once.
row() {
  echo "$part,$1,$2,$3,\"${4//\"/}\"" >>"$OUT/suite.csv"
  printf '%-8s %-12s %-12s %4s s  %s\n' "$part" "$1" "$2" "$3" "$4"
}

# run STEP SECONDS COMMAND...: at most that long and no longer than the part may take; its log goes to OUT/PART.log, one line of it to the row.
run() {
  local step=$1 limit=$(($2 * slower)) start=$SECONDS code result log="$LOGS/$1.log"
  shift 2
  [ "$limit" -gt "$(left)" ] && limit=$(left)
  if [ "$limit" -lt 8 ]; then row "$step" 'not run' 0 'no time was left for it'; return; fi
  timeout --signal=TERM --kill-after=5 "$limit" "$@" >"$log" 2>&1
  code=$?
  case $code in
    0) result=passed ;;
    124) failed=1 result=stopped; echo "== $step was stopped at its limit; what it had written is kept" ;;
    *) failed=1 result="failed $code"; echo "== $step failed with $code; the end of its log:"; tail -n 40 "$log" ;;
  esac
  { echo "== $step: $*"; cat "$log"; } >>"$OUT/$part.log"
  row "$step" "$result" $((SECONDS - start)) \
    "$(grep -E '[0-9]+ (passed|failed|skipped|error)|ERROR SUMMARY|RACECHECK SUMMARY|pairs;' "$log" | tail -n 1)"
}

tests() {
  local needed=() missing
  mapfile -t files < <(grep -rl --include='*.py' 'pytest.mark.cuda' tests)
  for file in "${files[@]}"; do
    case $file in
      tests/export/*) needed=(openvino onnxconverter_common) ;;
      tests/data_prep/*) needed=(torchcodec) ;;
      *) needed=() ;;
    esac
    missing=''
    for package in "${needed[@]}"; do "$PYTHON" -c "import $package" 2>/dev/null || missing=$package; done
    if [ -n "$missing" ]; then row "${file##*/}" 'not run' 0 "$missing is not on this machine"; else cuda_tests+=("$file"); fi
  done
  run tests 150 "${pytest[@]}" "${cuda_tests[@]}"
}

build() {
  local code
  read -r -d '' code <<'EOF' || true
set -e
[ -n "$ARCHITECTURE" ] || ARCHITECTURE=$("$PYTHON" -c 'import torch; print("%d%d" % (torch.cuda.get_device_capability() if torch.cuda.is_available() else (9, 0)))')
folder=build/gpu-sm$ARCHITECTURE
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFPG_CUDA=ON -DFPG_PYTHON=ON -DCMAKE_CUDA_ARCHITECTURES="$ARCHITECTURE" \
  -DPython_EXECUTABLE="$("$PYTHON" -c 'import sys; print(sys.executable)')" -Dpybind11_DIR="$("$PYTHON" -m pybind11 --cmakedir)"
[ -n "$CONFIGURE_ONLY" ] || { cmake --build "$folder" && cmake --install "$folder" --component python --prefix .; }
EOF
  run build 180 env ARCHITECTURE="${FPG_ARCHITECTURE:-}" PYTHON="$PYTHON" CONFIGURE_ONLY="$([ "$DEVICE" = cuda ] || echo yes)" bash -c "$code"
}

sanitize() {
  if ! command -v compute-sanitizer >/dev/null; then row memcheck 'not run' 0 'compute-sanitizer is not on this machine'; return; fi
  if [ "$DEVICE" != cuda ]; then row memcheck 'not run' 0 'compute-sanitizer needs a GPU'; return; fi
  # Kernels of other libraries are not checked.
  run memcheck 120 "${sanitizer[@]}" --tool memcheck --kernel-name kernel_substring=fpg "${kernel_tests[@]}"
  run racecheck 150 "${sanitizer[@]}" --tool racecheck --kernel-name kernel_substring=fpg "${kernel_tests[@]}"
}

step() {
  local sizes=()
  [ "$DEVICE" = cpu ] && sizes=(--backbone test_efficientnet --size 64 --batch 4 --rounds 2)
  # Compiling is begun if a minute is left for it; the limit ends what takes longer, and what was measured until then is kept.
  run step "$1" "$PYTHON" benchmarks/step.py --device "$DEVICE" --graphs --compile --seconds $(($1 * slower - 60)) "${sizes[@]}" --csv "$OUT/step.csv"
}

infer() {
  local b4=(--batches 1,8,32,64 --rounds 20 --peak 800) starter=(--batches 1,8,32,64 --rounds 20 --peak 800)
  [ "$DEVICE" = cpu ] && b4=(--backbone test_efficientnet --size 64 --batches 1,2 --rounds 2) starter=(--batches 1,2 --rounds 2)
  run infer-b4 "$1" "$PYTHON" benchmarks/infer.py --device "$DEVICE" "${b4[@]}" --frames --seconds $(($1 * slower - 25)) --csv "$OUT/infer-b4.csv"
  run infer-start "$2" "$PYTHON" benchmarks/infer.py --device "$DEVICE" "${starter[@]}" --frames --seconds $(($2 * slower - 20)) \
    --checkpoint fpg/weights/starter/starter.safetensors --csv "$OUT/infer-starter.csv"
}

clip() {
  if [ ! -e "${FPG_SUITE_CLIP:-/nowhere}/clip.json" ]; then row clip 'not run' 0 'FPG_SUITE_CLIP names no folder of benchmarks/clip.py'; return; fi
  run clip 40 "$PYTHON" benchmarks/clip.py measure "$FPG_SUITE_CLIP" --device "$DEVICE" --rounds "$([ "$DEVICE" = cpu ] && echo 1 || echo 5)" \
    --csv "$OUT/clip.csv"
}

train() {
  local sizes=(--set batch=128 --set keep_top=0) weights=()
  if [ ! -e "${FPG_SUITE_FACES:-}" ]; then row train 'not run' 0 'FPG_SUITE_FACES names no faces'; return; fi
  [ "$DEVICE" = cpu ] && sizes=(--set model.backbone=test_efficientnet --set model.image_size=64 --set model.pretrained=false
    --set batch=16 --set keep_top=0 --set model.quality_width=16 --probe-steps 6)
  [ -n "${FPG_SUITE_WEIGHTS:-}" ] && weights=(--weights "$FPG_SUITE_WEIGHTS")
  # shellcheck disable=SC2086
  run train 600 "$PYTHON" benchmarks/gpu_train.py --data "$FPG_SUITE_FACES" --out "$OUT" --device "$DEVICE" --seconds $(($(left) - 15)) \
    "${sizes[@]}" "${weights[@]}" ${FPG_SUITE_TRAIN:-}
}

do_part() {
  part=$1 began=$SECONDS
  case $1 in
    prove) build; tests; sanitize ;;
    train) [ "$DEVICE" = cuda ] && build; train ;;
    measure) [ "$DEVICE" = cuda ] && build; step 150; infer 60 35; clip ;;
    build) build ;;
    tests) tests ;;
    sanitize) sanitize ;;
    kernels) run kernels 90 "$PYTHON" benchmarks/gpu_kernels.py --csv "$OUT/kernels.csv" ;;
    step) step 200 ;;
    infer) infer 140 140 ;;
    clip) clip ;;
    video) run video 200 "$PYTHON" benchmarks/video.py --device "$DEVICE" --decode whole,needed,cuda --threads 16 --csv "$OUT/video.csv" ;;
  esac
}

{ # read as a whole before it runs
  {
    if [ "$DEVICE" = cpu ]; then echo 'rehearsal on a CPU: times mean nothing'; else
      nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    fi
    "$PYTHON" -c 'import sys, torch; print("python", sys.version.split()[0], "torch", torch.__version__, "CUDA", torch.version.cuda)'
  } | tee "$OUT/machine.txt"
  for name; do do_part "$name"; done
  exit $failed
}
