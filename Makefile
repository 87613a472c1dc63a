# Targets set up what they need by themselves. Override PYTHON to choose an interpreter (>= 3.11).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Each test process trains on one core and takes about 1 GiB.
JOBS ?= --numprocesses=auto --maxprocesses=4 --dist=worksteal
BENCH ?=
# What `make lock` may change: everything. LOCK= keeps what is locked; LOCK="--upgrade-package ruff" frees one package.
LOCK ?= --upgrade
# Where the stages of .ci/run keep what is not in $(VENV).
CI_DIR ?= build/ci
DISCOGEN := $(abspath $(CI_DIR))/discogen
# The environment of `make newest`, and its tests: quick ones, which between them use most of the packages.
NEWEST ?= $(CI_DIR)/newest
NEWEST_TESTS ?= tests/test_import.py tests/adapters/test_mcp.py tests/episodes/test_plots.py tests/experiment/test_running.py \
  tests/experiment/test_cluster.py tests/examiners/test_jax_export.py \
  tests/agents/prompts/test_study.py::test_a_better_prompt_is_found_and_helps_on_held_out_tasks \
  discoenv/domains/NeuralCellularAutomata/tests/test_exams.py::test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor \
  discoenv/domains/ContinualLearning/tests/test_exams.py::test_the_same_seed_gives_the_same_score_in_the_sandbox \
  discoenv/domains/OnPolicyRL/tests/test_training.py::test_main_trains_and_hands_its_agents_over \
  tests/episodes/test_real_domains.py::test_stubs_get_the_floor_and_hear_which_function_is_missing
# constraints.txt says which versions, of build requirements too; constraints.in says why.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(PIP_INSTALL) -c constraints.txt --build-constraint constraints.txt

.DEFAULT_GOAL := demo
.PHONY: help demo test test-all test-long lint types format bench docs gpu calibrate audit lock newest adapters clean \
  ci-demo ci-lint ci-wheel ci-docker ci-viewer ci-discogen ci-bench ci-newest ci-tests

help: ## List the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Its exams come from a secret that is none, so that it prints the same everywhere.
demo: $(VENV)/.demo ## Play one episode with hand-written candidates
	@$(BIN)/discoenv doctor --fix --quiet
	@umask 077; printf '%064d\n' 0 > $(VENV)/demo.secret
	@DISCOENV_SECRET_FILE=$(VENV)/demo.secret $(BIN)/python agents/scripted.py --domain GreenhouseGasPrediction --scale small --seed 2

test: $(VENV)/.dev ## Run the default tests
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m pytest $(JOBS) -m "not slow"

test-all: $(VENV)/.dev ## Run the slow tests too
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m pytest $(JOBS) -m "not long"

test-long: $(VENV)/.dev ## Run what takes longest, and train every known method of every domain once
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m pytest $(JOBS) -m long

lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

format: $(VENV)/.dev ## Format, and correct what can be corrected
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Run the benchmarks of speed; BENCH="--only startup" chooses
	@$(BIN)/discoenv doctor --fix --quiet
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(VENV)/.dev ## Build the site into build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

gpu: $(VENV)/.dev ## Try everything about GPUs, in ten minutes: writes gpu-results.json
	$(BIN)/python -m benchmarks.gpu

calibrate: $(VENV)/.dev ## Measure all floors and baselines (hours)
	$(BIN)/discoenv calibrate all

audit: $(VENV)/.dev ## Try every exploit on every domain, and on three in containers (hours)
	@$(BIN)/discoenv doctor --fix --quiet
	@PYTHON=$(BIN)/python DISCOENV_TEST_ENGINE=$(abspath $(CI_DIR))/engine .ci/audit

lock: | $(BIN)/python ## Choose again which versions are installed: writes constraints.txt
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt uv
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest $(LOCK) --extra dev \
	  --no-annotate --custom-compile-command "make lock" --output-file constraints.txt pyproject.toml constraints.in

