#!/usr/bin/env bash
# Proves and measures fpg on a CUDA GPU, from a bare image with CUDA's compiler, torch, pybind11, cmake and ninja; no network.
#
#   benchmarks/gpu_suite.sh [PART ...]      default: build tests kernels step graphs infer sanitize; `compiled` takes minutes more; `video`
#   needs av, openvino, torchcodec, opencv and the packages of requirements-models.txt and -samples.txt
#
# OUT: folder of logs and CSV (default build/gpu_suite). PYTHON: the interpreter with torch (default python3).
# FPG_ARCHITECTURE: of the kernels (default: the GPU's). Every part has a time limit of its own; the suite goes on after a part that
# failed, ends with one table, and exits 1 if any failed.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-$PWD/build/gpu_suite}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 FPG_REQUIRE_CUDA=1 FPG_BACKEND=native
pytest=("$PYTHON" -m pytest -q -p no:cacheprovider -m cuda)
mapfile -t files < <(grep -rl --include='*.py' 'pytest.mark.cuda' tests)
# Without torch's caching allocator every tensor is an allocation of its own, so that an access beyond it is seen.
sanitizer=(env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode 9 --target-processes all)
kernel_tests=("${pytest[@]}" tests/ops tests/augment -k 'not stream and not captured and not wait and not 70000')
results=() failed=0

# run NAME SECONDS COMMAND...: its output goes to $OUT/NAME.log, one line of it to the table.
run() {
  local name=$1 limit=$2 start=$SECONDS code
  shift 2
  timeout --kill-after=5 "$limit" "$@" >"$OUT/$name.log" 2>&1
  code=$?
  [ $code -eq 0 ] || { failed=1; echo "== $name failed with $code; the end of its log:"; tail -n 40 "$OUT/$name.log"; }
  results+=("$(printf '%-14s %-10s %4d s  %s' "$name" "$([ $code -eq 0 ] && echo passed || echo "FAILED $code")" $((SECONDS - start)) \
    "$(grep -E 'passed|failed|ERROR SUMMARY|RACECHECK SUMMARY' "$OUT/$name.log" | tail -n 1)")")
}

part() {
  case $1 in
    build) run build 180 env ARCHITECTURE="${FPG_ARCHITECTURE:-}" PYTHON="$PYTHON" bash -c '
        set -e
        [ -n "$ARCHITECTURE" ] || ARCHITECTURE=$("$PYTHON" -c "import torch; print(\"%d%d\" % torch.cuda.get_device_capability())")
        folder=build/gpu-sm$ARCHITECTURE
        cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFPG_CUDA=ON -DFPG_PYTHON=ON \
          -DCMAKE_CUDA_ARCHITECTURES="$ARCHITECTURE" -DPython_EXECUTABLE="$("$PYTHON" -c "import sys; print(sys.executable)")" \
          -Dpybind11_DIR="$("$PYTHON" -m pybind11 --cmakedir)"
        cmake --build "$folder"
        cmake --install "$folder" --component python --prefix .' ;;
    tests) run tests 150 "${pytest[@]}" "${files[@]}" ;;
    sanitize)
      # Kernels of other libraries are not checked, except by initcheck, which has to see what they write.
      run memcheck 120 "${sanitizer[@]}" --tool memcheck --kernel-name kernel_substring=fpg "${kernel_tests[@]}"
      run racecheck 120 "${sanitizer[@]}" --tool racecheck --kernel-name kernel_substring=fpg "${kernel_tests[@]}"
      run initcheck 120 "${sanitizer[@]}" --tool initcheck "${kernel_tests[@]}" ;;
    kernels) run kernels 90 "$PYTHON" benchmarks/gpu_kernels.py --csv "$OUT/kernels.csv" ;;
    step) run step 150 "$PYTHON" benchmarks/step.py --device cuda --sam --csv "$OUT/step.csv" --profile "$OUT/step-profile.txt" ;;
    graphs) run graphs 100 "$PYTHON" benchmarks/step.py --device cuda --graphs --csv "$OUT/graphs.csv" ;;
    compiled) run compiled 240 "$PYTHON" benchmarks/step.py --device cuda --compile --csv "$OUT/compiled.csv" ;;
    infer) run infer 150 "$PYTHON" benchmarks/infer.py --device cuda --batches 1,64 --peak 800 --csv "$OUT/infer.csv" ;;
    video) run video 200 "$PYTHON" benchmarks/video.py --device cuda --decode whole,needed,cuda --threads 16 --csv "$OUT/video.csv" ;;
    *) echo "gpu_suite.sh: no part $1" >&2; exit 2 ;;
  esac
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$OUT/gpu.txt"
"$PYTHON" -c 'import sys, torch; print("python", sys.version.split()[0], "torch", torch.__version__, "CUDA", torch.version.cuda)' | tee -a "$OUT/gpu.txt"
[ $# -gt 0 ] || set -- build tests kernels step graphs infer sanitize
for name; do part "$name"; done
for log in kernels step graphs compiled infer video; do [ -e "$OUT/$log.log" ] && { echo "== $log"; cat "$OUT/$log.log"; }; done
echo "== parts"
printf '%s\n' "${results[@]}" | tee "$OUT/parts.txt"
exit $failed
