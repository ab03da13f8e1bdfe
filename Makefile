# make        the environment in .venv, and two sample clips to judge: .venv/bin/fpg-detect demo/data/detect/forged.mp4
# make demo   the whole path on sample data, from nothing: prepare, train, evaluate, export; then the starter judges a real and a forged clip
# make check  what to run before a commit, in minutes: linters, types, the tests that are not marked slow
# make test   all tests, from nothing       make lint   ruff, mypy, clang-format
# make docs   the site in build/docs, every link checked
# make wheel  the wheel (manylinux, without CUDA) and the sdist, in dist/
# make fresh  the first two commands of the README in a bare Debian 12, made by debootstrap (as root; takes a while)
# make bench  the benchmarks, as tables (on a GPU: benchmarks/gpu_suite.sh)
# make fuzz   every reader of files, in Python and C++ (sanitized), FUZZ_SECONDS each (default: 1800); findings under build/fuzz
SHELL := /bin/bash
PY := .venv/bin/python
STAMP := .venv/.ready
COMPILED := $(shell find csrc cmake -type f 2>/dev/null) CMakeLists.txt

.PHONY: all help setup demo check test test-cpp fuzz lint docs wheel fresh bench clean
all: demo/data/SOURCES.txt
	@echo "Ready. Judge a clip: .venv/bin/fpg-detect demo/data/detect/forged.mp4     (make help: what else there is)"

help:
	@sed -n 's/^# make/make/p' Makefile

demo/data/SOURCES.txt: $(STAMP)
	@$(PY) -m fpg.data.sample demo/data

setup: $(STAMP)
$(STAMP): pyproject.toml constraints.txt $(wildcard requirements-*.txt) $(wildcard scripts/*.sh) $(COMPILED)
	@bash scripts/setup.sh
	@touch $@

demo: $(STAMP)
	@bash scripts/demo.sh

check: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto -m "not slow"

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict && echo "build/docs/index.html"

wheel: $(STAMP)
	@bash scripts/wheel.sh dist

fresh:
	@bash scripts/fresh.sh

test: $(STAMP) test-cpp
	@bash scripts/pycuda.sh >build/pycuda.log 2>&1 || echo "NOT TESTED: PyCUDA, which does not build here (build/pycuda.log)"
	$(PY) -m pytest

test-cpp: $(STAMP)
	@export PATH="$$PWD/.venv/bin:$$PATH"; bash scripts/debian_packages.sh deploy || true; \
	missing="$$(bash scripts/debian_packages.sh --missing deploy)"; presets="cpu asan deploy"; runtime=ON; \
	if [ -n "$$missing" ]; then presets="cpu asan"; runtime=OFF; echo "NOT TESTED: the C++ runtime, for want of $$missing"; fi; \
	for preset in $$presets; do \
	  cmake --preset $$preset $$([ $$preset = asan ] && echo -DFPG_DEPLOY=$$runtime) && cmake --build --preset $$preset && ctest --preset $$preset || exit 1; \
	done

FUZZ_SECONDS ?= 1800
FUZZ_SEED ?= $(shell date +%s)
fuzz: $(STAMP)
	@export PATH="$$PWD/.venv/bin:$$PATH"; failed=0; $(PY) tests/fuzzing/run.py --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) || failed=1; \
	cmake --preset asan && cmake --build --preset asan --target fuzz_readers && mkdir -p build/fuzz && cd build/fuzz || exit 1; \
	export ASAN_OPTIONS=hard_rss_limit_mb=2048 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1; \
	for reader in sidecar images videos needed; do \
	  ../asan/tests/cpp/deploy/fuzz_readers $$reader ../../tests/data/fuzz/$${reader/needed/videos} $(FUZZ_SECONDS) $(FUZZ_SEED) || failed=1; \
	done; exit $$failed

lint: $(STAMP)
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'deploy/*.h' 'deploy/*.cpp' 'tests/cpp/*.h' 'tests/cpp/*.cpp' | xargs -r .venv/bin/clang-format --dry-run -Werror

bench: $(STAMP)
	@failed=0; for script in $(filter-out benchmarks/gpu_%,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(PY) $$script || failed=1; done; exit $$failed

clean:
	rm -rf build demo .mypy_cache .ruff_cache .pytest_cache
