# `make demo` and `make test` set up what they need by themselves. Override PYTHON to choose an interpreter (>= 3.11).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Each test process trains on one core and takes about 1 GiB.
JOBS ?= --numprocesses=auto --maxprocesses=4 --dist=worksteal
BENCH ?=
# constraints.txt: see there; without it torch can come with gigabytes of CUDA.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all lint types bench calibrate clean

demo: $(VENV)/.demo
	@$(BIN)/discoenv doctor --fix --quiet
	@$(BIN)/python agents/scripted.py --domain GreenhouseGasPrediction --scale small --seed 0

test: $(VENV)/.dev
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m pytest $(JOBS) -m "not slow"

test-all: $(VENV)/.dev
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m pytest $(JOBS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m benchmarks $(BENCH)

calibrate: $(VENV)/.dev
	$(BIN)/discoenv calibrate all

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "discoenv needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[sklearn]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.demo
