# One virtual environment, .venv, made once and again whenever pyproject.toml or constraints.txt change.
#   make setup PYTHON=python3.12       another interpreter (3.11 or later)
#   make setup TORCH_FLAGS="..."       pip options for torch alone, such as where to find a CPU or CUDA build
#   make test ARGS="-k noise"          options for pytest

PYTHON ?= python3
TORCH_FLAGS ?=
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
# One thread per worker: two workers with two threads each would only fight over the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check docs bench papers clean

help:
	@echo "make setup | demo | test | test-all | check | docs | bench | papers | clean"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "abprop needs Python 3.11 or later, and '$(PYTHON)' is not: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: apt install python3-venv, then make setup"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing torch and abprop into $(VENV) (a minute or two)"
	@$(PIP) $(TORCH_FLAGS) torch
	@$(PIP) -e '.[dev,docs]'
	@touch $@
	@echo "ready: $(BIN)/abprop --help"

demo: setup
	@$(BIN)/abprop demo

test: setup
	@$(PYTEST) $(ARGS)

test-all: setup
	@$(PYTEST) -m "" $(ARGS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/python tests/test_imports.py

# Warnings are errors; nothing is downloaded.
docs: setup
	@$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: setup
	@$(BIN)/abprop bench

papers: setup
	@$(BIN)/python papers/run.py

clean: # leaves .venv and every run alone
	@rm -rf build dist docs/_build .pytest_cache .ruff_cache .hypothesis
	@find src tests papers benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
