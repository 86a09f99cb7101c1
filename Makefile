# The two commands to know: `make train` and `make test`. Each sets up .venv first if it must.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup train test quick torture lint types docs clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv with pinned packages

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gnnkit needs Python 3.11 or newer, but $(PYTHON) is %d.%d; name another with: make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (torch is large; only the first time)"
	@# torch by its exact version first: a range would make pip look for builds with gigabytes of CUDA.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

train: $(READY)  ## Train a GCN on the karate club; takes seconds
	@$(BIN)/gnnkit train karate

test: $(READY)  ## Run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q

quick: $(READY)  ## Run the tests that take no more than a few seconds each
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q -m 'not slow'

# Faults on one core, hostile files and laws on the other; docs/reliability.md has the minutes of each.
torture: $(READY)  ## Kill, fill, starve, interrupt and repeat every job; read 100,000 hostile files; takes two hours
	@mkdir -p benchmarks/results/torture
	@OMP_NUM_THREADS=1 $(BIN)/python torture/faults.py --out benchmarks/results/torture & faults=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python torture/hostile.py --out benchmarks/results/torture/hostile.json; hostile=$$?; \
	OMP_NUM_THREADS=1 $(BIN)/python torture/laws.py --out benchmarks/results/torture/laws.json; laws=$$?; \
	wait $$faults; faults=$$?; $(BIN)/python torture/figures.py; exit $$((faults + hostile + laws))

lint: $(READY)  ## Check style and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(READY)  ## Check types
	@$(BIN)/mypy

docs: $(READY)  ## Build the guide and the API reference into site/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## Remove .venv and caches; run folders stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
