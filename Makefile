# Needs only Python >= 3.11, git and make: every target builds what it needs, a second run reuses it.
PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin
PYTEST := -m pytest -q -n $(or $(JOBS),2) --dist worksteal
# Most of the time goes into compiling thousands of small programs. Machine code that LLVM does not
# optimise is made in two thirds of it; what is about its rounding, and test-all, have it as users do.
UNOPTIMISED := XLA_FLAGS="$(XLA_FLAGS) --xla_backend_optimization_level=0 \
	--xla_cpu_parallel_codegen_split_count=1"
# What computes; the rest (files, figures, the command line) runs once, in float32.
NUMERICS := $(addprefix tests/test_,dual.py polynomials.py steppers.py infinite_reference.py \
	empirical_routes.py)

.PHONY: demo test test-all test-notebooks test-oldest bench learnability notebooks lint types format clean

demo: .venv/.ready ## the main job: finite against infinite width on real sequences, then training
	$(BIN)/ntkrnn compare --out out/demo
	$(BIN)/ntkrnn trajectory --widths 32,128,512 --seeds 3 --steps 150 --out out/demo/trajectory

learnability: .venv/.ready ## every experiment of the learning theories, in the small setting
	$(BIN)/ntkrnn learnability --experiment all --quick --out out/learnability-quick

test: .venv/.ready ## the suite in float32, then what computes in float64 too
	$(UNOPTIMISED) $(BIN)/python $(PYTEST) -m "not slow and not optimised"
	$(UNOPTIMISED) JAX_ENABLE_X64=1 $(BIN)/python $(PYTEST) -m "not slow and not optimised" $(NUMERICS)
	$(BIN)/python $(PYTEST) -m "not slow and optimised" tests
	JAX_ENABLE_X64=1 $(BIN)/python $(PYTEST) -m "not slow and optimised" $(NUMERICS)

test-all: .venv/.ready ## also what takes longer
	$(BIN)/python $(PYTEST)
	JAX_ENABLE_X64=1 $(BIN)/python $(PYTEST)

test-notebooks: .venv/.ready ## every notebook from end to end, in the small setting
	$(BIN)/python $(PYTEST) tests/test_notebooks.py

test-oldest: .venv-oldest/.ready ## the suite on the oldest supported JAX
	$(OLDEST)/python $(PYTEST) -m "not slow"

bench: .venv/.ready ## every row of the benchmark, with its peers, in one run
	$(BIN)/python -m pytest -o addopts= -W default -q -s benchmarks --benchmark-columns=median,iqr,rounds

notebooks: .venv/.ready ## the .ipynb of every notebook, from its .py
	$(BIN)/python notebooks/to_ipynb.py

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready
	$(BIN)/pyright

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest out build dist

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ntkrnn needs Python 3.11 or newer, found " + sys.version.split()[0] + "; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --no-deps -r constraints.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

.venv-oldest/.ready: pyproject.toml constraints.txt constraints-oldest.txt
	test -x $(OLDEST)/python || $(PYTHON) -m venv .venv-oldest
	$(OLDEST)/python -m pip install -q --no-deps -r constraints.txt
	$(OLDEST)/python -m pip install -q --no-deps -r constraints-oldest.txt
	$(OLDEST)/python -m pip install -q --no-deps -e .
	@touch $@
