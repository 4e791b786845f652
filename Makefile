# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
NATIVE_SOURCES := $(shell find native -name '*.cpp' -o -name '*.hpp') CMakeLists.txt pyproject.toml
CHECKED := src tests bench training scripts fuzz
JOBS ?= $(shell nproc)
CMAKE_NATIVE := $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) -DBAKEN_PYTHON=OFF -DBAKEN_NATIVE_TESTS=ON

CMAKE_FUZZ := $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) -DCMAKE_CXX_COMPILER=clang++ \
	-DCMAKE_BUILD_TYPE=RelWithDebInfo -DBAKEN_PYTHON=OFF -DBAKEN_FUZZ=ON -DBAKEN_SANITIZE=address,undefined
RUNS ?= 5000

# The tests start thousands of processes. Where the environment forbids compiled modules, each compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo screenshots fuzz fuzz-native test test-long test-training lint types format native-test check-native check bench bench-100m bench-copies docs docs-check clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(VENV)/.built ## make the virtual environment, install dependencies, build the native part

demo: $(VENV)/.built ## draw photos, bank some, screen altered copies, fill the console, serve it all (ARGS=--once stops after the table)
	@$(BIN)/python -m baken.demo $(ARGS)

test: $(VENV)/.built ## run the tests (the long ones: make test-long)
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadfile $(ARGS)

screenshots: $(VENV)/.built ## let the browser tests write the pictures of the console's pages in docs/images/console
	BAKEN_WRITE_SCREENSHOTS=1 $(BIN)/python -m pytest -q -k "console or looking" tests/web $(ARGS)

test-long: $(VENV)/.built ## run the tests that take minutes
	$(BIN)/python -m pytest -m long $(ARGS)

test-training: $(VENV)/.training ## test the training of the descriptor network (installs PyTorch)
	$(BIN)/python -m pytest training/tests $(ARGS)

fuzz: $(VENV)/.fuzz ## 20,000 damaged files through the decoders, then Atheris on our parsers (ARGS="--files 1000 --seed 2")
	$(BIN)/python -m fuzz --jobs $(JOBS) $(ARGS)
	$(BIN)/python -m fuzz.parsers -runs=100000 -seed=1 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 build/fuzz/parsers

fuzz-native: $(VENV)/.deps ## libFuzzer on the native kernel, with Address- and UndefinedBehaviorSanitizer; needs clang (RUNS=5000)
	@command -v clang++ > /dev/null || { echo "No clang found. On Debian: apt-get install clang"; exit 2; }
	$(CMAKE_FUZZ) -B build/fuzz-native > /dev/null
	$(BIN)/cmake --build build/fuzz-native -j $(JOBS) -- --quiet
	for harness in $(notdir $(basename $(wildcard native/fuzz/fuzz_*.cpp))); do \
		mkdir -p build/fuzz/$$harness && \
		build/fuzz-native/$$harness -runs=$(RUNS) -seed=1 -timeout=20 -rss_limit_mb=2048 -max_len=2048 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/$$harness- build/fuzz/$$harness || exit 1; \
	done

lint: $(VENV)/.built ## ruff: rules and format
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

format: $(VENV)/.built ## let ruff rewrite what it can
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

types: $(VENV)/.built ## mypy --strict
	$(BIN)/mypy

native-test: $(VENV)/.deps ## C++ tests, without Python
	$(CMAKE_NATIVE) -B build/native -DCMAKE_BUILD_TYPE=Release > /dev/null
	$(BIN)/cmake --build build/native -j $(JOBS) -- --quiet
	$(BIN)/ctest --test-dir build/native --output-on-failure

check-native: $(VENV)/.deps ## C++ tests under Address-, UndefinedBehavior- and ThreadSanitizer
	for sanitizers in address,undefined thread; do \
		$(CMAKE_NATIVE) -B build/native-$$sanitizers -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBAKEN_SANITIZE=$$sanitizers > /dev/null && \
		$(BIN)/cmake --build build/native-$$sanitizers -j $(JOBS) -- --quiet && \
		$(BIN)/ctest --test-dir build/native-$$sanitizers --output-on-failure || exit 1; \
	done

docs: $(VENV)/.built ## write the generated reference pages
	$(BIN)/python scripts/generate_reference.py

docs-check: $(VENV)/.built ## fail when a generated reference page is out of date
	$(BIN)/python scripts/generate_reference.py --check

check: lint types docs-check native-test test ## everything CI runs

bench: $(VENV)/.bench ## measure against peers, as ratios in one run (ARGS="lookup-1m --quick")
	$(BIN)/python -m bench $(ARGS)

bench-100m: $(VENV)/.bench ## a hundred million codes on disk (takes minutes, 14 GiB of memory and 10 GB of TMPDIR)
	$(BIN)/python -m bench 100m $(ARGS)

bench-copies: $(VENV)/.built ## which altered copies each stage finds, at what cost, how often it errs (ARGS=--quick: two minutes)
	$(BIN)/python -m bench copies copies-screening $(ARGS)

$(VENV)/.fuzz: $(VENV)/.built
	$(BIN)/python scripts/requirements.py fuzz | $(BIN)/python -m pip install --quiet --disable-pip-version-check -r /dev/stdin
	@touch $@

clean: ## remove everything that was made here
	rm -rf $(VENV) build demo-data .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench training -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Baken needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python has no venv module. On Debian: apt-get install python3-venv python3-dev"; exit 2; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' || \
		{ echo "Python's C headers are missing. On Debian: apt-get install python3-dev"; exit 2; }
	@command -v $${CXX:-g++} > /dev/null || { echo "No C++ compiler found. On Debian: apt-get install g++"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Build tools and dependencies change with pyproject.toml alone; the native part also with its sources.
$(VENV)/.deps: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check scikit-build-core nanobind cmake ninja
	$(BIN)/python scripts/requirements.py dev deep video | $(BIN)/python -m pip install --quiet --disable-pip-version-check -r /dev/stdin
	@touch $@

$(VENV)/.built: $(VENV)/.deps $(NATIVE_SOURCES)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.training: $(VENV)/.built
	$(BIN)/python scripts/requirements.py training | $(BIN)/python -m pip install --quiet --disable-pip-version-check -r /dev/stdin
	@touch $@

$(VENV)/.bench: $(VENV)/.built
	$(BIN)/python scripts/requirements.py bench | $(BIN)/python -m pip install --quiet --disable-pip-version-check -r /dev/stdin
	@touch $@
