# Needs only Python >= 3.11, git and make: every target builds what it needs, a second run reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := -m pytest -q -n $(or $(JOBS),2) --dist worksteal
# Most of the time goes into compiling thousands of small programs, which tests/conftest.py keeps in
# .cache. Machine code that LLVM does not optimise and that is made of plain loops takes half of the
# time to make; what is about its rounding, and test-all, have it as users do.
FASTER := --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 \
	--xla_cpu_use_fusion_emitters=false
UNOPTIMISED := XLA_FLAGS="$(XLA_FLAGS) $$(cat $(VENV)/.xla-flags)"
QUICK := -m "not slow and not optimised"
# What reads, writes, draws and prints runs once, in float32; all other files are about numbers.
SURFACE := tests/fuzz/test_files.py $(wildcard tests/test_data*.py tests/test_report*.py) \
	$(addprefix tests/test_,bench.py cli.py cli_fit.py compare.py documents.py evaluate.py fit.py layers.py learnability.py \
	gram_store.py gram_workers.py notebooks.py studies_ce24.py studies_gated.py trajectory.py)
NUMERICS := $(filter-out $(SURFACE),$(wildcard tests/test_*.py tests/*/test_*.py))
# What computes the numbers that all else is made of; in float64 too.
FLOAT64 := $(addprefix tests/test_,dual.py polynomials.py steppers.py infinite_reference.py \
	empirical_routes.py)
OPTIMISED := $(shell grep -l "mark\.optimised" tests/test_*.py)

.PHONY: demo large fuzz test test-numerics test-surface test-all test-notebooks test-oldest test-newest package bench learnability notebooks lint types format clean

demo: $(VENV)/.ready ## the main job: finite against infinite width on real sequences, training, and a fit
	$(BIN)/ntkrnn compare --out out/demo
	$(BIN)/ntkrnn trajectory --widths 32,128,512 --seeds 3 --steps 150 --out out/demo/trajectory
	$(BIN)/ntkrnn fit --data japanese_vowels --n 270 --out out/demo/fit

large: $(VENV)/.ready ## kernels of 30,000 sequences in a store: two workers, one killed; a check; two solves
	$(BIN)/python benchmarks/large.py --out out/large

learnability: $(VENV)/.ready ## every experiment of the learning theories, in the small setting
	$(BIN)/ntkrnn learnability --experiment all --quick --out out/learnability-quick

test: test-numerics test-surface ## the quick suite

test-numerics: $(VENV)/.xla-flags ## what computes, in float32, and the heart of it in float64 too
	$(UNOPTIMISED) $(BIN)/python $(PYTEST) $(QUICK) $(NUMERICS)
	$(UNOPTIMISED) JAX_ENABLE_X64=1 $(BIN)/python $(PYTEST) $(QUICK) $(FLOAT64)
	$(BIN)/python -m pytest -q -m "not slow and optimised" $(OPTIMISED)
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -q -m "not slow and optimised" $(filter $(OPTIMISED),$(FLOAT64))

test-surface: $(VENV)/.xla-flags ## files, figures, studies, documents and the command line, in float32
	$(UNOPTIMISED) $(BIN)/python $(PYTEST) $(QUICK) $(SURFACE)

test-all: $(VENV)/.ready ## also what takes longer
	$(BIN)/python $(PYTEST)
	JAX_ENABLE_X64=1 $(BIN)/python $(PYTEST)

fuzz: $(VENV)/.ready ## ten thousand random calls and a thousand random files
	$(BIN)/python tests/fuzz/run.py

test-notebooks: $(VENV)/.ready ## every notebook from end to end, in the small setting
	$(BIN)/python $(PYTEST) tests/test_notebooks.py

test-oldest: ## the quick suite on the oldest supported JAX
	$(MAKE) test VENV=.venv-oldest

test-newest: ## the quick suite on the newest JAX; it needs Python 3.12 or newer, PYTHON=python3.13
	$(MAKE) test VENV=.venv-newest

package: $(VENV)/.ready ## sdist and wheel: what a user installs and its size, and the sdist's tests about files
	rm -rf build dist && $(BIN)/python -m hatchling build
	$(PYTHON) -m venv build/package && build/package/bin/python -m pip install -q dist/*.whl
	cd build && package/bin/ntkrnn info && package/bin/python -c "$$(sed -n '/^import jax, jax.numpy/,/^```/{/```/!p}' ../README.md)"
	du -sh build/package
	tar -xzf dist/*.tar.gz -C build && cd build/ntkrnn-* && PYTHONPATH=. ../../$(BIN)/python -m pytest -q \
		tests/test_documents.py tests/test_layers.py tests/extension

bench: $(VENV)/.ready ## every row of the benchmark, with its peers, in one run
	$(BIN)/python -m pytest -o addopts= -W default -q -s benchmarks --benchmark-columns=median,iqr,rounds

notebooks: $(VENV)/.ready ## the .ipynb of every notebook, from its .py
	$(BIN)/python notebooks/to_ipynb.py

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/pyright

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest .venv-newest .cache out build dist

# An environment .venv-NAME has the packages of constraints-NAME.txt in place of those of constraints.txt.
$(VENV)/.ready: pyproject.toml constraints.txt $(wildcard constraints-$(VENV:.venv-%=%).txt)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ntkrnn needs Python 3.11 or newer, found " + sys.version.split()[0] + "; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	for file in $(filter constraints%,$^); do $(BIN)/python -m pip install -q --no-deps -r $$file || exit 1; done
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

# XLA ends a process that has a flag which it does not know, and no version knows all of them.
$(VENV)/.xla-flags: $(VENV)/.ready Makefile
	@for flag in $(FASTER); do \
		if XLA_FLAGS=$$flag $(BIN)/python -c "import jax; jax.devices()" 2> /dev/null; then echo $$flag; fi; \
	done > $@