# But not of torch, whose newest build can come with gigabytes of CUDA.
newest: ## Try the newest versions that pyproject.toml allows, in a separate environment
	@rm -rf $(NEWEST)
	@$(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python $(PIP_INSTALL) --upgrade pip
	@$(NEWEST)/bin/python $(PIP_INSTALL) -e ".[dev]" "$$(grep '^torch==' constraints.txt)"
	@$(NEWEST)/bin/discoenv doctor --fix --quiet
	@$(NEWEST)/bin/python .ci/locked.py || true
	@failed=""; \
	$(NEWEST)/bin/ruff check --quiet . || failed="$$failed ruff"; \
	$(NEWEST)/bin/mypy || failed="$$failed mypy"; \
	$(NEWEST)/bin/python -m pytest -q $(JOBS) -m "not slow" $(NEWEST_TESTS) || failed="$$failed pytest"; \
	[ -z "$$failed" ] || { echo "With the newest versions, this fails:$$failed"; exit 1; }

# Frameworks that exclude each other, or what the lock holds: an environment for each.
adapters: ## Test the adapters of other frameworks; ADAPTERS="inspect trl" chooses
	@.ci/adapters $(CI_DIR)/adapters $(PYTHON) $(ADAPTERS)

clean: ## Remove environments and caches
	rm -rf $(VENV) build/ci .mypy_cache .pytest_cache .ruff_cache .hypothesis

# ---- the stages of .ci/run, each of which can be repeated alone

ci-demo: ## The demo in its own minimal environment beats the baseline
	@$(MAKE) --no-print-directory demo VENV=$(CI_DIR)/demo
	@$(CI_DIR)/demo/bin/python .ci/reward.py

ci-lint: lint types docs ## Style, types, the site and generated pages are clean, and what is installed is what is locked
	$(BIN)/python docs/pages.py --check
	$(BIN)/python .ci/locked.py

ci-wheel: ## sdist and wheel are made; the wheel works in a fresh environment, away from the checkout
	@.ci/wheel $(CI_DIR)/wheel $(PYTHON)

ci-docker: $(VENV)/.dev ## Containers work, with an engine that is started if none answers
	@$(BIN)/discoenv doctor --fix --quiet
	@PYTHON=$(BIN)/python DISCOENV_TEST_ENGINE=$(abspath $(CI_DIR))/engine .ci/docker

ci-viewer: ## A browser is installed if it can be, for the tests of the viewer's page
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v chromedriver >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core; \
	fi

ci-discogen: $(DISCOGEN)/.done ## The discogen package is there, whose published scores the tests reproduce

$(DISCOGEN)/.done: | $(VENV)/.dev
	@$(BIN)/python -m pip download --quiet discogen==1.3.0 --no-deps --only-binary=:all: --python-version 3.12 --dest $(@D)
	@$(BIN)/python -m zipfile -e $(@D)/*.whl $(@D)
	@touch $@

ci-bench: $(DISCOGEN)/.done ## The benchmarks of speed run, small
	@DISCOGEN_PACK=$(DISCOGEN) $(MAKE) --no-print-directory bench BENCH="--only startup --only generation --only overhead \
	  --repeats 3 --most-sampled 1000 --most-written 100 --domain GreenhouseGasPrediction --domain OnPolicyRL \
	  --out '$(CI_DIR)/bench.json'"

ci-tests: $(DISCOGEN)/.done ## The default tests pass
	@DISCOGEN_PACK=$(DISCOGEN) $(MAKE) --no-print-directory test

ci-newest: ## The newest versions are tried; says what broke, and never fails
	@timeout --kill-after=30 420 $(MAKE) --no-print-directory newest || \
	  echo "The newest versions do not pass, see above (124: out of time). What is locked is not affected."

# ---- environments

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "discoenv needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.pip: constraints.txt | $(BIN)/python
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt pip
	@touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.pip
	$(PIP) -e ".[sklearn]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.pip
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.demo
